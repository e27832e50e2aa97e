#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The offload part of the demonstration: Open vSwitch without and with flows in
# the switch of the mlx5 device model, on our module and, by TC, on the C one.
# shellcheck disable=SC2317 # functions that others call by name
. "$(dirname "${BASH_SOURCE[0]}")/../mlx5/lib.sh"

usage() {
	cat <<'TXT'
usage: demo.sh [OPTION...]

  --module FILE.ko   our module, built for the stock kernel (default: build it)
  --results DIR      where the JSON files, logs and the picture go
                     (default: a folder of the cache)
  -h, --help         this text

Ends with "N passed, N failed, N skipped" and status 0 if, with offload on, no
packet of an established flow went through the processor, and all else was as
it has to be.
TXT
}

module='' results=$(per_tree demo)/offload
while [ $# -gt 0 ]; do
	case $1 in
	--module | --results)
		[ $# -ge 2 ] || die "offload/demo.sh: $1 needs a value (see --help)"
		[ "$1" = --module ] && module=$(realpath -m -- "$2")
		[ "$1" = --results ] && results=$(realpath -m -- "$2")
		shift
		;;
	-h | --help) usage; exit ;;
	*) die "offload/demo.sh: unknown argument '$1' (see --help)" ;;
	esac
	shift
done

mlx5_setup
mlx5_modules module "$module"

# What draws the picture, in a version that is known to.
PLOT=$CACHE/plot-$(key_of matplotlib==3.11.2 "${TOOLROOT##*-}")
make_plot() {
	[ ! -x "$PLOT/bin/python3" ] || return 0
	say "matplotlib: installing into the cache"
	make_venv "$PLOT.tmp" matplotlib==3.11.2
	mv "$PLOT.tmp" "$PLOT"
}
locked plot make_plot

say "offload: the mlx5 driver on a device model, no card: rates are this machine's, not a card's"
rc=0
mlx5_both "$module" "$results" --mem 1G --timeout 400 \
	-- "$TOP/qemu-ci/offload/demo_guest.py" {} "$results/{}/offload.json" "$results/shared" || rc=$?
EXTRA_BIND=$results in_tools python3 "$TOP/qemu-ci/offload/demo_report.py" "$results" || rc=$?
if EXTRA_BIND=$results in_tools env MPLCONFIGDIR=/tmp "$PLOT/bin/python3" \
	"$TOP/qemu-ci/offload/demo_chart.py" "$results"; then
	say "offload: the picture is $results/offload.svg"
else
	rc=1
fi
exit "$rc"

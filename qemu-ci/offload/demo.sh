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
if [ -z "$module" ]; then
	say "building openvswitch.ko"
	run_logged "$CACHE/log/build.log" "$TOP/qemu-ci/build.sh" modules
	module=$TOP/openvswitch.ko
fi
[ -f "$module" ] || die "offload/demo.sh: no module $module"
driver=$("$TOP/qemu-ci/mlx5/driver.sh")

# What draws the picture, in a version that is known to.
PLOT=$CACHE/plot-$(key_of matplotlib==3.11.2 "${TOOLROOT##*-}")
make_plot() {
	[ ! -x "$PLOT/bin/python3" ] || return 0
	say "matplotlib: installing into the cache"
	rm -rf "$PLOT.tmp"
	in_tools sh -c 'python3 -m ensurepip --version' >/dev/null 2>&1 ||
		run_logged "$CACHE/log/plot-apt.log" in_tools apt-get -qy install python3-venv
	sed '/^cert/d' /etc/pip.conf >"$TOOLROOT/etc/pip.conf" 2>/dev/null || true
	run_logged "$CACHE/log/plot.log" in_tools sh -c \
		'python3 -m venv "$1" && "$1/bin/pip" install --quiet matplotlib==3.11.2' sh "$PLOT.tmp"
	mv "$PLOT.tmp" "$PLOT"
}
locked plot make_plot

rm -rf "$results"
mkdir -p "$results/ours" "$results/c" "$results/shared"
RUN=$(mktemp -d "$MLX5_CACHE/run.XXXXXX")
trap 'end_children; rm -rf "$RUN"' EXIT
trap 'exit 130' INT TERM

# run_on NAME [BOOT OPTION...]: the guest's side, with a device model of its
# own. The two boot side by side, and take turns where packets are counted.
run_on() {
	local name=$1 rc=0
	shift
	mlx5_start "$RUN/$name" --vfs 4
	mlx5_boot "$RUN/$name" --mem 1G --timeout 400 --clean-log --results "$results/$name" \
		--rw "$results/shared" --env "MLX5_KO=$driver" --ro "${driver%/*}" "$@" \
		-- "$TOP/qemu-ci/offload/demo_guest.py" "$name" "$results/$name/offload.json" \
		"$results/shared" 2>&1 |
		sed -u -e '/Could not enable error recovery/d' -e "s/^/$(printf '%-5s|' "$name")/" || rc=$?
	# Whatever happened, the other one shall not wait.
	touch "$results/shared/$name.ready" "$results/shared/$name.measured"
	mlx5_stop "$RUN/$name"
	cp "$RUN/$name/model.log" "$results/$name/"
	return "$rc"
}

say "offload: the mlx5 driver on a device model, no card: rates are this machine's, not a card's"
run_on c &
c=$!
rc=0
run_on ours --module "$module" || rc=$?
wait "$c" || rc=$?
[ "$rc" = 0 ] || printf 'error: a run ended with status %s (99: the kernel log has a report)\n' "$rc" >&2
EXTRA_BIND=$results in_tools python3 "$TOP/qemu-ci/offload/demo_report.py" "$results" || rc=$?
if EXTRA_BIND=$results in_tools env MPLCONFIGDIR=/tmp "$PLOT/bin/python3" \
	"$TOP/qemu-ci/offload/demo_chart.py" "$results"; then
	say "offload: the picture is $results/offload.svg"
else
	rc=1
fi
exit "$rc"

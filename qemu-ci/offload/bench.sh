#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# How fast flows get into the switch of the mlx5 device model and out again:
# our module against Open vSwitch's own offload through TC on the C module.
. "$(dirname "${BASH_SOURCE[0]}")/../mlx5/lib.sh"

usage() {
	cat <<'TXT'
usage: bench.sh [OPTION...]

  --sizes LIST       how many flows, with commas (default 1000,10000,100000); of
                     the C module, which takes so much longer, no more than
                     10000 are asked, and the table says so
  --ports LIST       how many ports more, without flows, a dump is measured
                     with (default 0,32,128)
  --module FILE.ko   our module, built for the stock kernel (default: build it)
  --results DIR      where the JSON files and logs go
                     (default: a folder of the cache)
  -h, --help         this text

Prints a table of both and their ratios, and writes bench.json. Takes a quarter of
an hour where the guests' processors are emulated and nothing else runs; --sizes 1000
--ports 0 takes five minutes.
TXT
}

module='' results=$(per_tree offload-bench) sizes=1000,10000,100000 ports=0,32,128
while [ $# -gt 0 ]; do
	case $1 in
	--sizes | --ports | --module | --results)
		[ $# -ge 2 ] || die "offload/bench.sh: $1 needs a value (see --help)"
		;;&
	--sizes | --ports)
		[[ $2 =~ ^[0-9]{1,6}(,[0-9]{1,6})*$ ]] ||
			die "offload/bench.sh: $1 takes numbers with commas, not '$2' (see --help)"
		[ "$1" = --sizes ] && sizes=$2
		[ "$1" = --ports ] && ports=$2
		shift
		;;
	--module) module=$(realpath -m -- "$2"); shift ;;
	--results) results=$(realpath -m -- "$2"); shift ;;
	-h | --help) usage; exit ;;
	*) die "offload/bench.sh: unknown argument '$1' (see --help)" ;;
	esac
	shift
done
for n in ${sizes//,/ }; do
	[ "$n" -ge 1 ] && [ "$n" -le 200000 ] || die "offload/bench.sh: --sizes: 1 to 200000 flows, not $n"
done
for n in ${ports//,/ }; do
	[ "$n" -le 512 ] || die "offload/bench.sh: --ports: at most 512, not $n"
done

mlx5_setup
mlx5_modules module "$module"

say "offload bench: the mlx5 driver on a device model: ratios, not a card's rates"
rc=0
mlx5_both "$module" "$results" --mem 3G --timeout 3600 \
	-- "$TOP/qemu-ci/offload/bench_guest.py" {} "$results/{}/bench.json" \
	"$results/shared" "$sizes" "$ports" || rc=$?
EXTRA_BIND=$results in_tools python3 "$TOP/qemu-ci/offload/bench_report.py" "$results" || rc=$?
say "offload bench done; JSON and logs are in $results"
exit "$rc"

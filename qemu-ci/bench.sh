#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# `make bench`: the C module, ours and the floor on one -O2 user-mode Linux
# kernel, in one run, in turn. Absolute figures are this machine's; the ratios
# are what to quote.
#
#   bench.sh [--rounds N] [--cases A,B,...] [--modules c,ours,floor]
#            [--module FILE] [--out FILE] [--quick]
#
#   --rounds N      rounds (default 5)
#   --cases LIST    of one-burst32 one-burst1 masks32 masks256 install delete
#                   dump dump-terse memory upcalls (default: all)
#   --modules LIST  of c, ours, floor (default: all)
#   --module FILE   our module, already built for the uml kernel
#   --out FILE      the JSON file (default: bench.json in a folder of the cache)
#   --quick         a tenth of the packets, 2 rounds: to see that it works
. "$(dirname "$0")/lib.sh"
. "$TOP/qemu-ci/kernels/lib.sh"

ALL=one-burst32,one-burst1,masks32,masks256,install,delete,dump,dump-terse,memory,upcalls
ROUNDS=5 CASES=$ALL MODULES=c,ours,floor OURS='' WORK=$(per_tree bench) OUT='' SCALE=1

usage() {
	sed -n '/^#   bench.sh/,/^[^#]/p' "$0" | sed -n 's/^# \{0,1\}//p'
}

while [ $# -gt 0 ]; do
	case $1 in
	--rounds | --cases | --modules | --module | --out)
		[ $# -ge 2 ] || die "bench.sh: $1 needs a value (see --help)"
		;;&
	--rounds)
		[[ $2 =~ ^[1-9][0-9]{0,2}$ ]] || die "bench.sh: --rounds takes a number from 1 to 999"
		ROUNDS=$2
		shift
		;;
	--cases) CASES=$2; shift ;;
	--modules) MODULES=$2; shift ;;
	--module) OURS=$(realpath "$2"); shift ;;
	--out) OUT=$2; shift ;;
	--quick) SCALE=0.1 ROUNDS=2 ;;
	-h | --help) usage; exit ;;
	*) die "bench.sh: unknown option '$1' (see --help)" ;;
	esac
	shift
done
for c in ${CASES//,/ }; do
	case ,$ALL, in *,"$c",*) ;; *) die "no case is called '$c'; the cases are ${ALL//,/ }" ;; esac
done
for m in ${MODULES//,/ }; do
	case $m in c | ours | floor) ;; *) die "no module is called '$m'; the modules are c, ours and floor" ;; esac
done
[ -z "$OURS" ] || [ -f "$OURS" ] || die "bench.sh: there is no module $OURS"

need_root
"$TOP/qemu-ci/kernels/uml.sh" >/dev/null
[ -d "$GUESTROOT" ] || "$TOP/qemu-ci/setup/guestroot.sh"

OUT=${OUT:-$WORK/bench.json}
mkdir -p "$WORK" "$(dirname "$OUT")"
run_logged "$CACHE/log/bench-client.log" in_tools gcc -O2 -Wall -Wextra -Werror -static \
	-o "$WORK/ovsbench" "$TOP/qemu-ci/bench/ovsbench.c"

# Figures that each round must give, so that a run that measures less fails.
args=() figures=0
for m in ${MODULES//,/ }; do
	count=$(wc -w <<<"${CASES//,/ }")
	# Upcalls are two figures.
	case ,$CASES, in *,upcalls,*) count=$((count + 1)) ;; esac
	case $m in
	c)
		args+=(c=)
		;;
	floor)
		say "floor module: build"
		kernel_module uml "$TOP/qemu-ci/bench/floor" "$WORK/floor"
		args+=("floor=$WORK/floor/floor.ko")
		count=$(tr , '\n' <<<"$CASES" | grep -cxE 'one-burst(32|1)|masks(32|256)' || true)
		;;
	ours)
		if [ -z "$OURS" ]; then
			say "our module: build for the uml kernel"
			kernel_module uml "$TOP" "$WORK/module"
			OURS=$WORK/module/openvswitch.ko
		fi
		args+=("ours=$OURS")
		;;
	esac
	figures=$((figures + count * ROUNDS))
done

RESULTS=$(mktemp -d "$WORK/run.XXXXXX")
trap 'rm -rf "$RESULTS"' EXIT
say "bench: $ROUNDS rounds of $MODULES"
load=$(cut -d' ' -f1 /proc/loadavg)
binds=()
[ -z "$OURS" ] || binds=(--bind "$(dirname "$OURS")")
"$TOP/qemu-ci/kernels/boot-uml.sh" --kernel uml --mem 1G --cpus 2 --timeout 900 \
	--results "$RESULTS" "${binds[@]}" --check-log --dmesg "$WORK/dmesg" \
	--under "setsid --wait $TOP/qemu-ci/bench/undisturbed.sh" -- \
	python3 "$TOP/qemu-ci/bench/guest.py" --client "$WORK/ovsbench" \
	--out "$RESULTS/lines" --rounds "$ROUNDS" --cases "$CASES" --scale "$SCALE" "${args[@]}"

in_tools python3 "$TOP/qemu-ci/bench/report.py" "$RESULTS/lines" "$RESULTS/json" \
	--expect "$figures" --note "kernel=$(cat "$(kernel_dir uml)/release")" \
	--note "rounds=$ROUNDS" --note "modules=$MODULES" --note "cpus=$(nproc)" \
	--note "load=$load,$(cut -d' ' -f1 /proc/loadavg)" \
	--note "commit=$(git -C "$TOP" describe --always --dirty 2>/dev/null || echo unknown)"
cp "$RESULTS/json" "$OUT"
say "bench: figures in $OUT"

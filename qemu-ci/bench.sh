#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# `make bench`: the C module, ours and the floor on one -O2 user-mode Linux
# kernel, in one run, in turn; some cases on one of two processors, the others on
# one without SMP (see kernels/up.config). Absolute figures are this machine's;
# the ratios are what to quote.
#
#   bench.sh [--rounds N] [--cases A,B,...] [--modules c,ours,floor]
#            [--module FILE] [--up-module FILE] [--out FILE] [--quick]
#
#   --rounds N      rounds (default 5)
#   --cases LIST    of one-burst32 one-burst1 masks32 masks256 install delete
#                   dump dump-terse memory upcalls, and of fed vxlan-in vxlan-out
#                   geneve-in geneve-out recirc ct ct-nat meter sample, which are
#                   those without SMP, and of attack32 attack64 attack512
#                   attack4k attack8k victim512 victim4k victim8k churn512
#                   random512 miss512 stages, with many masks (default: all)
#   --modules LIST  of c, ours, floor (default: all)
#   --module FILE   our module, already built for the uml kernel
#   --up-module FILE  the same for the up kernel
#   --out FILE      the JSON file (default: bench.json in a folder of the cache)
#   --quick         a tenth of the packets, 2 rounds: to see that it works
. "$(dirname "$0")/lib.sh"
. "$TOP/qemu-ci/kernels/lib.sh"

SMP_CASES=one-burst32,one-burst1,masks32,masks256,install,delete,dump,dump-terse,memory,upcalls
UP_CASES=fed,vxlan-in,vxlan-out,geneve-in,geneve-out,recirc,ct,ct-nat,meter,sample
# Those of bench/masks.py; C has no room for so many masks as the last ones have.
OURS_ONLY=attack8k,victim8k
SMP_CASES+=,attack32,attack64,attack512,attack4k,victim512,victim4k,churn512,random512,miss512
SMP_CASES+=,stages,$OURS_ONLY
ALL=$SMP_CASES,$UP_CASES
ROUNDS=5 CASES=$ALL MODULES=c,ours,floor OURS='' UP_OURS='' WORK=$(per_tree bench) OUT='' SCALE=1

usage() {
	sed -n '/^#   bench.sh/,/^[^#]/p' "$0" | sed -n 's/^# \{0,1\}//p'
}

while [ $# -gt 0 ]; do
	case $1 in
	--rounds | --cases | --modules | --module | --up-module | --out)
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
	--up-module) UP_OURS=$(realpath "$2"); shift ;;
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
for m in "$OURS" "$UP_OURS"; do
	[ -z "$m" ] || [ -f "$m" ] || die "bench.sh: there is no module $m"
done

need_root
[ -d "$GUESTROOT" ] || "$TOP/qemu-ci/setup/guestroot.sh"

OUT=${OUT:-$WORK/bench.json}
mkdir -p "$WORK" "$(dirname "$OUT")"
run_logged "$CACHE/log/bench-client.log" in_tools gcc -O2 -Wall -Wextra -Werror -static \
	-o "$WORK/ovsbench" "$TOP/qemu-ci/bench/ovsbench.c"
RESULTS=$(mktemp -d "$WORK/run.XXXXXX")
trap 'rm -rf "$RESULTS"' EXIT
load=$(cut -d' ' -f1 /proc/loadavg)
figures=0

# run_on KERNEL CPUS MODULE CASES: measure those of the wanted cases that are
# among CASES; MODULE is ours for that kernel, or nothing.
run_on() {
	local kernel=$1 cpus=$2 ours=$3 cases args=() binds=() m count
	cases=$(tr , '\n' <<<"$CASES" | grep -xE "${4//,/|}" | paste -sd, || true)
	[ -n "$cases" ] || return 0
	"$TOP/qemu-ci/kernels/$kernel.sh" >/dev/null
	kernel_module "$kernel" "$TOP/qemu-ci/bench/feed" "$WORK/$kernel-feed"
	kernel_module "$kernel" "$TOP/qemu-ci/bench/spray" "$WORK/$kernel-spray"
	for m in ${MODULES//,/ }; do
		# Figures that each round must give, so that a run that measures
		# less fails.
		count=$(wc -w <<<"${cases//,/ }")
		# Upcalls are two figures.
		case ,$cases, in *,upcalls,*) count=$((count + 1)) ;; esac
		case $m in
		c)
			args+=(c=)
			count=$((count - $(tr , '\n' <<<"$cases" | grep -cxE "${OURS_ONLY//,/|}" || true)))
			;;
		floor)
			say "floor module: build for the $kernel kernel"
			kernel_module "$kernel" "$TOP/qemu-ci/bench/floor" "$WORK/$kernel-floor"
			args+=("floor=$WORK/$kernel-floor/floor.ko")
			count=$(tr , '\n' <<<"$cases" | grep -cxE 'one-burst(32|1)|masks(32|256)|fed' || true)
			;;
		ours)
			if [ -z "$ours" ]; then
				say "our module: build for the $kernel kernel"
				kernel_module "$kernel" "$TOP" "$WORK/$kernel-module"
				ours=$WORK/$kernel-module/openvswitch.ko
			fi
			args+=("ours=$ours")
			binds=(--bind "$(dirname "$ours")")
			;;
		esac
		figures=$((figures + count * ROUNDS))
	done
	say "bench: $ROUNDS rounds of $MODULES on the $kernel kernel"
	"$TOP/qemu-ci/kernels/boot-uml.sh" --kernel "$kernel" --mem 1G --cpus "$cpus" --timeout 900 \
		--results "$RESULTS" "${binds[@]}" --check-log --dmesg "$WORK/$kernel-dmesg" \
		--under "setsid --wait $TOP/qemu-ci/bench/undisturbed.sh" -- \
		python3 "$TOP/qemu-ci/bench/guest.py" --client "$WORK/ovsbench" \
		--feed "$WORK/$kernel-feed/feed.ko" --spray "$WORK/$kernel-spray/spray.ko" \
		--out "$RESULTS/lines" --rounds "$ROUNDS" --cases "$cases" --scale "$SCALE" "${args[@]}"
}

run_on uml 2 "$OURS" "$SMP_CASES"
run_on up 1 "$UP_OURS" "$UP_CASES"

in_tools python3 "$TOP/qemu-ci/bench/report.py" "$RESULTS/lines" "$RESULTS/json" \
	--expect "$figures" --note "kernel=$(cat "$(kernel_dir uml)/release")" \
	--note "rounds=$ROUNDS" --note "modules=$MODULES" --note "cpus=$(nproc)" \
	--note "load=$load,$(cut -d' ' -f1 /proc/loadavg)" \
	--note "commit=$(git -C "$TOP" describe --always --dirty 2>/dev/null || echo unknown)"
cp "$RESULTS/json" "$OUT"
say "bench: figures in $OUT"

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Where the time of one case of `make bench` goes: perf samples the host process
# of the user-mode Linux kernel, and the addresses are looked up in the guest's
# own /proc/kallsyms, so the functions of modules have names too.
#
#   profile.sh [--case NAME] [--module c|floor|FILE.ko] [--top N] [--scale X]
#              [--disasm FUNCTION] [--while FUNCTION]
#
#   --case NAME        a case of bench.sh (default one-burst32)
#   --module WHAT      c (default), floor, or our module built for the uml kernel
#   --top N            functions to show (default 40)
#   --scale X          times the packets of the bench (default 5)
#   --disasm FUNCTION  show the samples of each instruction of FUNCTION, which
#                      must be the module's
#   --while FUNCTION   only what was sampled from the first sample in FUNCTION
#                      (part of its name as in /proc/kallsyms) to the last: leaves
#                      out the boot and what else the case does
#
# Cases without SMP (see bench.sh) run on the up kernel, for which a module has
# to be built then.
. "$(dirname "$0")/../lib.sh"
. "$TOP/qemu-ci/kernels/lib.sh"

CASE=one-burst32 MODULE=c NUMBER=40 SCALE=5 DISASM='' DURING=''
while [ $# -gt 0 ]; do
	case $1 in
	--case) CASE=$2; shift ;;
	--module) MODULE=$2; shift ;;
	--top) NUMBER=$2; shift ;;
	--scale) SCALE=$2; shift ;;
	--disasm) DISASM=$2; shift ;;
	--while) DURING=$2; shift ;;
	*)
		sed -n '/^#   profile.sh/,/^[^#]/s/^# \{0,1\}//p' "$0"
		[ "$1" = --help ] && exit 0
		exit 2
		;;
	esac
	shift
done

need_root
case $CASE in
one-* | masks* | install | delete | dump* | memory | upcalls) kernel=uml cpus=2 ;;
*) kernel=up cpus=1 ;;
esac
"$TOP/qemu-ci/kernels/$kernel.sh" >/dev/null
WORK=$(per_tree bench)
mkdir -p "$WORK"
run_logged "$CACHE/log/bench-client.log" in_tools gcc -O2 -static \
	-o "$WORK/ovsbench" "$TOP/qemu-ci/bench/ovsbench.c"
kernel_module "$kernel" "$TOP/qemu-ci/bench/feed" "$WORK/$kernel-feed"
kernel_module "$kernel" "$TOP/qemu-ci/bench/spray" "$WORK/$kernel-spray"
root=$(kernel_dir "$kernel")/root/lib/modules
binds=()
case $MODULE in
c)
	what=c= object=$(find "$root" -name openvswitch.ko)
	;;
floor)
	kernel_module "$kernel" "$TOP/qemu-ci/bench/floor" "$WORK/$kernel-floor"
	what=floor=$WORK/$kernel-floor/floor.ko object=$WORK/$kernel-floor/floor.ko
	;;
*)
	object=$(realpath "$MODULE")
	what=ours=$object
	binds=(--bind "$(dirname "$object")")
	;;
esac

RESULTS=$(mktemp -d "$WORK/profile.XXXXXX")
trap 'rm -rf "$RESULTS"' EXIT
"$TOP/qemu-ci/kernels/boot-uml.sh" --kernel "$kernel" --cpus "$cpus" \
	--results "$RESULTS" --timeout 300 "${binds[@]}" \
	--under "perf record -q -F 1999 -e cpu-clock -o $RESULTS/perf.data --" -- \
	python3 "$TOP/qemu-ci/bench/guest.py" --client "$WORK/ovsbench" \
	--feed "$WORK/$kernel-feed/feed.ko" --spray "$WORK/$kernel-spray/spray.ko" \
	--out "$RESULTS/lines" \
	--rounds 1 --cases "$CASE" --scale "$SCALE" --kallsyms "$RESULTS/kallsyms" "$what"
# shellcheck disable=SC2016 # the inner shell expands it
EXTRA_BIND="$(dirname "$object")" in_tools sh -c '
	perf script -i "$1/perf.data" -F ip 2>/dev/null >"$1/ips" &&
	python3 "$2" "$1/ips" "$1/kallsyms" --top "$3" ${4:+--disasm "$4" --object "$5"} \
		${6:+--while "$6"}' sh \
	"$RESULTS" "$TOP/qemu-ci/bench/symbols.py" "$NUMBER" "$DISASM" "$object" "$DURING"

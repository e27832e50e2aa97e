#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# `make kunit`: the KUnit suites on user-mode Linux. The suites are compiled
# into the module (CONFIG_OPENVSWITCH_KUNIT_TEST=y) and run when it is loaded;
# the kernel's own kunit.py reads what they print. A module that executes no
# test is a failure, and so is a warning in the kernel's log.
#
#   kunit.sh [--kernel uml|debug] [--module FILE]... [--timeout S] [--probe]
#
#   --kernel NAME  the kernel to run on (default uml)
#   --module FILE  a module with suites, already built for that kernel; the
#                  default is this tree's
#   --timeout S    for each module (default 300)
#   --probe        see that a failing, an empty and a broken module fail
. "$(dirname "$0")/lib.sh"
. "$TOP/qemu-ci/kernels/lib.sh"

KERNEL=uml MODULES=() PROBE=0 TIMEOUT=300
while [ $# -gt 0 ]; do
	case $1 in
	--kernel | --module | --timeout)
		[ $# -ge 2 ] || die "kunit.sh: $1 needs a value (see --help)"
		;;&
	--kernel) KERNEL=$2; shift ;;
	--module) MODULES+=("$(realpath "$2")"); shift ;;
	--timeout) TIMEOUT=$2; shift ;;
	--probe) PROBE=1 ;;
	-h | --help) sed -n '/^#   kunit.sh/,/^[^#]/s/^# \{0,1\}//p' "$0"; exit ;;
	*) die "kunit.sh: unknown option '$1' (see --help)" ;;
	esac
	shift
done

case $KERNEL in uml | debug) ;; *) die "kunit.sh: --kernel is uml or debug" ;; esac
for m in "${MODULES[@]}"; do
	[ -f "$m" ] || die "kunit.sh: there is no module $m"
done
need_root
"$TOP/qemu-ci/kernels/$KERNEL.sh" >/dev/null
WORK=$(per_tree kunit)
mkdir -p "$WORK"
missing=$(kernel_missing "$TOP/kunit/.kunitconfig" "$(kernel_dir "$KERNEL")/build/.config")
[ -z "$missing" ] || die "the $KERNEL kernel lacks ${missing//$'\n'/ }: add it to qemu-ci/kernels/uml.config"

passed=0 failed=0 skipped=0

# count WORD FILE: the number that kunit.py's closing line gives for WORD.
count() {
	sed -nE "s/.*Testing complete\. Ran .* tests?:.*\b$1: ([0-9]+).*/\1/p" "$2" | tail -n 1 | grep . || echo 0
}

# run_module FILE: boot, load it, unload it, read the results.
run_module() {
	local name log rc=0 p f s
	name=$(basename "$1" .ko)
	log=$WORK/$name-$KERNEL
	say "$name: on the $KERNEL kernel"
	# shellcheck disable=SC2016 # the guest's shell expands it
	"$TOP/qemu-ci/kernels/boot-uml.sh" --kernel "$KERNEL" --timeout "$TIMEOUT" --check-log \
		--append kunit.autorun=1 --dmesg "$log.dmesg" --bind "$(dirname "$1")" -- \
		sh -c 'for d in $(modinfo -F depends "$1" | tr , " "); do modprobe "$d" || exit; done
			echo "kunit.sh: suites of $1" >/dev/kmsg
			insmod "$1" && rmmod "$(basename "$1" .ko)"' sh "$1" || rc=$?
	# The kernel's own suites ran before.
	sed '1,/kunit\.sh: suites of/d' "$log.dmesg" >"$log.ktap"
	in_tools python3 "$KSRC/tools/testing/kunit/kunit.py" parse "$log.ktap" >"$log.out" 2>&1 || true
	cat "$log.out"
	p=$(count passed "$log.out")
	s=$(count skipped "$log.out")
	f=$(($(count failed "$log.out") + $(count crashed "$log.out") + $(count errors "$log.out")))
	if [ $((p + f)) = 0 ]; then
		echo "error: $name executed no test; the log is $log.dmesg"
		f=1
	elif [ "$rc" != 0 ] && [ "$f" = 0 ]; then
		echo "error: $name: the run ended with status $rc; the log is $log.dmesg"
		f=1
	fi
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
}

if [ "$PROBE" = 1 ]; then
	kernel_module "$KERNEL" "$TOP/qemu-ci/kunit/probe" "$WORK/probe-$KERNEL"
	run_module "$WORK/probe-$KERNEL/kunit_probe.ko"
	[ "$passed/$failed/$skipped" = 1/0/1 ] || die "the probe gave $passed/$failed/$skipped, not 1/0/1"
	kernel_module "$KERNEL" "$TOP/qemu-ci/kunit/probe" "$WORK/probe-fails-$KERNEL" PROBE_FAILS=y
	run_module "$WORK/probe-fails-$KERNEL/kunit_probe.ko"
	[ "$passed/$failed/$skipped" = 2/1/1 ] || die "a failing test was not seen"
	run_module "$(kernel_dir "$KERNEL")/root/lib/modules/$(cat "$(kernel_dir "$KERNEL")/release")/kernel/drivers/net/dummy.ko"
	[ "$passed/$failed/$skipped" = 2/2/1 ] || die "a module without tests was not seen"
	run_module "$WORK/nothing.ko"
	[ "$passed/$failed/$skipped" = 2/3/1 ] || die "a module that does not load was not seen"
	say "the runner tells a pass from a failure"
	exit 0
fi

if [ ${#MODULES[@]} = 0 ]; then
	say "suites: build for the $KERNEL kernel"
	kernel_module "$KERNEL" "$TOP" "$WORK/module-$KERNEL" CONFIG_OPENVSWITCH_KUNIT_TEST=y
	MODULES=("$WORK/module-$KERNEL/openvswitch.ko")
fi
for m in "${MODULES[@]}"; do
	run_module "$m"
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]

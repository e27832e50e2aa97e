#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The kernel's own selftests of openvswitch, unmodified, on the C module and on
# ours, compared test by test.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. "$TOP/qemu-ci/kernels/lib.sh"

usage() {
	cat <<'TXT'
usage: selftests.sh [OPTION...] [TEST...]

Runs tools/testing/selftests/net/openvswitch/openvswitch.sh of the kernel's
source, for each module in a guest of its own.

  --on stock|uml     the stock kernel in QEMU (default), or user-mode Linux,
                     which takes a tenth of the time and has no tracepoints
  --module FILE.ko   our module (default: build it)
  --fresh            run the C module again even if its results are cached
  -h, --help         this text

A test passes where it passes on ours, or where the C module gives the same
answer. What ours does not do yet is listed in qemu-ci/selftests/later.txt and
counts as skipped as long as it does not pass.
TXT
}

on=stock module='' fresh='' tests=()
while [ $# -gt 0 ]; do
	case $1 in
	--module | --on)
		[ $# -ge 2 ] || die "selftests.sh: $1 needs a value (see --help)"
		[ "$1" = --module ] && module=$2
		[ "$1" = --on ] && on=$2
		shift
		;;
	--fresh) fresh=1 ;;
	-h | --help) usage; exit ;;
	-*) die "selftests.sh: unknown option '$1' (see --help)" ;;
	*) tests+=("$1") ;;
	esac
	shift
done
case $on in stock | uml) ;; *) die "selftests.sh: --on is stock or uml" ;; esac
need_root
"$TOP/qemu-ci/setup/all.sh"
work=$(per_tree "selftests-$on")
mkdir -p "$work"
[ "$on" = stock ] || "$TOP/qemu-ci/kernels/uml.sh" >/dev/null
if [ -z "$module" ]; then
	say "building openvswitch.ko for the $on kernel"
	if [ "$on" = stock ]; then
		run_logged "$CACHE/log/build.log" "$TOP/qemu-ci/build.sh" modules
		module=$TOP/openvswitch.ko
	else
		kernel_module uml "$TOP" "$work/module"
		module=$work/module/openvswitch.ko
	fi
fi
module=$(realpath -- "$module")
[ -f "$module" ] || die "selftests.sh: no module $module"

source=$KSRC/tools/testing/selftests/net/openvswitch
kernel=$(if [ "$on" = stock ]; then stock_dir; else kernel_dir uml; fi)
baseline=$(recording "selftests-$on" "$source/openvswitch.sh" "$source/ovs-dpctl.py" \
	"${GUESTROOT##*/}" "${kernel##*/}" "${tests[@]}")

# boot NAME COMMAND...: in a guest with that module.
boot() {
	local name=$1 opts=() vars=(KSFT_MACHINE_SLOW=yes)
	shift
	if [ "$on" = stock ]; then
		[ "$name" = c ] || opts=(--module "$module")
		# perf, for the drop reasons, comes from the tool root.
		"$TOP/qemu-ci/boot.sh" --timeout 1500 --clean-log --results "$work/$name" \
			--under "$TOOLROOT" "${opts[@]}" -- env "${vars[@]}" "$@"
	else
		[ "$name" = c ] || vars+=("MODULE=$module")
		"$TOP/qemu-ci/kernels/boot-uml.sh" --kernel uml --timeout 1500 --check-log \
			--results "$work/$name" --bind "$(dirname "$module")" -- env "${vars[@]}" "$@"
	fi
}

# run_on NAME FILE: the tests on one module, what they print in FILE.
run_on() {
	local name=$1 out=$2 rc=0
	rm -rf "${work:?}/$name"
	mkdir -p "$work/$name/src"
	cp "$source"/openvswitch.sh "$source"/ovs-dpctl.py "$work/$name/src/"
	boot "$name" "$TOP/qemu-ci/selftests/guest.sh" "$work/$name/src" "${tests[@]}" 2>&1 |
		tee "$work/$name/out.txt" |
		sed -u -n "s/^TEST:/$(printf '%-5s|' "$name")/p" || rc=${PIPESTATUS[0]}
	# 1 and 4 are the script's: some test failed, all were skipped.
	case $rc in
	0 | 1 | 4) cp "$work/$name/out.txt" "$out" ;;
	*) tail -n 20 "$work/$name/out.txt" >&2; echo "error: the run on $name ended with status $rc" >&2 ;;
	esac
}

trap end_children EXIT
trap 'exit 130' INT TERM
pids=()
if [ -n "$fresh" ] || [ ! -e "$baseline" ]; then
	run_on c "$baseline" &
	pids+=($!)
fi
rm -f "$work/ours.txt"
run_on ours "$work/ours.txt"
for p in "${pids[@]}"; do wait "$p"; done
in_tools python3 "$TOP/qemu-ci/selftests/compare.py" "$baseline" "$work/ours.txt" \
	"$TOP/qemu-ci/selftests/later.txt" "$work/selftests.json"

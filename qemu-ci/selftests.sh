#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The kernel's own selftests of openvswitch, unmodified, on the C module and on
# ours, compared test by test.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
	cat <<'TXT'
usage: selftests.sh [--module FILE.ko] [--fresh] [TEST...]

Runs tools/testing/selftests/net/openvswitch/openvswitch.sh of the kernel's
source on the stock kernel, for each module in a guest of its own.

  --module FILE.ko   our module (default: build it)
  --fresh            run the C module again even if its results are cached
  -h, --help         this text

A test passes where it passes on ours, or where the C module gives the same
answer. What ours does not do yet is listed in qemu-ci/selftests/later.txt and
counts as skipped as long as it does not pass.
TXT
}

module='' fresh='' tests=()
while [ $# -gt 0 ]; do
	case $1 in
	--module)
		[ $# -ge 2 ] || die "selftests.sh: $1 needs a value (see --help)"
		module=$2
		shift
		;;
	--fresh) fresh=1 ;;
	-h | --help) usage; exit ;;
	-*) die "selftests.sh: unknown option '$1' (see --help)" ;;
	*) tests+=("$1") ;;
	esac
	shift
done
need_root
"$TOP/qemu-ci/setup/all.sh"
if [ -z "$module" ]; then
	say "building openvswitch.ko"
	run_logged "$CACHE/log/build.log" "$TOP/qemu-ci/build.sh" modules
	module=$TOP/openvswitch.ko
fi
[ -f "$module" ] || die "selftests.sh: no module $module"

source=$KSRC/tools/testing/selftests/net/openvswitch
work=$CACHE/selftests
baseline=$work/c-$(key_of "$source/openvswitch.sh" "$source/ovs-dpctl.py" "$GUESTROOT" "$(stock_dir)" "${tests[@]}")
mkdir -p "$work"

# run_on NAME FILE [BOOT OPTION...]: perf, for the drop reasons, comes from the
# tool root.
run_on() {
	local name=$1 out=$2 rc=0
	shift 2
	rm -rf "$work/$name"
	mkdir -p "$work/$name/src"
	cp "$source"/openvswitch.sh "$source"/ovs-dpctl.py "$work/$name/src/"
	"$TOP/qemu-ci/boot.sh" --timeout 1500 --clean-log --results "$work/$name" --under "$TOOLROOT" \
		--env KSFT_MACHINE_SLOW=yes "$@" -- \
		"$TOP/qemu-ci/selftests/guest.sh" "$work/$name/src" "${tests[@]}" 2>&1 |
		tee "$work/$name/out.txt" |
		sed -u -n "s/^TEST:/$(printf '%-5s|' "$name")/p" || rc=${PIPESTATUS[0]}
	# 1 and 4 are the script's: some test failed, all were skipped.
	case $rc in
	0 | 1 | 4) cp "$work/$name/out.txt" "$out" ;;
	*) tail -n 20 "$work/$name/out.txt" >&2; echo "error: the run on $name ended with status $rc" >&2 ;;
	esac
}

pids=()
if [ -n "$fresh" ] || [ ! -e "$baseline" ]; then
	run_on c "$baseline" &
	pids+=($!)
fi
rm -f "$work/ours.txt"
run_on ours "$work/ours.txt" --module "$module"
for p in "${pids[@]}"; do wait "$p"; done
in_tools python3 "$TOP/qemu-ci/selftests/compare.py" "$baseline" "$work/ours.txt" \
	"$TOP/qemu-ci/selftests/later.txt" "$work/selftests.json"

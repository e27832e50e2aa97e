#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The demonstration: Debian's Open vSwitch on our module, then on the C module
# of the same kernel, and one table with both. Then the same with flows in the
# switch of a device model: offload/demo.sh.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
	cat <<'TXT'
usage: demo.sh [OPTION...]

  --module FILE.ko   our module (default: build it)
  --results DIR      where the JSON files and kernel logs go
                     (default: a folder of the cache)
  --full             also print what each OpenFlow table counted
  --without-offload  leave out the part with the device model
  -h, --help         this text

Ends with status 0 if every row of the table agrees, no packet of an offloaded
flow went through the processor, and the kernel logs are clean.
TXT
}

module='' results=$(per_tree demo) full=() offload=y
while [ $# -gt 0 ]; do
	case $1 in
	--module | --results)
		[ $# -ge 2 ] || die "demo.sh: $1 needs a value (see --help)"
		[ "$1" = --module ] && module=$2
		[ "$1" = --results ] && results=$2
		shift
		;;
	--full) full=(--full) ;;
	--without-offload) offload= ;;
	-h | --help) usage; exit ;;
	*) die "demo.sh: unknown argument '$1' (see --help)" ;;
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
[ -f "$module" ] || die "demo.sh: no module $module"
rm -rf "$results"
mkdir -p "$results/ours" "$results/c" "$results/shared"

# run_on NAME [BOOT OPTION...]: the scenario in a guest of its own. The two
# run side by side, and take turns where speed is measured.
run_on() {
	local name=$1 rc=0
	shift
	"$TOP/qemu-ci/boot.sh" --mem 1G --timeout 400 --clean-log --results "$results/$name" \
		--rw "$results/shared" "$@" -- \
		"$TOP/qemu-ci/demo/scenario.py" "$name" "$results/$name/rows.json" "$results/shared" 2>&1 |
		sed -u "s/^/$(printf '%-5s|' "$name")/" || rc=$?
	# Whatever happened, the other one shall not wait.
	touch "$results/shared/$name.ready" "$results/shared/$name.measured"
	return "$rc"
}

trap end_children EXIT
trap 'exit 130' INT TERM
say "stock kernel $(cat "$(stock_dir)/abi"), Debian's Open vSwitch; the left column is the module"
run_on c &
c=$!
rc=0
run_on ours --module "$module" || rc=$?
wait "$c" || rc=$?
[ "$rc" = 0 ] || printf 'error: a run ended with status %s (99: the kernel log has a report)\n' "$rc" >&2
EXTRA_BIND=$results in_tools python3 "$TOP/qemu-ci/demo/table.py" "${full[@]}" "$results" |
	tee "$results/demo.txt" || rc=$?
if [ -n "$offload" ]; then
	say "the same Open vSwitch with flows in a switch: a device model, no card"
	"$TOP/qemu-ci/offload/demo.sh" --module "$module" --results "$results/offload" |
		tee "$results/offload.txt" || rc=$?
	# One closing line for both parts; a part without one has failed.
	cat "$results/demo.txt" "$results/offload.txt" | awk '
		/^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$/ { p += $1; f += $3; s += $5; n++ }
		END { printf "both parts:\n%d passed, %d failed, %d skipped\n", p, f + 2 - n, s }'
fi
say "demo done; JSON and kernel logs are in $results"
exit "$rc"

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Open vSwitch's own tools and logs on our module with flows in hardware and on
# the C module without: no difference. Called by check.sh.
. "$(dirname "${BASH_SOURCE[0]}")/../mlx5/lib.sh"

[ $# = 2 ] || die "usage: same.sh MODULE RESULTS"
module=$1 results=$2
[ -f "$module" ] || die "offload/same.sh: no module $module"
mlx5_setup
driver=$("$TOP/qemu-ci/mlx5/driver.sh")
rm -rf "$results"
mkdir -p "$results/ours" "$results/c"
RUN=$(mktemp -d "$MLX5_CACHE/run.XXXXXX")
trap 'end_children; rm -rf "$RUN"' EXIT
trap 'exit 130' INT TERM

run_on() {
	local name=$1 rc=0
	shift
	mlx5_start "$RUN/$name" --vfs 4
	mlx5_boot "$RUN/$name" --mem 1G --timeout 300 --clean-log --results "$results/$name" \
		--env "MLX5_KO=$driver" --ro "${driver%/*}" "$@" \
		-- "$TOP/qemu-ci/offload/same_guest.py" "$name" "$results/$name/view.txt" \
		>"$results/$name/guest.log" 2>&1 || rc=$?
	mlx5_stop "$RUN/$name"
	cp "$RUN/$name/model.log" "$results/$name/"
	return "$rc"
}

say "offload: what Open vSwitch's own tools show, on both modules"
run_on c &
c=$!
rc=0
run_on ours --module "$module" || rc=$?
wait "$c" || rc=$?
[ "$rc" = 0 ] || printf 'error: a run ended with status %s (99: the kernel log has a report)\n' "$rc" >&2
EXTRA_BIND=$results in_tools python3 "$TOP/qemu-ci/offload/same.py" "$results" || rc=$?
exit "$rc"

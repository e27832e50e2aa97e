#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Open vSwitch's own tools and logs on our module with flows in hardware and on
# the C module without: no difference. Called by check.sh.
. "$(dirname "${BASH_SOURCE[0]}")/../mlx5/lib.sh"

[ $# = 2 ] || die "usage: same.sh MODULE RESULTS"
module=$1 results=$2
mlx5_setup
mlx5_modules module "$module"

say "offload: what Open vSwitch's own tools show, on both modules"
rc=0
mlx5_both "$module" "$results" --mem 1G --timeout 300 \
	-- "$TOP/qemu-ci/offload/same_guest.py" {} "$results/{}/view.txt" >"$results.log" || rc=$?
mv "$results.log" "$results/guests.log"
EXTRA_BIND=$results in_tools python3 "$TOP/qemu-ci/offload/same.py" "$results" || rc=$?
exit "$rc"

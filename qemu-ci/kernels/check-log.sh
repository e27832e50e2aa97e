#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# check-log.sh FILE: show what a kernel's log has of warnings, oopses, lockdep
# and RCU splats, and fail if it has any. All tests look for the expressions of
# trouble.re. What came before the first process is the kernel's own: user-mode
# Linux with SMP complains of itself there, "RCU callback enqueued on offline
# CPU".
set -euo pipefail

trouble=$(dirname "${BASH_SOURCE[0]}")/trouble.re

if grep -q 'Run .* as init process' "$1"; then
	log=$(sed '1,/Run .* as init process/d' "$1")
else
	log=$(cat "$1")
fi
count=$(grep -cEf "$trouble" <<<"$log" || true)
if [ "$count" != 0 ]; then
	grep -nEf "$trouble" -A 40 <<<"$log" | head -n 200 >&2 || true
	echo "error: the kernel's log has $count line(s) of trouble" >&2
	exit 1
fi

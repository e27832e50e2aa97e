#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# check-log.sh FILE: show what a kernel's log has of warnings, oopses, lockdep
# and RCU splats, and fail if it has any. What came before the first process is
# the kernel's own: user-mode Linux with SMP complains of itself there, "RCU
# callback enqueued on offline CPU".
set -euo pipefail

SPLAT='WARNING: |BUG: |BUG at |Oops|Kernel panic|KASAN: |UBSAN: |KFENCE: |INFO: (task|rcu|possible|trying)|possible (circular|recursive|irq lock)|inconsistent lock state|suspicious RCU usage|sleeping function called|scheduling while atomic|unreferenced object|rust_kernel: panicked|general protection|stack-protector|refcount_t: |blocked for more than|soft lockup|unable to handle|unregister_netdevice: waiting|=== \[ cut here|list_(add|del) corruption|Rust panic|new suspected memory leaks|objects were not freed'

if grep -q 'Run .* as init process' "$1"; then
	log=$(sed '1,/Run .* as init process/d' "$1")
else
	log=$(cat "$1")
fi
count=$(grep -cE "$SPLAT" <<<"$log" || true)
if [ "$count" != 0 ]; then
	grep -nE -A 40 "$SPLAT" <<<"$log" | head -n 200 >&2 || true
	echo "error: the kernel's log has $count line(s) of trouble" >&2
	exit 1
fi

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# check-log.sh FILE: show what a kernel's log has of warnings, oopses, lockdep
# and RCU splats, and fail if it has any.
set -euo pipefail

SPLAT='WARNING: |BUG: |BUG at |Oops|Kernel panic|KASAN: |UBSAN: |KFENCE: |INFO: (task|rcu|possible|trying)|possible (circular|recursive|irq lock)|inconsistent lock state|suspicious RCU usage|sleeping function called|scheduling while atomic|unreferenced object|rust_kernel: panicked|general protection|stack-protector|refcount_t: |blocked for more than|soft lockup|unable to handle|unregister_netdevice: waiting|=== \[ cut here|list_(add|del) corruption|Rust panic|new suspected memory leaks'

if grep -nE "$SPLAT" "$1" >/dev/null; then
	grep -nE -A 40 "$SPLAT" "$1" | head -n 200 >&2
	echo "error: the kernel's log has $(grep -cE "$SPLAT" "$1") line(s) of trouble" >&2
	exit 1
fi

WARNING:
BUG:
BUG at
Oops
Kernel panic
general protection
unable to handle
KASAN:
UBSAN:
KFENCE:
INFO: (task|rcu|possible|trying|suspicious)
possible (circular|recursive|irq lock)
inconsistent lock state
suspicious RCU
sleeping function called
scheduling while atomic
unreferenced object
new suspected memory leaks
rust_kernel: panicked
Rust panic
stack-protector
refcount_t:
soft lockup
blocked for more than
unregister_netdevice: waiting
leaked
list_(add|del) corruption
objects were not freed
ODEBUG:
Poison
Redzone

// SPDX-License-Identifier: GPL-2.0
/*
 * C shims for what Rust cannot call: static inlines and macros. Each is one
 * line of policy-free code named after what it wraps. Functions that C
 * exports are called directly through the bindings.
 *
 * Sorted alphabetically.
 */

#include <linux/compiler_types.h>
#include "../bindings/bindings_helper.h"

#ifdef __BINDGEN__
/* Omit `inline` for bindgen as it ignores inline functions. */
#define __rust_helper
#else
#define __rust_helper
#endif

#include "bh.c"
#include "net/ip.c"
#include "net/ip_tunnels.c"
#include "net/namespace.c"
#include "net/netdevice.c"
#include "net/netfilter/nf_conntrack.c"
#include "net/skbuff.c"
#include "percpu.c"
#include "ratelimit.c"
#include "time.c"

// SPDX-License-Identifier: GPL-2.0

#include <linux/net.h>
#include <linux/printk.h>
#include <linux/ratelimit.h>

__rust_helper void rust_helper_ratelimit_default_init(struct ratelimit_state *rs)
{
	ratelimit_default_init(rs);
}

__rust_helper void rust_helper_net_dbg_ratelimited(const char *text, const char *name, int err)
{
	net_dbg_ratelimited("%s%s: %d\n", text, name, err);
}

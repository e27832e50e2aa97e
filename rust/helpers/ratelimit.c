// SPDX-License-Identifier: GPL-2.0

#include <linux/printk.h>
#include <linux/ratelimit.h>

/* One limit for all callers; C has one for each place in the source. */
__rust_helper void rust_helper_pr_info_ratelimited(const char *text)
{
	pr_info_ratelimited("%s", text);
}

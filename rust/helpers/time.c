// SPDX-License-Identifier: GPL-2.0

#include <linux/jiffies.h>

__rust_helper unsigned int rust_helper_ovs_jiffies_to_msecs(unsigned long j)
{
	return jiffies_to_msecs(j);
}

// SPDX-License-Identifier: GPL-2.0

#include <linux/bottom_half.h>
#include <linux/smp.h>

__rust_helper void rust_helper_ovs_local_bh_disable(void)
{
	local_bh_disable();
}

__rust_helper void rust_helper_ovs_local_bh_enable(void)
{
	local_bh_enable();
}

__rust_helper unsigned int rust_helper_ovs_smp_processor_id(void)
{
	return raw_smp_processor_id();
}

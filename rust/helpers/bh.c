// SPDX-License-Identifier: GPL-2.0

#include <linux/bottom_half.h>
#include <linux/local_lock.h>
#include <linux/preempt.h>
#include <linux/sched.h>
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

__rust_helper bool rust_helper_ovs_in_hardirq(void)
{
	return in_hardirq() || in_nmi();
}

#ifdef CONFIG_PREEMPT_RT
/*
 * Whose the CPU is: with bottom halves disabled, threads may still preempt each
 * other here.
 */
struct ovs_bh_owner {
	local_lock_t bh_lock;
	struct task_struct *owner;
};

static DEFINE_PER_CPU(struct ovs_bh_owner, ovs_bh_owner) = {
	.bh_lock = INIT_LOCAL_LOCK(bh_lock),
};

/* Whether the lock was taken: this thread may have it already. */
__rust_helper bool rust_helper_ovs_bh_lock(void)
{
	if (this_cpu_read(ovs_bh_owner.owner) == current)
		return false;
	local_lock_nested_bh(&ovs_bh_owner.bh_lock);
	this_cpu_write(ovs_bh_owner.owner, current);
	return true;
}

__rust_helper void rust_helper_ovs_bh_unlock(void)
{
	this_cpu_write(ovs_bh_owner.owner, NULL);
	local_unlock_nested_bh(&ovs_bh_owner.bh_lock);
}
#endif

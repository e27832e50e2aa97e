/* SPDX-License-Identifier: GPL-2.0 */
/*
 * mlx5's tc code allocates an extension of the packet in one place, to resume
 * in software at the chain where a packet missed in the device. A kernel
 * without CONFIG_NET_TC_SKB_EXT has no such extension: the allocation fails,
 * and the driver does what it does then, which is to drop that packet.
 */
#ifndef NO_SKB_EXT_H
#define NO_SKB_EXT_H

#ifndef __ASSEMBLY__
#include <linux/types.h>

struct sk_buff;

struct tc_skb_ext {
	union {
		u64 act_miss_cookie;
		__u32 chain;
	};
	__u16 mru;
	__u16 zone;
	u8 post_ct:1;
	u8 post_ct_snat:1;
	u8 post_ct_dnat:1;
	u8 act_miss:1;
	u8 l2_miss:1;
};

static inline struct tc_skb_ext *tc_skb_ext_alloc(struct sk_buff *skb)
{
	return NULL;
}
#endif

#endif

// SPDX-License-Identifier: GPL-2.0

#include <linux/skbuff.h>

__rust_helper bool rust_helper_pskb_may_pull(struct sk_buff *skb, unsigned int len)
{
	return pskb_may_pull(skb, len);
}

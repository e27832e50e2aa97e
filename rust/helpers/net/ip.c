// SPDX-License-Identifier: GPL-2.0

#include <net/dst.h>
#include <net/ip.h>
#include <net/ip6_fib.h>
#include <net/ip6_route.h>
#include <net/ipv6.h>

/*
 * What stands for a route while a packet is fragmented: fragments get its MTU
 * and lead back to what is to be done with them.
 */
struct rust_frag_route {
	union {
		struct dst_entry dst;
		struct rtable rt;
		struct rt6_info rt6;
	};
	void *data;
};

static unsigned int rust_frag_route_mtu(const struct dst_entry *dst)
{
	return dst->dev->mtu;
}

static struct dst_ops rust_frag_route_ops = {
	.family = AF_UNSPEC,
	.mtu = rust_frag_route_mtu,
};

static void rust_frag_route_set(struct rust_frag_route *route, struct sk_buff *skb,
				struct net_device *dev, void *data)
{
	memset(route, 0, sizeof(*route));
	dst_init(&route->dst, &rust_frag_route_ops, NULL, DST_OBSOLETE_NONE, DST_NOCOUNT);
	route->dst.dev = dev;
	route->data = data;
	skb_dst_set_noref(skb, &route->dst);
}

__rust_helper int rust_helper_ip_do_fragment(struct net *net, struct sk_buff *skb,
					     struct net_device *dev, u16 frag_max_size,
					     void *data,
					     int (*output)(struct net *net, struct sock *sk,
							   struct sk_buff *skb))
{
	struct rust_frag_route route;

	rust_frag_route_set(&route, skb, dev, data);
	memset(IPCB(skb), 0, sizeof(struct inet_skb_parm));
	IPCB(skb)->frag_max_size = frag_max_size;
	return ip_do_fragment(net, skb->sk, skb, output);
}

__rust_helper int rust_helper_ip6_fragment(struct net *net, struct sk_buff *skb,
					   struct net_device *dev, u16 frag_max_size,
					   void *data,
					   int (*output)(struct net *net, struct sock *sk,
							 struct sk_buff *skb))
{
	struct rust_frag_route route;

	rust_frag_route_set(&route, skb, dev, data);
	memset(IPCB(skb), 0, sizeof(struct inet_skb_parm));
	IP6CB(skb)->frag_max_size = frag_max_size;
	return ip6_fragment(net, skb->sk, skb, output);
}

__rust_helper void *rust_helper_skb_frag_data(const struct sk_buff *skb)
{
	return container_of(skb_dst(skb), struct rust_frag_route, dst)->data;
}

__rust_helper void rust_helper_skb_dst_copy_refdst(struct sk_buff *skb, unsigned long refdst)
{
	__skb_dst_copy(skb, refdst);
}

__rust_helper void rust_helper_refdst_drop(unsigned long refdst)
{
	refdst_drop(refdst);
}

__rust_helper int rust_helper_skb_cow_head(struct sk_buff *skb, unsigned int headroom)
{
	return skb_cow_head(skb, headroom);
}

// SPDX-License-Identifier: GPL-2.0

#include <linux/if_vlan.h>
#include <linux/netdevice.h>
#include <linux/skbuff.h>
#include <net/gso.h>
#include <net/netfilter/nf_conntrack.h>
#include <net/pkt_cls.h>
#include <net/sctp/checksum.h>
#include <net/xfrm.h>

__rust_helper struct sk_buff *rust_helper_skb_dev_alloc_ip_align(unsigned int len, gfp_t gfp)
{
	return __netdev_alloc_skb_ip_align(NULL, len, gfp);
}

__rust_helper struct sk_buff *rust_helper_skb_share_check(struct sk_buff *skb, gfp_t gfp)
{
	return skb_share_check(skb, gfp);
}

__rust_helper int rust_helper_skb_orphan_frags_rx(struct sk_buff *skb, gfp_t gfp)
{
	return skb_orphan_frags_rx(skb, gfp);
}

__rust_helper int rust_helper_skb_tailroom(const struct sk_buff *skb)
{
	return skb_tailroom(skb);
}

__rust_helper bool rust_helper_skb_frags_readable(struct sk_buff *skb)
{
	return skb_frags_readable(skb);
}

__rust_helper int rust_helper_pskb_trim(struct sk_buff *skb, unsigned int len)
{
	return pskb_trim(skb, len);
}

__rust_helper void rust_helper_skb_push_rcsum(struct sk_buff *skb, unsigned int len)
{
	skb_push_rcsum(skb, len);
}

__rust_helper struct sk_buff *rust_helper___vlan_hwaccel_push_inside(struct sk_buff *skb)
{
	return __vlan_hwaccel_push_inside(skb);
}

__rust_helper struct sk_buff *rust_helper_skb_gso_segment_sg(struct sk_buff *skb)
{
	return __skb_gso_segment(skb, NETIF_F_SG, false);
}

__rust_helper int rust_helper_skb_csum_hwoffload_help(struct sk_buff *skb)
{
	return skb_csum_hwoffload_help(skb, 0);
}

__rust_helper void rust_helper_skb_postpull_rcsum(struct sk_buff *skb, const void *start,
						  unsigned int len)
{
	skb_postpull_rcsum(skb, start, len);
}

__rust_helper void rust_helper_skb_postpush_rcsum(struct sk_buff *skb, const void *start,
						  unsigned int len)
{
	skb_postpush_rcsum(skb, start, len);
}

__rust_helper void rust_helper_skb_eth_type_trans_rcsum(struct sk_buff *skb,
							struct net_device *dev)
{
	skb->protocol = eth_type_trans(skb, dev);
	skb_postpull_rcsum(skb, eth_hdr(skb), ETH_HLEN);
}

__rust_helper void rust_helper_skb_dst_force(struct sk_buff *skb)
{
	skb_dst_force(skb);
}

__rust_helper void rust_helper_skb_dst_drop(struct sk_buff *skb)
{
	skb_dst_drop(skb);
}

__rust_helper void rust_helper_nf_reset_ct(struct sk_buff *skb)
{
	nf_reset_ct(skb);
}

__rust_helper void rust_helper_secpath_reset(struct sk_buff *skb)
{
	secpath_reset(skb);
}

__rust_helper bool rust_helper_skb_warn_if_lro(const struct sk_buff *skb)
{
	return skb_warn_if_lro(skb);
}

/* A macro or an inline without CONFIG_TRACEPOINTS. */
__rust_helper void rust_helper_ovs_consume_skb(struct sk_buff *skb)
{
	consume_skb(skb);
}

__rust_helper void rust_helper_skb_ct_clear(struct sk_buff *skb)
{
	nf_reset_ct(skb);
	skb_set_nfct(skb, IP_CT_UNTRACKED);
}

__rust_helper __le32 rust_helper_sctp_compute_cksum(const struct sk_buff *skb,
						    unsigned int offset)
{
	return sctp_compute_cksum(skb, offset);
}

#if IS_ENABLED(CONFIG_NET_TC_SKB_EXT)
__rust_helper const struct tc_skb_ext *rust_helper_skb_tc_ext(const struct sk_buff *skb)
{
	return tc_skb_ext_tc_enabled() ? skb_ext_find(skb, TC_SKB_EXT) : NULL;
}

__rust_helper void rust_helper_skb_tc_ext_del(struct sk_buff *skb)
{
	skb_ext_del(skb, TC_SKB_EXT);
}

/* The fields of a struct tc_skb_ext, some of which are bits. */
struct rust_tc_skb_ext {
	u32 chain;
	u16 mru;
	u16 zone;
	bool post_ct;
	bool post_ct_snat;
	bool post_ct_dnat;
};

__rust_helper struct rust_tc_skb_ext
rust_helper_tc_skb_ext_values(const struct tc_skb_ext *ext)
{
	return (struct rust_tc_skb_ext){
		.chain = ext->act_miss ? 0 : ext->chain,
		.mru = ext->mru,
		.zone = ext->zone,
		.post_ct = ext->post_ct,
		.post_ct_snat = ext->post_ct_snat,
		.post_ct_dnat = ext->post_ct_dnat,
	};
}
#endif

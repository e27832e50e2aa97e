// SPDX-License-Identifier: GPL-2.0

#include <net/dst.h>
#include <net/dst_metadata.h>
#include <net/ip_tunnels.h>
#include <net/vxlan.h>

#ifdef __BINDGEN__
/* Members of an enumeration without a name. */
const unsigned int OVS_CONST_IP_TUNNEL_CSUM_BIT = IP_TUNNEL_CSUM_BIT;
const unsigned int OVS_CONST_IP_TUNNEL_KEY_BIT = IP_TUNNEL_KEY_BIT;
const unsigned int OVS_CONST_IP_TUNNEL_DONT_FRAGMENT_BIT = IP_TUNNEL_DONT_FRAGMENT_BIT;
const unsigned int OVS_CONST_IP_TUNNEL_OAM_BIT = IP_TUNNEL_OAM_BIT;
const unsigned int OVS_CONST_IP_TUNNEL_CRIT_OPT_BIT = IP_TUNNEL_CRIT_OPT_BIT;
const unsigned int OVS_CONST_IP_TUNNEL_GENEVE_OPT_BIT = IP_TUNNEL_GENEVE_OPT_BIT;
const unsigned int OVS_CONST_IP_TUNNEL_VXLAN_OPT_BIT = IP_TUNNEL_VXLAN_OPT_BIT;
const unsigned int OVS_CONST_IP_TUNNEL_ERSPAN_OPT_BIT = IP_TUNNEL_ERSPAN_OPT_BIT;
const unsigned int OVS_CONST_IP_TUNNEL_GTP_OPT_BIT = IP_TUNNEL_GTP_OPT_BIT;
const unsigned int OVS_CONST_IP_TUNNEL_PFCP_OPT_BIT = IP_TUNNEL_PFCP_OPT_BIT;
#endif

__rust_helper const struct ip_tunnel_info *rust_helper_skb_tunnel_info(const struct sk_buff *skb)
{
	return skb_tunnel_info(skb);
}

__rust_helper const void *rust_helper_ip_tunnel_info_opts(const struct ip_tunnel_info *info)
{
	return ip_tunnel_info_opts(info);
}

__rust_helper void rust_helper_ip_tunnel_info_opts_set(struct ip_tunnel_info *info,
						       const void *from, int len,
						       const unsigned long *flags)
{
	ip_tunnel_info_opts_set(info, from, len, flags);
}

__rust_helper struct ip_tunnel_info *rust_helper_metadata_dst_tun_info(struct metadata_dst *md)
{
	return &md->u.tun_info;
}

__rust_helper int rust_helper_metadata_dst_cache_init(struct metadata_dst *md, gfp_t gfp)
{
	return dst_cache_init(&md->u.tun_info.dst_cache, gfp);
}

__rust_helper void rust_helper_skb_dst_replace(struct sk_buff *skb, struct dst_entry *dst)
{
	skb_dst_drop(skb);
	dst_hold(dst);
	skb_dst_set(skb, dst);
}

__rust_helper void rust_helper_dst_hold(struct dst_entry *dst)
{
	dst_hold(dst);
}

__rust_helper __be16 rust_helper_vxlan_dst_port(const struct net_device *dev)
{
	const struct vxlan_dev *vxlan = netdev_priv(dev);

	return netif_is_vxlan(dev) ? vxlan->cfg.dst_port : 0;
}

// SPDX-License-Identifier: GPL-2.0

#include <linux/etherdevice.h>
#include <linux/netdevice.h>

#ifdef __BINDGEN__
const netdev_features_t OVS_CONST_NETIF_F_GSO_SOFTWARE = NETIF_F_GSO_SOFTWARE;
const netdev_features_t OVS_CONST_NETIF_F_GSO_ENCAP_ALL = NETIF_F_GSO_ENCAP_ALL;
#endif

__rust_helper void rust_helper_netdev_hold(struct net_device *dev, netdevice_tracker *tracker,
					   gfp_t gfp)
{
	netdev_hold(dev, tracker, gfp);
}

__rust_helper void rust_helper_netdev_tracker_alloc(struct net_device *dev,
						    netdevice_tracker *tracker, gfp_t gfp)
{
	netdev_tracker_alloc(dev, tracker, gfp);
}

__rust_helper void rust_helper_netdev_put(struct net_device *dev, netdevice_tracker *tracker)
{
	netdev_put(dev, tracker);
}

__rust_helper void rust_helper_netdev_set_ovs_port(struct net_device *dev, bool yes)
{
	if (yes)
		dev->priv_flags |= IFF_OVS_DATAPATH;
	else
		dev->priv_flags &= ~IFF_OVS_DATAPATH;
}

__rust_helper bool rust_helper_netdev_has_ingress_hooks(const struct net_device *dev)
{
	bool hooks = false;

#ifdef CONFIG_NET_XGRESS
	hooks |= !!rcu_access_pointer(dev->tcx_ingress);
#endif
#ifdef CONFIG_NETFILTER_INGRESS
	hooks |= !!rcu_access_pointer(dev->nf_hooks_ingress);
#endif
	return hooks;
}

__rust_helper bool rust_helper_netdev_has_egress_hooks(const struct net_device *dev)
{
	bool hooks = false;

#ifdef CONFIG_NET_XGRESS
	hooks |= !!rcu_access_pointer(dev->tcx_egress);
#endif
#ifdef CONFIG_NETFILTER_EGRESS
	hooks |= !!rcu_access_pointer(dev->nf_hooks_egress);
#endif
	return hooks;
}

__rust_helper void rust_helper_netdev_set_rx_headroom(struct net_device *dev, int headroom)
{
	netdev_set_rx_headroom(dev, headroom);
}

__rust_helper void rust_helper_netif_start_queue(struct net_device *dev)
{
	netif_start_queue(dev);
}

__rust_helper void rust_helper_netif_stop_queue(struct net_device *dev)
{
	netif_stop_queue(dev);
}

__rust_helper void rust_helper_dev_stats_inc_tx_errors(struct net_device *dev)
{
	DEV_STATS_INC(dev, tx_errors);
}

__rust_helper void rust_helper_dev_stats_inc_rx_dropped(struct net_device *dev)
{
	DEV_STATS_INC(dev, rx_dropped);
}

__rust_helper void rust_helper_dev_sw_netstats_tx_add(struct net_device *dev, unsigned int packets,
						      unsigned int len)
{
	dev_sw_netstats_tx_add(dev, packets, len);
}

__rust_helper void rust_helper_dev_sw_netstats_rx_add(struct net_device *dev, unsigned int len)
{
	dev_sw_netstats_rx_add(dev, len);
}

__rust_helper void rust_helper_eth_hw_addr_random(struct net_device *dev)
{
	eth_hw_addr_random(dev);
}

__rust_helper void rust_helper_dev_net_set(struct net_device *dev, struct net *net)
{
	dev_net_set(dev, net);
}

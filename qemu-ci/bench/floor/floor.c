// SPDX-License-Identifier: GPL-2.0
/*
 * The floor of `make bench`: what it costs to take a packet from one device
 * and hand it to another without looking at it. No datapath in the place of an
 * rx_handler can be faster than this.
 *
 * The two devices are given when the module is loaded and must outlive it: it
 * has no notifier, because it serves nothing but the bench.
 */
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/rtnetlink.h>
#include <linux/skbuff.h>
#include <net/net_namespace.h>

static char *in = "";
module_param(in, charp, 0444);
MODULE_PARM_DESC(in, "device that the packets come from");

static char *out = "";
module_param(out, charp, 0444);
MODULE_PARM_DESC(out, "device that the packets leave through");

static struct net_device *in_dev;
static struct net_device *out_dev;

static rx_handler_result_t floor_rx(struct sk_buff **pskb)
{
	struct sk_buff *skb = *pskb;

	if (unlikely(skb->pkt_type == PACKET_LOOPBACK))
		return RX_HANDLER_PASS;

	skb = skb_share_check(skb, GFP_ATOMIC);
	if (unlikely(!skb))
		return RX_HANDLER_CONSUMED;

	skb_push(skb, ETH_HLEN);
	skb->dev = out_dev;
	dev_queue_xmit(skb);
	return RX_HANDLER_CONSUMED;
}

static int __init floor_init(void)
{
	int err = -ENODEV;

	in_dev = dev_get_by_name(&init_net, in);
	out_dev = dev_get_by_name(&init_net, out);
	if (!in_dev || !out_dev)
		goto put;

	rtnl_lock();
	err = netdev_rx_handler_register(in_dev, floor_rx, NULL);
	rtnl_unlock();
	if (!err)
		return 0;
put:
	dev_put(out_dev);
	dev_put(in_dev);
	return err;
}

static void __exit floor_exit(void)
{
	rtnl_lock();
	netdev_rx_handler_unregister(in_dev);
	rtnl_unlock();
	synchronize_net();
	dev_put(out_dev);
	dev_put(in_dev);
}

module_init(floor_init);
module_exit(floor_exit);
MODULE_DESCRIPTION("Forwarding floor for the Open vSwitch benches");
MODULE_LICENSE("GPL");

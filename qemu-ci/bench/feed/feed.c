// SPDX-License-Identifier: GPL-2.0
/*
 * Has a device receive one frame many times while the module is loaded, for the
 * cases of `make bench` that pktgen cannot serve: it makes no tunnelled packets,
 * and in bursts it sends one packet many times, whose data must be copied before
 * they may be changed. Here each packet is a new one with room for more headers
 * in front, as drivers make them.
 *
 * How long it took is in /sys/module/feed/parameters/ns until it is unloaded.
 */
#include <linux/etherdevice.h>
#include <linux/hex.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/skbuff.h>
#include <net/net_namespace.h>

#define BURST 32
#define HEADROOM 256
#define MAX_LEN 512

static char *dev = "";
module_param(dev, charp, 0444);
MODULE_PARM_DESC(dev, "device that receives the packets");

static char *frame = "";
module_param(frame, charp, 0444);
MODULE_PARM_DESC(frame, "the frame, in hexadecimal");

static unsigned int count;
module_param(count, uint, 0444);
MODULE_PARM_DESC(count, "how many of them");

static unsigned long long ns;
module_param(ns, ullong, 0444);
MODULE_PARM_DESC(ns, "how long it took, in nanoseconds");

static u8 data[MAX_LEN];

static int feed(struct net_device *netdev, unsigned int len)
{
	unsigned int i, n, done;
	struct sk_buff *skb;
	int err = 0;

	for (done = 0; done < count && !err; done += n) {
		n = min(count - done, BURST);
		local_bh_disable();
		for (i = 0; i < n; i++) {
			skb = netdev_alloc_skb_ip_align(netdev, HEADROOM + len);
			if (!skb) {
				err = -ENOMEM;
				break;
			}
			skb_reserve(skb, HEADROOM);
			skb_put_data(skb, data, len);
			skb->protocol = eth_type_trans(skb, netdev);
			netif_receive_skb(skb);
		}
		/* What tunnels have put off is done here. */
		local_bh_enable();
		cond_resched();
	}
	return err;
}

static int __init feed_init(void)
{
	unsigned int len = strlen(frame) / 2;
	struct net_device *netdev;
	u64 start;
	int err;

	if (len < ETH_HLEN || len > MAX_LEN || hex2bin(data, frame, len))
		return -EINVAL;
	netdev = dev_get_by_name(&init_net, dev);
	if (!netdev)
		return -ENODEV;
	start = ktime_get_ns();
	err = feed(netdev, len);
	ns = ktime_get_ns() - start;
	dev_put(netdev);
	return err;
}

static void __exit feed_exit(void)
{
}

module_init(feed_init);
module_exit(feed_exit);
MODULE_DESCRIPTION("Packets for the Open vSwitch benches");
MODULE_LICENSE("GPL");

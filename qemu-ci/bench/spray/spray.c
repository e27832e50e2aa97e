// SPDX-License-Identifier: GPL-2.0
/*
 * Has a device receive packets while the module is loaded, for the cases of
 * `make bench` with many masks: pktgen's random fields are all over their range,
 * but here each mask is to get as many packets as any other.
 *
 * The flows are those that ovs-vswitchd makes for what is not on a whitelist of
 * one destination port, one source port and one source address: each has a prefix
 * of each field, up to the first bit that differs. A packet differs from the
 * whitelist at a random bit of the first `dports`, `sports` and `addrs` ones, and
 * has random bits after that.
 *
 * How long it took is in /sys/module/spray/parameters/ns until it is unloaded.
 */
#include <linux/etherdevice.h>
#include <linux/ip.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/prandom.h>
#include <linux/skbuff.h>
#include <linux/udp.h>
#include <net/ip.h>
#include <net/net_namespace.h>

#define BURST 32
#define LEN 60
/* As in ovsbench.c. */
#define SRC_ADDR 0xc6120001u
#define SRC_PORT 1024
#define DST_PORT 9

static char *dev = "";
module_param(dev, charp, 0444);
MODULE_PARM_DESC(dev, "device that receives the packets");

static char *kind = "attack";
module_param(kind, charp, 0444);
MODULE_PARM_DESC(kind, "attack, victim (what is allowed), random (all bits) or miss");

static unsigned int dports = 16;
module_param(dports, uint, 0444);
static unsigned int sports = 16;
module_param(sports, uint, 0444);
static unsigned int addrs = 32;
module_param(addrs, uint, 0444);

static unsigned int count;
module_param(count, uint, 0444);
MODULE_PARM_DESC(count, "how many packets");

static unsigned long long ns;
module_param(ns, ullong, 0444);
MODULE_PARM_DESC(ns, "how long it took, in nanoseconds");

static struct rnd_state state;

/* `value`, but for one of its first `choices` bits and all after that. */
static u32 differing(u32 value, unsigned int bits, unsigned int choices)
{
	unsigned int shift = bits - 1 - prandom_u32_state(&state) % choices;

	value ^= 1u << shift;
	return value ^ (prandom_u32_state(&state) & ((1u << shift) - 1));
}

struct headers {
	struct ethhdr eth;
	struct iphdr ip;
	struct udphdr udp;
} __packed;

static void fill(struct sk_buff *skb)
{
	struct headers *h;

	h = skb_put_zero(skb, LEN);
	h->eth.h_dest[0] = 2;
	h->eth.h_source[0] = 2;
	h->eth.h_proto = htons(ETH_P_IP);
	h->ip.version = 4;
	h->ip.ihl = 5;
	h->ip.ttl = 64;
	h->ip.protocol = strcmp(kind, "miss") ? IPPROTO_UDP : IPPROTO_GRE;
	h->ip.tot_len = htons(LEN - ETH_HLEN);
	h->ip.daddr = htonl(0xc6130001u);
	h->udp.len = htons(LEN - ETH_HLEN - sizeof(h->ip));
	if (!strcmp(kind, "victim")) {
		h->ip.saddr = htonl(SRC_ADDR);
		h->udp.source = htons(SRC_PORT);
		h->udp.dest = htons(DST_PORT);
	} else if (!strcmp(kind, "random")) {
		h->ip.saddr = (__force __be32)prandom_u32_state(&state);
		h->udp.source = (__force __be16)prandom_u32_state(&state);
		h->udp.dest = (__force __be16)prandom_u32_state(&state);
	} else {
		h->ip.saddr = htonl(differing(SRC_ADDR, 32, addrs));
		h->udp.source = htons(differing(SRC_PORT, 16, sports));
		h->udp.dest = htons(differing(DST_PORT, 16, dports));
	}
}

static int spray(struct net_device *netdev)
{
	unsigned int i, n, done;
	struct sk_buff *skb;

	for (done = 0; done < count; done += n) {
		n = min(count - done, BURST);
		local_bh_disable();
		for (i = 0; i < n; i++) {
			skb = netdev_alloc_skb_ip_align(netdev, LEN);
			if (!skb) {
				local_bh_enable();
				return -ENOMEM;
			}
			fill(skb);
			skb->protocol = eth_type_trans(skb, netdev);
			netif_receive_skb(skb);
		}
		local_bh_enable();
		cond_resched();
	}
	return 0;
}

static int __init spray_init(void)
{
	struct net_device *netdev;
	u64 start;
	int err;

	if (!dports || dports > 16 || !sports || sports > 16 || !addrs || addrs > 32)
		return -EINVAL;
	netdev = dev_get_by_name(&init_net, dev);
	if (!netdev)
		return -ENODEV;
	prandom_seed_state(&state, 1);
	start = ktime_get_ns();
	err = spray(netdev);
	ns = ktime_get_ns() - start;
	dev_put(netdev);
	return err;
}

static void __exit spray_exit(void)
{
}

module_init(spray_init);
module_exit(spray_exit);
MODULE_DESCRIPTION("Packets for the Open vSwitch benches with many masks");
MODULE_LICENSE("GPL");

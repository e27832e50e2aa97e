/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The headers that the extra bindings are made from.
 *
 * Sorted alphabetically.
 */

#include <linux/etherdevice.h>
#include <linux/ethtool.h>
#include <linux/genetlink.h>
#include <linux/if_vlan.h>
#include <linux/mm.h>
#include <linux/netdevice.h>
#include <linux/openvswitch.h>
#include <linux/percpu.h>
#include <linux/rcupdate.h>
#include <linux/rtnetlink.h>
#include <linux/skbuff.h>
#include <linux/tc_act/tc_csum.h>
#include <linux/u64_stats_sync.h>
#include <net/dst.h>
#include <net/dst_metadata.h>
#include <net/dropreason.h>
#include <net/flow_offload.h>
#include <net/genetlink.h>
#include <net/gso.h>
#include <net/ip_tunnels.h>
#include <net/net_namespace.h>
#include <net/netfilter/nf_conntrack_count.h>
#include <net/netfilter/nf_nat.h>
#include <net/netns/generic.h>
#include <net/nsh.h>
#include <net/pkt_cls.h>
#include <net/psample.h>
#include <net/rtnetlink.h>

#include "../helpers/trace/openvswitch_trace.h"
#include "../helpers/trace/ovs_offload_trace.h"

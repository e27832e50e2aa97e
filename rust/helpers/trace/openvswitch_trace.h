/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The tracepoints of net/openvswitch/openvswitch_trace.h, the same for whoever
 * reads them. What the datapath's own structures have comes in one structure of
 * plain values, as those structures are Rust's.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM openvswitch

#if !defined(_TRACE_OPENVSWITCH_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_OPENVSWITCH_H

#include <linux/netdevice.h>
#include <linux/skbuff.h>
#include <linux/tracepoint.h>

#ifndef _OVS_TRACE_PACKET
#define _OVS_TRACE_PACKET
struct ovs_trace_packet {
	void *dp;
	const char *dp_name;
	void *key;
	u32 ovs_flow_hash;
	u32 recirc_id;
	u16 eth_type;		/* As in the packet. */
	u16 ct_zone;
	u8 ct_state;
	u8 ct_orig_proto;
	u8 flow_key_valid;
};

/* What both events have: the packet and its key. */
#define OVS_TRACE_PACKET_ENTRY(key_type)				\
	__field(void *, dpaddr)						\
	__string(dp_name, packet->dp_name)				\
	__string(dev_name, skb->dev->name)				\
	__field(void *, skbaddr)					\
	__field(unsigned int, len)					\
	__field(unsigned int, data_len)					\
	__field(unsigned int, truesize)					\
	__field(u8, nr_frags)						\
	__field(u16, gso_size)						\
	__field(u16, gso_type)						\
	__field(u32, ovs_flow_hash)					\
	__field(u32, recirc_id)						\
	__field(key_type, keyaddr)					\
	__field(u16, key_eth_type)					\
	__field(u8, key_ct_state)					\
	__field(u8, key_ct_orig_proto)					\
	__field(u16, key_ct_zone)					\
	__field(unsigned int, flow_key_valid)

#define OVS_TRACE_PACKET_ASSIGN()					\
do {									\
	__entry->dpaddr = packet->dp;					\
	__assign_str(dp_name);						\
	__assign_str(dev_name);						\
	__entry->skbaddr = skb;						\
	__entry->len = skb->len;					\
	__entry->data_len = skb->data_len;				\
	__entry->truesize = skb->truesize;				\
	__entry->nr_frags = skb_shinfo(skb)->nr_frags;			\
	__entry->gso_size = skb_shinfo(skb)->gso_size;			\
	__entry->gso_type = skb_shinfo(skb)->gso_type;			\
	__entry->ovs_flow_hash = packet->ovs_flow_hash;			\
	__entry->recirc_id = packet->recirc_id;				\
	__entry->keyaddr = packet->key;					\
	__entry->key_eth_type = packet->eth_type;			\
	__entry->key_ct_state = packet->ct_state;			\
	__entry->key_ct_orig_proto = packet->ct_orig_proto;		\
	__entry->key_ct_zone = packet->ct_zone;				\
	__entry->flow_key_valid = packet->flow_key_valid;		\
} while (0)

/* The two events name the zone differently. */
#define OVS_TRACE_PACKET_FMT(zone)					\
	"dpaddr=%p dp_name=%s dev=%s skbaddr=%p len=%u data_len=%u "	\
	"truesize=%u nr_frags=%d gso_size=%d gso_type=%#x "		\
	"ovs_flow_hash=0x%08x recirc_id=0x%08x keyaddr=%p "		\
	"eth_type=0x%04x ct_state=%02x ct_orig_proto=%02x "		\
	zone "=%04x flow_key_valid=%d "

#define OVS_TRACE_PACKET_ARGS						\
	__entry->dpaddr, __get_str(dp_name), __get_str(dev_name),	\
	__entry->skbaddr, __entry->len, __entry->data_len,		\
	__entry->truesize, __entry->nr_frags, __entry->gso_size,	\
	__entry->gso_type, __entry->ovs_flow_hash,			\
	__entry->recirc_id, __entry->keyaddr, __entry->key_eth_type,	\
	__entry->key_ct_state, __entry->key_ct_orig_proto,		\
	__entry->key_ct_zone,						\
	__entry->flow_key_valid
#endif

TRACE_EVENT(ovs_do_execute_action,

	TP_PROTO(const struct ovs_trace_packet *packet, struct sk_buff *skb,
		 u8 action_type, unsigned int action_len, void *action_data,
		 u8 is_last),

	TP_ARGS(packet, skb, action_type, action_len, action_data, is_last),

	TP_STRUCT__entry(
		OVS_TRACE_PACKET_ENTRY(void *)
		__field(u8, action_type)
		__field(unsigned int, action_len)
		__field(void *, action_data)
		__field(u8, is_last)
	),

	TP_fast_assign(
		OVS_TRACE_PACKET_ASSIGN();
		__entry->action_type = action_type;
		__entry->action_len = action_len;
		__entry->action_data = action_data;
		__entry->is_last = is_last;
	),

	TP_printk(OVS_TRACE_PACKET_FMT("ct_Zone") "action_type=%u action_len=%u action_data=%p is_last=%d",
		  OVS_TRACE_PACKET_ARGS,
		  __entry->action_type, __entry->action_len,
		  __entry->action_data, __entry->is_last)
);

TRACE_EVENT(ovs_dp_upcall,

	TP_PROTO(const struct ovs_trace_packet *packet, struct sk_buff *skb,
		 u8 upcall_cmd, u32 upcall_port, u16 upcall_mru),

	TP_ARGS(packet, skb, upcall_cmd, upcall_port, upcall_mru),

	TP_STRUCT__entry(
		OVS_TRACE_PACKET_ENTRY(const void *)
		__field(u8, upcall_cmd)
		__field(u32, upcall_port)
		__field(u16, upcall_mru)
	),

	TP_fast_assign(
		OVS_TRACE_PACKET_ASSIGN();
		__entry->upcall_cmd = upcall_cmd;
		__entry->upcall_port = upcall_port;
		__entry->upcall_mru = upcall_mru;
	),

	TP_printk(OVS_TRACE_PACKET_FMT("ct_zone") "upcall_cmd=%u upcall_port=%u upcall_mru=%u",
		  OVS_TRACE_PACKET_ARGS,
		  __entry->upcall_cmd, __entry->upcall_port,
		  __entry->upcall_mru)
);

#endif /* _TRACE_OPENVSWITCH_H */

/* This part must be outside protection */
#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE openvswitch_trace
#include <trace/define_trace.h>

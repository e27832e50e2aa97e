/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tracepoints of flows that move between software and hardware. States are the
 * numbers of Documentation/netlink/specs/ovs_offload.yaml.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM ovs_offload

#if !defined(_TRACE_OVS_OFFLOAD_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_OVS_OFFLOAD_H

#include <linux/tracepoint.h>

TRACE_EVENT(ovs_offload_install,

	TP_PROTO(const char *dev_name, unsigned long cookie, u32 chain,
		 u32 n_actions, int err, u64 nsecs),

	TP_ARGS(dev_name, cookie, chain, n_actions, err, nsecs),

	TP_STRUCT__entry(
		__string(dev_name, dev_name)
		__field(unsigned long, cookie)
		__field(u32, chain)
		__field(u32, n_actions)
		__field(int, err)
		__field(u64, nsecs)
	),

	TP_fast_assign(
		__assign_str(dev_name);
		__entry->cookie = cookie;
		__entry->chain = chain;
		__entry->n_actions = n_actions;
		__entry->err = err;
		__entry->nsecs = nsecs;
	),

	TP_printk("dev=%s cookie=%#lx chain=%u n_actions=%u err=%d nsecs=%llu",
		  __get_str(dev_name), __entry->cookie, __entry->chain,
		  __entry->n_actions, __entry->err, __entry->nsecs)
);

TRACE_EVENT(ovs_offload_refuse,

	TP_PROTO(u32 in_port, u32 state, int err, const char *reason),

	TP_ARGS(in_port, state, err, reason),

	TP_STRUCT__entry(
		__field(u32, in_port)
		__field(u32, state)
		__field(int, err)
		__string(reason, reason)
	),

	TP_fast_assign(
		__entry->in_port = in_port;
		__entry->state = state;
		__entry->err = err;
		__assign_str(reason);
	),

	TP_printk("in_port=%u state=%u err=%d reason=%s",
		  __entry->in_port, __entry->state, __entry->err,
		  __get_str(reason))
);

TRACE_EVENT(ovs_offload_move,

	TP_PROTO(u32 in_port, unsigned long cookie, u32 state, u32 rate),

	TP_ARGS(in_port, cookie, state, rate),

	TP_STRUCT__entry(
		__field(u32, in_port)
		__field(unsigned long, cookie)
		__field(u32, state)
		__field(u32, rate)
	),

	TP_fast_assign(
		__entry->in_port = in_port;
		__entry->cookie = cookie;
		__entry->state = state;
		__entry->rate = rate;
	),

	TP_printk("in_port=%u cookie=%#lx state=%u rate=%u",
		  __entry->in_port, __entry->cookie, __entry->state,
		  __entry->rate)
);

TRACE_EVENT(ovs_offload_stats,

	TP_PROTO(unsigned long cookie, u64 packets, u64 bytes, u64 lastused),

	TP_ARGS(cookie, packets, bytes, lastused),

	TP_STRUCT__entry(
		__field(unsigned long, cookie)
		__field(u64, packets)
		__field(u64, bytes)
		__field(u64, lastused)
	),

	TP_fast_assign(
		__entry->cookie = cookie;
		__entry->packets = packets;
		__entry->bytes = bytes;
		__entry->lastused = lastused;
	),

	TP_printk("cookie=%#lx packets=%llu bytes=%llu lastused=%llu",
		  __entry->cookie, __entry->packets, __entry->bytes,
		  __entry->lastused)
);

#endif /* _TRACE_OVS_OFFLOAD_H */

/* This part must be outside protection */
#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE ovs_offload_trace
#include <trace/define_trace.h>

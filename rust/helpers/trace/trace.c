// SPDX-License-Identifier: GPL-2.0
/* The tracepoints themselves, with functions that Rust can call. */

#define CREATE_TRACE_POINTS
#define CREATE_RUST_TRACE_POINTS
#include "openvswitch_trace.h"
#include "ovs_offload_trace.h"

// SPDX-License-Identifier: GPL-2.0

//! Handing flows to hardware: rules, and the blocks through which a device's
//! driver takes them.
//!
//! C header: [`include/net/flow_offload.h`](srctree/include/net/flow_offload.h)

mod action;
mod block;
mod rule;
mod show;

pub use self::{
    action::{
        csum,
        MangleBase, //
    },
    block::{
        wait_for_cleanups,
        BindError,
        Binder,
        DriverText,
        FlowBlock,
        HwDelta, //
    },
    rule::{
        AddrType,
        FlowRule,
        FLOW_DIS_FIRST_FRAG,
        FLOW_DIS_F_TUNNEL_CRIT_OPT,
        FLOW_DIS_F_TUNNEL_CSUM,
        FLOW_DIS_F_TUNNEL_DONT_FRAGMENT,
        FLOW_DIS_F_TUNNEL_OAM,
        FLOW_DIS_IS_FRAGMENT, //
    },
};

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
        BindError,
        DriverText,
        FlowBlock,
        HwDelta, //
    },
    rule::{
        AddrType,
        FlowRule,
        FLOW_DIS_FIRST_FRAG,
        FLOW_DIS_IS_FRAGMENT, //
    },
};

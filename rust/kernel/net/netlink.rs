// SPDX-License-Identifier: GPL-2.0

//! Netlink: attributes, policies and messages.
//!
//! Attributes are read from byte slices without unsafe code ([`attr`]),
//! checked against policies by the kernel's own parser ([`policy`]) and
//! written through [`AttrWriter`], either into a message that is sent
//! ([`msg`]) or into plain memory ([`AttrBuf`]).
//!
//! C headers: [`include/net/netlink.h`](srctree/include/net/netlink.h),
//! [`include/uapi/linux/netlink.h`](srctree/include/uapi/linux/netlink.h)

pub mod attr;
pub mod msg;
pub mod policy;

pub use attr::{
    nla_total_size,
    nla_total_size_64bit,
    AttrBuf,
    AttrIter,
    AttrWriter,
    NestMark,
    Nlattr, //
};
pub use msg::{
    MsgBuf,
    NlMsg, //
};
pub use policy::{
    NlaPolicy,
    Validation, //
};

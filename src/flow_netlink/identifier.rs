// SPDX-License-Identifier: GPL-2.0

//! What identifies a flow in commands: a UFID that userspace gave it, or its
//! key before masking.

use super::nlerr;
use crate::flow::{
    tunnel::MatchKey,
    SwFlowId,
    MAX_UFID_LENGTH, //
};
use kernel::prelude::*;
use kernel_ext::net::netlink::Nlattr;

/// The UFID of a request. One of a wrong length is logged and taken as none.
///
/// C: `ovs_nla_get_ufid()` and `get_ufid_len()`.
pub(crate) fn ovs_nla_get_ufid(attr: Option<Nlattr<'_>>, log: bool) -> Option<SwFlowId> {
    let attr = attr?;
    let ufid = SwFlowId::ufid(attr.payload());
    if ufid.is_none() {
        nlerr!(
            log,
            "ufid size {} bytes exceeds the range (1, {})",
            attr.len(),
            MAX_UFID_LENGTH
        );
    }
    ufid
}

/// What identifies a new flow: its UFID, or a copy of its key.
///
/// Fails with `ENOMEM`.
///
/// C: `ovs_nla_get_identifier()`.
pub(crate) fn ovs_nla_get_identifier(
    ufid: Option<Nlattr<'_>>,
    key: &MatchKey,
    log: bool,
) -> Result<SwFlowId> {
    match ovs_nla_get_ufid(ufid, log) {
        Some(ufid) => Ok(ufid),
        None => SwFlowId::key(key),
    }
}

/// Which parts of a flow a reply leaves out: `OVS_UFID_F_*`.
///
/// C: `ovs_nla_get_ufid_flags()`.
pub(crate) fn ovs_nla_get_ufid_flags(attr: Option<Nlattr<'_>>) -> u32 {
    attr.and_then(|attr| attr.get_u32()).unwrap_or(0)
}

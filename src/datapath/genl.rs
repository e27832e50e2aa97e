// SPDX-License-Identifier: GPL-2.0

//! The generic netlink families, and what their commands have in common.

use kernel::{
    module::this_module,
    prelude::*, //
};

use kernel_ext::net::{
    genetlink::{
        Doit,
        Dumpit,
        Family,
        FamilyDef,
        GenlHdr,
        GenlInfo,
        MulticastGroup,
        Registration,
        SmallOp, //
    },
    netlink::{
        NlMsg,
        NlaPolicy,
        Nlattr, //
    },
};

use super::{
    dp_cmd::DP_DATAPATH_GENL_FAMILY,
    flow_cmd::DP_FLOW_GENL_FAMILY,
    packet_cmd::DP_PACKET_GENL_FAMILY,
    vport_cmd::DP_VPORT_GENL_FAMILY, //
};
#[cfg(CONFIG_NETFILTER_CONNCOUNT)]
use crate::conntrack::netlink::DP_CT_LIMIT_GENL_FAMILY;
use crate::meter::cmd::DP_METER_GENL_FAMILY;

/// The only multicast group of each family that has one.
pub(crate) const MCGROUP: u32 = 0;

/// The length of `struct ovs_header`: the datapath's interface index.
pub(crate) const OVS_HEADER_LEN: usize = 4;

/// A family as all of Open vSwitch's are: in all network namespaces, of
/// commands that run in parallel, with `struct ovs_header`.
///
/// `max_cmd` is the last command from before reserved header fields were
/// checked.
pub(crate) const fn family(
    name: &'static [u8],
    version: u32,
    policy: &'static [NlaPolicy],
    small_ops: &'static [SmallOp],
    mcgrps: &'static [MulticastGroup],
    max_cmd: u32,
) -> Family {
    Family::new(FamilyDef {
        module: this_module::<crate::OvsModule>(),
        name,
        version,
        hdrsize: OVS_HEADER_LEN as u32,
        policy,
        small_ops,
        mcgrps,
        resv_start_op: max_cmd as u8 + 1,
        netnsok: true,
        parallel_ops: true,
    })
}

/// The operations of a family that makes, deletes, gets and sets something, with
/// the numbers of these commands. Whoever may administer a user namespace may
/// run those that change something in its network namespaces.
pub(super) const fn ops<New: Doit, Del: Doit, Get: Doit + Dumpit, Set: Doit>(
    [new, del, get, set]: [u32; 4],
) -> [SmallOp; 4] {
    [
        SmallOp::new(new).uns_admin_perm().doit::<New>(),
        SmallOp::new(del).uns_admin_perm().doit::<Del>(),
        SmallOp::new(get).doit::<Get>().dumpit::<Get>(),
        SmallOp::new(set).uns_admin_perm().doit::<Set>(),
    ]
}

/// The datapath that `struct ovs_header` names: the interface index of its
/// local port.
pub(crate) fn dp_ifindex(info: &GenlInfo<'_>) -> i32 {
    info.userhdr()
        .first_chunk()
        .map_or(0, |ifindex| i32::from_ne_bytes(*ifindex))
}

/// The device name in an attribute. `EINVAL` without a NUL, which the policies
/// rule out.
pub(super) fn name_of(attr: Nlattr<'_>) -> Result<&CStr> {
    CStr::from_bytes_until_nul(attr.payload()).map_err(|_| EINVAL)
}

/// The headers of an answer to `info`, with the command `cmd`.
pub(crate) fn reply_hdr(info: &GenlInfo<'_>, cmd: u32) -> GenlHdr {
    GenlHdr {
        portid: info.snd_portid(),
        seq: info.snd_seq(),
        flags: 0,
        cmd: cmd as u8,
    }
}

/// Tells those who listen to the family's group, and the sender if it asked
/// for it.
///
/// C: `ovs_notify()`.
pub(super) fn ovs_notify(family: &Family, msg: NlMsg, info: &GenlInfo<'_>) {
    info.notify(family, msg, MCGROUP, GFP_KERNEL);
}

/// The families while they are registered. They go in the order of the
/// fields.
///
/// Dropping it unregisters them. C: `dp_unregister_genl()`.
pub(crate) struct Families {
    _datapath: Registration,
    _vport: Registration,
    _flow: Registration,
    _packet: Registration,
    _meter: Registration,
    #[cfg(CONFIG_NETFILTER_CONNCOUNT)]
    _ct_limit: Registration,
}

impl Families {
    /// Registers the families. If one fails, those before it go again.
    ///
    /// C: `dp_register_genl()`.
    pub(crate) fn register() -> Result<Self> {
        Ok(Families {
            _datapath: DP_DATAPATH_GENL_FAMILY.register()?,
            _vport: DP_VPORT_GENL_FAMILY.register()?,
            _flow: DP_FLOW_GENL_FAMILY.register()?,
            _packet: DP_PACKET_GENL_FAMILY.register()?,
            _meter: DP_METER_GENL_FAMILY.register()?,
            #[cfg(CONFIG_NETFILTER_CONNCOUNT)]
            _ct_limit: DP_CT_LIMIT_GENL_FAMILY.register()?,
        })
    }
}

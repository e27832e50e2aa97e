// SPDX-License-Identifier: GPL-2.0

//! The ct action in netlink.

use kernel::{
    fmt,
    prelude::*, //
};
use kernel_ext::{
    net::{
        namespace::Net,
        netfilter::{
            nf_conntrack::{
                Template,
                Zone, //
            },
            NfProto, //
        },
        netlink::{
            AttrWriter,
            Nlattr, //
        },
    },
    ratelimit::net_info_named, //
};
use zerocopy::{
    FromBytes,
    IntoBytes, //
};

use super::{
    nat::{
        parse_nat,
        Nat, //
    },
    nlerr,
    uapi::*, //
};
use crate::{
    flow::key::SwFlowKey,
    flow_netlink::uapi::*, //
};

/// The longest name of a helper, with the NUL byte.
///
/// C: `NF_CT_HELPER_NAME_LEN`.
const NF_CT_HELPER_NAME_LEN: usize = 16;

/// The longest name of a timeout policy, with the NUL byte.
///
/// C: `CTNL_TIMEOUT_NAME_MAX`.
const CTNL_TIMEOUT_NAME_MAX: usize = 32;

/// How C keeps the action, of which only the length counts.
///
/// C: `struct ovs_conntrack_info`.
#[repr(C)]
struct CLayout {
    helper: usize,
    zone: [u16; 2],
    ct: usize,
    flags: u8,
    family: u16,
    eventmask: u32,
    mark: MdMark,
    labels: MdLabels,
    timeout: [u8; CTNL_TIMEOUT_NAME_MAX],
    nf_ct_timeout: usize,
    #[cfg(CONFIG_NF_NAT_OVS)]
    range: kernel_ext::net::netfilter::nf_nat::NatRange,
}

/// The length of the payload that C keeps the action with.
pub(crate) const OVS_CONNTRACK_INFO_LEN: usize = size_of::<CLayout>();

/// A mark and which bits of it are set, host byte order.
///
/// C: `struct md_mark`.
#[repr(C)]
#[derive(Clone, Copy, Default, FromBytes, IntoBytes, zerocopy_derive::Immutable)]
pub(super) struct MdMark {
    pub(super) value: u32,
    pub(super) mask: u32,
}

/// Labels and which of them are set.
///
/// C: `struct md_labels`.
#[repr(C)]
#[derive(Clone, Copy, Default, FromBytes, IntoBytes, zerocopy_derive::Immutable)]
pub(super) struct MdLabels {
    pub(super) value: [u32; 4],
    pub(super) mask: [u32; 4],
}

impl MdLabels {
    /// Whether any are set. C: `labels_nonzero(&labels->mask)`.
    pub(super) fn is_set(&self) -> bool {
        self.mask != [0; 4]
    }
}

/// A name, which ends with a NUL byte.
#[derive(Clone, Copy)]
struct Name<const N: usize>([u8; N]);

impl<const N: usize> Name<N> {
    /// The name at the start of these bytes, if it ends in them.
    fn new(bytes: &[u8]) -> Option<Self> {
        let bytes = CStr::from_bytes_until_nul(bytes).ok()?.to_bytes_with_nul();
        let mut name = [0; N];
        name.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Self(name))
    }

    fn as_cstr(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0).unwrap_or(c"")
    }
}

/// What a ct action says, as it is in netlink.
#[derive(Default)]
pub(super) struct CtArgs {
    zone: Zone,
    pub(super) commit: bool,
    force: bool,
    pub(super) nat: Nat,
    eventmask: Option<u32>,
    mark: MdMark,
    labels: MdLabels,
    helper: Option<Name<NF_CT_HELPER_NAME_LEN>>,
    timeout: Option<Name<CTNL_TIMEOUT_NAME_MAX>>,
}

/// The ct action.
///
/// C: `struct ovs_conntrack_info`.
pub(crate) struct ConntrackInfo {
    /// It has the helper and the timeout policy.
    tmpl: Template,
    family: NfProto,
    args: CtArgs,
}

impl ConntrackInfo {
    /// What new connections are made from.
    pub(super) fn tmpl(&self) -> &Template {
        &self.tmpl
    }

    /// The IP version of the flow.
    pub(super) fn family(&self) -> NfProto {
        self.family
    }

    /// The zone that packets are looked up in.
    pub(super) fn zone(&self) -> Zone {
        self.args.zone
    }

    /// Whether the connection is confirmed.
    pub(super) fn is_committed(&self) -> bool {
        self.args.commit
    }

    /// Whether the connection is to have the direction of the packet.
    pub(super) fn is_forced(&self) -> bool {
        self.args.force
    }

    /// The translation of addresses.
    pub(crate) fn nat(&self) -> &Nat {
        &self.args.nat
    }

    /// The events that are told of the connection (`1 << IPCT_*`), if the action
    /// says which.
    pub(super) fn eventmask(&self) -> Option<u32> {
        self.args.eventmask
    }

    /// The mark that the connection gets, if it gets one.
    #[cfg(CONFIG_NF_CONNTRACK_MARK)]
    pub(super) fn mark(&self) -> Option<&MdMark> {
        (self.args.mark.mask != 0).then_some(&self.args.mark)
    }

    /// The labels that the connection gets.
    #[cfg(CONFIG_NF_CONNTRACK_LABELS)]
    pub(super) fn labels(&self) -> &MdLabels {
        &self.args.labels
    }
}

/// The shortest and the longest payload of an attribute. Those of features that
/// the kernel does not have are as those that nobody knows.
///
/// C: `ovs_ct_attr_lens`.
fn attr_lens(ty: u16) -> (usize, usize) {
    match ty {
        OVS_CT_ATTR_ZONE => (2, 2),
        OVS_CT_ATTR_MARK => (size_of::<MdMark>(), size_of::<MdMark>()),
        OVS_CT_ATTR_LABELS => (size_of::<MdLabels>(), size_of::<MdLabels>()),
        OVS_CT_ATTR_HELPER => (1, NF_CT_HELPER_NAME_LEN),
        // The length is checked when what is in it is parsed.
        OVS_CT_ATTR_NAT if cfg!(CONFIG_NF_NAT_OVS) => (0, i32::MAX as usize),
        OVS_CT_ATTR_EVENTMASK => (4, 4),
        OVS_CT_ATTR_TIMEOUT => (1, CTNL_TIMEOUT_NAME_MAX),
        _ => (0, 0),
    }
}

/// Parses an attribute of the action, whose length is right. `EINVAL` if it is
/// wrong or not known, `ERANGE` for two kinds of NAT.
fn parse_attr(a: Nlattr<'_>, args: &mut CtArgs, ipv6: bool, log: bool) -> Result {
    match a.ty() {
        ty @ (OVS_CT_ATTR_FORCE_COMMIT | OVS_CT_ATTR_COMMIT) => {
            args.force |= ty == OVS_CT_ATTR_FORCE_COMMIT;
            args.commit = true;
        }

        OVS_CT_ATTR_ZONE if cfg!(CONFIG_NF_CONNTRACK_ZONES) => {
            args.zone = Zone(a.get_u16().ok_or(EINVAL)?);
        }

        OVS_CT_ATTR_MARK if cfg!(CONFIG_NF_CONNTRACK_MARK) => {
            let mark = MdMark::read_from_bytes(a.payload()).map_err(|_| EINVAL)?;
            if mark.mask == 0 {
                nlerr!(log, "ct_mark mask cannot be 0");
                return Err(EINVAL);
            }
            args.mark = mark;
        }

        OVS_CT_ATTR_LABELS if cfg!(CONFIG_NF_CONNTRACK_LABELS) => {
            let labels = MdLabels::read_from_bytes(a.payload()).map_err(|_| EINVAL)?;
            if !labels.is_set() {
                nlerr!(log, "ct_labels mask cannot be 0");
                return Err(EINVAL);
            }
            args.labels = labels;
        }

        OVS_CT_ATTR_HELPER => {
            args.helper = Name::new(a.payload());
            if args.helper.is_none() {
                nlerr!(log, "Invalid conntrack helper");
                return Err(EINVAL);
            }
        }

        OVS_CT_ATTR_NAT if cfg!(CONFIG_NF_NAT_OVS) => parse_nat(a, args, ipv6, log)?,

        OVS_CT_ATTR_EVENTMASK => args.eventmask = Some(a.get_u32().ok_or(EINVAL)?),

        OVS_CT_ATTR_TIMEOUT if cfg!(CONFIG_NF_CONNTRACK_TIMEOUT) => {
            args.timeout = Name::new(a.payload());
            if args.timeout.is_none() {
                nlerr!(log, "Invalid conntrack timeout");
                return Err(EINVAL);
            }
        }

        ty => {
            nlerr!(log, "Unknown conntrack attr ({})", ty);
            return Err(EINVAL);
        }
    }
    Ok(())
}

/// Parses a ct action of a flow of this IP version. Fails with `EINVAL` if it is
/// wrong, `ERANGE` for two kinds of NAT.
///
/// C: `parse_ct()`.
pub(super) fn parse_ct(attr: Nlattr<'_>, ipv6: bool, log: bool) -> Result<CtArgs> {
    let mut args = CtArgs::default();
    let mut attrs = attr.nested();
    for a in attrs.by_ref() {
        let (ty, len) = (a.ty(), a.len());
        if ty > OVS_CT_ATTR_MAX {
            nlerr!(
                log,
                "Unknown conntrack attr (type={}, max={})",
                ty,
                OVS_CT_ATTR_MAX
            );
            return Err(EINVAL);
        }
        let (minlen, maxlen) = attr_lens(ty);
        if len < minlen || len > maxlen {
            nlerr!(
                log,
                "Conntrack attr type has unexpected length (type={}, length={}, expected={})",
                ty,
                len,
                maxlen
            );
            return Err(EINVAL);
        }
        parse_attr(a, &mut args, ipv6, log)?;
    }

    if !args.commit && args.mark.mask != 0 {
        nlerr!(log, "Setting conntrack mark requires 'commit' flag.");
        return Err(EINVAL);
    }
    if !args.commit && args.labels.is_set() {
        nlerr!(log, "Setting conntrack labels requires 'commit' flag.");
        return Err(EINVAL);
    }
    if attrs.remaining() > 0 {
        nlerr!(
            log,
            "Conntrack attr has {} unknown bytes",
            attrs.remaining()
        );
        return Err(EINVAL);
    }
    Ok(args)
}

/// Checks and copies a ct action of a flow with the masked key `key`. May sleep
/// and load modules.
///
/// Fails with `EINVAL` if it is wrong, `ERANGE` for two kinds of NAT, `ENOENT`
/// without a helper for NAT, and with `ENOMEM`.
///
/// C: `ovs_ct_copy_action()`.
///
/// C: also `key_to_nfproto()`.
#[inline(never)]
pub(crate) fn ovs_ct_copy_action(
    net: &Net,
    attr: Nlattr<'_>,
    key: &SwFlowKey,
    log: bool,
) -> Result<KBox<ConntrackInfo>> {
    let family = match key.eth_type.get() {
        ETH_P_IP => NfProto::Ipv4,
        ETH_P_IPV6 => NfProto::Ipv6,
        _ => {
            nlerr!(log, "ct family unspecified");
            return Err(EINVAL);
        }
    };
    let args = parse_ct(attr, family == NfProto::Ipv6, log)?;

    // What tracks connections in this zone.
    let mut tmpl = Template::new(net, args.zone, GFP_KERNEL).inspect_err(|_| {
        nlerr!(log, "Failed to allocate conntrack template");
    })?;

    if let Some(name) = args.timeout() {
        // As in C, the action then has none.
        if tmpl.set_timeout(net, family, key.ip_proto, name).is_err() {
            nlerr_name(
                log,
                c"netlink: Failed to associated timeout policy '",
                name,
                fmt!("'\n"),
            );
        }
    }

    if let Some(name) = &args.helper {
        let name = name.as_cstr();
        tmpl.add_helper(name, family, key.ip_proto, args.nat.is_enabled())
            .inspect_err(|e| {
                nlerr_name(
                    log,
                    c"netlink: Failed to add ",
                    name,
                    fmt!(" helper {}\n", e.to_errno()),
                );
            })?;
    }

    if args.commit {
        tmpl.set_confirmed();
    }
    Ok(KBox::new(ConntrackInfo { tmpl, family, args }, GFP_KERNEL)?)
}

impl CtArgs {
    /// The name of the timeout policy, if it is not empty.
    fn timeout(&self) -> Option<&CStr> {
        let name = self.timeout.as_ref()?.as_cstr();
        (!name.is_empty()).then_some(name)
    }

    /// Puts what is in the action.
    fn put(&self, family: NfProto, w: &mut impl AttrWriter) -> Result {
        if self.commit {
            w.put_flag(if self.force {
                OVS_CT_ATTR_FORCE_COMMIT
            } else {
                OVS_CT_ATTR_COMMIT
            })?;
        }
        if cfg!(CONFIG_NF_CONNTRACK_ZONES) {
            w.put_u16(OVS_CT_ATTR_ZONE, self.zone.0)?;
        }
        if self.mark.mask != 0 {
            w.put(OVS_CT_ATTR_MARK, self.mark.as_bytes())?;
        }
        if self.labels.is_set() {
            w.put(OVS_CT_ATTR_LABELS, self.labels.as_bytes())?;
        }
        if let Some(name) = &self.helper {
            w.put(OVS_CT_ATTR_HELPER, name.as_cstr().to_bytes_with_nul())?;
        }
        if let Some(eventmask) = self.eventmask {
            w.put_u32(OVS_CT_ATTR_EVENTMASK, eventmask)?;
        }
        if let Some(name) = self.timeout() {
            w.put(OVS_CT_ATTR_TIMEOUT, name.to_bytes_with_nul())?;
        }
        self.nat.put(family, w)
    }
}

/// Puts a ct action. Fails with `EMSGSIZE` if it does not fit.
///
/// C: `ovs_ct_action_to_attr()`.
pub(crate) fn ovs_ct_action_to_attr(info: &ConntrackInfo, w: &mut impl AttrWriter) -> Result {
    let nest = w.nest_start(OVS_ACTION_ATTR_CT)?;
    let result = info
        .args
        .put(info.family, w)
        .and_then(|()| w.nest_end(nest));
    if result.is_err() {
        w.nest_cancel(nest);
    }
    result
}

/// Logs what is wrong with a name that userspace gave, byte by byte as it came.
///
/// C: `OVS_NLERR()` with a `%s`.
fn nlerr_name(log: bool, before: &'static CStr, name: &CStr, after: fmt::Arguments<'_>) {
    if log {
        net_info_named(before, name, after);
    }
}

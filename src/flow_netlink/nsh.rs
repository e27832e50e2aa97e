// SPDX-License-Identifier: GPL-2.0

//! Network service headers in netlink: in keys and masks, and to be pushed.

use super::{
    key_attrs::{
        AttrLen,
        Part, //
    },
    nlerr,
    uapi::*, //
};
use crate::{
    actions::PushNsh,
    flow::key::NshKey, //
};
use kernel::prelude::*;
use kernel_ext::net::{
    netlink::{
        attr::nla_total_size,
        AttrWriter,
        Nlattr, //
    },
    nsh::{
        NshHdr,
        NSH_CTX_HDRS_MAX_LEN,
        NSH_M_TYPE1,
        NSH_M_TYPE2, //
    }, //
};
use zerocopy::{
    FromBytes,
    IntoBytes, //
};

/// Which attributes of a network service header there are, and how long they
/// are.
///
/// C: `ovs_nsh_key_attr_lens`.
pub(super) const fn nsh_attr_len(ty: u16) -> Option<AttrLen> {
    Some(match ty {
        OVS_NSH_KEY_ATTR_UNSPEC => AttrLen::Fixed(0),
        OVS_NSH_KEY_ATTR_BASE => AttrLen::Fixed(size_of::<OvsNshKeyBase>() as u16),
        OVS_NSH_KEY_ATTR_MD1 => AttrLen::Fixed(size_of::<OvsNshKeyMd1>() as u16),
        OVS_NSH_KEY_ATTR_MD2 => AttrLen::Variable,
        _ => return None,
    })
}

/// What the attributes are of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Match(Part),
    Push,
}

/// The attributes, of each kind the last one.
#[derive(Default)]
struct NshAttrs<'a> {
    base: Option<&'a OvsNshKeyBase>,
    md1: Option<&'a OvsNshKeyMd1>,
    md2: Option<&'a [u8]>,
}

impl<'a> NshAttrs<'a> {
    /// What the header says that its metadata is.
    fn mdtype(&self) -> u8 {
        self.base.map_or(0, |base| base.mdtype)
    }

    /// Takes one attribute, whose length has been checked.
    fn take(&mut self, a: Nlattr<'a>, kind: Kind, log: bool) -> Result {
        match a.ty() {
            OVS_NSH_KEY_ATTR_BASE => {
                self.base = OvsNshKeyBase::ref_from_bytes(a.payload()).ok();
            }
            OVS_NSH_KEY_ATTR_MD1 => self.md1 = OvsNshKeyMd1::ref_from_bytes(a.payload()).ok(),
            OVS_NSH_KEY_ATTR_MD2 => {
                if kind != Kind::Push {
                    // Metadata of type 2 is not matched on.
                    return Err(EINVAL);
                }
                if a.is_empty() || a.len() > NSH_CTX_HDRS_MAX_LEN {
                    nlerr!(
                        log,
                        "Invalid MD length {} for MD type {}",
                        a.len(),
                        self.mdtype()
                    );
                    return Err(EINVAL);
                }
                self.md2 = Some(a.payload());
            }
            ty => {
                nlerr!(log, "Unknown nsh attribute {}", ty);
                return Err(EINVAL);
            }
        }
        Ok(())
    }

    /// Whether the attributes make sense together. As in C, what is wrong is
    /// logged even if the request does not want that.
    fn validate(&self, kind: Kind) -> Result {
        if self.md1.is_some() && self.md2.is_some() {
            nlerr!(true, "invalid nsh attribute: md1 and md2 are exclusive.");
            return Err(EINVAL);
        }
        if kind == Kind::Match(Part::Mask) {
            return Ok(());
        }

        let mdtype = self.mdtype();
        if (self.md1.is_some() && mdtype != NSH_M_TYPE1)
            || (self.md2.is_some() && mdtype != NSH_M_TYPE2)
        {
            nlerr!(true, "nsh attribute has unmatched MD type {}.", mdtype);
            return Err(EINVAL);
        }
        if kind == Kind::Push && (self.base.is_none() || (self.md1.is_none() && self.md2.is_none()))
        {
            nlerr!(true, "push_nsh: missing base or metadata attributes");
            return Err(EINVAL);
        }
        Ok(())
    }

    /// The attributes in `attr`, checked.
    ///
    /// C: `nsh_key_put_from_nlattr()`.
    fn parse(attr: Nlattr<'a>, kind: Kind, log: bool) -> Result<Self> {
        let mut nsh = Self::default();
        let mut attrs = attr.nested();
        for a in attrs.by_ref() {
            let ty = a.ty();
            let Some(len) = nsh_attr_len(ty) else {
                nlerr!(
                    log,
                    "nsh attr {} is out of range max {}",
                    ty,
                    OVS_NSH_KEY_ATTR_MAX
                );
                return Err(EINVAL);
            };
            if let Err(expected) = len.check(a.len()) {
                nlerr!(
                    log,
                    "nsh attr {} has unexpected len {} expected {}",
                    ty,
                    a.len(),
                    expected
                );
                return Err(EINVAL);
            }
            nsh.take(a, kind, log)?;
        }

        let rem = attrs.remaining();
        if rem > 0 {
            nlerr!(log, "nsh attribute has {} unknown bytes.", rem);
            return Err(EINVAL);
        }
        nsh.validate(kind)?;
        Ok(nsh)
    }
}

/// Fills `target`, of a key or of a mask, from the attributes of a network
/// service header.
///
/// Fails with `EINVAL` if they are wrong.
///
/// C: `nsh_key_put_from_nlattr()`.
#[inline(never)]
pub(super) fn nsh_key_put_from_nlattr(
    attr: Nlattr<'_>,
    target: &mut NshKey,
    part: Part,
    log: bool,
) -> Result {
    let nsh = NshAttrs::parse(attr, Kind::Match(part), log)?;
    if let Some(base) = nsh.base {
        *target = NshKey {
            flags: base.flags,
            ttl: base.ttl,
            mdtype: base.mdtype,
            np: base.np,
            path_hdr: base.path_hdr,
            context: target.context,
        };
    }
    if let Some(md1) = nsh.md1 {
        target.context = md1.context;
    }
    Ok(())
}

/// Puts a network service header: a key's, or its mask.
///
/// C: `nsh_key_to_nlattr()`.
pub(super) fn nsh_key_to_nlattr(nsh: &NshKey, is_mask: bool, w: &mut impl AttrWriter) -> Result {
    let base = OvsNshKeyBase {
        flags: nsh.flags,
        ttl: nsh.ttl,
        mdtype: nsh.mdtype,
        np: nsh.np,
        path_hdr: nsh.path_hdr,
    };
    let nest = w.nest_start(OVS_KEY_ATTR_NSH)?;
    w.put(OVS_NSH_KEY_ATTR_BASE, base.as_bytes())?;
    if is_mask || nsh.mdtype == NSH_M_TYPE1 {
        w.put(OVS_NSH_KEY_ATTR_MD1, nsh.context.as_bytes())?;
    }
    w.nest_end(nest)
}

/// Checks an action that pushes a network service header, and makes the header
/// of it.
///
/// Fails with `EINVAL` if it is wrong, and with `ENOMEM`.
///
/// C: `validate_push_nsh()`, and `nsh_hdr_from_nlattr()`, which makes the header
/// for each packet.
#[inline(never)]
pub(super) fn validate_push_nsh(action: Nlattr<'_>, log: bool) -> Result<KBox<PushNsh>> {
    // There must be one and only one NSH header.
    let nsh_key = Nlattr::first(action.payload()).ok_or(EINVAL)?;
    if nla_total_size(nsh_key.len()) != action.len() || nsh_key.ty() != OVS_KEY_ATTR_NSH {
        return Err(EINVAL);
    }
    let nsh = NshAttrs::parse(nsh_key, Kind::Push, log)?;

    let mut raw = KVec::new();
    raw.extend_from_slice(action.payload(), GFP_KERNEL)?;
    let mut push = KBox::new(
        PushNsh {
            header: NshHdr::zeroed(),
            raw,
        },
        GFP_KERNEL,
    )?;
    let base = nsh.base.ok_or(EINVAL)?;
    push.header
        .set_base(base.flags, base.ttl, base.mdtype, base.path_hdr);
    let metadata = match (nsh.md1, nsh.md2) {
        (Some(md1), _) => md1.as_bytes(),
        (None, Some(md2)) => md2,
        (None, None) => return Err(EINVAL),
    };
    push.header.set_metadata(metadata)?;
    Ok(push)
}

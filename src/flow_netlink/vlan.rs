// SPDX-License-Identifier: GPL-2.0

//! VLAN tags in netlink: each tag is an Ethernet type, a tag control
//! information and an encapsulation that holds the rest of the key.

use super::{
    key_attrs::{
        KeyAttrs,
        Part, //
    },
    nlerr,
    uapi::*, //
};
use crate::flow::key::{
    SwFlowKey,
    VlanHead, //
};
use kernel::prelude::*;

/// Which tag.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tag {
    Outer,
    Inner,
}

impl Tag {
    fn name(self) -> &'static str {
        match self {
            Tag::Outer => "VLAN",
            Tag::Inner => "C-VLAN",
        }
    }

    fn of(self, key: &SwFlowKey) -> &VlanHead {
        match self {
            Tag::Outer => &key.vlan,
            Tag::Inner => &key.cvlan,
        }
    }

    fn of_mut(self, key: &mut SwFlowKey) -> &mut VlanHead {
        match self {
            Tag::Outer => &mut key.vlan,
            Tag::Inner => &mut key.cvlan,
        }
    }
}

/// Whether the key has this tag.
fn has_cfi(head: &VlanHead) -> bool {
    head.tci.get() & VLAN_CFI_MASK != 0
}

/// Whether the attributes have a tag.
///
/// C: `validate_vlan_from_nlattrs()`.
fn validate_vlan_from_nlattrs(a: &KeyAttrs<'_>, tag: Tag, log: bool) -> Result<bool> {
    if !(a.has(OVS_KEY_ATTR_ETHERNET)
        && a.has(OVS_KEY_ATTR_ETHERTYPE)
        && a.last_be16(OVS_KEY_ATTR_ETHERTYPE)
            .is_some_and(eth_type_vlan))
    {
        // Not a VLAN.
        return Ok(false);
    }

    if !(a.has(OVS_KEY_ATTR_VLAN) && a.has(OVS_KEY_ATTR_ENCAP)) {
        nlerr!(log, "Invalid {} frame", tag.name());
        return Err(EINVAL);
    }

    let tci = a.last_be16(OVS_KEY_ATTR_VLAN).unwrap_or(0);
    if tci & VLAN_CFI_MASK == 0 {
        if tci != 0 {
            nlerr!(
                log,
                "{} TCI does not have VLAN_CFI_MASK bit set.",
                tag.name()
            );
            return Err(EINVAL);
        }
        if a.last(OVS_KEY_ATTR_ENCAP)
            .is_some_and(|encap| !encap.is_empty())
        {
            // Corner case for truncated VLAN header.
            nlerr!(
                log,
                "Truncated {} header has non-zero encap attribute.",
                tag.name()
            );
            return Err(EINVAL);
        }
    }

    Ok(true)
}

/// Whether the mask's attributes have a tag.
///
/// C: `validate_vlan_mask_from_nlattrs()`.
fn validate_vlan_mask_from_nlattrs(
    a: &KeyAttrs<'_>,
    key: &SwFlowKey,
    tag: Tag,
    log: bool,
) -> Result<bool> {
    if !a.has(OVS_KEY_ATTR_ENCAP) {
        // Not a VLAN.
        return Ok(false);
    }

    if !has_cfi(tag.of(key)) {
        nlerr!(
            log,
            "Encap mask attribute is set for non-{} frame.",
            tag.name()
        );
        return Err(EINVAL);
    }

    let tci = a.last_be16(OVS_KEY_ATTR_VLAN).unwrap_or(0);
    let tpid = a.last_be16(OVS_KEY_ATTR_ETHERTYPE).unwrap_or(0);

    if tpid != 0xffff {
        nlerr!(
            log,
            "Must have an exact match on {} TPID (mask={:x}).",
            tag.name(),
            tpid
        );
        return Err(EINVAL);
    }
    if tci & VLAN_CFI_MASK == 0 {
        nlerr!(
            log,
            "{} TCI mask does not have exact match for VLAN_CFI_MASK bit.",
            tag.name()
        );
        return Err(EINVAL);
    }

    Ok(true)
}

/// Takes one tag, and replaces its attributes with those of its encapsulation.
/// Returns whether there was one that the key has too: a key's own, or a
/// mask's.
///
/// C: `__parse_vlan_from_nlattrs()` and `encode_vlan_from_nlattrs()`.
fn parse_one_vlan(
    target: &mut SwFlowKey,
    mask_of: Option<&SwFlowKey>,
    a: &mut KeyAttrs<'_>,
    tag: Tag,
    log: bool,
) -> Result {
    let (tagged, part) = match mask_of {
        None => (validate_vlan_from_nlattrs(a, tag, log)?, Part::Key),
        Some(key) => (
            validate_vlan_mask_from_nlattrs(a, key, tag, log)?,
            Part::Mask,
        ),
    };
    if !tagged {
        return Ok(());
    }

    *tag.of_mut(target) = VlanHead {
        tpid: a.last_be16(OVS_KEY_ATTR_ETHERTYPE).unwrap_or(0).into(),
        tci: a.last_be16(OVS_KEY_ATTR_VLAN).unwrap_or(0).into(),
    };

    a.remove(OVS_KEY_ATTR_ENCAP);
    a.remove(OVS_KEY_ATTR_VLAN);
    a.remove(OVS_KEY_ATTR_ETHERTYPE);

    match a.last(OVS_KEY_ATTR_ENCAP) {
        Some(encap) => a.parse(encap.nested(), part, log),
        None => Err(EINVAL),
    }
}

/// Takes up to two tags from the attributes into `target`: a key, or the mask
/// of the key that `mask_of` is.
///
/// C: `parse_vlan_from_nlattrs()`.
pub(super) fn parse_vlan_from_nlattrs(
    target: &mut SwFlowKey,
    mask_of: Option<&SwFlowKey>,
    a: &mut KeyAttrs<'_>,
    log: bool,
) -> Result {
    parse_one_vlan(target, mask_of, a, Tag::Outer, log)?;
    if has_cfi(&mask_of.unwrap_or(target).vlan) {
        parse_one_vlan(target, mask_of, a, Tag::Inner, log)?;
    }
    Ok(())
}

// SPDX-License-Identifier: GPL-2.0

//! Generic netlink families: commands, dumps, policies and notifications.
//!
//! A family is a `static` made by [`Family::new`] in a constant expression, of
//! a policy table ([`NlaPolicy`]), a table of commands ([`SmallOp`]) and multicast
//! groups ([`MulticastGroup`]). [`Family::register`] makes it visible; dropping
//! the [`Registration`] that this returns takes it back.
//!
//! The kernel crate's own `netlink::Family` has neither commands nor policies
//! and cannot be extended from outside; upstream, this is the extension.
//!
//! C header: [`include/net/genetlink.h`](srctree/include/net/genetlink.h)

use kernel::{
    error::to_result,
    prelude::*,
    types::Opaque, //
};

use crate::{
    bindings,
    net::{
        namespace::Net,
        netlink::NlaPolicy, //
    },
};

mod dump;
mod info;
mod msg;
mod ops;

pub use self::{
    dump::Dump,
    info::GenlInfo,
    msg::{
        genlmsg_unicast,
        netlink_set_err,
        GenlHdr,
        GenlMark, //
    },
    ops::{
        Doit,
        Dumpit,
        SmallOp, //
    }, //
};

/// The largest name of a family or group, with its NUL.
const GENL_NAMSIZ: usize = bindings::GENL_NAMSIZ as usize;

/// A message is one part of a dump (`NLM_F_MULTI`).
pub const NLM_F_MULTI: u16 = bindings::NLM_F_MULTI as u16;
/// The sender wants the notification too (`NLM_F_ECHO`).
pub const NLM_F_ECHO: u16 = bindings::NLM_F_ECHO as u16;
/// Do not touch what exists (`NLM_F_EXCL`).
pub const NLM_F_EXCL: u16 = bindings::NLM_F_EXCL as u16;
/// Create what does not exist (`NLM_F_CREATE`).
pub const NLM_F_CREATE: u16 = bindings::NLM_F_CREATE as u16;

/// What a [`Family`] is made of.
///
/// C: the fields of `struct genl_family` that a family sets.
pub struct FamilyDef {
    /// The module that a running dump holds.
    pub module: &'static ThisModule,
    /// The name with its NUL, as bindgen gives `*_FAMILY` constants.
    pub name: &'static [u8],
    /// The version that userspace is told.
    pub version: u32,
    /// Bytes of the header between `struct genlmsghdr` and the attributes.
    pub hdrsize: u32,
    /// One entry for each attribute from 0 to the largest.
    pub policy: &'static [NlaPolicy],
    /// The commands.
    pub small_ops: &'static [SmallOp],
    /// The multicast groups.
    pub mcgrps: &'static [MulticastGroup],
    /// The first command for which reserved header fields are checked.
    pub resv_start_op: u8,
    /// The family exists in every network namespace.
    pub netnsok: bool,
    /// Commands run without the lock of generic netlink.
    pub parallel_ops: bool,
}

/// A generic netlink family.
///
/// # Invariants
///
/// All pointers in the `genl_family` are null or come from `'static`
/// references; `policy` has `maxattr + 1` entries; no `ops` or `split_ops`
/// exist, hence every command has the family's policy. `id`, `mcgrp_offset` and
/// `sock_privs` are written only by generic netlink, within
/// `genl_register_family`.
#[repr(transparent)]
pub struct Family {
    inner: Opaque<bindings::genl_family>,
}

// SAFETY: After registration, nothing in it is written, and generic netlink
// serialises registrations.
unsafe impl Sync for Family {}

impl Family {
    /// Makes a family, in a constant expression: an argument that does not fit
    /// is a build error.
    pub const fn new(def: FamilyDef) -> Family {
        let mut family: bindings::genl_family = pin_init::zeroed();

        assert!(def.name.len() <= GENL_NAMSIZ, "family name too long");
        assert!(
            CStr::from_bytes_with_nul(def.name).is_ok(),
            "family name without NUL"
        );
        let mut i = 0;
        while i < def.name.len() {
            family.name[i] = def.name[i];
            i += 1;
        }

        assert!(!def.policy.is_empty(), "empty policy");
        assert!(def.small_ops.len() <= u8::MAX as usize, "too many commands");
        assert!(def.mcgrps.len() <= u8::MAX as usize, "too many groups");

        family.hdrsize = def.hdrsize;
        family.version = def.version;
        family.maxattr = def.policy.len() as u32 - 1;
        family.policy = NlaPolicy::as_raw(def.policy);
        family.small_ops = def.small_ops.as_ptr().cast();
        family.n_small_ops = def.small_ops.len() as u8;
        family.mcgrps = def.mcgrps.as_ptr().cast();
        family.n_mcgrps = def.mcgrps.len() as u8;
        family.resv_start_op = def.resv_start_op;
        family.module = def.module.as_ptr();
        family._bitfield_1 = flags(def.netnsok, def.parallel_ops);

        // INVARIANT: Everything came from `'static` references, `maxattr` is
        // the length of the policy less one, and nothing else is set.
        Family {
            inner: Opaque::new(family),
        }
    }

    /// Makes the family visible until the returned object is dropped.
    ///
    /// # Errors
    ///
    /// `EEXIST` if there is a family of this name, `ENOMEM`, `EINVAL`.
    ///
    /// # Context
    ///
    /// May sleep. Commands may run before this returns.
    pub fn register(&'static self) -> Result<Registration> {
        // SAFETY: By the type invariant this is a complete family, and it
        // lives for ever.
        to_result(unsafe { bindings::genl_register_family(self.as_raw()) })?;
        // INVARIANT: It has just been registered.
        Ok(Registration { family: self })
    }

    /// Whether a socket listens to one of the family's groups in `net`.
    ///
    /// C: `genl_has_listeners()`.
    #[inline]
    pub fn has_listeners(&self, net: &Net, group: u32) -> bool {
        // SAFETY: Both pointers come from references. The function reads only.
        unsafe { bindings::genl_has_listeners(self.as_raw(), net.as_raw(), group) != 0 }
    }

    /// Bytes of the header between `struct genlmsghdr` and the attributes.
    fn hdrsize(&self) -> usize {
        // SAFETY: It is valid, and nobody writes this field.
        unsafe { (*self.as_raw()).hdrsize as usize }
    }

    /// The `genl_family`.
    pub(crate) const fn as_raw(&self) -> *mut bindings::genl_family {
        self.inner.get()
    }
}

pub(crate) type BitfieldUnit = kernel::bindings::__BindgenBitfieldUnit<[u8; 1]>;

/// The bit field of `struct genl_family`, which bindgen's setters cannot make
/// in a constant expression. A KUnit test checks it against them.
pub(crate) const fn flags(netnsok: bool, parallel_ops: bool) -> BitfieldUnit {
    let bits = u8::from_le((netnsok as u8) | ((parallel_ops as u8) << 1));

    BitfieldUnit::new([bits])
}

/// A registered family; dropping it unregisters the family, after which no
/// command of it runs.
///
/// # Invariants
///
/// The family is registered and this is its only registration.
#[must_use = "dropping it unregisters the family"]
pub struct Registration {
    family: &'static Family,
}

impl Drop for Registration {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the family is registered, and nobody
        // else unregisters it.
        unsafe { bindings::genl_unregister_family(self.family.as_raw()) };
    }
}

/// A multicast group of a family.
#[repr(transparent)]
pub struct MulticastGroup(bindings::genl_multicast_group);

impl MulticastGroup {
    /// Makes a group of this name, which ends with its NUL, as bindgen gives
    /// `*_MCGROUP` constants. For constant expressions.
    pub const fn new(name: &'static [u8]) -> MulticastGroup {
        let mut group: bindings::genl_multicast_group = pin_init::zeroed();

        assert!(name.len() <= GENL_NAMSIZ, "group name too long");
        assert!(
            CStr::from_bytes_with_nul(name).is_ok(),
            "group name without NUL"
        );
        let mut i = 0;
        while i < name.len() {
            group.name[i] = name[i];
            i += 1;
        }
        MulticastGroup(group)
    }
}

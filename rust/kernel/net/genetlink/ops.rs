// SPDX-License-Identifier: GPL-2.0

//! The commands of a family.

use core::ptr::NonNull;

use kernel::{
    error::from_result,
    prelude::*, //
};

use crate::{
    bindings,
    net::netlink::AttrWriter, //
};

use super::{
    Dump,
    GenlInfo, //
};

/// What a command does.
pub trait Doit {
    /// Runs the command.
    ///
    /// C: `doit` of `struct genl_small_ops`.
    ///
    /// # Errors
    ///
    /// What it returns is what userspace is told.
    ///
    /// # Context
    ///
    /// Process context, may sleep. With `parallel_ops`, nothing serialises it.
    fn doit(info: &GenlInfo<'_>) -> Result;
}

/// What a dump gives.
pub trait Dumpit {
    /// Puts as many messages as fit. It is called again, with the arguments
    /// that it left, until it puts none.
    ///
    /// C: `dumpit` of `struct genl_small_ops`.
    ///
    /// # Errors
    ///
    /// An error ends the dump.
    ///
    /// # Context
    ///
    /// Process context, may sleep.
    fn dumpit(dump: &mut Dump<'_>) -> Result;
}

/// A command of a family.
///
/// # Invariants
///
/// The callbacks are null or those of this file.
#[repr(transparent)]
pub struct SmallOp(bindings::genl_small_ops);

impl SmallOp {
    /// A command that neither does nor dumps anything yet, of lenient
    /// validation (`GENL_DONT_VALIDATE_STRICT | GENL_DONT_VALIDATE_DUMP`), as
    /// commands older than strict validation have.
    pub const fn new(cmd: u32) -> SmallOp {
        let mut op: bindings::genl_small_ops = pin_init::zeroed();

        assert!(cmd <= u8::MAX as u32, "command out of range");
        op.cmd = cmd as u8;
        op.validate = (bindings::genl_validate_flags_GENL_DONT_VALIDATE_STRICT
            | bindings::genl_validate_flags_GENL_DONT_VALIDATE_DUMP) as u8;
        // INVARIANT: Both callbacks are null.
        SmallOp(op)
    }

    /// A command that neither does nor dumps anything yet, of strict
    /// validation, also of dumps: unknown attributes are errors, and a dump has
    /// its attributes parsed.
    pub const fn strict(cmd: u32) -> SmallOp {
        let mut op = SmallOp::new(cmd);

        op.0.validate = 0;
        op
    }

    /// The sender needs `CAP_NET_ADMIN` in the user namespace that owns the
    /// network namespace (`GENL_UNS_ADMIN_PERM`); `EPERM` otherwise.
    pub const fn uns_admin_perm(mut self) -> SmallOp {
        self.0.flags |= bindings::GENL_UNS_ADMIN_PERM as u8;
        self
    }

    /// Sets what the command does.
    pub const fn doit<T: Doit>(mut self) -> SmallOp {
        self.0.doit = Some(doit_callback::<T>);
        // INVARIANT: It is one of this file.
        self
    }

    /// Sets what a dump (`NLM_F_DUMP`) gives.
    pub const fn dumpit<T: Dumpit>(mut self) -> SmallOp {
        self.0.dumpit = Some(dumpit_callback::<T>);
        // INVARIANT: It is one of this file.
        self
    }
}

/// # Safety
///
/// Generic netlink calls it as the `doit` of a command of a
/// [`super::Family`].
unsafe extern "C" fn doit_callback<T: Doit>(
    _skb: *mut bindings::sk_buff,
    info: *mut bindings::genl_info,
) -> kernel::ffi::c_int {
    from_result(|| {
        // SAFETY: By the function's requirements `info` is valid during the
        // call and its family is a `Family`.
        let info = unsafe { GenlInfo::from_raw(info) };

        T::doit(&info).map(|()| 0)
    })
}

/// # Safety
///
/// Generic netlink calls it as the `dumpit` of a command of a
/// [`super::Family`].
unsafe extern "C" fn dumpit_callback<T: Dumpit>(
    skb: *mut bindings::sk_buff,
    cb: *mut bindings::netlink_callback,
) -> kernel::ffi::c_int {
    from_result(|| {
        let skb = NonNull::new(skb).ok_or(EINVAL)?;
        let cb = NonNull::new(cb).ok_or(EINVAL)?;
        // SAFETY: By the function's requirements both are valid during the call
        // and not used by others, and the family is a `Family`.
        let mut dump = unsafe { Dump::from_raw(skb, cb) };

        T::dumpit(&mut dump)?;
        // A dump goes on for as long as this is not 0.
        Ok(dump.msg().len() as kernel::ffi::c_int)
    })
}

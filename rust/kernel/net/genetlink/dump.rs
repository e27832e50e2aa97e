// SPDX-License-Identifier: GPL-2.0

//! What a dump is told, and the buffer that it fills.

use core::ptr::NonNull;

use crate::{
    bindings,
    net::netlink::MsgBuf, //
};

use super::GenlInfo;

/// One call of a dump.
///
/// C: `struct netlink_callback` and the buffer to fill.
///
/// # Invariants
///
/// `cb` points to the callback of a dump of a [`super::Family`] and `msg` is the
/// buffer that this call fills; both are valid for `'a` and used by nobody else
/// meanwhile.
pub struct Dump<'a> {
    cb: NonNull<bindings::netlink_callback>,
    msg: MsgBuf<'a>,
}

impl<'a> Dump<'a> {
    /// How many numbers a dump keeps.
    pub const ARGS: usize = 6;

    /// # Safety
    ///
    /// Both pointers must be as the type's invariants say. The buffer is empty.
    pub(super) unsafe fn from_raw(
        skb: NonNull<bindings::sk_buff>,
        cb: NonNull<bindings::netlink_callback>,
    ) -> Self {
        // SAFETY: It is valid and used by nobody else by the function's safety
        // requirements, and has no data that were not initialised.
        let msg = unsafe { MsgBuf::from_raw(skb) };
        // INVARIANT: The function's safety requirements.
        Dump { cb, msg }
    }

    /// The request that started the dump.
    ///
    /// C: `genl_info_dump()`.
    pub fn info(&self) -> GenlInfo<'a> {
        // SAFETY: Generic netlink keeps a `genl_dumpit_info` here for as long
        // as the dump, whose `info` is as `GenlInfo` wants it.
        unsafe {
            let info = (*self.cb.as_ptr())
                .data
                .cast::<bindings::genl_dumpit_info>();

            GenlInfo::from_raw(&raw mut (*info).info)
        }
    }

    /// One of the numbers that the dump keeps from call to call, 0 at first.
    /// There are [`Self::ARGS`]; beyond, it is 0.
    ///
    /// C: `cb->args[i]`.
    pub fn arg(&self, i: usize) -> isize {
        // SAFETY: The callback is valid, and any bits are an integer.
        let args = unsafe { &(*self.cb.as_ptr()).__bindgen_anon_1.args };

        args.get(i).copied().unwrap_or(0)
    }

    /// Sets one of the numbers that the dump keeps from call to call.
    pub fn set_arg(&mut self, i: usize, value: isize) {
        // SAFETY: The callback is valid and not used by others.
        let args = unsafe { &mut (*self.cb.as_ptr()).__bindgen_anon_1.args };

        if let Some(arg) = args.get_mut(i) {
            *arg = value;
        }
    }

    /// The buffer to fill.
    pub fn msg(&mut self) -> &mut MsgBuf<'a> {
        &mut self.msg
    }
}

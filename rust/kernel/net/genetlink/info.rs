// SPDX-License-Identifier: GPL-2.0

//! What a command is told.

use core::marker::PhantomData;

use kernel::{
    alloc::Flags,
    prelude::*, //
};

use crate::{
    bindings,
    gfp, //
};

use crate::net::{
    namespace::Net,
    netlink::{
        NlMsg,
        Nlattr, //
    },
};

use super::{
    msg::genlmsg_unicast,
    Family,
    NLM_F_ECHO, //
};

/// Headers take multiples of this many bytes.
const NLMSG_ALIGNTO: usize = bindings::NLMSG_ALIGNTO as usize;

/// The request that a command runs for.
///
/// C: `struct genl_info`.
///
/// # Invariants
///
/// `info` points to a `genl_info` that generic netlink made for a request to a
/// [`Family`]: it stays valid and is written by nobody else for `'a`; its
/// header is followed by `hdrsize` bytes; `attrs` is null or has an entry, null
/// or a valid attribute of the request, for each attribute type up to the
/// family's `maxattr`.
pub struct GenlInfo<'a> {
    info: *mut bindings::genl_info,
    _request: PhantomData<&'a bindings::genl_info>,
}

impl<'a> GenlInfo<'a> {
    /// # Safety
    ///
    /// `info` must be as the type's invariants say.
    pub(super) unsafe fn from_raw(info: *mut bindings::genl_info) -> Self {
        // INVARIANT: The function's safety requirements.
        GenlInfo {
            info,
            _request: PhantomData,
        }
    }

    fn info(&self) -> &bindings::genl_info {
        // SAFETY: It is valid and not written by the type invariant.
        unsafe { &*self.info }
    }

    /// The attribute of this type, if the request has it; of several, the
    /// last. It has passed the family's policy.
    ///
    /// C: `info->attrs[ty]`.
    #[inline]
    pub fn attr(&self, ty: u32) -> Option<Nlattr<'a>> {
        let info = self.info();

        // SAFETY: The family of a request is valid by the type invariant.
        if info.attrs.is_null() || ty > unsafe { (*info.family).maxattr } {
            return None;
        }
        // SAFETY: By the type invariant there is an entry for each type up to
        // `maxattr`.
        let attr = unsafe { *info.attrs.add(ty as usize) };
        if attr.is_null() {
            return None;
        }
        // SAFETY: It is a valid attribute of the request, which lives for `'a`;
        // its length covers the header and is within the request.
        let bytes =
            unsafe { core::slice::from_raw_parts(attr.cast::<u8>(), (*attr).nla_len.into()) };
        Nlattr::first(bytes)
    }

    /// The header that the family has between generic netlink's header and the
    /// attributes: as many bytes as the family's `hdrsize`.
    ///
    /// C: `genl_info_userhdr()`.
    #[inline]
    pub fn userhdr(&self) -> &'a [u8] {
        let info = self.info();

        // SAFETY: Generic netlink has checked that the message is long enough
        // for the header, and the family is valid by the type invariant.
        unsafe {
            core::slice::from_raw_parts(
                info.genlhdr.add(1).cast::<u8>(),
                (*info.family).hdrsize as usize,
            )
        }
    }

    /// The bytes of the attributes, for a command whose attributes generic
    /// netlink does not parse: a dump of lenient validation.
    ///
    /// C: `genlmsg_parse_deprecated()` reads these.
    pub fn attr_bytes(&self) -> &'a [u8] {
        let info = self.info();
        // SAFETY: The message of a request is valid for `nlmsg_len` bytes from
        // its header on, and lives for `'a`.
        let msg = unsafe {
            core::slice::from_raw_parts(info.nlhdr.cast::<u8>(), (*info.nlhdr).nlmsg_len as usize)
        };
        // SAFETY: The family of a request is valid by the type invariant.
        let hdrsize = unsafe { (*info.family).hdrsize } as usize;
        let hdrlen = size_of::<bindings::nlmsghdr>() + size_of::<bindings::genlmsghdr>();

        msg.get(hdrlen.saturating_add(hdrsize.next_multiple_of(NLMSG_ALIGNTO))..)
            .unwrap_or_default()
    }

    /// The network namespace of the socket that sent the request.
    #[inline]
    pub fn net(&self) -> &'a Net {
        // SAFETY: A request's socket holds its namespace.
        unsafe { Net::from_raw(self.info()._net.net) }
    }

    /// The port id of the sender.
    #[inline]
    pub fn snd_portid(&self) -> u32 {
        self.info().snd_portid
    }

    /// The sequence number of the request.
    #[inline]
    pub fn snd_seq(&self) -> u32 {
        self.info().snd_seq
    }

    /// The flags of the request (`NLM_F_*`).
    #[inline]
    pub fn nlmsg_flags(&self) -> u16 {
        // SAFETY: A request has a header by the type invariant.
        unsafe { (*self.info().nlhdr).nlmsg_flags }
    }

    /// The version that the sender wrote in generic netlink's header.
    #[inline]
    pub fn version(&self) -> u8 {
        // SAFETY: A request has a header by the type invariant.
        unsafe { (*self.info().genlhdr).version }
    }

    /// Whether a notification of group `group` would reach anyone: a listener,
    /// or the sender if it asked for it.
    #[inline]
    pub fn must_notify(&self, family: &Family, group: u32) -> bool {
        self.nlmsg_flags() & NLM_F_ECHO != 0 || family.has_listeners(self.net(), group)
    }

    /// Sends a notification to group `group`, and to the sender if it asked
    /// for it.
    ///
    /// C: `genl_notify()`.
    pub fn notify(&self, family: &Family, msg: NlMsg, group: u32, flags: Flags) {
        // SAFETY: All pointers are valid; the message is given away, and the
        // request is only read.
        unsafe {
            bindings::genl_notify(
                family.as_raw(),
                msg.into_raw().as_ptr(),
                self.info,
                group,
                gfp::as_raw(flags),
            )
        };
    }

    /// Answers the request.
    ///
    /// C: `genlmsg_reply()`.
    ///
    /// # Errors
    ///
    /// `ECONNREFUSED` if the sender has gone, `EAGAIN` if its queue is full.
    pub fn reply(&self, msg: NlMsg) -> Result {
        genlmsg_unicast(self.net(), msg, self.snd_portid())
    }

    /// Sets the text of the extended acknowledgment.
    ///
    /// C: `NL_SET_ERR_MSG()`.
    pub fn set_err_msg(&self, msg: &'static CStr) {
        // SAFETY: The extended ack is null or valid during the request, in
        // which only its command writes it; the text lives for ever.
        unsafe {
            bindings::do_trace_netlink_extack(msg.as_char_ptr());
            if let Some(extack) = self.info().extack.as_mut() {
                extack._msg = msg.as_char_ptr();
            }
        }
    }
}

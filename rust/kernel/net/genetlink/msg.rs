// SPDX-License-Identifier: GPL-2.0

//! Generic netlink messages: building and sending them.

use kernel::{
    alloc::Flags,
    error::to_result,
    prelude::*, //
};

use crate::{
    bindings,
    gfp, //
};

use crate::net::{
    namespace::Net,
    netlink::{
        AttrWriter,
        MsgBuf,
        NlMsg, //
    },
};

use super::Family;

/// Where a message begins in a buffer. Goes back to [`MsgBuf::genlmsg_end`] or
/// [`MsgBuf::genlmsg_cancel`].
#[must_use = "a message needs its end"]
#[derive(Debug)]
pub struct GenlMark(usize);

/// What a message's headers say.
#[derive(Clone, Copy)]
pub struct GenlHdr {
    /// The port id of the receiver, or of whoever caused a notification.
    pub portid: u32,
    /// The sequence number of the request, or 0.
    pub seq: u32,
    /// `NLM_F_*`.
    pub flags: u16,
    /// The command.
    pub cmd: u8,
}

impl MsgBuf<'_> {
    /// Begins a message: puts the headers, the last of which is `userhdr`. If
    /// it is shorter than the family's header, zeroes follow.
    ///
    /// C: `genlmsg_put()`.
    ///
    /// # Errors
    ///
    /// `EMSGSIZE` if the headers do not fit; `EINVAL` if `userhdr` is longer
    /// than the family's header. Then nothing was put.
    pub fn genlmsg_put(
        &mut self,
        family: &Family,
        hdr: GenlHdr,
        userhdr: &[u8],
    ) -> Result<GenlMark> {
        let mark = GenlMark(self.len());
        let hdrsize = family.hdrsize();

        if userhdr.len() > hdrsize {
            return Err(EINVAL);
        }
        // SAFETY: Both pointers are valid. The function checks that there is
        // room.
        let to = unsafe {
            bindings::genlmsg_put(
                self.as_raw(),
                hdr.portid,
                hdr.seq,
                family.as_raw(),
                hdr.flags.into(),
                hdr.cmd,
            )
        }
        .cast::<u8>();
        if to.is_null() {
            return Err(EMSGSIZE);
        }
        // SAFETY: The function has made room for `hdrsize` bytes there, and
        // `userhdr` is not longer.
        unsafe {
            to.write_bytes(0, hdrsize);
            to.copy_from_nonoverlapping(userhdr.as_ptr(), userhdr.len());
        }
        Ok(mark)
    }

    /// Ends a message: sets its length to all that has been put since.
    ///
    /// C: `genlmsg_end()`.
    pub fn genlmsg_end(&mut self, mark: GenlMark) {
        let len = self.len().saturating_sub(mark.0) as u32;
        let field = self
            .linear_mut()
            .get_mut(mark.0..)
            .and_then(|msg| msg.first_chunk_mut());

        if let Some(field) = field {
            *field = len.to_ne_bytes();
        }
    }

    /// Gives up a message: takes all that has been put since out of the buffer.
    ///
    /// C: `genlmsg_cancel()`.
    pub fn genlmsg_cancel(&mut self, mark: GenlMark) {
        self.trim(mark.0);
    }

    /// Puts a whole message, whose attributes `fill` puts, or nothing if that
    /// fails.
    ///
    /// # Errors
    ///
    /// Those of [`Self::genlmsg_put`] and of `fill`.
    pub fn genlmsg(
        &mut self,
        family: &Family,
        hdr: GenlHdr,
        userhdr: &[u8],
        fill: impl FnOnce(&mut Self) -> Result,
    ) -> Result {
        let mark = self.genlmsg_put(family, hdr, userhdr)?;

        match fill(self) {
            Ok(()) => {
                self.genlmsg_end(mark);
                Ok(())
            }
            Err(err) => {
                self.genlmsg_cancel(mark);
                Err(err)
            }
        }
    }
}

impl Family {
    /// The number that netlink gives to one of the family's groups, if it has
    /// that group.
    fn mcgrp(&self, group: u32) -> Option<u32> {
        // SAFETY: The family is valid, and its numbers are not written after
        // registration.
        let family = unsafe { &*self.as_raw() };

        (group < family.n_mcgrps.into()).then(|| family.mcgrp_offset.wrapping_add(group))
    }

    /// Sends a message to those who listen to one of the family's groups in
    /// `net`, but not to `portid`.
    ///
    /// C: `genlmsg_multicast_netns()`.
    ///
    /// # Errors
    ///
    /// `ESRCH` if nobody listens, `ENOBUFS` if a listener lost it, `EINVAL` if
    /// the family has no such group.
    pub fn multicast(
        &self,
        net: &Net,
        msg: NlMsg,
        portid: u32,
        group: u32,
        flags: Flags,
    ) -> Result {
        let group = self.mcgrp(group).ok_or(EINVAL)?;
        let skb = msg.into_raw().as_ptr();

        // SAFETY: A namespace has its generic netlink socket for as long as
        // modules can see it. The control block of a netlink message is a
        // `netlink_skb_parms`. The message is given away. The result may be a
        // positive number, which is none.
        let err = unsafe {
            (*(&raw mut (*skb).cb).cast::<bindings::netlink_skb_parms>()).dst_group = group;
            bindings::netlink_broadcast(
                (*net.as_raw()).genl_sock,
                skb,
                portid,
                group,
                gfp::as_raw(flags),
            )
        };
        to_result(err)
    }

    /// Tells those who listen to one of the family's groups in `net`, except
    /// `portid`, that a message was lost.
    ///
    /// C: `genl_set_err()`.
    pub fn set_err(&self, net: &Net, portid: u32, group: u32, err: Error) {
        if let Some(group) = self.mcgrp(group) {
            netlink_set_err(net, portid, group, err);
        }
    }
}

/// Sends a message to a port id in `net`, without waiting for room in its
/// queue.
///
/// C: `genlmsg_unicast()`.
///
/// # Errors
///
/// `ECONNREFUSED` if no socket has the port id, `EAGAIN` if its queue is full.
pub fn genlmsg_unicast(net: &Net, msg: NlMsg, portid: u32) -> Result {
    // SAFETY: A namespace has its generic netlink socket for as long as modules
    // can see it; the message is given away. The result is the message's length
    // or an error.
    to_result(unsafe {
        bindings::netlink_unicast(
            (*net.as_raw()).genl_sock,
            msg.into_raw().as_ptr(),
            portid,
            bindings::MSG_DONTWAIT as kernel::ffi::c_int,
        )
    })
}

/// Tells those who listen to the netlink group of this number, not counted
/// within a family, in `net` that a message was lost.
///
/// C: `netlink_set_err()` on the namespace's generic netlink socket.
pub fn netlink_set_err(net: &Net, portid: u32, group: u32, err: Error) {
    // SAFETY: A namespace has its generic netlink socket for as long as modules
    // can see it. The result is how many listeners do not want to be told.
    unsafe { bindings::netlink_set_err((*net.as_raw()).genl_sock, portid, group, err.to_errno()) };
}

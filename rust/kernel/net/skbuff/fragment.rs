// SPDX-License-Identifier: GPL-2.0

//! IP fragmentation of packets that have a link layer header.
//!
//! C header: [`include/net/ip.h`](srctree/include/net/ip.h)

use super::SkBuff;
use crate::{
    bindings,
    net::{
        dropreason::DropReason,
        namespace::Net,
        netdevice::NetDevice, //
    },
    sync::rcu::RcuRead,
};
use core::{
    ffi::{
        c_int,
        c_void, //
    },
    ptr::NonNull,
};

/// The longest link layer header that can be repeated for each fragment: that
/// of Ethernet with a VLAN tag and three MPLS labels. C: `MAX_L2_LEN`.
pub const MAX_L2_LEN: usize = 30;

/// The length of an IPv4 header without options. C: `sizeof(struct iphdr)`.
const IPV4_HLEN: usize = 20;
/// The length of an IPv6 header. C: `sizeof(struct ipv6hdr)`.
const IPV6_HLEN: usize = 40;

/// Which protocol's fragments are made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum FragmentProtocol {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

/// What fragments are made of.
#[derive(Clone, Copy)]
pub struct FragmentOf {
    /// The protocol of the network header.
    pub protocol: FragmentProtocol,
    /// Where the MPLS label stack is, if there is one between the MAC header and
    /// the network header. Each fragment has it as its network header, and the
    /// other one as the inner one.
    pub mpls_offset: Option<usize>,
}

/// What every fragment of a packet gets of it.
struct FragmentData<'a> {
    refdst: usize,
    cb: [u64; 6],
    inner_protocol: u16,
    vlan_all: u32,
    mpls_offset: Option<usize>,
    l2: &'a [u8],
    output: &'a mut dyn FnMut(SkBuff),
}

impl SkBuff {
    /// Cuts an IP packet, whose network header is behind a link layer header of
    /// at most [`MAX_L2_LEN`] bytes, into fragments of at most `mru` bytes and
    /// the MTU of `dev`, and gives them to `output` in order, each with the link
    /// layer header, the control block and the VLAN tag of the packet.
    ///
    /// Packets that cannot be fragmented are dropped, the sender is not told;
    /// with [`DropReason::IP_INHDR`] where the network header is not that of
    /// `protocol`.
    ///
    /// C: `ovs_fragment()` and `ovs_vport_output()`, which are built of
    /// `ip_do_fragment()` and `ip6_fragment()`.
    pub fn fragment(
        mut self,
        net: &Net,
        dev: &NetDevice,
        of: FragmentOf,
        mru: u16,
        _rcu: RcuRead<'_>,
        output: &mut dyn FnMut(SkBuff),
    ) {
        // C looks at a header that the IP layer has checked. Nothing has here:
        // the packet may end before its network header does.
        let FragmentOf {
            protocol,
            mpls_offset,
        } = of;
        let Some(l2_len) = self.checked_l2_len(protocol) else {
            return self.free(DropReason::IP_INHDR);
        };
        let mut l2_data = [0; MAX_L2_LEN];
        let (Some(l2), Some(header)) = (l2_data.get_mut(..l2_len), self.data().get(..l2_len))
        else {
            return self.free(DropReason::IP_INHDR);
        };
        l2.copy_from_slice(header);

        let skb = self.as_ptr();
        // SAFETY: The socket buffer is valid and nobody else's.
        let refdst = unsafe { (*skb).__bindgen_anon_3.__bindgen_anon_1._skb_refdst };
        // SAFETY: Each view of the union is an integer.
        let vlan_all = unsafe { self.headers().__bindgen_anon_2.vlan_all };
        // SAFETY: As above.
        let inner_protocol = unsafe { self.headers().__bindgen_anon_5.inner_protocol };
        let mut data = FragmentData {
            refdst,
            cb: *self.cb(),
            inner_protocol,
            vlan_all,
            mpls_offset,
            l2,
            output,
        };
        // SAFETY: There are that many bytes in the linear part.
        unsafe {
            (*skb).data = (*skb).data.add(l2_len);
            (*skb).len = (*skb).len.wrapping_sub(l2_len as u32);
        }

        let fragment = match protocol {
            FragmentProtocol::Ipv4 => bindings::ip_do_fragment,
            FragmentProtocol::Ipv6 => bindings::ip6_fragment,
        };
        // SAFETY: The packet is given away; `data` is what `fragment_output`
        // expects and outlives the call; the device stays for it, since the RCU
        // read lock is held.
        unsafe {
            fragment(
                net.as_raw(),
                self.into_raw(),
                dev.as_ptr(),
                mru,
                (&raw mut data).cast::<c_void>(),
                Some(fragment_output),
            );
            bindings::refdst_drop(refdst);
        }
    }

    /// The length of the link layer header, if there is a network header behind
    /// it that can be put before each fragment: all of it is in the linear part
    /// then.
    fn checked_l2_len(&mut self, protocol: FragmentProtocol) -> Option<usize> {
        let l2_len = usize::try_from(self.network_offset()).ok()?;
        let least = match protocol {
            FragmentProtocol::Ipv4 => IPV4_HLEN,
            FragmentProtocol::Ipv6 => IPV6_HLEN,
        };
        if !self.may_pull(l2_len.checked_add(least)?) {
            return None;
        }
        if protocol == FragmentProtocol::Ipv4 {
            let ihl = self.data().get(l2_len)? & 0xf;
            let header_len = usize::from(ihl).wrapping_mul(4);
            if header_len < least || !self.may_pull(l2_len.checked_add(header_len)?) {
                return None;
            }
        }
        Some(l2_len)
    }
}

/// Gives a fragment what the packet had, and passes it on.
///
/// # Safety
///
/// Only for `SkBuff::fragment`: the fragment leads to its `FragmentData`, and is
/// given away.
unsafe extern "C" fn fragment_output(
    _net: *mut bindings::net,
    _sk: *mut bindings::sock,
    skb: *mut bindings::sk_buff,
) -> c_int {
    // SAFETY: By the safety requirements; fragments come one after the other.
    let data = unsafe { &mut *bindings::skb_frag_data(skb).cast::<FragmentData<'_>>() };
    let Some(ptr) = NonNull::new(skb) else {
        return 0;
    };
    // SAFETY: The fragment is given away by C, and new.
    let mut skb = unsafe { SkBuff::from_raw(ptr) };
    let l2_len = data.l2.len();

    // SAFETY: The socket buffer is valid.
    if unsafe { bindings::skb_cow_head(skb.as_ptr(), l2_len as u32) } < 0 {
        skb.free(DropReason::NOMEM);
        return kernel::error::code::ENOMEM.to_errno();
    }
    // SAFETY: The socket buffer is valid; the packet's reference to its route
    // is there until all fragments are done.
    unsafe { bindings::skb_dst_copy_refdst(skb.as_ptr(), data.refdst) };
    *skb.cb_mut() = data.cb;
    let headers = skb.headers_mut();
    headers.__bindgen_anon_5.inner_protocol = data.inner_protocol;
    headers.__bindgen_anon_2.vlan_all = data.vlan_all;

    // SAFETY: There are that many writable bytes before the data, see above.
    unsafe {
        let to = bindings::skb_push(skb.as_ptr(), l2_len as u32).cast::<u8>();
        to.copy_from_nonoverlapping(data.l2.as_ptr(), l2_len);
        bindings::skb_postpush_rcsum(skb.as_ptr(), to.cast(), l2_len as u32);
    }
    skb.reset_mac_header();
    if let Some(mpls_offset) = data.mpls_offset {
        let headers = skb.headers_mut();
        headers.inner_network_header = headers.network_header;
        skb.set_network_offset(mpls_offset);
        skb.reset_mac_len();
    }
    (data.output)(skb);
    0
}

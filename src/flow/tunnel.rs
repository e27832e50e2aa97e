// SPDX-License-Identifier: GPL-2.0

//! The tunnel part of a flow key.
//!
//! It is kept apart from the rest: a packet that came through no tunnel has
//! none, and pays nothing for it; one that did has it in one place for as long
//! as it is processed, for no action changes it. All that a lookup needs to know
//! of a packet without a tunnel, [`SwFlowKey::tun_proto`], is in a word of the
//! key that every flow matches on anyway.
//!
//! To masks, hashes and comparisons both parts are one array of words.

use core::ops::{
    Deref,
    DerefMut, //
};

use kernel::prelude::*;

use kernel_ext::net::ip_tunnels::{
    flags,
    IpTunnelInfo,
    IpTunnelKey,
    IP_TUNNEL_OPTS_MAX, //
};
use zerocopy::FromZeros;
use zerocopy_derive::{
    Immutable,
    KnownLayout, //
};

use super::key::{
    SwFlowKey,
    KEY_WORDS, //
};

/// `tun_proto`: the tunnel's addresses are IPv4 addresses.
pub(crate) const AF_INET: u8 = 2;
/// `tun_proto`: the tunnel's addresses are IPv6 addresses.
pub(crate) const AF_INET6: u8 = 10;

/// The tunnel that a packet came through.
///
/// Options are at the end of their place, as in C's `struct sw_flow_key`, so
/// that a mask of a few bytes of options has few words.
#[repr(C, align(8))]
#[derive(Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct TunnelKey {
    /// The outer headers' fields.
    pub(crate) tun_key: IpTunnelKey,
    tun_opts: [u8; IP_TUNNEL_OPTS_MAX],
    /// The length of the options; 0xff in a mask.
    pub(crate) tun_opts_len: u8,
}

/// How many 64-bit words a tunnel key has.
pub(crate) const TUNNEL_WORDS: usize = size_of::<TunnelKey>() / 8;

impl TunnelKey {
    /// A key of zeroes.
    #[inline]
    pub(crate) fn zeroed() -> Self {
        FromZeros::new_zeroed()
    }

    /// Takes what is known about a packet's tunnel. `self` is zero before.
    /// Returns the `tun_proto` that goes with it.
    pub(crate) fn extract(&mut self, info: &IpTunnelInfo) -> u8 {
        let opts = info.options();
        self.tun_key = info.key();
        self.set_opts(opts);
        self.tun_opts_len = opts.len() as u8;
        if info.is_ipv6() {
            AF_INET6
        } else {
            AF_INET
        }
    }

    /// The place of `len` bytes of options.
    ///
    /// C: `TUN_METADATA_OPTS()`.
    #[inline]
    pub(crate) fn opts(&self, len: usize) -> &[u8] {
        let start = IP_TUNNEL_OPTS_MAX.saturating_sub(len);
        self.tun_opts.get(start..).unwrap_or_default()
    }

    /// Writes options, at most 255 bytes of them, but not their length.
    ///
    /// C: `SW_FLOW_KEY_MEMCPY_OFFSET()` at `TUN_METADATA_OFFSET()`.
    pub(crate) fn set_opts(&mut self, opts: &[u8]) {
        let to = self.tun_opts.iter_mut().rev();
        for (to, from) in to.zip(opts.iter().rev()) {
            *to = *from;
        }
    }

    /// Whether the flags say that there are options.
    ///
    /// C: `ip_tunnel_is_options_present()`.
    pub(crate) fn has_opts(&self) -> bool {
        self.tun_key.tun_flags & flags::OPTIONS_PRESENT != 0
    }

    /// The key as words.
    #[inline]
    pub(crate) fn words(&self) -> &[u64; TUNNEL_WORDS] {
        zerocopy::transmute_ref!(self)
    }
}

/// A whole key: the packet's and its tunnel's. What flows and masks have.
///
/// C: `struct sw_flow_key`.
#[repr(C, align(8))]
#[derive(Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct MatchKey {
    /// All but the tunnel.
    pub(crate) key: SwFlowKey,
    /// The tunnel; zeroes where `tun_proto` is.
    pub(crate) tun: TunnelKey,
}

/// How many 64-bit words a whole key has.
pub(crate) const MATCH_WORDS: usize = size_of::<MatchKey>() / 8;
const _: () = assert!(MATCH_WORDS == KEY_WORDS + TUNNEL_WORDS);

impl MatchKey {
    /// A key of zeroes.
    #[inline]
    pub(crate) fn zeroed() -> Self {
        FromZeros::new_zeroed()
    }

    /// The key as words.
    #[inline]
    pub(crate) fn words(&self) -> &[u64; MATCH_WORDS] {
        zerocopy::transmute_ref!(self)
    }

    /// The key as words that can be written.
    #[inline]
    pub(crate) fn words_mut(&mut self) -> &mut [u64; MATCH_WORDS] {
        zerocopy::transmute_mut!(self)
    }

    /// The key as a packet has it.
    #[inline]
    pub(crate) fn as_ref(&self) -> KeyRef<'_> {
        KeyRef {
            key: &self.key,
            tun: Some(&self.tun),
        }
    }
}

impl From<SwFlowKey> for MatchKey {
    /// The key of a packet without a tunnel.
    fn from(key: SwFlowKey) -> Self {
        Self {
            key,
            tun: TunnelKey::zeroed(),
        }
    }
}

impl Deref for MatchKey {
    type Target = SwFlowKey;

    #[inline]
    fn deref(&self) -> &SwFlowKey {
        &self.key
    }
}

impl DerefMut for MatchKey {
    #[inline]
    fn deref_mut(&mut self) -> &mut SwFlowKey {
        &mut self.key
    }
}

/// A packet's key and that of its tunnel, which are at different places.
#[derive(Clone, Copy)]
pub(crate) struct KeyRef<'a> {
    /// All but the tunnel.
    pub(crate) key: &'a SwFlowKey,
    /// The tunnel, if there is one. None stands for zeroes.
    pub(crate) tun: Option<&'a TunnelKey>,
}

impl KeyRef<'_> {
    /// The word at this place of a [`MatchKey`].
    #[inline]
    pub(crate) fn word(&self, index: usize) -> u64 {
        match self.key.words().get(index) {
            Some(&word) => word,
            None => self.tunnel_word(index),
        }
    }

    /// A word of the tunnel, if there is one.
    #[cold]
    fn tunnel_word(&self, index: usize) -> u64 {
        self.tun
            .and_then(|tun| tun.words().get(index.wrapping_sub(KEY_WORDS)))
            .copied()
            .unwrap_or(0)
    }
}

impl Deref for KeyRef<'_> {
    type Target = SwFlowKey;

    #[inline]
    fn deref(&self) -> &SwFlowKey {
        self.key
    }
}

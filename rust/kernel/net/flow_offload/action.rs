// SPDX-License-Identifier: GPL-2.0

//! What flow rules do.

use kernel::prelude::*;
use zerocopy::network_endian::U16 as Be16;

use super::rule::{
    alloc,
    FlowRule, //
};
use crate::{
    bindings,
    net::{
        dst_metadata::MetadataDst,
        netdevice::NetDevice, //
    },
};

/// The most actions a rule may have. Drivers count on what traffic control
/// allows: mlx5 has an array of so many and does not look at its end.
/// C: `TCA_ACT_MAX_PRIO`.
const MAX_ACTIONS: usize = 32;

/// Which checksums hardware has to correct after a change.
pub mod csum {
    use crate::bindings;

    /// The IPv4 header's.
    pub const IPV4HDR: u32 = bindings::TCA_CSUM_UPDATE_FLAG_IPV4HDR;
    /// ICMP's.
    pub const ICMP: u32 = bindings::TCA_CSUM_UPDATE_FLAG_ICMP;
    /// TCP's.
    pub const TCP: u32 = bindings::TCA_CSUM_UPDATE_FLAG_TCP;
    /// UDP's.
    pub const UDP: u32 = bindings::TCA_CSUM_UPDATE_FLAG_UDP;
    /// SCTP's.
    pub const SCTP: u32 = bindings::TCA_CSUM_UPDATE_FLAG_SCTP;
}

/// The header that a change counts its offset from.
/// C: `enum flow_action_mangle_base`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MangleBase {
    /// The Ethernet header.
    Eth,
    /// The IPv4 header.
    Ip4,
    /// The IPv6 header.
    Ip6,
    /// The TCP header.
    Tcp,
    /// The UDP header.
    Udp,
}

impl MangleBase {
    fn as_raw(self) -> bindings::flow_action_mangle_base {
        match self {
            Self::Eth => bindings::flow_action_mangle_base_FLOW_ACT_MANGLE_HDR_TYPE_ETH,
            Self::Ip4 => bindings::flow_action_mangle_base_FLOW_ACT_MANGLE_HDR_TYPE_IP4,
            Self::Ip6 => bindings::flow_action_mangle_base_FLOW_ACT_MANGLE_HDR_TYPE_IP6,
            Self::Tcp => bindings::flow_action_mangle_base_FLOW_ACT_MANGLE_HDR_TYPE_TCP,
            Self::Udp => bindings::flow_action_mangle_base_FLOW_ACT_MANGLE_HDR_TYPE_UDP,
        }
    }
}

impl FlowRule {
    /// How many actions there are.
    pub fn n_actions(&self) -> usize {
        // SAFETY: By the type invariants the rule is valid.
        unsafe { (*self.rule.as_ptr()).action.num_entries as usize }
    }

    /// The actions.
    pub(super) fn actions(&self) -> &[bindings::flow_action_entry] {
        // SAFETY: By the type invariants so many entries are valid.
        unsafe {
            core::slice::from_raw_parts(
                (&raw const (*self.rule.as_ptr()).action.entries).cast(),
                self.n_actions(),
            )
        }
    }

    /// Calls `f` with a number for each action: what it is, for a change where,
    /// and for an output the device, if `devices` says so.
    pub fn for_each_action(&self, devices: bool, mut f: impl FnMut(u64)) {
        for entry in self.actions() {
            let data = &entry.__bindgen_anon_1;
            // SAFETY: This is the view of the union that the kind of action has.
            let more = unsafe {
                match entry.id {
                    bindings::flow_action_id_FLOW_ACTION_MANGLE => {
                        let mangle = data.mangle.as_ref();

                        u64::from(mangle.htype).wrapping_shl(16) | u64::from(mangle.offset)
                    }
                    bindings::flow_action_id_FLOW_ACTION_REDIRECT
                    | bindings::flow_action_id_FLOW_ACTION_MIRRED
                    | bindings::flow_action_id_FLOW_ACTION_REDIRECT_INGRESS
                        if devices =>
                    {
                        (*data.dev.as_ref()).addr() as u64
                    }
                    _ => 0,
                }
            };

            f(u64::from(entry.id));
            f(more);
        }
    }

    /// Has the actions that go to a chain go to this one.
    pub fn set_goto(&mut self, chain: u32) {
        // SAFETY: By the type invariants so many entries are valid, and nobody
        // else uses them.
        let actions = unsafe {
            core::slice::from_raw_parts_mut(
                (&raw mut (*self.rule.as_ptr()).action.entries).cast(),
                self.n_actions(),
            )
        };
        for action in actions {
            let action: &mut bindings::flow_action_entry = action;
            if action.id == bindings::flow_action_id_FLOW_ACTION_GOTO {
                set(&mut action.__bindgen_anon_1.chain_index, chain);
            }
        }
    }

    /// Appends an action, of which `fill` writes what is particular to it.
    /// `E2BIG` if a driver might have no room for it.
    fn push(
        &mut self,
        id: bindings::flow_action_id,
        fill: impl FnOnce(&mut bindings::flow_action_entry__bindgen_ty_1),
    ) -> Result {
        if self.n_actions() >= MAX_ACTIONS {
            return Err(E2BIG);
        }
        if self.n_actions() >= self.room {
            self.grow()?;
        }
        let n = self.n_actions();
        // SAFETY: By the type invariants there is room for one more entry,
        // which was zeroed when the rule was allocated. INVARIANT: It is valid
        // when it begins to count.
        unsafe {
            let action = &raw mut (*self.rule.as_ptr()).action;
            let entry = (&raw mut (*action).entries)
                .cast::<bindings::flow_action_entry>()
                .add(n);
            (*entry).id = id;
            // Counters of the packets that hardware handled, now and then; of
            // all actions the same, as drivers want it.
            (*entry).hw_stats = bindings::flow_action_hw_stats_FLOW_ACTION_HW_STATS_DELAYED;
            fill(&mut (*entry).__bindgen_anon_1);
            (*action).num_entries = (n as u32).wrapping_add(1);
        }
        Ok(())
    }

    /// Makes room for twice as many actions.
    fn grow(&mut self) -> Result {
        let room = self.room.saturating_mul(2);
        let new = alloc(room, &mut self.matches)?;
        let n = self.n_actions();
        // SAFETY: Both rules are valid and have room for so many entries; the
        // old one came from `kzalloc()` and is no longer used. INVARIANT: The
        // new one has the same match and the same actions.
        unsafe {
            let from = (&raw const (*self.rule.as_ptr()).action.entries)
                .cast::<bindings::flow_action_entry>();
            let to =
                (&raw mut (*new.as_ptr()).action.entries).cast::<bindings::flow_action_entry>();
            core::ptr::copy_nonoverlapping(from, to, n);
            (*new.as_ptr()).action.num_entries = n as u32;
            bindings::kfree(self.rule.as_ptr().cast());
        }
        self.rule = new;
        self.room = room;
        Ok(())
    }

    /// Appends an action with a device, to which the rule takes a reference.
    fn push_dev(&mut self, id: bindings::flow_action_id, dev: &NetDevice) -> Result {
        self.devs.push(dev.hold(GFP_KERNEL), GFP_KERNEL)?;
        self.push(id, |entry| set(&mut entry.dev, dev.as_ptr()))
    }

    /// Sends the packet out of `dev`, which is the end of it.
    pub fn push_redirect(&mut self, dev: &NetDevice) -> Result {
        self.push_dev(bindings::flow_action_id_FLOW_ACTION_REDIRECT, dev)
    }

    /// Sends a copy of the packet out of `dev`.
    pub fn push_mirred(&mut self, dev: &NetDevice) -> Result {
        self.push_dev(bindings::flow_action_id_FLOW_ACTION_MIRRED, dev)
    }

    /// Has the host receive the packet as one that is for it. C: `PACKET_HOST`.
    pub fn push_ptype_host(&mut self) -> Result {
        self.push(bindings::flow_action_id_FLOW_ACTION_PTYPE, |entry| {
            set(&mut entry.ptype, bindings::PACKET_HOST as u16);
        })
    }

    /// Has the host receive the packet on `dev`.
    pub fn push_redirect_ingress(&mut self, dev: &NetDevice) -> Result {
        self.push_dev(bindings::flow_action_id_FLOW_ACTION_REDIRECT_INGRESS, dev)
    }

    /// Drops the packet.
    pub fn push_drop(&mut self) -> Result {
        self.push(bindings::flow_action_id_FLOW_ACTION_DROP, |_| ())
    }

    /// Gives the packet to software.
    pub fn push_trap(&mut self) -> Result {
        self.push(bindings::flow_action_id_FLOW_ACTION_TRAP, |_| ())
    }

    /// Goes on with the rules of another chain.
    pub fn push_goto(&mut self, chain: u32) -> Result {
        self.push(bindings::flow_action_id_FLOW_ACTION_GOTO, |entry| {
            set(&mut entry.chain_index, chain);
        })
    }

    /// Pushes a VLAN tag.
    pub fn push_vlan_push(&mut self, proto: Be16, vid: u16, prio: u8) -> Result {
        self.push(bindings::flow_action_id_FLOW_ACTION_VLAN_PUSH, |entry| {
            set(&mut entry.vlan, vlan(proto, vid, prio));
        })
    }

    /// Pops the outermost VLAN tag.
    pub fn push_vlan_pop(&mut self) -> Result {
        self.push(bindings::flow_action_id_FLOW_ACTION_VLAN_POP, |_| ())
    }

    /// Changes the outermost VLAN tag.
    pub fn push_vlan_mangle(&mut self, proto: Be16, vid: u16, prio: u8) -> Result {
        self.push(bindings::flow_action_id_FLOW_ACTION_VLAN_MANGLE, |entry| {
            set(&mut entry.vlan, vlan(proto, vid, prio));
        })
    }

    /// Writes bits of a 32-bit word of a header. `offset` counts bytes from the
    /// header and is a multiple of 4; `value` and `mask` are bytes as in the
    /// packet, and bits that are set in the mask are written.
    pub fn push_mangle(
        &mut self,
        base: MangleBase,
        offset: u32,
        value: [u8; 4],
        mask: [u8; 4],
    ) -> Result {
        let (value, mask) = (u32::from_ne_bytes(value), u32::from_ne_bytes(mask));
        self.push(bindings::flow_action_id_FLOW_ACTION_MANGLE, |entry| {
            let mangle = bindings::flow_action_entry__bindgen_ty_1__bindgen_ty_3 {
                htype: base.as_raw(),
                offset,
                // C has the bits that stay.
                mask: !mask,
                val: value & mask,
            };
            set(&mut entry.mangle, mangle);
        })
    }

    /// Has the packet sent through a tunnel by the redirect or copy that comes
    /// next, which is to a device of such tunnels. The rule takes a reference.
    pub fn push_tunnel_encap(&mut self, dst: &MetadataDst) -> Result {
        self.dsts.push(dst.clone(), GFP_KERNEL)?;
        self.push(bindings::flow_action_id_FLOW_ACTION_TUNNEL_ENCAP, |entry| {
            set(&mut entry.tunnel, dst.tun_info().as_ptr().cast_mut());
        })
    }

    /// Takes the outer headers off.
    pub fn push_tunnel_decap(&mut self) -> Result {
        self.push(bindings::flow_action_id_FLOW_ACTION_TUNNEL_DECAP, |_| ())
    }

    /// Corrects checksums after changes: [`csum`].
    pub fn push_csum(&mut self, flags: u32) -> Result {
        self.push(bindings::flow_action_id_FLOW_ACTION_CSUM, |entry| {
            set(&mut entry.csum_flags, flags);
        })
    }
}

/// Writes one view of a union.
fn set<T>(field: &mut bindings::__BindgenUnionField<T>, value: T) {
    // SAFETY: The field stands for the memory of the union, which is large and
    // aligned enough for each of its views, of which none needs dropping.
    unsafe { core::ptr::write(field.as_mut(), value) };
}

fn vlan(
    proto: Be16,
    vid: u16,
    prio: u8,
) -> bindings::flow_action_entry__bindgen_ty_1__bindgen_ty_1 {
    bindings::flow_action_entry__bindgen_ty_1__bindgen_ty_1 {
        vid,
        proto: u16::from_ne_bytes(proto.to_bytes()),
        prio,
    }
}

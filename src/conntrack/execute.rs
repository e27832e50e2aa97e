// SPDX-License-Identifier: GPL-2.0

//! The ct action on a packet.
//!
//! Connection tracking takes the packet and gives it back or not, so the
//! functions here do as well.

use kernel::prelude::*;
use kernel_ext::{
    net::{
        namespace::Net,
        netfilter::{
            nf_conntrack::{
                CtInfo,
                Direction,
                NfConn, //
            },
            NfProto,
            Verdict, //
        },
        skbuff::SkBuff, //
    },
    sync::rcu::RcuRead,
    uapi::{
        OVS_CS_F_INVALID,
        OVS_CS_F_TRACKED, //
    },
};

#[cfg(CONFIG_NETFILTER_CONNCOUNT)]
use kernel_ext::net_warn_ratelimited;

#[cfg(CONFIG_NETFILTER_CONNCOUNT)]
use super::limit::{
    ovs_ct_check_limit,
    ovs_ct_limit_enabled, //
};
use super::{
    action::ConntrackInfo,
    key::{
        ovs_ct_fill_key,
        ovs_ct_update_key,
        OVS_CS_F_NAT_MASK, //
    },
    nat::ovs_ct_nat, //
};
use crate::{
    actions::cb::OvsSkbCb,
    drop::OVS_DROP_CONNTRACK,
    flow::{
        extract::ovs_flow_key_update_l3l4,
        headers::{
            IpHdr,
            Ipv6Hdr, //
        },
        key::SwFlowKey, //
    },
};

/// Why a packet does not go on.
pub(super) enum Gone {
    /// Somebody else has it now.
    Stolen,
    /// It is to be dropped, with this error.
    Failed(SkBuff, Error),
}

/// A packet that goes on, or not.
pub(super) type Passed = Result<SkBuff, Gone>;

/// C: `verdict_to_errno()`.
pub(super) fn passed(verdict: Verdict) -> Passed {
    match verdict {
        Verdict::Accept(skb) => Ok(skb),
        Verdict::Drop(skb) => Err(Gone::Failed(skb, EINVAL)),
        Verdict::Stolen => Err(Gone::Stolen),
    }
}

/// A packet that goes on unless there was an error.
fn passed_if(skb: SkBuff, result: Result) -> Passed {
    match result {
        Ok(()) => Ok(skb),
        Err(e) => Err(Gone::Failed(skb, e)),
    }
}

/// The action that is executed, and where.
#[derive(Clone, Copy)]
struct Ct<'a> {
    net: &'a Net,
    info: &'a ConntrackInfo,
    rcu: RcuRead<'a>,
}

impl Ct<'_> {
    /// Finds the connection of a packet that has been to connection tracking
    /// before, but is not known to have one: it may have lost it in an upcall.
    /// The connection's state and counters are left as they are.
    ///
    /// C: `ovs_ct_find_existing()`.
    fn ovs_ct_find_existing(&self, skb: &mut SkBuff, natted: bool) {
        let Some(mut tuple) = skb.nf_ct_tuple(self.net, self.info.family()) else {
            return;
        };
        // The tuple has to be inverted if the packet's addresses were
        // translated.
        if natted {
            match tuple.invert() {
                Some(inverse) => tuple = inverse,
                None => return,
            }
        }
        let Some((ct, mut direction)) =
            NfConn::find_get(self.net, self.info.zone(), &tuple, self.rcu)
        else {
            return;
        };
        // The inverted tuple was that of the other direction.
        if natted {
            direction = direction.reverse();
        }
        let ctinfo = CtInfo::of_existing(&ct, direction);
        skb.set_nf_ct(ct, ctinfo);
    }

    /// Whether the packet has been to connection tracking in this zone by what
    /// its key says. If it has, or if the direction is forced, its connection is
    /// looked for. One that was not confirmed is not found: the packet has to go
    /// through connection tracking again.
    ///
    /// C: `ovs_ct_executed()`.
    fn ovs_ct_executed(&self, key: &SwFlowKey, skb: &mut SkBuff) -> bool {
        let state = u32::from(key.ct_state);
        let ct_executed = state & OVS_CS_F_TRACKED != 0
            && state & OVS_CS_F_INVALID == 0
            && key.ct_zone == self.info.zone().0;

        if ct_executed || (key.ct_state == 0 && self.info.is_forced()) {
            self.ovs_ct_find_existing(skb, key.ct_state & OVS_CS_F_NAT_MASK != 0);
        }
        ct_executed
    }

    /// Whether the packet's connection is that which connection tracking would
    /// give it.
    ///
    /// C: `skb_nfct_cached()`.
    fn skb_nfct_cached(&self, key: &SwFlowKey, skb: &mut SkBuff) -> bool {
        let mut ct_executed = true;
        if skb.nf_ct().is_none() {
            ct_executed = self.ovs_ct_executed(key, skb);
        }
        let Some((ct, ctinfo)) = skb.nf_ct() else {
            return false;
        };

        if !ct.is_in(self.net) || ct.zone() != self.info.zone() {
            return false;
        }
        let tmpl = self.info.tmpl();
        if let Some(helper) = tmpl.helper() {
            if ct.has_other_helper(helper, self.rcu) {
                return false;
            }
        }
        if tmpl.has_timeout() && !ct.has_timeout_of(tmpl, self.rcu) {
            return false;
        }
        // Is the connection to have the direction of this packet?
        if self.info.is_forced() && ctinfo.direction() != Direction::Original {
            // Delete it if it is confirmed, else just let go of it.
            ct.delete(self.rcu);
            skb.nf_reset_ct();
            return false;
        }
        ct_executed
    }

    /// Has the packet go through connection tracking unless it did already, and
    /// the key say what came of it. A packet that is invalid to connection
    /// tracking has no connection then.
    ///
    /// C: `__ovs_ct_lookup()`.
    fn lookup(&self, key: &mut SwFlowKey, mut skb: SkBuff) -> Passed {
        let info = self.info;
        let commit = info.is_committed();

        // A packet that is recirculated to match on its connection, which
        // another action then commits, does not have to go through twice.
        let mut cached = self.skb_nfct_cached(key, &mut skb);

        // A clone of the packet may share a connection that is not confirmed,
        // whose extensions must not be changed then.
        if cached
            && commit
            && skb
                .nf_ct()
                .is_some_and(|(ct, _)| !ct.is_confirmed() && ct.is_shared())
        {
            skb.nf_reset_ct();
            cached = false;
        }

        if !cached {
            skb = passed(skb.nf_conntrack_in(self.net, info.family(), info.tmpl(), self.rcu))?;

            // Addresses have not been translated since. The rest of the state is
            // set anew.
            key.ct_state = 0;
            ovs_ct_update_key(&skb, Some(info), key, true, true);
        }

        let Some((ct, _)) = skb.nf_ct() else {
            return Ok(skb);
        };
        let confirmed = ct.is_confirmed();

        // Addresses of the first packet have to be translated before the helper
        // sees it, so both wait until the connection is committed. Later, the
        // order does not matter.
        //
        // It is done if the action says so, and once for a packet and a zone,
        // for which the flags in the key are there.
        if info.nat().is_enabled() && key.ct_state & OVS_CS_F_NAT_MASK == 0 && (confirmed || commit)
        {
            skb = ovs_ct_nat(key, info, skb, self.rcu)?;
        }

        // Userspace may look a packet up without a helper, and commit its
        // connection with one later.
        if commit && !confirmed && info.tmpl().helper().is_some() {
            let result = self.assign_helper(&mut skb);
            skb = passed_if(skb, result)?;
        }

        // The helper of a connection that is not confirmed is called when it is
        // committed, since all extensions have to be there before.
        if confirmed && !cached {
            skb = passed(skb.nf_ct_helper(info.family(), self.rcu))?;
        }

        if let Some((ct, _)) = skb.nf_ct() {
            // Packets that are out of the window are not invalid.
            if confirmed && ct.is_tcp_established() {
                ct.set_tcp_be_liberal();
            }
            skb.nf_conn_act_ct_ext_fill();
        }
        Ok(skb)
    }

    /// Gives the packet's connection, which is not confirmed, the action's
    /// helper if it has none.
    fn assign_helper(&self, skb: &mut SkBuff) -> Result {
        let Some(mut ct) = skb.nf_ct_unconfirmed() else {
            return Ok(());
        };
        if ct.has_help() {
            return Ok(());
        }
        ct.try_assign_helper(self.info.tmpl(), self.rcu)?;
        if self.info.nat().is_enabled() {
            ct.seqadj_ext_add()?;
        }
        Ok(())
    }

    /// C: `ovs_ct_lookup()`.
    fn ovs_ct_lookup(&self, key: &mut SwFlowKey, skb: SkBuff) -> Passed {
        let skb = self.lookup(key, skb)?;
        if let Some((ct, _)) = skb.nf_ct() {
            ct.deliver_cached_events(self.rcu);
        }
        Ok(skb)
    }

    /// Looks the packet up, changes its connection as the action says, and
    /// confirms it if it is not.
    ///
    /// C: `ovs_ct_commit()`.
    fn ovs_ct_commit(&self, key: &mut SwFlowKey, skb: SkBuff) -> Passed {
        let mut skb = self.lookup(key, skb)?;

        // Without a connection the packet is invalid, and nothing is done.
        let Some((ct, _)) = skb.nf_ct() else {
            return Ok(skb);
        };

        #[cfg(CONFIG_NETFILTER_CONNCOUNT)]
        if ovs_ct_limit_enabled() && !ct.is_confirmed() {
            let (family, zone) = (self.info.family(), self.info.zone().0);
            if let Err(e) = ovs_ct_check_limit(self.net, &skb, family, zone, self.rcu) {
                net_warn_ratelimited!("openvswitch: zone: {} exceeds conntrack limit\n", zone);
                return Err(Gone::Failed(skb, e));
            }
        }

        // It stays in effect for as long as the connection lives, unless another
        // committing action has one.
        if let Some(eventmask) = self.info.eventmask() {
            ct.set_event_mask(eventmask);
        }

        // All changes are made before the connection is confirmed, so that the
        // event of the new connection has them.
        self.ovs_ct_set_mark(ct, key);
        let result = self.set_labels(key, &mut skb);
        skb = passed_if(skb, result)?;
        if skb.nf_ct().is_some_and(|(ct, _)| !ct.is_confirmed()) {
            // Now that all extensions are there.
            skb = passed(skb.nf_ct_helper(self.info.family(), self.rcu))?;
        }

        // This also has events told of a connection that is confirmed already.
        passed(skb.nf_conntrack_confirm(self.rcu))
    }

    /// Sets the mark if the action says so.
    ///
    /// C: `ovs_ct_set_mark()`.
    fn ovs_ct_set_mark(&self, ct: &NfConn, key: &mut SwFlowKey) {
        #[cfg(CONFIG_NF_CONNTRACK_MARK)]
        if let Some(mark) = self.info.mark() {
            let old_mark = ct.mark();
            let new_mark = mark.value | (old_mark & !mark.mask);
            if new_mark != old_mark {
                ct.set_mark(new_mark);
                if ct.is_confirmed() {
                    ct.cache_mark_event();
                }
                key.ct_mark = new_mark;
            }
        }
        let _ = (ct, key);
    }

    /// Sets labels, and adds what else a connection has that is not confirmed.
    fn set_labels(&self, key: &mut SwFlowKey, skb: &mut SkBuff) -> Result {
        if let Some(mut ct) = skb.nf_ct_unconfirmed() {
            #[cfg(CONFIG_NF_CONNTRACK_LABELS)]
            super::labels::ovs_ct_init_labels(&mut ct, key, self.info.labels())?;
            ct.act_ct_ext_add();
            return Ok(());
        }
        #[cfg(CONFIG_NF_CONNTRACK_LABELS)]
        if let (Some((ct, _)), true) = (skb.nf_ct(), self.info.labels().is_set()) {
            super::labels::ovs_ct_set_labels(ct, key, self.info.labels())?;
        }
        let _ = key;
        Ok(())
    }

    /// Puts a fragment together with the others, if they are there. The key is
    /// then that of the whole packet.
    ///
    /// C: `ovs_ct_handle_fragments()`.
    fn ovs_ct_handle_fragments(&self, key: &mut SwFlowKey, skb: SkBuff) -> Result<SkBuff> {
        let mut cb = *skb.cb::<OvsSkbCb>();
        let (mut skb, mru) =
            skb.nf_ct_handle_fragments(self.net, self.info.zone(), self.info.family(), self.rcu)?;
        cb.mru = mru;

        // The key of the fragment that completed the packet had no transport
        // header, or not this one. As in C, what cannot be read is left out.
        let _ = ovs_flow_key_update_l3l4(&mut skb, key);
        key.ip_frag = 0;
        *skb.cb_mut() = cb;
        Ok(skb)
    }
}

/// Whether the packet is longer than its network header, which is at `nh_ofs`,
/// says.
#[inline]
fn has_trailer(skb: &SkBuff, nh_ofs: usize, family: NfProto) -> bool {
    let len = skb.len().saturating_sub(nh_ofs);
    match family {
        NfProto::Ipv4 => skb
            .header::<IpHdr>(nh_ofs)
            .is_some_and(|nh| usize::from(nh.tot_len.get()) < len),
        NfProto::Ipv6 => skb.header::<Ipv6Hdr>(nh_ofs).is_some_and(|nh| {
            usize::from(nh.payload_len.get()).saturating_add(size_of::<Ipv6Hdr>()) < len
        }),
    }
}

/// Has a packet go through connection tracking, and gives it back. It is not
/// given back, with no error, if somebody else keeps it: fragments wait for
/// others. With an error, it was dropped.
///
/// The key has to describe the packet, and then does again, with what is known
/// of the connection.
///
/// C: `ovs_ct_execute()`.
#[inline(never)]
pub(crate) fn ovs_ct_execute(
    rcu: RcuRead<'_>,
    net: &Net,
    mut skb: SkBuff,
    key: &mut SwFlowKey,
    info: &ConntrackInfo,
) -> Result<Option<SkBuff>> {
    let ct = Ct { net, info, rcu };

    // Connection tracking expects packets that begin with their network header.
    let nh_ofs = usize::try_from(skb.network_offset()).map_err(|_| EINVAL)?;
    if has_trailer(&skb, nh_ofs, info.family()) {
        // In C it was calculated before anything is cut off.
        skb.hash();
    }
    skb.pull_rcsum(nh_ofs)?;
    skb.nf_ct_network_trim(info.family())?;

    if key.ip_frag != 0 {
        skb = match ct.ovs_ct_handle_fragments(key, skb) {
            Ok(skb) => skb,
            Err(e) if e == EINPROGRESS => return Ok(None),
            Err(e) => return Err(e),
        };
    }

    let result = if info.is_committed() {
        ct.ovs_ct_commit(key, skb)
    } else {
        ct.ovs_ct_lookup(key, skb)
    };
    match result {
        Ok(mut skb) => {
            skb.push_rcsum(nh_ofs)?;
            Ok(Some(skb))
        }
        Err(Gone::Stolen) => Ok(None),
        Err(Gone::Failed(mut skb, e)) => {
            // Whoever traces drops is to see the whole packet.
            let _ = skb.push_rcsum(nh_ofs);
            skb.free(OVS_DROP_CONNTRACK);
            Err(e)
        }
    }
}

/// Has a packet be one that was not to connection tracking.
///
/// C: `ovs_ct_clear()` with a key.
#[inline(never)]
pub(crate) fn ovs_ct_clear(skb: &mut SkBuff, key: &mut SwFlowKey) -> Result {
    skb.ct_clear();
    ovs_ct_fill_key(skb, key, false);
    Ok(())
}

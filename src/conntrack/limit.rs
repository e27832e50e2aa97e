// SPDX-License-Identifier: GPL-2.0

//! How many connections a zone may have.
//!
//! Each network namespace has limits of its own, and one for all zones without.
//! Only connections that [`ovs_ct_check_limit`] was called for count.

use core::sync::atomic::{
    AtomicBool,
    AtomicU32,
    Ordering, //
};

use kernel::prelude::*;

use kernel_ext::{
    net::{
        namespace::{
            Exit,
            Net,
            PernetSlot,
            PreExit, //
        },
        netfilter::{
            nf_conntrack_count::ConnCount,
            NfProto, //
        },
        skbuff::SkBuff, //
    },
    sync::rcu::{
        RcuArc,
        RcuRead,
        RcuSlot, //
    },
};

use crate::datapath::{
    ovs_net::OVS_NET,
    state::OvsGuard, //
};

/// No limit.
///
/// C: `OVS_CT_LIMIT_UNLIMITED`.
const UNLIMITED: u32 = 0;

/// The limit of zones for which nothing was said.
///
/// C: `OVS_CT_LIMIT_DEFAULT`.
pub(super) const DEFAULT: u32 = UNLIMITED;

/// C: `CT_LIMIT_HASH_BUCKETS`.
const BUCKETS: usize = 512;

/// Whether there ever was a limit, in any namespace: the only thing that packets
/// look at where there was none.
///
/// C: the static key `ovs_ct_limit_enabled`, which Rust cannot define.
static ENABLED: AtomicBool = AtomicBool::new(false);

/// See [`ENABLED`].
#[cfg_attr(
    not(CONFIG_NF_CONNTRACK_OVS),
    expect(dead_code, reason = "no ct action")
)]
#[inline]
pub(crate) fn ovs_ct_limit_enabled() -> bool {
    ENABLED.load(Ordering::Relaxed)
}

/// From now on packets look for limits.
pub(super) fn enable() {
    ENABLED.store(true, Ordering::Relaxed);
}

/// The limit of one zone.
///
/// C: `struct ovs_ct_limit`.
pub(super) struct CtLimit {
    zone: u16,
    limit: AtomicU32,
    /// The next in its list.
    next: RcuSlot<CtLimit>,
}

impl CtLimit {
    /// The limit of `zone`, which is not in effect yet. Its memory is charged to
    /// the memory cgroup of whoever asks for it. May sleep.
    pub(super) fn new(zone: u16, limit: u32) -> Result<RcuArc<Self>> {
        let this = Self {
            zone,
            limit: AtomicU32::new(limit),
            next: RcuSlot::empty(),
        };
        Ok(RcuArc::new(this, GFP_KERNEL_ACCOUNT)?)
    }
}

/// The limits of a namespace, and what its connections are counted with.
///
/// C: `struct ovs_ct_limit_info`.
pub(crate) struct CtLimitInfo {
    default_limit: AtomicU32,
    /// Hash table of [`CtLimit`]s, by zone. Changed under `ovs_mutex`.
    limits: KVec<RcuSlot<CtLimit>>,
    data: ConnCount,
}

impl CtLimitInfo {
    /// The begin of the list that a zone is in.
    ///
    /// C: `ct_limit_hash_bucket()`.
    fn bucket(&self, zone: u16) -> Option<&RcuSlot<CtLimit>> {
        self.limits.get(usize::from(zone) & (BUCKETS - 1))
    }

    fn find<'g>(&'g self, zone: u16, rcu: RcuRead<'g>) -> Option<&'g CtLimit> {
        let mut next = self.bucket(zone)?.get(rcu);
        while let Some(ct_limit) = next {
            if ct_limit.zone == zone {
                return Some(ct_limit);
            }
            next = ct_limit.next.get(rcu);
        }
        None
    }

    /// Puts a limit into effect.
    ///
    /// C: `ct_limit_set()`, which puts the new object into the place of the one
    /// before.
    pub(super) fn set(&self, _lock: &OvsGuard, new: RcuArc<CtLimit>, rcu: RcuRead<'_>) {
        if let Some(old) = self.find(new.zone, rcu) {
            let limit = new.limit.load(Ordering::Relaxed);
            old.limit.store(limit, Ordering::Relaxed);
            return;
        }
        if let Some(head) = self.bucket(new.zone) {
            new.next.replace(head.load());
            head.replace(Some(new));
        }
    }

    /// Removes a zone's limit, if it has one.
    ///
    /// C: `ct_limit_del()`.
    pub(super) fn del(&self, _lock: &OvsGuard, zone: u16, rcu: RcuRead<'_>) {
        let mut place = self.bucket(zone);
        while let Some((place_of, ct_limit)) = place.and_then(|p| Some((p, p.get(rcu)?))) {
            if ct_limit.zone == zone {
                place_of.replace(ct_limit.next.load());
                return;
            }
            place = Some(&ct_limit.next);
        }
    }

    /// The limit of a zone: its own, or the default one.
    ///
    /// C: `ct_limit_get()`.
    pub(super) fn get(&self, zone: u16, rcu: RcuRead<'_>) -> u32 {
        self.find(zone, rcu)
            .map_or(&self.default_limit, |ct_limit| &ct_limit.limit)
            .load(Ordering::Relaxed)
    }

    /// The limit of zones without their own.
    pub(super) fn default_limit(&self) -> u32 {
        self.default_limit.load(Ordering::Relaxed)
    }

    /// Sets the limit of zones without their own.
    pub(super) fn set_default_limit(&self, _lock: &OvsGuard, limit: u32) {
        self.default_limit.store(limit, Ordering::Relaxed);
    }

    /// Calls `f` with each zone that has a limit of its own, and that, until it
    /// fails. The order is that of C's hash table, which userspace sees.
    pub(super) fn for_each(
        &self,
        rcu: RcuRead<'_>,
        mut f: impl FnMut(u16, u32) -> Result,
    ) -> Result {
        for head in &self.limits {
            let mut next = head.get(rcu);
            while let Some(ct_limit) = next {
                f(ct_limit.zone, ct_limit.limit.load(Ordering::Relaxed))?;
                next = ct_limit.next.get(rcu);
            }
        }
        Ok(())
    }

    /// How many connections of a zone count.
    pub(super) fn count(&self, zone: u16, rcu: RcuRead<'_>) -> u32 {
        self.data.count_skb(None, zone.into(), rcu)
    }
}

impl Drop for CtLimitInfo {
    fn drop(&mut self) {
        // One by one. If one dropped the next, each would wait for a grace
        // period of its own.
        for head in &self.limits {
            let mut next = head.replace(None);
            while let Some(ct_limit) = next {
                next = ct_limit.next.replace(None);
            }
        }
    }
}

/// Whether a zone may have the connection of a packet, which is not confirmed
/// yet. It is counted.
///
/// The packet's headers are where its network header says. A namespace that is
/// going away has no limits any more.
///
/// C: `ovs_ct_check_limit()`.
///
/// # Errors
///
/// `ENOMEM` if it may not.
#[cfg_attr(
    not(CONFIG_NF_CONNTRACK_OVS),
    expect(dead_code, reason = "no ct action")
)]
pub(crate) fn ovs_ct_check_limit(
    net: &Net,
    skb: &SkBuff,
    family: NfProto,
    zone: u16,
    rcu: RcuRead<'_>,
) -> Result {
    let Some(info) = OVS_NET
        .get(net, rcu)
        .and_then(|ovs_net| ovs_net.ct_limit_info.get(rcu))
    else {
        return Ok(());
    };

    let per_zone_limit = info.get(zone, rcu);
    if per_zone_limit == UNLIMITED {
        return Ok(());
    }
    let connections = info.data.count_skb(Some((skb, family)), zone.into(), rcu);
    if connections > per_zone_limit {
        return Err(ENOMEM);
    }
    Ok(())
}

/// A namespace has no limits at first.
///
/// C: `ovs_ct_limit_init()`.
///
/// # Errors
///
/// `ENOMEM`.
pub(crate) fn ovs_ct_limit_init(net: &Net) -> Result<PernetSlot<CtLimitInfo>> {
    let mut limits = KVec::with_capacity(BUCKETS, GFP_KERNEL)?;
    for _ in 0..BUCKETS {
        limits.push(RcuSlot::empty(), GFP_KERNEL)?;
    }
    let data = ConnCount::new(net).inspect_err(|err| {
        pr_err!("failed to init nf_conncount {}\n", err.to_errno());
    })?;
    let info = CtLimitInfo {
        default_limit: AtomicU32::new(DEFAULT),
        limits,
        data,
    };
    Ok(PernetSlot::new(net, KBox::new(info, GFP_KERNEL)?))
}

/// Packets of a namespace that is going away see no limits any more.
///
/// C: `ovs_ct_limit_exit_start()`.
pub(crate) fn ovs_ct_limit_exit_start(
    net: &PreExit<'_>,
    info: &PernetSlot<CtLimitInfo>,
    _lock: &OvsGuard,
) {
    info.detach(net);
}

/// Frees the limits of a namespace, which no packet looks at any more. May sleep.
///
/// C: `ovs_ct_limit_exit_finish()`.
pub(crate) fn ovs_ct_limit_exit_finish(
    net: &Exit<'_>,
    info: &PernetSlot<CtLimitInfo>,
    _lock: &OvsGuard,
) {
    drop(info.take(net));
}

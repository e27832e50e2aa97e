// SPDX-License-Identifier: GPL-2.0

//! Meters: limits on the rate of packets, which actions refer to by number.
//!
//! A meter has bands, each with a bucket that fills with time and that packets
//! are paid from. A packet finds its meter under RCU and takes the meter's
//! spinlock, as in C; packets of flows without meters have nothing to do with
//! any of this.
//!
//! C: `net/openvswitch/meter.c`. Its commands are in [`cmd`], the table of a
//! datapath's meters in [`table`].

pub(crate) mod cmd;
pub(crate) mod table;

use core::ops::DerefMut;

use kernel::{
    alloc::flags::GFP_KERNEL_ACCOUNT,
    new_spinlock,
    prelude::*,
    sync::SpinLock, //
};

use kernel_ext::{
    net::skbuff::SkBuff,
    sync::{
        bh::BhRcu,
        rcu::RcuArc, //
    },
    time::boot_msecs,
    uapi, //
};
use zerocopy_derive::Immutable;

use crate::datapath::Datapath;

/// How many bands a meter has at most.
pub(crate) const DP_MAX_BANDS: usize = 1;

/// What is counted, as the userspace API has it.
///
/// C: `struct ovs_flow_stats`.
#[repr(C)]
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable)]
pub(crate) struct MeterStats {
    /// Packets.
    pub(crate) n_packets: u64,
    /// Their bytes.
    pub(crate) n_bytes: u64,
}

kernel::static_assert!(size_of::<MeterStats>() == size_of::<uapi::ovs_flow_stats>());

impl MeterStats {
    fn count(&mut self, len: u32) {
        self.n_packets = self.n_packets.wrapping_add(1);
        self.n_bytes = self.n_bytes.wrapping_add(u64::from(len));
    }
}

/// A limit, and what is done with packets beyond it.
///
/// C: `struct dp_meter_band`.
#[derive(Clone, Copy, Default)]
pub(crate) struct DpMeterBand {
    /// What is done: one of `OVS_METER_BAND_TYPE_*`, or a number of which
    /// nothing is known, for nothing.
    pub(crate) ty: u32,
    /// Kilobits or packets per second; not 0.
    pub(crate) rate: u32,
    /// How much can be saved up, in kilobits or packets.
    pub(crate) burst_size: u32,
    /// What is saved up, in bits or thousandths of a packet.
    pub(crate) bucket: u64,
    /// Packets that were beyond the limit.
    pub(crate) stats: MeterStats,
}

impl DpMeterBand {
    /// A band with a full bucket. The rate is not 0.
    pub(crate) fn new(ty: u32, rate: u32, burst_size: u32) -> Self {
        let mut band = Self {
            ty,
            rate,
            burst_size,
            ..Self::default()
        };
        band.bucket = band.max_bucket_size();
        band
    }

    /// What the bucket holds at most.
    fn max_bucket_size(&self) -> u64 {
        u64::from(self.burst_size).wrapping_mul(1000)
    }

    /// In how many milliseconds an empty bucket is full. Of a time that 32 bits
    /// do not hold, the low ones.
    fn max_delta_t(&self) -> u32 {
        // CAST: As in C.
        self.max_bucket_size()
            .checked_div(self.rate.into())
            .unwrap_or(0) as u32
    }
}

/// What of a meter changes with each packet.
#[derive(Clone, Copy)]
pub(crate) struct MeterState {
    /// When a packet came last, in milliseconds since boot.
    pub(crate) used: u64,
    /// All packets.
    pub(crate) stats: MeterStats,
    /// The limits, of which [`MeterState::n_bands`] are there.
    bands: [DpMeterBand; DP_MAX_BANDS],
    n_bands: usize,
    /// The rate is in kilobits and not in packets.
    kbps: bool,
    /// In how many milliseconds any of the buckets is full.
    max_delta_t: u32,
}

impl MeterState {
    /// A meter without bands, at this time.
    pub(crate) fn new(now_ms: u64, kbps: bool) -> Self {
        Self {
            used: now_ms,
            stats: MeterStats::default(),
            bands: [DpMeterBand::default(); DP_MAX_BANDS],
            n_bands: 0,
            kbps,
            max_delta_t: 0,
        }
    }

    /// Adds a band. Fails with `EINVAL` if there are too many.
    pub(crate) fn push_band(&mut self, band: DpMeterBand) -> Result {
        *self.bands.get_mut(self.n_bands).ok_or(EINVAL)? = band;
        self.n_bands = self.n_bands.wrapping_add(1);
        self.max_delta_t = self.max_delta_t.max(band.max_delta_t());
        Ok(())
    }

    /// The bands.
    pub(crate) fn bands(&self) -> &[DpMeterBand] {
        self.bands.get(..self.n_bands).unwrap_or(&[])
    }

    /// Counts a packet of `len` bytes that came at `now_ms`. Whether it is to be
    /// dropped.
    ///
    /// C: `ovs_meter_execute()`, where it holds the lock.
    pub(crate) fn execute(&mut self, now_ms: u64, len: u32) -> bool {
        // Several CPUs may compete for the lock, and one whose packet came a bit
        // later gets it first. Then there is no time between them.
        // CAST: As in C, by which a negative difference is seen.
        let long_delta_ms = (now_ms.wrapping_sub(self.used) as i64).max(0);
        // No more than fills any bucket.
        let delta_ms = u32::try_from(long_delta_ms)
            .unwrap_or(u32::MAX)
            .min(self.max_delta_t);

        self.used = now_ms;
        self.stats.count(len);

        // In what the bucket has: a rate in kilobits per second times
        // milliseconds is bits, and one in packets thousandths of a packet.
        let cost = if self.kbps { len.wrapping_mul(8) } else { 1000 };
        let bands = self.bands.get_mut(..self.n_bands).unwrap_or_default();
        let Some(band) = charge(bands, delta_ms, cost) else {
            return false;
        };
        band.stats.count(len);
        band.ty == uapi::ovs_meter_band_type_OVS_METER_BAND_TYPE_DROP
    }
}

/// Fills all buckets with what came in `delta_ms`, and takes `cost` out of each
/// that has as much. Of the others, the band with the highest rate.
///
/// C: the loop of `ovs_meter_execute()`.
pub(crate) fn charge(
    bands: &mut [DpMeterBand],
    delta_ms: u32,
    cost: u32,
) -> Option<&mut DpMeterBand> {
    let mut exceeded: Option<&mut DpMeterBand> = None;
    for band in bands {
        // A product of 32 bits, as in C: a large bucket may get less than it
        // should.
        let filled = u64::from(delta_ms.wrapping_mul(band.rate));
        band.bucket = band
            .bucket
            .saturating_add(filled)
            .min(band.max_bucket_size());

        match band.bucket.checked_sub(cost.into()) {
            Some(rest) => band.bucket = rest,
            None if band.rate > exceeded.as_ref().map_or(0, |other| other.rate) => {
                exceeded = Some(band);
            }
            None => (),
        }
    }
    exceeded
}

/// A meter. It lives on for a grace period after it was taken out of its table.
///
/// C: `struct dp_meter`.
#[pin_data]
pub(crate) struct DpMeter {
    /// Its number.
    pub(crate) id: u32,
    /// Who replaces it is told what was counted.
    pub(crate) keep_stats: bool,
    /// Taken by packets, so with bottom halves disabled only: see
    /// [`DpMeter::lock`].
    #[pin]
    state: SpinLock<MeterState>,
}

impl DpMeter {
    /// A meter. Fails with `ENOMEM`.
    pub(crate) fn new(id: u32, keep_stats: bool, state: MeterState) -> Result<RcuArc<Self>> {
        let meter = pin_init!(Self {
            id,
            keep_stats,
            state <- new_spinlock!(state, "DpMeter::lock"),
        });
        RcuArc::pin_init(meter, GFP_KERNEL_ACCOUNT)
    }

    /// Takes the lock.
    #[inline]
    pub(crate) fn lock<'a>(&'a self, _ctx: BhRcu<'a>) -> impl DerefMut<Target = MeterState> + 'a {
        self.state.lock()
    }
}

/// Runs a packet through the meter with this number. Whether it is beyond the
/// limit and the caller has to drop it. Without such a meter it is not.
///
/// C: `ovs_meter_execute()`.
#[inline(never)]
pub(crate) fn ovs_meter_execute(
    ctx: BhRcu<'_>,
    dp: &Datapath,
    skb: &SkBuff,
    meter_id: u32,
) -> bool {
    let now_ms = boot_msecs();
    // CAST: A `u32` in C.
    let len = skb.len() as u32;

    dp.meter_tbl
        .lookup(ctx.rcu(), meter_id)
        .is_some_and(|meter| meter.lock(ctx).execute(now_ms, len))
}

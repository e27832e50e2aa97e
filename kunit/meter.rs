// SPDX-License-Identifier: GPL-2.0

//! Meters: what bands let through, to the bit and to the millisecond, and the
//! table as it grows and shrinks.

use kernel::prelude::*;

#[kunit_tests(openvswitch_meter)]
mod tests {
    use super::*;

    use kernel_ext::{
        sync::{
            bh::BhGuard,
            rcu::RcuArc, //
        },
        uapi::ovs_meter_band_type_OVS_METER_BAND_TYPE_DROP as DROP, //
    };

    use crate::{
        datapath::state::ovs_lock,
        meter::{
            charge,
            table::DpMeterTable,
            DpMeter,
            DpMeterBand,
            MeterState,
            MeterStats, //
        },
    };

    /// A meter that packets came to last at millisecond 1,000.
    fn state(kbps: bool, rate: u32, burst: u32) -> Result<MeterState> {
        let mut state = MeterState::new(1000, kbps);
        state.push_band(DpMeterBand::new(DROP, rate, burst))?;
        Ok(state)
    }

    /// How many of `n` packets of `len` bytes at one time are let through.
    fn passed(state: &mut MeterState, now_ms: u64, len: u32, n: u32) -> u32 {
        (0..n).map(|_| u32::from(!state.execute(now_ms, len))).sum()
    }

    fn bucket(state: &MeterState) -> Option<u64> {
        Some(state.bands().first()?.bucket)
    }

    #[test]
    fn packets_are_paid_from_the_burst_and_from_time() -> Result {
        let mut state = state(false, 2, 3)?;

        assert_eq!(passed(&mut state, 1000, 60, 10), 3);
        assert_eq!(bucket(&state), Some(0));
        // Two per second: one in 500 ms.
        assert_eq!(passed(&mut state, 1499, 60, 1), 0);
        assert_eq!(bucket(&state), Some(998));
        assert_eq!(passed(&mut state, 1500, 60, 2), 1);
        assert_eq!(bucket(&state), Some(0));
        // No more than the burst is saved up.
        assert_eq!(passed(&mut state, 1_000_000, 60, 10), 3);
        assert_eq!(
            state.stats,
            MeterStats {
                n_packets: 23,
                n_bytes: 23 * 60
            }
        );
        let dropped = state.bands().first().ok_or(EINVAL)?.stats;
        assert_eq!(
            dropped,
            MeterStats {
                n_packets: 16,
                n_bytes: 16 * 60
            }
        );
        Ok(())
    }

    #[test]
    fn kilobits_are_paid_by_bits() -> Result {
        let mut state = state(true, 1, 2)?;

        // 2,000 bits.
        assert!(!state.execute(1000, 125));
        assert!(!state.execute(1000, 124));
        assert_eq!(bucket(&state), Some(8));
        assert!(state.execute(1000, 2));
        assert!(!state.execute(1000, 1));
        assert_eq!(bucket(&state), Some(0));
        // A packet of no bytes costs nothing.
        assert!(!state.execute(1000, 0));
        // One bit in a millisecond.
        assert!(state.execute(1007, 1));
        assert!(!state.execute(1008, 1));
        // 2 to the 29 bytes are 0 bits of 32, as in C.
        assert!(!state.execute(1008, 1 << 29));
        Ok(())
    }

    #[test]
    fn time_that_goes_back_is_no_time() -> Result {
        let mut state = state(false, 1000, 5)?;

        assert_eq!(passed(&mut state, 1000, 60, 5), 5);
        assert!(state.execute(500, 60));
        // But it is when the last packet came.
        assert_eq!(state.used, 500);
        assert!(!state.execute(501, 60));
        assert_eq!(passed(&mut state, u64::MAX, 60, 9), 0);
        assert_eq!(state.used, u64::MAX);
        Ok(())
    }

    #[test]
    fn a_rate_beyond_the_burst_fills_nothing() -> Result {
        // In less than a millisecond it would be full: no time is long enough.
        let mut state = state(false, 2001, 2)?;

        assert_eq!(passed(&mut state, 1000, 60, 9), 2);
        assert_eq!(passed(&mut state, 1_000_000, 60, 9), 0);
        Ok(())
    }

    #[test]
    fn no_burst_lets_nothing_through() -> Result {
        for kbps in [false, true] {
            let mut state = state(kbps, 1, 0)?;
            assert_eq!(passed(&mut state, 1_000_000, 60, 9), 0);
        }
        Ok(())
    }

    /// The time that fills a bucket is cut to 32 bits, and so is what comes into
    /// it: a bucket may get less than it should, and never more than it holds.
    #[test]
    fn products_have_32_bits() -> Result {
        let full = u64::from(u32::MAX) * 1000;
        let mut state = state(false, 1, u32::MAX)?;
        assert_eq!(bucket(&state), Some(full));
        assert!(!state.execute(1000, 60));
        assert_eq!(bucket(&state), Some(full - 1000));
        // 4,294,967,295,000 ms are 4,294,966,296 ms of 32 bits.
        assert!(!state.execute(1000 + full, 60));
        assert_eq!(bucket(&state), Some(full - 1000));

        let mut bands = [DpMeterBand::new(DROP, 3_000_000, u32::MAX)];
        bands[0].bucket = 0;
        assert!(charge(&mut bands, 1431, 1000).is_none());
        assert_eq!(bands[0].bucket, 4_293_000_000 - 1000);
        bands[0].bucket = 0;
        // 4,296,000,000 less 2 to the 32.
        assert!(charge(&mut bands, 1432, 1000).is_none());
        assert_eq!(bands[0].bucket, 1_032_704 - 1000);
        Ok(())
    }

    #[test]
    fn the_exceeded_band_of_the_highest_rate_counts() {
        let band = |ty, rate, burst| DpMeterBand::new(ty, rate, burst);
        let rate = |found: Option<&mut DpMeterBand>| found.map(|band| band.rate);
        let mut bands = [
            band(DROP, 10, 0),
            band(0, 30, 0),
            band(DROP, 30, 0),
            band(DROP, 20, 0),
            band(DROP, 40, 1),
        ];

        assert_eq!(rate(charge(&mut bands, 0, 1000)), Some(30));
        // Of two with one rate, the first; and the last has nothing left.
        assert_eq!(
            charge(&mut bands[..4], 0, 1000).map(|band| band.ty),
            Some(0)
        );
        assert_eq!(rate(charge(&mut bands, 0, 1000)), Some(40));
        // Each band is filled and pays for itself.
        assert_eq!(rate(charge(&mut bands, 25, 1000)), Some(30));
        assert_eq!(bands[4].bucket, 0);
        assert_eq!(rate(charge(&mut [], 25, 1000)), None);
        assert_eq!(rate(charge(&mut bands, 0, 0)), None);
    }

    #[test]
    fn another_type_of_band_counts_and_lets_through() -> Result {
        let mut state = MeterState::new(0, false);
        state.push_band(DpMeterBand::new(7, 1, 0))?;

        assert!(!state.execute(0, 60));
        let stats = state.bands().first().ok_or(EINVAL)?.stats;
        assert_eq!(stats.n_packets, 1);
        assert!(state.push_band(DpMeterBand::new(7, 1, 0)).is_err());

        let mut none = MeterState::new(0, false);
        assert!(!none.execute(0, 60));
        assert_eq!(none.stats.n_packets, 1);
        Ok(())
    }

    fn meter(id: u32) -> Result<RcuArc<DpMeter>> {
        DpMeter::new(id, true, MeterState::new(0, false))
    }

    fn has(table: &DpMeterTable, id: u32) -> bool {
        let guard = BhGuard::new();
        let found = table.lookup(guard.proof().rcu(), id);
        found.is_some_and(|meter| meter.id == id)
    }

    #[test]
    fn a_place_has_one_meter() -> Result {
        let lock = ovs_lock();
        let table = DpMeterTable::with_limit(2000)?;

        assert!(table.set(&lock, meter(1)?)?.is_none());
        for id in [1025, 4_227_858_433] {
            assert_eq!(table.set(&lock, meter(id)?).err(), Some(EBUSY));
            assert!(!has(&table, id));
            assert!(table.detach(&lock, id)?.is_none());
        }
        let old = table.set(&lock, meter(1)?)?.ok_or(EINVAL)?;
        assert_eq!(old.id, 1);
        assert!(table.detach(&lock, 1)?.is_some());
        assert!(!has(&table, 1));
        assert!(table.set(&lock, meter(4_227_858_433)?)?.is_none());
        assert!(has(&table, 4_227_858_433));
        assert_eq!(table.set(&lock, meter(1)?).err(), Some(EBUSY));
        Ok(())
    }

    #[test]
    fn a_table_grows_shrinks_and_ends() -> Result {
        let lock = ovs_lock();
        let table = DpMeterTable::with_limit(1500)?;

        // In the place of 1,023 for as long as there are 1,024 places.
        table.set(&lock, meter(2047)?)?;
        for id in 0..1022 {
            table.set(&lock, meter(id)?)?;
        }
        assert!(has(&table, 2047));
        // With as many meters as places it grows, and 2,047 is looked for in
        // another place than it has, as in C.
        table.set(&lock, meter(1022)?)?;
        assert!(!has(&table, 2047));
        assert_eq!(table.set(&lock, meter(1023)?).err(), Some(EBUSY));
        assert!(table.set(&lock, meter(2047)?)?.is_none());
        assert!(has(&table, 2047));
        assert!(table.detach(&lock, 2047)?.is_some());

        for id in 1024..1499 {
            table.set(&lock, meter(id)?)?;
        }
        assert_eq!(table.set(&lock, meter(1499)?).err(), Some(EFBIG));
        assert!(table.set(&lock, meter(1498)?)?.is_some());
        assert!((0..1023).all(|id| has(&table, id)));
        assert!((1024..1499).all(|id| has(&table, id)));

        for id in (1024..1499).rev() {
            assert!(table.detach(&lock, id)?.is_some());
        }
        for id in 0..511 {
            assert!(table.detach(&lock, id)?.is_some());
        }
        assert!(!has(&table, 2047));
        // A quarter of the places is left, and none in the upper half.
        assert!(table.detach(&lock, 511)?.is_some());
        assert!(has(&table, 2047));
        assert!((512..1023).all(|id| has(&table, id)));
        Ok(())
    }
}

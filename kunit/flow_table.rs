// SPDX-License-Identifier: GPL-2.0

//! The flow table: insertion, lookup, removal, growth, many masks.

use kernel::prelude::*;

#[kunit_tests(openvswitch_flow_table)]
mod tests {
    use super::*;

    use core::sync::atomic::{
        AtomicBool,
        AtomicU32,
        Ordering, //
    };

    use kernel::{
        time::{
            delay::fsleep,
            Delta, //
        },
        workqueue, //
    };
    use zerocopy::network_endian::U32 as Be32;

    use kernel_ext::sync::{
        bh::BhGuard,
        rcu::RcuArc,
        rcu_cell::RcuBox, //
    };

    use crate::{
        actions::SwFlowActions,
        datapath::state::ovs_lock,
        flow::{
            tunnel::MatchKey,
            SwFlowId, //
        },
        flow_table::FlowTable, //
    };

    fn no_actions() -> Result<RcuBox<SwFlowActions>> {
        let actions = SwFlowActions::new(0, KVec::new());
        Ok(RcuBox::new(actions, GFP_KERNEL)?)
    }

    /// A key that differs with `i` in its addresses and with `port` in its port.
    fn key(i: u32, port: u16) -> MatchKey {
        let mut key = MatchKey::zeroed();
        key.in_port = 1;
        key.eth_type = 0x0800.into();
        key.ipv4_src = Be32::new(i);
        key.ipv4_dst = Be32::new(0x0a00_0001);
        key.tp_src = port.into();
        key
    }

    /// A mask of port, type and the upper `bits` bits of the source address.
    fn mask(bits: u32) -> MatchKey {
        let mut mask = MatchKey::zeroed();
        mask.in_port = 0xffff;
        mask.eth_type = 0xffff.into();
        mask.ipv4_src = Be32::new(u32::MAX.checked_shl(32 - bits).unwrap_or(0));
        mask
    }

    fn ufid(i: u32) -> Result<SwFlowId> {
        SwFlowId::ufid(&u128::from(i).to_ne_bytes()).ok_or(EINVAL)
    }

    /// The number in the UFID of the flow that a packet with this key matches.
    fn finds(table: &FlowTable, key: &MatchKey) -> Option<u32> {
        let guard = BhGuard::new();
        let flow = table.lookup(guard.proof(), key.as_ref()).flow?;
        Some(u32::from_ne_bytes(*flow.id().as_ufid()?.first_chunk()?))
    }

    fn num_masks(table: &FlowTable) -> u32 {
        let guard = kernel::sync::rcu::read_lock();
        table.num_masks((&guard).into())
    }

    #[test]
    fn a_flow_is_found_under_its_mask_and_no_other() -> Result {
        let table = KBox::init(FlowTable::init(), GFP_KERNEL)?;
        let lock = ovs_lock();
        table.insert(
            &lock,
            &key(0xc0a8_0101, 5),
            &mask(24),
            ufid(7)?,
            no_actions()?,
        )?;
        assert_eq!(finds(&table, &key(0xc0a8_0199, 9)), Some(7));
        assert_eq!(finds(&table, &key(0xc0a8_0201, 5)), None);
        let mut other_port = key(0xc0a8_0101, 5);
        other_port.in_port = 2;
        assert_eq!(finds(&table, &other_port), None);
        table.flush(&lock);
        Ok(())
    }

    #[test]
    fn the_masked_key_comes_back_whole() -> Result {
        let table = KBox::init(FlowTable::init(), GFP_KERNEL)?;
        let lock = ovs_lock();
        let mut full = MatchKey::zeroed();
        for (i, word) in full.words_mut().iter_mut().enumerate() {
            *word = 0x0101_0101_0101_0101u64.wrapping_mul(i as u64 + 1);
        }
        let mut all = MatchKey::zeroed();
        for word in all.words_mut() {
            *word = u64::MAX;
        }
        let flow = table.insert(&lock, &full, &all, ufid(1)?, no_actions()?)?;
        assert!(flow.key() == full);
        let flow = table.insert(
            &lock,
            &key(0xc0a8_0101, 5),
            &mask(8),
            ufid(2)?,
            no_actions()?,
        )?;
        let mut want = key(0xc000_0000, 0);
        want.ipv4_dst = Be32::new(0);
        assert!(flow.key() == want);
        table.flush(&lock);
        Ok(())
    }

    #[test]
    fn thousands_of_flows_survive_growth_and_removal() -> Result {
        const N: u32 = 5000;
        let table = KBox::init(FlowTable::init(), GFP_KERNEL)?;
        let lock = ovs_lock();
        let wrong = |want: fn(u32) -> Option<u32>| {
            (0..N)
                .filter(|&i| finds(&table, &key(i, 1)) != want(i))
                .count()
        };
        for i in 0..N {
            table.insert(&lock, &key(i, 0), &mask(32), ufid(i)?, no_actions()?)?;
        }
        assert_eq!(table.count(), N);
        assert_eq!(num_masks(&table), 1);
        assert_eq!(wrong(Some), 0);

        for i in (0..N).step_by(2) {
            table.take_id(&lock, &ufid(i)?).ok_or(ENOENT)?;
        }
        assert_eq!(table.count(), N / 2);
        assert_eq!(wrong(|i| (i % 2 == 1).then_some(i)), 0);

        // The places that became free are used again.
        for i in (0..N).step_by(2) {
            table.insert(&lock, &key(i, 0), &mask(32), ufid(i)?, no_actions()?)?;
        }
        assert_eq!(wrong(Some), 0);
        table.flush(&lock);
        assert_eq!(table.count(), 0);
        assert_eq!(wrong(|_| None), 0);
        assert_eq!(num_masks(&table), 0);
        Ok(())
    }

    #[test]
    fn many_masks_and_the_cache_agree() -> Result {
        const MASKS: u32 = 2000;
        let table = KBox::init(FlowTable::init(), GFP_KERNEL)?;
        let lock = ovs_lock();
        for i in 0..MASKS {
            // A mask of its own for each flow, by bits of a field that is zero.
            let mut mask = mask(32);
            mask.skb_mark = i + 1;
            table.insert(&lock, &key(i, 0), &mask, ufid(i)?, no_actions()?)?;
        }
        assert_eq!(num_masks(&table), MASKS);
        // Twice: the second time with a warm cache; and with other cache sizes.
        for size in [256, 1, 0, 4096] {
            table.masks_cache_resize(size)?;
            for _ in 0..2 {
                let wrong = (0..MASKS)
                    .filter(|&i| finds(&table, &key(i, i as u16)) != Some(i))
                    .count();
                assert_eq!(wrong, 0);
            }
        }
        assert!(table.masks_cache_resize(3).is_err());

        // Every mask goes with its last flow.
        for i in 0..MASKS {
            table.take_id(&lock, &ufid(i)?).ok_or(ENOENT)?;
        }
        assert_eq!(num_masks(&table), 0);
        Ok(())
    }

    /// What a lookup that runs all the while has seen.
    struct Looking {
        table: FlowTable,
        stop: AtomicBool,
        ended: AtomicBool,
        rounds: AtomicU32,
        wrong: AtomicU32,
    }

    /// Flows that stay, for which each lookup has to find the right one.
    const STAYING: u32 = 32;

    impl Looking {
        /// Looks for flows that stay and for others that come and go.
        fn run(&self) {
            while !self.stop.load(Ordering::Acquire) {
                for i in 0..STAYING {
                    let right = finds(&self.table, &key(i, 1)) == Some(i);
                    let other = 0x0100_0000 + i;
                    let found = finds(&self.table, &key(other, 1));
                    if !right || found.is_some_and(|found| found != other) {
                        self.wrong.fetch_add(1, Ordering::Relaxed);
                    }
                }
                self.rounds.fetch_add(1, Ordering::Release);
                fsleep(Delta::from_micros(10));
            }
            self.ended.store(true, Ordering::Release);
        }
    }

    #[test]
    fn lookups_are_right_while_the_table_changes() -> Result {
        let looking = RcuArc::init::<Error>(
            try_init!(Looking {
                table <- FlowTable::init(),
                stop: AtomicBool::new(false),
                ended: AtomicBool::new(false),
                rounds: AtomicU32::new(0),
                wrong: AtomicU32::new(0),
            }? Error),
            GFP_KERNEL,
        )?;
        let table = &looking.table;
        let insert = |i: u32, mark: u32| -> Result {
            let lock = ovs_lock();
            let mut mask = mask(32);
            mask.skb_mark = mark;
            table.insert(&lock, &key(i, 0), &mask, ufid(i)?, no_actions()?)?;
            Ok(())
        };
        for i in 0..STAYING {
            insert(i, 1 + i % 4)?;
        }
        let worker = looking.clone();
        workqueue::system_unbound().try_spawn(GFP_KERNEL, move || worker.run())?;

        // Flows of other masks, so many that the table grows.
        let change = || -> Result {
            for round in 0..20u32 {
                for i in 0..200 {
                    insert(0x0100_0000 + i, 100 + (i + round) % 50)?;
                }
                table.masks_cache_resize(if round % 2 == 0 { 1 } else { 256 })?;
                fsleep(Delta::from_micros(100));
                for i in 0..200 {
                    table
                        .take_id(&ovs_lock(), &ufid(0x0100_0000 + i)?)
                        .ok_or(ENOENT)?;
                }
                fsleep(Delta::from_micros(100));
            }
            for i in 0..2000 {
                insert(0x0200_0000 + i, 1)?;
            }
            Ok(())
        };
        let changed = change();
        while looking.rounds.load(Ordering::Acquire) < 20 {
            fsleep(Delta::from_millis(1));
        }
        looking.stop.store(true, Ordering::Release);
        while !looking.ended.load(Ordering::Acquire) {
            fsleep(Delta::from_millis(1));
        }
        assert_eq!(looking.wrong.load(Ordering::Relaxed), 0);
        table.flush(&ovs_lock());
        changed
    }

    #[test]
    fn a_train_of_packets_ends_with_its_flow() -> Result {
        let table = KBox::init(FlowTable::init(), GFP_KERNEL)?;
        let lock = ovs_lock();
        for i in 0..2 {
            table.insert(&lock, &key(i, 0), &mask(32), ufid(i)?, no_actions()?)?;
        }
        for _ in 0..3 {
            assert_eq!(finds(&table, &key(0, 1)), Some(0));
        }
        assert_eq!(finds(&table, &key(1, 1)), Some(1));
        assert_eq!(finds(&table, &key(0, 2)), Some(0));
        table.take_id(&lock, &ufid(0)?).ok_or(ENOENT)?;
        assert_eq!(finds(&table, &key(0, 2)), None);
        // The same match, another flow.
        table.insert(&lock, &key(0, 0), &mask(32), ufid(9)?, no_actions()?)?;
        assert_eq!(finds(&table, &key(0, 2)), Some(9));
        assert_eq!(finds(&table, &key(0, 2)), Some(9));
        table.flush(&lock);
        assert_eq!(finds(&table, &key(0, 2)), None);
        Ok(())
    }

    /// How many masks a lookup tries and how many hits of the cache it counts.
    fn costs(table: &FlowTable, key: &MatchKey) -> (u32, u32) {
        let guard = BhGuard::new();
        let found = table.lookup(guard.proof(), key.as_ref());
        (found.n_mask_hit, found.n_cache_hit)
    }

    #[test]
    fn a_cache_that_is_turned_off_is_never_hit() -> Result {
        let table = KBox::init(FlowTable::init(), GFP_KERNEL)?;
        let lock = ovs_lock();
        for i in 0..8 {
            let mut mask = mask(32);
            mask.skb_mark = i + 1;
            table.insert(&lock, &key(i, 0), &mask, ufid(i)?, no_actions()?)?;
        }
        let first_and_next = || {
            // Of another flow, so that the first of the two is no train.
            costs(&table, &key(7, 0));
            (costs(&table, &key(4, 0)), costs(&table, &key(4, 0)))
        };
        assert_eq!(first_and_next(), ((5, 0), (1, 1)));
        assert_eq!(first_and_next(), ((1, 1), (1, 1)));
        table.masks_cache_resize(0)?;
        assert_eq!(first_and_next(), ((5, 0), (1, 0)));
        assert_eq!(first_and_next(), ((5, 0), (1, 0)));
        table.masks_cache_resize(256)?;
        assert_eq!(first_and_next(), ((5, 0), (1, 1)));
        table.flush(&lock);
        Ok(())
    }

    #[test]
    fn a_mask_that_the_cache_knew_is_tried_once() -> Result {
        let table = KBox::init(FlowTable::init(), GFP_KERNEL)?;
        let lock = ovs_lock();
        for i in 0..8 {
            let mut mask = mask(32);
            mask.skb_mark = i + 1;
            table.insert(&lock, &key(i, 0), &mask, ufid(i)?, no_actions()?)?;
        }
        // One flow more of that mask, so that it stays.
        let mut mask = mask(32);
        mask.skb_mark = 5;
        table.insert(&lock, &key(99, 0), &mask, ufid(99)?, no_actions()?)?;
        assert_eq!(costs(&table, &key(4, 0)), (5, 0));
        table.take_id(&lock, &ufid(4)?).ok_or(ENOENT)?;
        assert_eq!(finds(&table, &key(4, 0)), None);
        assert_eq!(costs(&table, &key(4, 0)), (8, 0));
        mask.skb_mark = 1;
        table.insert(&lock, &key(4, 0), &mask, ufid(4)?, no_actions()?)?;
        // The one that the cache knew, and the first of all.
        assert_eq!(costs(&table, &key(4, 0)), (2, 0));
        assert_eq!(costs(&table, &key(4, 0)), (1, 1));
        table.flush(&lock);
        Ok(())
    }

    #[test]
    fn ufids_of_every_size_are_distinct() -> Result {
        let table = KBox::init(FlowTable::init(), GFP_KERNEL)?;
        let lock = ovs_lock();
        let bytes = [0u8; 16];
        let id = |len: u32| {
            let bytes = bytes.get(..len as usize).ok_or(EINVAL)?;
            SwFlowId::ufid(bytes).ok_or(EINVAL)
        };
        for len in 1..=16 {
            table.insert(&lock, &key(len, 0), &mask(32), id(len)?, no_actions()?)?;
        }
        for len in 1..=16 {
            let flow = table.lookup_id(&lock, &id(len)?).ok_or(ENOENT)?;
            assert_eq!(flow.key().ipv4_src.get(), len);
        }
        assert!(SwFlowId::ufid(&[]).is_none());
        assert!(SwFlowId::ufid(&[0; 17]).is_none());
        table.flush(&lock);
        Ok(())
    }

    #[test]
    fn statistics_add_up_and_clear() -> Result {
        let table = KBox::init(FlowTable::init(), GFP_KERNEL)?;
        let lock = ovs_lock();
        let flow = table.insert(&lock, &key(1, 0), &mask(32), ufid(1)?, no_actions()?)?;
        let guard = BhGuard::new();
        for _ in 0..10 {
            flow.stats().update(guard.proof(), 100, 0x0200u16.to_be());
        }
        drop(guard);
        let sum = flow.stats().get();
        assert_eq!((sum.packets, sum.bytes), (10, 1000));
        assert_eq!(sum.tcp_flags, 0x0200u16.to_be());
        assert!(sum.used != 0);
        flow.stats().clear();
        let sum = flow.stats().get();
        assert_eq!(
            (sum.packets, sum.bytes, sum.used, sum.tcp_flags),
            (0, 0, 0, 0)
        );
        table.flush(&lock);
        Ok(())
    }

    /// A CPU that there is no memory for counts all that the others do: a flow
    /// that seems to be idle would be deleted.
    #[test]
    fn statistics_need_no_memory() -> Result {
        let table = KBox::init(FlowTable::init(), GFP_KERNEL)?;
        let lock = ovs_lock();
        let flow = table.insert(&lock, &key(1, 0), &mask(32), ufid(1)?, no_actions()?)?;
        flow.stats().count_without_block(100, 0x0200u16.to_be());
        flow.stats().count_without_block(50, 0x1000u16.to_be());
        let sum = flow.stats().get();
        assert_eq!((sum.packets, sum.bytes), (2, 150));
        assert_eq!(sum.tcp_flags, 0x1200u16.to_be());
        assert!(sum.used != 0);
        flow.stats().clear();
        let sum = flow.stats().get();
        assert_eq!(
            (sum.packets, sum.bytes, sum.used, sum.tcp_flags),
            (0, 0, 0, 0)
        );
        table.flush(&lock);
        Ok(())
    }
}

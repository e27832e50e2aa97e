// SPDX-License-Identifier: GPL-2.0

//! Objects that are published under RCU.

use kernel::prelude::*;

#[kunit_tests(rust_rcu)]
mod tests {
    use super::*;

    use core::{
        cell::Cell,
        sync::atomic::{
            AtomicUsize,
            Ordering, //
        },
    };

    use crate::{
        rcu_table::{
            RcuTable,
            RememberingTable, //
        },
        sync::{
            bh::BhGuard,
            once_box::OnceBox,
            rcu::RcuArc,
            rcu_cell::{
                RcuBox,
                RcuCell, //
            },
        },
    };

    /// A number that says in a counter that it is gone.
    struct Tracked(u64, &'static AtomicUsize);

    impl Drop for Tracked {
        fn drop(&mut self) {
            self.1.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_cell_keeps_what_is_replaced_for_a_grace_period() -> Result {
        static GONE: AtomicUsize = AtomicUsize::new(0);

        let cell = RcuCell::new(RcuBox::new(Tracked(1, &GONE), GFP_KERNEL)?);
        let guard = BhGuard::new();
        let old = cell.get(guard.proof().rcu());
        let new = RcuBox::new(Tracked(2, &GONE), kernel::alloc::flags::GFP_ATOMIC)?;
        cell.replace(new);
        assert_eq!(old.0, 1);
        assert_eq!(cell.get(guard.proof().rcu()).0, 2);
        assert_eq!(GONE.load(Ordering::Relaxed), 0);
        drop(guard);
        kernel::sync::rcu::rcu_barrier();
        assert_eq!(GONE.load(Ordering::Relaxed), 1);

        // What is in the cell goes with it, and at once.
        drop(cell);
        assert_eq!(GONE.load(Ordering::Relaxed), 2);
        Ok(())
    }

    #[test]
    fn a_reference_outlives_the_cell() -> Result {
        static GONE: AtomicUsize = AtomicUsize::new(0);

        let unpublished = RcuBox::new(Tracked(1, &GONE), GFP_KERNEL)?;
        let shared = unpublished.share();
        drop(unpublished);
        assert_eq!((shared.0, GONE.load(Ordering::Relaxed)), (1, 0));
        drop(shared);
        assert_eq!(GONE.load(Ordering::Relaxed), 1);

        let cell = RcuCell::new(RcuBox::new(Tracked(2, &GONE), GFP_KERNEL)?);
        let first = cell.load();
        cell.replace(RcuBox::new(Tracked(3, &GONE), GFP_KERNEL)?);
        let second = cell.load();
        drop(cell);
        kernel::sync::rcu::rcu_barrier();
        assert_eq!((first.0, second.0), (2, 3));
        assert_eq!(GONE.load(Ordering::Relaxed), 1);
        drop(first.clone());
        drop(first);
        drop(second);
        assert_eq!(GONE.load(Ordering::Relaxed), 3);
        Ok(())
    }

    #[test]
    fn a_place_is_filled_once() -> Result {
        static GONE: AtomicUsize = AtomicUsize::new(0);

        let place = OnceBox::new();
        assert!(place.get().is_none());
        let got = place.get_or_set(KBox::new(Tracked(1, &GONE), GFP_KERNEL)?);
        assert_eq!(got.0, 1);
        let got = place.get_or_set(KBox::new(Tracked(2, &GONE), GFP_KERNEL)?);
        assert_eq!(got.0, 1);
        assert_eq!(GONE.load(Ordering::Relaxed), 1);
        assert_eq!(place.get().map(|t| t.0), Some(1));
        drop(place);
        assert_eq!(GONE.load(Ordering::Relaxed), 2);
        Ok(())
    }

    #[test]
    fn the_last_element_is_known_until_one_is_taken_out() -> Result {
        static GONE: AtomicUsize = AtomicUsize::new(0);

        let table = RememberingTable::<Tracked, 1>::new(8)?;
        let other = RememberingTable::<Tracked, 1>::new(8)?;
        for i in 0..100 {
            let element = RcuArc::new(Tracked(i, &GONE), GFP_KERNEL)?;
            table.insert(i << 40, element, |t| t.0 << 40)?;
        }
        let known = |table: &RememberingTable<Tracked, 1>| {
            let guard = BhGuard::new();
            let ctx = guard.proof();
            let last = table
                .memory(ctx, 0)
                .and_then(|memory| memory.last(ctx.rcu()));
            last.map(|t| t.0)
        };
        let find = |i: u64| {
            let guard = BhGuard::new();
            let ctx = guard.proof();
            let found = table
                .memory(ctx, 0)
                .and_then(|memory| memory.find(i << 40, ctx.rcu(), |t| t.0 == i));
            found.map(|t| t.0)
        };

        assert_eq!(known(&table), None);
        assert_eq!(find(7), Some(7));
        assert_eq!(known(&table), Some(7));
        assert_eq!(known(&other), None);
        // What is not found is not noted.
        assert_eq!(find(100), None);
        assert_eq!(known(&table), Some(7));
        assert_eq!(find(8), Some(8));
        assert_eq!(known(&table), Some(8));
        // Growing changes nothing; taking out does, whatever is taken out.
        for i in 100..1000 {
            let element = RcuArc::new(Tracked(i, &GONE), GFP_KERNEL)?;
            table.insert(i << 40, element, |t| t.0 << 40)?;
        }
        assert_eq!(known(&table), Some(8));
        let element = table.find_arc(9 << 40, |t| t.0 == 9).ok_or(ENOENT)?;
        table.remove(9 << 40, &element);
        drop(element);
        assert_eq!(known(&table), None);
        assert_eq!(find(8), Some(8));
        table.drain(drop);
        assert_eq!(known(&table), None);
        kernel::sync::rcu::rcu_barrier();
        assert_eq!(GONE.load(Ordering::Relaxed), 1000);
        Ok(())
    }

    /// A walk that prefetches gives what one that does not gives, also in parts.
    #[test]
    fn a_walk_that_looks_ahead_leaves_out_nothing() -> Result {
        let table = RcuTable::new(8)?;
        for i in 0..500_u64 {
            let hash = i.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            table.insert(hash, RcuArc::new(i, GFP_KERNEL)?, |&i| {
                i.wrapping_mul(0x9e37_79b9_7f4a_7c15)
            })?;
        }
        let guard = BhGuard::new();
        let rcu = guard.proof().rcu();
        let mut plain = KVec::new();
        let mut room = Ok(());
        table.walk(0, rcu, |&i| {
            room = plain.push(i, kernel::alloc::flags::GFP_ATOMIC);
            room.is_ok()
        });
        room?;
        assert_eq!(plain.len(), 500);

        for part in [1, 7, 499, 500, 501] {
            let announced = Cell::new([0; 3]);
            let (mut seen, mut parts, mut next) = (0, 0, Some(0));
            while let Some(start) = next {
                let mut left = part;
                let ahead = |_: &u64, step: usize| {
                    let mut counts = announced.get();
                    counts[step] += 1;
                    announced.set(counts);
                };
                next = table.walk_ahead(start, rcu, ahead, |i| {
                    if left == 0 {
                        return false;
                    }
                    assert_eq!(plain.get(seen), Some(i));
                    left -= 1;
                    seen += 1;
                    true
                });
                parts += 1;
            }
            assert_eq!(seen, 500);
            assert_eq!(parts, 500_usize.div_ceil(part));
            // Each was announced before it came, once in each call or more.
            assert!(announced.get().iter().all(|&count| count >= 500));
        }
        assert_eq!(table.walk_ahead(100_000, rcu, |_, _| (), |_| true), None);
        Ok(())
    }
}

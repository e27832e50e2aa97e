// SPDX-License-Identifier: GPL-2.0

//! Work items in a `static`.

use kernel::prelude::*;

#[kunit_tests(rust_workqueue)]
mod tests {
    use super::*;

    use core::sync::atomic::{
        AtomicUsize,
        Ordering, //
    };

    use kernel::{
        c_str, static_lock_class,
        time::{
            delay::fsleep,
            Delta, //
        },
    };

    use crate::workqueue::{
        delayed::StaticDelayedWork,
        StaticWork, //
    };

    /// Waits until `count` is `n`, for a second at most.
    fn becomes(count: &AtomicUsize, n: usize) -> bool {
        for _ in 0..1000 {
            if count.load(Ordering::Relaxed) == n {
                return true;
            }
            fsleep(Delta::from_millis(1));
        }
        false
    }

    #[test]
    fn work_runs_while_it_is_enabled() -> Result {
        static RUNS: AtomicUsize = AtomicUsize::new(0);
        static WORK: StaticWork = StaticWork::new(
            || {
                RUNS.fetch_add(1, Ordering::Relaxed);
            },
            c_str!("kunit_work"),
            static_lock_class!(),
        );

        WORK.queue();
        for round in 1..4 {
            let guard = WORK.enable()?;
            assert!(WORK.enable().is_err_and(|e| e == EBUSY));
            WORK.queue();
            assert!(becomes(&RUNS, round));
            drop(guard);
            // What is queued now is not kept for when it is enabled again.
            WORK.queue();
            WORK.queue_unbound();
        }
        fsleep(Delta::from_millis(10));
        assert_eq!(RUNS.load(Ordering::Relaxed), 3);
        Ok(())
    }

    #[test]
    fn delayed_work_runs_while_it_is_enabled() -> Result {
        static RUNS: AtomicUsize = AtomicUsize::new(0);
        static WORK: StaticDelayedWork = StaticDelayedWork::new(
            || {
                RUNS.fetch_add(1, Ordering::Relaxed);
            },
            c_str!("kunit_delayed_work"),
            [static_lock_class!(), static_lock_class!()],
        );

        WORK.queue(1);
        for round in 1..4 {
            let guard = WORK.enable()?;
            assert!(WORK.enable().is_err_and(|e| e == EBUSY));
            WORK.queue(1);
            assert!(becomes(&RUNS, round));
            // Taken off the queue.
            WORK.queue(1000);
            drop(guard);
            WORK.queue(1);
        }
        fsleep(Delta::from_millis(20));
        assert_eq!(RUNS.load(Ordering::Relaxed), 3);
        Ok(())
    }
}

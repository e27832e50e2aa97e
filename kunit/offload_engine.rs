// SPDX-License-Identifier: GPL-2.0

//! The offload engine against a driver that records what it is asked for:
//! room, rates, failures, delay, order.

use kernel::prelude::*;

#[kunit_tests(openvswitch_offload_engine)]
mod tests {
    use super::*;

    use kernel::error::code::{
        EIO,
        ENETUNREACH, //
    };

    use kernel_ext::{
        kunit_flow_offload_driver as driver,
        net::netlink::{
            AttrBuf,
            AttrWriter, //
        },
        sync::bh::BhGuard,
        time::boot_msecs, //
    };

    use crate::{
        datapath::state::ovs_lock,
        flow::total_stats,
        flow_netlink::uapi::*,
        kunit_offload_flow::{
            output,
            MACS, //
        },
        kunit_offload_lab::*,
        offload::{
            self,
            reason::Reason,
            state::State, //
        },
        receive::ovs_vport_receive, //
    };

    #[test]
    fn a_flow_through_its_life() -> Result {
        let lab = Lab::new()?;
        let flow = lab.add(1)?;
        assert!(until(2000, || in_hw(&flow)));
        assert_eq!(driver::n_rules_of(1), 1);
        receive(&flow, 1, 7);
        assert!(counts(&flow, 7));

        // What is asked for is what has been read, of no driver.
        let before = driver::calls();
        for _ in 0..1000 {
            assert_eq!(total_stats(&flow).packets, 7);
        }
        assert!(driver::calls().stats <= before.stats + 1);

        // Other actions: another rule, before the one there was goes.
        lab.change(&flow);
        assert!(until(2000, || driver::calls().destroy == 1));
        assert_eq!(driver::n_rules_of(1), 1);
        assert_eq!(driver::calls().alike, 2);
        receive(&flow, 1, 3);
        // What was not read yet is read before the rule goes.
        lab.delete(&flow);
        assert_eq!(driver::n_rules(), 0);
        assert_eq!(total_stats(&flow).packets, 10);
        Ok(())
    }

    #[test]
    fn commands_do_not_wait_for_what_is_queued() -> Result {
        const QUEUED: u32 = 200;

        let lab = Lab::new()?;
        let (gone, changed) = (lab.add(1)?, lab.add(2)?);
        assert!(until(2000, || in_hw(&gone) && in_hw(&changed)));
        // Long enough for most to be queued still at the end, on a busy machine too.
        driver::set_delay(100);
        for src in 3..3 + QUEUED {
            lab.add(src)?;
        }
        receive(&gone, 1, 5);
        let destroyed = driver::calls().destroy;

        lab.delete(&gone);
        assert_eq!(driver::n_rules_of(1), 0);
        assert_eq!(total_stats(&gone).packets, 5);
        assert_eq!(driver::calls().destroy, destroyed + 1);
        // The new rule is there, the old one is not.
        lab.set_actions(&changed, |_| Ok(()))?;
        assert_eq!(driver::n_rules_of(2), 1);
        assert_eq!(driver::calls().destroy, destroyed + 2);
        assert!(driver::n_rules() < QUEUED as usize / 2);

        // A flow that the driver is just being asked to take.
        let taken = lab.add(1)?;
        lab.delete(&taken);
        lab.flush();
        assert_eq!(driver::n_rules(), 0);
        driver::set_delay(0);
        sleep(500);
        assert_eq!(driver::n_rules(), 0);
        assert_eq!(driver::calls().unknown, 0);
        Ok(())
    }

    #[test]
    fn counters_are_read_once_a_second() -> Result {
        let lab = Lab::new()?;
        let mut flows = KVec::new();
        for src in 1..=200 {
            flows.push(lab.add(src)?, GFP_KERNEL)?;
        }
        assert!(until(5000, || flows.iter().all(|flow| in_hw(flow))));
        sleep(500);
        let before = driver::calls().stats;
        sleep(3000);
        let calls = driver::calls().stats - before;
        assert!((400..=1000).contains(&calls));
        // Without rules, nothing is asked.
        lab.flush();
        assert_eq!(driver::n_rules(), 0);
        Ok(())
    }

    #[test]
    fn the_busiest_flows_have_the_room() -> Result {
        let lab = Lab::new()?;
        driver::set_capacity(2);
        let busy = lab.add(1)?;
        let idle = lab.add(2)?;
        assert!(until(2000, || in_hw(&busy) && in_hw(&idle)));
        let late = lab.add(3)?;
        assert!(until(2000, || state(&late) == State::NoSpace));
        // A flow that comes while others wait is not even tried.
        let calls = driver::calls().replace;
        let last = lab.add(4)?;
        assert!(until(2000, || state(&last) == State::NoSpace));
        assert_eq!(reason(&last), Some(Reason::FullBefore));

        let mut sent = 0;
        assert!(until(8000, || {
            receive(&busy, 1, 40);
            receive(&late, 3, 40);
            sent += 40;
            in_hw(&late)
        }));
        assert!(in_hw(&busy));
        assert_eq!(state(&idle), State::NoSpace);
        assert_eq!(reason(&idle), Some(Reason::Displaced));
        assert_eq!(driver::n_rules(), 2);
        assert_eq!(driver::n_rules_of(3), 1);
        // Attempts at more room are few.
        assert!(driver::calls().replace - calls <= 10);
        // Nothing is lost, nothing counted twice.
        for _ in 0..20 {
            receive(&busy, 1, 40);
            receive(&late, 3, 40);
            sent += 40;
            sleep(20);
        }
        assert!(counts(&busy, sent));
        assert!(counts(&late, sent));
        assert!(counts(&idle, 0));
        // More room is tried for with the idle one: that is not why it waits.
        let calls = driver::calls().replace;
        assert!(until(5000, || driver::calls().replace > calls));
        sleep(50);
        assert_eq!(state(&idle), State::NoSpace);
        assert_eq!(reason(&idle), Some(Reason::Displaced));
        Ok(())
    }

    #[test]
    fn rates_of_hardware_may_be_late() -> Result {
        let lab = Lab::new()?;
        driver::set_capacity(1);
        let first = lab.add(1)?;
        assert!(until(2000, || in_hw(&first)));
        let second = lab.add(2)?;
        assert!(until(2000, || state(&second) == State::NoSpace));
        sleep(3000);
        // Both begin at once, and the hardware says so 1.5 seconds later.
        for n in 0..250 {
            receive(&second, 2, 5);
            if n == 75 {
                receive(&first, 1, 5 * 75);
            } else if n > 75 {
                receive(&first, 1, 5);
            }
            assert!(in_hw(&first));
            sleep(20);
        }
        assert_eq!(state(&second), State::NoSpace);
        Ok(())
    }

    #[test]
    fn room_that_is_free_is_used() -> Result {
        let lab = Lab::new()?;
        driver::set_capacity(2);
        let a = lab.add(1)?;
        let b = lab.add(2)?;
        assert!(until(2000, || in_hw(&a) && in_hw(&b)));
        let c = lab.add(3)?;
        let d = lab.add(4)?;
        assert!(until(2000, || {
            state(&c) == State::NoSpace && state(&d) == State::NoSpace
        }));
        // A rule goes.
        lab.delete(&a);
        assert!(until(2000, || in_hw(&c) || in_hw(&d)));
        assert_eq!(driver::n_rules(), 2);
        // There is more room than there was.
        driver::set_capacity(3);
        assert!(until(20_000, || in_hw(&c) && in_hw(&d)));
        assert_eq!(driver::n_rules(), 3);
        Ok(())
    }

    #[test]
    fn what_is_known_of_room_goes_with_the_last_flow() -> Result {
        let lab = Lab::new()?;
        driver::set_capacity(1);
        let a = lab.add(1)?;
        assert!(until(2000, || in_hw(&a)));
        let b = lab.add(2)?;
        assert!(until(2000, || state(&b) == State::NoSpace));
        driver::set_capacity(16);
        lab.delete(&b);
        lab.delete(&a);
        assert!(until(2000, || driver::n_rules() == 0));
        // Nobody waits until more room is tried for.
        let calls = driver::calls().replace;
        let c = lab.add(3)?;
        let d = lab.add(4)?;
        assert!(until(500, || in_hw(&c) && in_hw(&d)));
        assert_eq!(driver::calls().replace - calls, 2);
        Ok(())
    }

    #[test]
    fn a_change_with_no_room_for_two() -> Result {
        let lab = Lab::new()?;
        driver::set_capacity(1);
        let flow = lab.add(1)?;
        assert!(until(2000, || in_hw(&flow)));
        receive(&flow, 1, 5);
        lab.change(&flow);
        assert!(until(2000, || driver::calls().destroy == 1));
        assert!(until(2000, || driver::n_rules_of(1) == 1 && in_hw(&flow)));
        assert!(counts(&flow, 5));
        Ok(())
    }

    #[test]
    fn a_driver_that_fails_is_left_alone() -> Result {
        let lab = Lab::new()?;
        driver::fail(EIO, 2);
        let begin = boot_msecs();
        let flow = lab.add(1)?;
        assert!(until(1000, || state(&flow) == State::Failed));
        // Others are not tried.
        let other = lab.add(2)?;
        assert!(until(500, || reason(&other) == Some(Reason::DriverFailed)));
        assert_eq!(driver::calls().replace, 1);
        assert_eq!(flow.offload.status().errno, 5);
        // A second, two seconds, and then it works.
        assert!(until(8000, || in_hw(&flow) && in_hw(&other)));
        assert!(boot_msecs() - begin >= 3000);
        assert!(driver::calls().replace <= 5);

        // What the driver does not take is no failure.
        driver::fail(EOPNOTSUPP, 1);
        let third = lab.add(3)?;
        assert!(until(1000, || state(&third) == State::Failed));
        let fourth = lab.add(4)?;
        assert!(until(500, || in_hw(&fourth)));
        // Nor is what has no route.
        driver::fail(ENETUNREACH, 1);
        let fifth = lab.add(5)?;
        assert!(until(1000, || state(&fifth) == State::Failed));
        let sixth = lab.add(6)?;
        assert!(until(500, || in_hw(&sixth)));
        Ok(())
    }

    #[test]
    fn flows_wait_for_packets() -> Result {
        let lab = Lab::new()?;
        lab.dp.offload.set_min_packets(3);
        let flow = lab.add(1)?;
        assert!(until(1000, || state(&flow) == State::Delayed));
        receive(&flow, 1, 2);
        sleep(500);
        assert_eq!(state(&flow), State::Delayed);
        assert_eq!(driver::calls().replace, 0);
        receive(&flow, 1, 1);
        assert!(until(1000, || in_hw(&flow)));
        receive(&flow, 1, 4);
        assert!(counts(&flow, 7));
        // One that goes before it has had them leaves nothing.
        let short = lab.add(2)?;
        assert!(until(1000, || state(&short) == State::Delayed));
        lab.delete(&short);
        sleep(300);
        assert!(short.offload.cookie().is_none());
        assert_eq!(driver::calls().replace, 1);
        Ok(())
    }

    #[test]
    fn rules_are_installed_side_by_side() -> Result {
        let lab = Lab::new()?;
        driver::set_delay(50);
        let mut flows = KVec::new();
        for src in 1..=32 {
            flows.push(lab.add(src)?, GFP_KERNEL)?;
        }
        assert!(until(10_000, || flows.iter().all(|flow| in_hw(flow))));
        assert!(driver::calls().at_once >= 2);
        Ok(())
    }

    #[test]
    fn the_same_match_again_and_again() -> Result {
        let lab = Lab::new()?;
        driver::set_delay(5);
        let mut flow = lab.add(1)?;
        for round in 0..60 {
            if round % 3 == 0 {
                lab.change(&flow);
            }
            lab.delete(&flow);
            flow = lab.add(1)?;
        }
        assert!(until(10_000, || in_hw(&flow) && driver::n_rules() == 1));
        // No more than the old rule and the new one of a flow with other actions.
        assert!(driver::calls().alike <= 2);
        lab.delete(&flow);
        assert!(until(2000, || driver::n_rules() == 0));
        Ok(())
    }
    #[test]
    fn recirculation_is_chains() -> Result {
        let lab = Lab::new()?;
        let recirc = |w: &mut AttrBuf, id| w.put_u32(OVS_ACTION_ATTR_RECIRC, id);
        let from = lab.add_in(1, 0, |w| recirc(w, 77))?;
        let to = lab.add_in(2, 77, |w| output(w, 2))?;
        assert!(until(2000, || in_hw(&from) && in_hw(&to)));
        let chain = driver::chains_of(2).ok_or(ENOENT)?.0;
        assert_eq!(driver::chains_of(1), Some((0, chain)));
        assert_eq!(driver::chains_of(2), Some((chain, 0)));
        // Neither what TC has from userspace, nor the id itself.
        assert!(chain > 0x0800_0000 && chain < 0x1000_0000);
        // The same id of another datapath is another chain.
        let other = Lab::new_beside(&lab)?;
        let beside = other.add_in(3, 77, |w| output(w, 2))?;
        assert!(until(2000, || in_hw(&beside)));
        let theirs = driver::chains_of(3).ok_or(ENOENT)?.0;
        assert!(theirs != chain && theirs != 0);

        // A packet that misses in the middle goes on with the id, in software,
        // in its own datapath alone.
        let mut frame = [0; 60];
        frame[..12].copy_from_slice(&MACS);
        frame[12..16].copy_from_slice(&[8, 0, 0x45, 0]);
        frame[17] = 46;
        frame[22..24].copy_from_slice(&[64, 17]);
        frame[29] = 2;
        let receive = |chain| -> Result<Result> {
            let vport = lab.dp.ports.load(1).ok_or(ENODEV)?;
            let mut skb = driver::from_chain(&frame, chain)?;
            let guard = BhGuard::new();
            vport.dev().set_skb_dev(&mut skb, guard.proof().rcu());
            Ok(ovs_vport_receive(guard.proof(), &vport, skb))
        };
        assert_eq!(receive(chain)?, Ok(()));
        assert_eq!(to.stats().get().packets, 1);
        // One of the other datapath, or of nobody, is dropped.
        assert_eq!(receive(theirs)?, Err(EINVAL));
        assert_eq!(receive(0x0fff_fffe)?, Err(EINVAL));
        assert_eq!(to.stats().get().packets, 1);
        // The number is known for a while after the rules are gone.
        lab.delete(&from);
        assert!(until(2000, || driver::n_rules_of(1) == 0));
        let change = lab.add_in(4, 0, |w| recirc(w, 77))?;
        assert!(until(2000, || in_hw(&change)));
        assert_eq!(driver::chains_of(4), Some((0, chain)));
        lab.delete(&change);
        lab.delete(&to);
        assert!(until(2000, || driver::n_rules() == 1));
        assert_eq!(receive(chain)?, Ok(()));
        assert!(until(12_000, || receive(chain) == Ok(Err(EINVAL))));
        Ok(())
    }
}

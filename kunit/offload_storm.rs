// SPDX-License-Identifier: GPL-2.0

//! The offload engine in a storm: flows come, change, count packets and go while
//! ports, drivers, policy, room and the table do. Afterwards no rule is left,
//! and every packet has been counted once.

use kernel::prelude::*;

#[kunit_tests(openvswitch_offload_storm)]
mod tests {
    use super::*;

    use core::sync::atomic::{
        AtomicBool,
        AtomicU32,
        AtomicU64,
        Ordering::Relaxed, //
    };

    use kernel::{
        error::code::EIO,
        new_mutex,
        sync::{
            Arc,
            Mutex, //
        },
        workqueue, //
    };

    use kernel_ext::{
        kunit_flow_offload_driver::{
            self as driver,
            Device,
            Indirect, //
        },
        net::netlink::{
            AttrBuf,
            AttrWriter, //
        },
        sync::rcu::RcuArc, //
    };

    use crate::{
        datapath::state::ovs_lock,
        flow::{
            total_stats,
            SwFlow, //
        },
        flow_netlink::uapi::{
            OVS_ACTION_ATTR_RECIRC,
            OVS_TUNNEL_KEY_ATTR_CSUM as CSUM,
            OVS_TUNNEL_KEY_ATTR_DONT_FRAGMENT as DF, //
        },
        kunit_offload_flow::output,
        kunit_offload_lab::*,
        offload::{
            self,
            engine::ENGINE,
            policy::Setting, //
        },
    };

    /// How long each storm lasts, in rounds of some milliseconds of what is done
    /// to the rest.
    const ROUNDS: u32 = 60;

    /// How long it lasts at most, where the kernel is too slow for [`MANY`] rules
    /// in that time.
    const MOST_ROUNDS: u32 = 15 * ROUNDS;

    /// How many rules it has to ask for until then.
    const MANY: u32 = 40;

    /// How many flows a storm makes at most.
    const MAX_FLOWS: usize = 4000;

    /// How many are there at a time, of each of those that make them.
    const ALIVE: usize = 24;

    /// Those that make flows.
    const MAKERS: u32 = 2;

    /// What they share.
    #[pin_data]
    struct Storm {
        flows: Flows,
        over: AtomicBool,
        running: AtomicU32,
        sent: AtomicU64,
        failed: AtomicU32,
        /// All flows that there have been.
        #[pin]
        all: Mutex<KVVec<RcuArc<SwFlow>>>,
    }

    /// Numbers without a pattern that matters.
    struct Random(u64);

    impl Random {
        fn below(&mut self, n: usize) -> usize {
            self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1);
            (self.0 >> 33) as usize % n
        }
    }

    impl Storm {
        /// Makes a flow: plain, of packets out of the tunnel, in a chain or to
        /// one.
        fn make(&self, src: u32, kind: usize) -> Result<RcuArc<SwFlow>> {
            let flow = match kind {
                0 => self.flows.add_tunnel(src, &[], |w| output(w, 1)),
                1 => self.flows.add_tunnel(src, &[DF], |w| output(w, 1)),
                2 => self.flows.add_tunnel(src, &[DF, CSUM], |w| output(w, 2)),
                3 => self.flows.add_in(src, 0, |w: &mut AttrBuf| {
                    w.put_u32(OVS_ACTION_ATTR_RECIRC, 1 + src % 5)
                }),
                4 => self.flows.add_in(src, 1 + src % 5, |w| output(w, 2)),
                _ => self.flows.add(src),
            }?;
            self.all.lock().push(flow.clone(), GFP_KERNEL)?;
            Ok(flow)
        }

        /// Flows come, change, count and go. Each of those that make them has
        /// packets of its own.
        fn run(&self, maker: u32) -> Result {
            let mut random = Random(u64::from(maker) + 1);
            let mut alive: KVec<(u32, RcuArc<SwFlow>)> = KVec::new();

            while !self.over.load(Relaxed) {
                let what = random.below(8);
                if alive.is_empty() || (what < 2 && alive.len() < ALIVE) {
                    if self.all.lock().len() >= MAX_FLOWS {
                        break;
                    }
                    let kind = random.below(10);
                    let low = random.below(64) as u32;
                    let src = (maker + 1) << 16 | (kind as u32) << 8 | low;
                    // One with the same match may be there.
                    if !alive.iter().any(|(other, _)| *other == src) {
                        alive.push((src, self.make(src, kind)?), GFP_KERNEL)?;
                    }
                    continue;
                }
                let at = random.below(alive.len());
                let (src, flow) = alive.get(at).ok_or(EINVAL)?;
                match what {
                    2 => {
                        self.flows.delete(flow);
                        let _ = alive.remove(at);
                    }
                    3 => self.flows.set_actions(flow, |w| output(w, 2))?,
                    4 => sleep(1),
                    _ => {
                        receive(flow, *src, 3);
                        self.sent.fetch_add(3, Relaxed);
                    }
                }
            }
            for (_, flow) in &alive {
                self.flows.delete(flow);
            }
            Ok(())
        }
    }

    /// Fails if what is expected is not so.
    fn check(so: bool, what: &str) -> Result {
        if !so {
            pr_err!("not so: {what}\n");
            return Err(EIO);
        }
        Ok(())
    }

    /// Has flows come and go while `disturb` is called with the number of each
    /// round, and then `calm` once. Then all is as it was before.
    fn storm(
        lab: &mut Lab,
        mut disturb: impl FnMut(&mut Lab, u32) -> Result,
        calm: impl FnOnce(&mut Lab) -> Result,
    ) -> Result {
        let flows = lab.flows.clone();
        let storm = Arc::pin_init(
            pin_init!(Storm {
                flows,
                over: AtomicBool::new(false),
                running: AtomicU32::new(MAKERS),
                sent: AtomicU64::new(0),
                failed: AtomicU32::new(0),
                all <- new_mutex!(KVVec::new()),
            }),
            GFP_KERNEL,
        )?;
        for maker in 0..MAKERS {
            let storm = storm.clone();
            workqueue::system_unbound().try_spawn(GFP_KERNEL, move || {
                if let Err(err) = storm.run(maker) {
                    pr_err!("a maker of flows ends with {:?}\n", err);
                    storm.failed.fetch_add(1, Relaxed);
                }
                storm.running.fetch_sub(1, Relaxed);
            })?;
        }
        let mut disturbed = Ok(());
        for round in 0..MOST_ROUNDS {
            if round >= ROUNDS && (disturbed.is_err() || driver::calls().replace >= MANY) {
                break;
            }
            disturbed = disturbed.and_then(|()| disturb(lab, round));
            sleep(20);
        }
        storm.over.store(true, Relaxed);
        check(until(20_000, || storm.running.load(Relaxed) == 0), "an end")?;
        disturbed?;
        calm(lab)?;
        check(storm.failed.load(Relaxed) == 0, "no failure")?;

        let nothing = || {
            let engine = ENGINE.load();
            engine.is_some_and(|engine| engine.n_rules() + engine.n_waiting() == 0)
        };
        check(until(20_000, nothing), "nothing left in the engine")?;
        check(
            until(2000, || driver::n_rules() == 0),
            "nothing left in the driver",
        )?;
        let calls = driver::calls();
        check(calls.unknown == 0, "no rule destroyed twice")?;

        let all = storm.all.lock();
        let counted = || -> u64 { all.iter().map(|flow| total_stats(flow).packets).sum() };
        let sent = storm.sent.load(Relaxed);
        pr_info!(
            "{} flows, {} rules, {} packets, {} counted, {} lost by the driver\n",
            all.len(),
            calls.replace,
            sent,
            counted(),
            calls.lost
        );
        check(sent > 0 && calls.replace > 20, "a storm")?;
        check(counted() + calls.lost == sent, "every packet counted once")?;
        check(
            all.iter().all(|flow| flow.offload.cookie().is_none()),
            "no flow with a rule",
        )
    }

    /// Nothing to be put right.
    fn as_it_is(_lab: &mut Lab) -> Result {
        Ok(())
    }

    #[test]
    fn ports_come_and_go() -> Result {
        let indirect = Indirect::load()?;
        let mut lab = Lab::with_tunnel()?;
        storm(
            &mut lab,
            |lab, round| {
                let port_no = 1 + round % 3;
                lab.unplug(port_no);
                lab.plug(port_no as usize)
            },
            as_it_is,
        )?;
        drop(lab);
        drop(indirect);
        Ok(())
    }

    #[test]
    fn devices_and_drivers_go_and_come_back() -> Result {
        let mut indirect = Some(Indirect::load()?);
        let mut lab = Lab::with_tunnel()?;
        storm(
            &mut lab,
            |lab, round| {
                match round % 4 {
                    // Without the port having been deleted.
                    0 => {
                        drop(lab.devices[1].take());
                        check(until(5000, || lab.dp.ports.load(2).is_none()), "no port")?;
                    }
                    1 => {
                        lab.devices[1] = Some(Device::new()?);
                        lab.plug(2)?;
                    }
                    2 => drop(indirect.take()),
                    _ => indirect = Some(Indirect::load()?),
                }
                Ok(())
            },
            as_it_is,
        )?;
        drop(lab);
        drop(indirect);
        Ok(())
    }

    #[test]
    fn offload_goes_off_and_on() -> Result {
        let mut lab = Lab::new()?;
        storm(
            &mut lab,
            |lab, round| {
                if let Some(device) = &lab.devices[0] {
                    device.set_hw_tc(round % 2 == 1);
                }
                Ok(())
            },
            as_it_is,
        )
    }

    #[test]
    fn policy_changes() -> Result {
        let indirect = Indirect::load()?;
        let mut lab = Lab::with_tunnel()?;
        driver::refuse_enc_flags();
        storm(
            &mut lab,
            |lab, round| {
                lab.set_policy(match round % 3 {
                    0 => Setting::Always,
                    1 => Setting::Never,
                    _ => Setting::Auto,
                });
                lab.dp.offload.set_min_packets(round / 3 % 4);
                Ok(())
            },
            as_it_is,
        )?;
        drop(lab);
        drop(indirect);
        Ok(())
    }

    #[test]
    fn room_is_short_and_the_driver_fails() -> Result {
        let mut lab = Lab::new()?;
        storm(
            &mut lab,
            |_, round| {
                // More room is tried for about once a second.
                driver::set_capacity([256, 16, 256, 4, 256, 0][round as usize / 16 % 6]);
                match round {
                    40 => driver::fail(EIO, 1),
                    _ if round % 6 == 0 => driver::fail(EOPNOTSUPP, 5),
                    _ if round % 64 == 3 => driver::fail(ENOSPC, 2),
                    _ => (),
                }
                driver::set_delay(round % 3);
                Ok(())
            },
            |_| {
                driver::fail(EIO, 0);
                driver::set_capacity(256);
                Ok(())
            },
        )
    }

    #[test]
    fn the_table_is_flushed() -> Result {
        let mut lab = Lab::new()?;
        storm(
            &mut lab,
            |lab, _| {
                lab.flush();
                Ok(())
            },
            as_it_is,
        )
    }
}

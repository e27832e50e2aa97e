// SPDX-License-Identifier: GPL-2.0

//! Flows of packets from a tunnel, with a driver that does not match on the
//! flags of outer headers.

use kernel::prelude::*;

#[kunit_tests(openvswitch_offload_twin)]
mod tests {
    use super::*;

    use kernel_ext::kunit_flow_offload_driver::{
        self as driver,
        Device,
        Indirect, //
    };

    use crate::{
        flow_netlink::uapi::{
            OVS_TUNNEL_KEY_ATTR_CSUM as CSUM,
            OVS_TUNNEL_KEY_ATTR_DONT_FRAGMENT as DF, //
        },
        kunit_offload_flow::output,
        kunit_offload_lab::*,
        offload::{
            block::block_of,
            policy::Setting,
            reason::Reason,
            state::State, //
        },
    };

    /// `TCA_FLOWER_KEY_FLAGS_TUNNEL_CSUM` and `…_DONT_FRAGMENT`.
    const BOTH: u32 = 0xc;

    #[test]
    fn a_driver_that_matches_on_the_flags() -> Result {
        let indirect = Indirect::load()?;
        let lab = Lab::with_tunnel()?;
        let flow = lab.add_tunnel(1, &[DF], |w| output(w, 2))?;
        assert!(until(2000, || in_hw(&flow)));
        assert_eq!(driver::enc_flags_of(1), Some(BOTH));
        // It is asked first whatever the policy.
        lab.set_policy(Setting::Always);
        assert!(until(2000, || driver::calls().destroy >= 1 && in_hw(&flow)));
        assert_eq!(driver::enc_flags_of(1), Some(BOTH));
        assert_eq!(reason(&flow), None);
        drop(lab);
        drop(indirect);
        Ok(())
    }

    #[test]
    fn a_driver_that_does_not() -> Result {
        let indirect = Indirect::load()?;
        let lab = Lab::with_tunnel()?;
        driver::refuse_enc_flags();
        let flow = lab.add_tunnel(1, &[DF], |w| output(w, 2))?;
        let refused = |flow: &_| reason(flow) == Some(Reason::MatchTunnelFlags);
        assert!(until(2000, || refused(&flow) && state(&flow) == State::Refused));
        assert_eq!(driver::n_rules(), 0);
        // From then on it is not asked for what it does not take.
        let times = driver::calls().refused;
        assert!(times >= 2);
        let other = lab.add_tunnel(2, &[], |w| output(w, 1))?;
        assert!(until(2000, || refused(&other)));
        assert_eq!(driver::calls().refused, times);

        lab.set_policy(Setting::Always);
        assert!(until(2000, || in_hw(&flow)));
        assert_eq!(driver::enc_flags_of(1), Some(0));
        assert_eq!(reason(&flow), Some(Reason::WithoutTunnelFlags));
        assert!(until(2000, || in_hw(&other)));
        assert_eq!(driver::calls().refused, times);
        receive(&flow, 1, 5);
        assert!(counts(&flow, 5));

        lab.set_policy(Setting::Auto);
        assert!(until(2000, || refused(&flow) && refused(&other)));
        assert_eq!(driver::n_rules(), 0);
        assert!(counts(&flow, 5));
        drop(lab);
        drop(indirect);
        Ok(())
    }

    #[test]
    fn a_driver_that_refuses_something_else() -> Result {
        let indirect = Indirect::load()?;
        let lab = Lab::with_tunnel()?;
        // It takes the flags, as is found out.
        driver::fail(EOPNOTSUPP, 1);
        let flow = lab.add_tunnel(1, &[DF], |w| output(w, 2))?;
        assert!(until(2000, || {
            lab.change(&flow);
            in_hw(&flow)
        }));
        assert!(driver::calls().replace >= 4);
        assert_eq!(driver::enc_flags_of(1), Some(BOTH));
        assert_eq!(reason(&flow), None);
        drop(lab);
        drop(indirect);
        Ok(())
    }

    #[test]
    fn flows_that_differ_in_the_flags_alone() -> Result {
        let indirect = Indirect::load()?;
        let lab = Lab::with_tunnel()?;
        driver::refuse_enc_flags();
        lab.set_policy(Setting::Always);
        let set = |flow: &_, out| lab.set_actions(flow, |w| output(w, out));
        let differ = |flow: &_| reason(flow) == Some(Reason::TunnelFlagsDiffer);

        // They do the same: it does not matter whose rule takes a packet.
        let a = lab.add_tunnel(1, &[], |w| output(w, 1))?;
        let b = lab.add_tunnel(1, &[DF], |w| output(w, 1))?;
        let c = lab.add_tunnel(1, &[DF, CSUM], |w| output(w, 1))?;
        let alone = lab.add_tunnel(2, &[], |w| output(w, 2))?;
        assert!(until(2000, || [&a, &b, &c, &alone]
            .iter()
            .all(|f| in_hw(f))));

        // One does something else: none is in hardware.
        set(&b, 2)?;
        assert!(until(2000, || [&a, &b, &c].iter().all(|f| differ(f))));
        assert_eq!(driver::n_rules_of(1), 0);
        assert!(in_hw(&alone));
        // All do that.
        set(&a, 2)?;
        set(&c, 2)?;
        assert!(until(2000, || [&a, &b, &c].iter().all(|f| in_hw(f))));
        // One comes that does not, and goes.
        let d = lab.add_tunnel(1, &[CSUM], |w| output(w, 1))?;
        assert!(until(2000, || [&a, &b, &c, &d].iter().all(|f| differ(f))));
        lab.delete(&d);
        assert!(until(2000, || [&a, &b, &c].iter().all(|f| in_hw(f))));
        // One is not to be in hardware: its packets must not be taken by the
        // others' rules.
        b.offload.set_policy(Setting::Never);
        lab.change(&b);
        assert!(until(2000, || state(&b) == State::Policy
            && differ(&a)
            && differ(&c)));
        assert_eq!(driver::n_rules_of(1), 0);
        b.offload.set_policy(Setting::Auto);
        lab.change(&b);
        assert!(until(2000, || [&a, &b, &c].iter().all(|f| in_hw(f))));
        assert_eq!(driver::n_rules(), 4);
        drop(lab);
        drop(indirect);
        Ok(())
    }

    /// The tunnel's port of a lab has no hardware behind it.
    fn has_none(lab: &Lab) -> bool {
        lab.dp
            .ports
            .load(3)
            .is_some_and(|port| block_of(&port).is_some_and(|block| block.get().is_none()))
    }

    #[test]
    fn a_driver_that_comes_after_the_port() -> Result {
        let lab = Lab::with_tunnel()?;
        let flow = lab.add_tunnel(1, &[], |w| output(w, 2))?;
        assert!(until(2000, || state(&flow) == State::NoBlock));
        assert!(has_none(&lab));
        // It says so to nobody, but comes with a device.
        let indirect = Indirect::load()?;
        sleep(200);
        assert!(has_none(&lab));
        let device = Device::new()?;
        assert!(until(2000, || in_hw(&flow)));
        assert!(!has_none(&lab));
        receive(&flow, 1, 4);
        // The tunnel's device does not say that it can be offloaded.
        if let Some(tunnel) = &lab.devices[2] {
            tunnel.features_change();
        }
        assert!(in_hw(&flow) && !has_none(&lab));
        // It goes, and comes again.
        drop(indirect);
        assert!(until(2000, || state(&flow) == State::NoBlock));
        assert!(counts(&flow, 4));
        assert_eq!(driver::n_rules(), 0);
        assert!(has_none(&lab));
        let indirect = Indirect::load()?;
        device.set_hw_tc(false);
        device.set_hw_tc(true);
        assert!(until(2000, || in_hw(&flow)));
        receive(&flow, 1, 4);
        assert!(counts(&flow, 8));
        drop(device);
        drop(lab);
        drop(indirect);
        Ok(())
    }
}

// SPDX-License-Identifier: GPL-2.0

//! Network devices, receive handlers, and flow rules and blocks against a
//! driver that records what it is asked for.

use kernel::prelude::*;

#[kunit_tests(rust_net_flow_offload)]
mod tests {
    use super::*;

    use kernel::{
        c_str,
        str::CString, //
    };

    use crate::{
        bindings,
        kunit_flow_offload_driver::{
            self as driver,
            Device,
            Request, //
        },
        net::{
            flow_offload::{
                csum,
                AddrType,
                BindError,
                Binder,
                DriverText,
                FlowBlock,
                FlowRule,
                HwDelta,
                MangleBase, //
            },
            namespace::Net,
            netdevice::NetDevice,
            notifier::{
                NetdevEvent,
                NetdevNotifier,
                NetdevNotifierRegistration, //
            },
            rtnetlink::{
                Rtnl,
                RtnlGuard, //
            },
            rx_handler::{
                self,
                RxHandler,
                RxHandlerSwitch,
                RxResult, //
            },
            skbuff::SkBuff, //
        },
        sync::{
            bh::BhRcu,
            rcu::RcuArc, //
        },
    };
    use kernel::sync::{
        rcu,
        Arc, //
    };
    use zerocopy::network_endian::{
        U16 as Be16,
        U32 as Be32, //
    };

    const EXACT16: Be16 = Be16::new(0xffff);

    /// The text of a rule.
    fn text(rule: &FlowRule) -> Result<CString> {
        CString::try_from_fmt(fmt!("{rule}"))
    }

    fn same(rule: &FlowRule, want: &str) -> bool {
        match text(rule) {
            Ok(text) if text.to_bytes() == want.as_bytes() => true,
            Ok(text) => {
                pr_err!("got  {}\n", &*text);
                pr_err!("want {want}\n");
                false
            }
            Err(_) => false,
        }
    }

    #[test]
    fn device_fields() -> Result {
        let device = Device::new()?;
        let dev = device.dev();
        assert!(dev.name().as_bytes().starts_with(b"kt"));
        assert_eq!(dev.mtu(), 1500);
        assert_eq!(dev.hard_header_len(), 14);
        assert_eq!(dev.type_(), crate::net::netdevice::ARPHRD_ETHER);
        assert!(!dev.is_up());
        assert!(!dev.is_running());
        assert!(dev.carrier_ok());
        assert!(dev.is_registered());
        assert!(dev.is_in(Net::init()));
        assert!(dev.has_hw_tc());
        assert!(!dev.is_ovs_port());

        let name = dev.name();
        let found = NetDevice::get_by_name(Net::init(), name.as_cstr()).ok_or(ENODEV)?;
        assert!(*found == *dev);
        drop(found);
        let guard = rcu::read_lock();
        let by_index = NetDevice::get_by_index(Net::init(), dev.ifindex(), (&guard).into());
        assert!(by_index.is_some_and(|found| *found == *dev));
        drop(guard);

        let rtnl = RtnlGuard::new();
        dev.set_ovs_port(true, rtnl.proof());
        assert!(dev.is_ovs_port());
        dev.set_ovs_port(false, rtnl.proof());
        assert!(!dev.is_ovs_port());
        Ok(())
    }

    #[test]
    fn masters() -> Result {
        let (lower, upper) = (Device::new()?, Device::new()?);
        let guard = RtnlGuard::new();
        let rtnl = guard.proof();
        assert!(lower.dev().master_upper_dev(rtnl).is_none());
        lower.dev().master_upper_dev_link(upper.dev(), rtnl)?;
        assert!(lower
            .dev()
            .master_upper_dev(rtnl)
            .is_some_and(|dev| *dev == *upper.dev()));
        let again = upper.dev().master_upper_dev_link(lower.dev(), rtnl);
        assert_eq!(again, Err(EBUSY));
        lower.dev().upper_dev_unlink(upper.dev(), rtnl);
        assert!(lower.dev().master_upper_dev(rtnl).is_none());
        Ok(())
    }

    struct Port(u32);

    static PORT_SWITCH: RxHandlerSwitch = RxHandlerSwitch::new();

    impl RxHandler for Port {
        fn switch() -> &'static RxHandlerSwitch {
            &PORT_SWITCH
        }

        fn handle_frame(_ctx: BhRcu<'_>, _port: &Self, _skb: SkBuff) -> RxResult {
            RxResult::Consumed
        }
    }

    struct PortNotifier;

    impl NetdevNotifier for PortNotifier {
        type RxHandler = Port;

        fn event(_event: NetdevEvent, _dev: &NetDevice, _rtnl: Rtnl<'_>) {}
    }

    #[test]
    fn receive_handlers() -> Result {
        let device = Device::new()?;
        let dev = device.dev();
        let notifier = NetdevNotifierRegistration::<PortNotifier>::new()?;
        let guard = RtnlGuard::new();
        let rtnl = guard.proof();
        assert!(rx_handler::unregister::<Port>(dev, rtnl).is_none());
        rx_handler::register(dev, RcuArc::new(Port(7), GFP_KERNEL)?, rtnl)?;
        let again = rx_handler::register(dev, RcuArc::new(Port(8), GFP_KERNEL)?, rtnl);
        assert_eq!(again, Err(EBUSY));

        let read = rcu::read_lock();
        let data = rx_handler::data::<Port>(dev, (&read).into()).map(|port| port.0);
        drop(read);
        assert_eq!(data, Some(7));
        let loaded = rx_handler::load::<Port>(dev, rtnl).map(|port| port.0);
        assert_eq!(loaded, Some(7));
        let back = rx_handler::unregister::<Port>(dev, rtnl).map(|port| port.0);
        assert_eq!(back, Some(7));
        assert!(rx_handler::load::<Port>(dev, rtnl).is_none());
        drop(guard);
        drop(notifier);
        Ok(())
    }

    /// A handler is code of a module, and a device does not know that this goes.
    #[test]
    fn no_receive_handler_stays() -> Result {
        let device = Device::new()?;
        let dev = device.dev();
        let register = |value| {
            let guard = RtnlGuard::new();
            rx_handler::register(dev, RcuArc::new(Port(value), GFP_KERNEL)?, guard.proof())
        };
        let loaded = || {
            let guard = RtnlGuard::new();
            rx_handler::load::<Port>(dev, guard.proof()).map(|port| port.0)
        };
        assert_eq!(register(1), Err(ENODEV));
        for value in 2..5 {
            let notifier = NetdevNotifierRegistration::<PortNotifier>::new()?;
            register(value)?;
            assert_eq!(loaded(), Some(value));
            drop(notifier);
            assert_eq!(loaded(), None);
            assert_eq!(register(value), Err(ENODEV));
        }
        // The device's own end does as well, for as long as there is a notifier.
        let notifier = NetdevNotifierRegistration::<PortNotifier>::new()?;
        register(5)?;
        drop(device);
        drop(notifier);
        Ok(())
    }

    #[test]
    fn rules_as_drivers_read_them() -> Result {
        let device = Device::named("ktr0")?;
        let mut rule = FlowRule::new(1)?;
        assert!(same(&rule, "->"));

        rule.control(AddrType::Ipv4, (0, 1));
        rule.basic((Be16::new(0x0800), EXACT16), (6, 0xff));
        rule.eth_addrs(
            ([2, 0, 0, 0, 0, 1], [0xff; 6]),
            ([2, 0, 0, 0, 0, 2], [0xff, 0, 0, 0, 0, 0]),
        );
        rule.vlan(
            (Be16::new(0x8100), EXACT16),
            (0x123, 0xfff),
            (5, 7),
            (Be16::new(0x0800), EXACT16),
        );
        rule.ipv4_addrs(
            (Be32::new(0x0a00_0001), Be32::new(0xffff_ff00)),
            (Be32::new(0x0a00_0002), Be32::new(0xffff_ffff)),
        );
        rule.ports(
            (Be16::new(0x1234), Be16::new(0)),
            (Be16::new(0x0050), EXACT16),
        );
        rule.tcp_flags((Be16::new(2), Be16::new(0xfff)));
        rule.ip((0x20, 0xfc), (64, 0));

        rule.push_mangle(MangleBase::Ip4, 16, [10, 0, 0, 9], [0xff; 4])?;
        rule.push_csum(csum::IPV4HDR | csum::TCP)?;
        rule.push_vlan_push(Be16::new(0x88a8), 7, 3)?;
        rule.push_redirect(device.dev())?;
        assert_eq!(rule.n_actions(), 4);
        assert!(same(
            &rule,
            "addr_type=2 flags=0x0/0x1 n_proto=0800/ffff ip_proto=06/ff \
             eth_src=020000000001/ffffffffffff eth_dst=020000000002/ff0000000000 \
             vlan_tpid=8100/ffff vlan_id=0123/0fff vlan_prio=05/07 vlan_eth_type=0800/ffff \
             src=0a000001/ffffff00 dst=0a000002/ffffffff tos=20/fc tp_dst=0050/ffff \
             tcp_flags=0002/0fff \
             -> mangle(2+16,0a000009/ffffffff) csum(0x9) vlan_push(88a8,vid=7,prio=3) \
             redirect(ktr0)"
        ));
        Ok(())
    }

    #[test]
    fn ipv6_rules() -> Result {
        let mut rule = FlowRule::new(1)?;
        rule.control(AddrType::Ipv6, (0, 0));
        rule.basic((Be16::new(0x86dd), EXACT16), (58, 0xff));
        let mut src = [0; 16];
        src[0] = 0xfe;
        src[15] = 1;
        rule.ipv6_addrs((src, [0xff; 16]), ([0; 16], [0; 16]));
        rule.icmp((135, 0xff), (0, 0xff));
        rule.push_drop()?;
        assert!(same(
            &rule,
            "addr_type=3 flags=0x0/0x0 n_proto=86dd/ffff ip_proto=3a/ff \
             src=fe000000000000000000000000000001/ffffffffffffffffffffffffffffffff \
             icmp_type=87/ff icmp_code=00/ff -> drop"
        ));
        Ok(())
    }

    #[test]
    fn every_key_has_a_place() -> Result {
        let rule = FlowRule::new(1)?;
        // What mlx5 does: it reads outer keys without asking for them.
        let mut out = bindings::flow_match_enc_opts::default();
        // SAFETY: The rule is valid, and `out` is written.
        unsafe {
            bindings::flow_rule_match_enc_opts(rule.as_ptr(), &raw mut out);
            assert_eq!((*out.mask).len, 0);
            assert_eq!((*out.key).data[254], 0);
            // A key that cannot be set has a place of zeroes all the same.
            let mut ct = bindings::flow_match_ct::default();
            bindings::flow_rule_match_ct(rule.as_ptr(), &raw mut ct);
            assert_eq!((*ct.mask).ct_labels[3], 0);
            let mut basic = bindings::flow_match_basic::default();
            bindings::flow_rule_match_basic(rule.as_ptr(), &raw mut basic);
            assert_eq!((*basic.mask).n_proto, 0);
        }
        Ok(())
    }

    #[test]
    fn rules_do_not_outgrow_drivers() -> Result {
        let mut rule = FlowRule::new(1)?;
        for chain in 0..32 {
            rule.push_goto(chain)?;
        }
        assert_eq!(rule.push_drop(), Err(E2BIG));
        assert_eq!(rule.n_actions(), 32);
        // All of them are there after growing.
        let text = text(&rule)?;
        assert!(text.to_bytes().starts_with(b"-> goto(0) goto(1) goto(2)"));
        assert!(text.to_bytes().ends_with(b"goto(30) goto(31)"));
        Ok(())
    }

    fn bind(dev: &NetDevice) -> Result<Arc<FlowBlock>, BindError> {
        let guard = RtnlGuard::new();
        FlowBlock::bind(dev, Binder::Ingress, |_, _| (), guard.proof())
    }

    fn unbind(block: &FlowBlock, gone: impl FnMut(usize, HwDelta)) {
        let guard = RtnlGuard::new();
        block.unbind(guard.proof(), gone);
    }

    #[test]
    fn a_block_through_its_life() -> Result {
        driver::reset();
        let device = Device::new()?;
        let Ok(block) = bind(device.dev()) else {
            return Err(EIO);
        };
        assert!(block.is_bound());
        assert!(matches!(bind(device.dev()), Err(BindError::Busy)));

        let mut rule = FlowRule::new(1)?;
        rule.basic((Be16::new(0x0806), EXACT16), (0, 0));
        rule.push_drop()?;
        let mut said = DriverText::new();
        block.replace(0x1_0000_0001, 1, 5, &rule, &mut said)?;
        let asked = Request {
            cookie: 0x1_0000_0001,
            prio: 1,
            chain: 5,
            protocol: 0x0806,
            n_actions: 1,
        };
        assert_eq!(driver::calls().last, asked);
        let again = block.replace(0x1_0000_0001, 1, 5, &rule, &mut said);
        assert_eq!(again, Err(EEXIST));

        // A refusal with its text leaves nothing behind.
        driver::fail(ENOSPC, 1);
        let refused = block.replace(2, 1, 0, &rule, &mut said);
        assert_eq!(refused, Err(ENOSPC));
        assert_eq!(said.as_str(), "no such luck");
        assert_eq!(block.destroy(2).err(), Some(ENOENT));
        assert_eq!(driver::n_rules(), 1);

        let three = |delta: HwDelta| {
            delta.packets == 3 && delta.bytes == 300 && delta.drops == 0 && delta.lastused != 0
        };
        assert!(driver::receive_as(0x1_0000_0001, 3));
        assert!(block.stats(0x1_0000_0001).is_ok_and(three));
        block.replace(3, 1, 0, &rule, &mut said)?;
        assert!(driver::receive_as(3, 3));
        assert!(block.destroy(3).is_ok_and(three));
        block.replace(4, 1, 0, &rule, &mut said)?;
        assert_eq!(driver::n_rules(), 2);

        let mut gone = 0;
        assert!(driver::receive_as(0x1_0000_0001, 3) && driver::receive_as(4, 3));
        unbind(&block, |_, last| {
            if three(last) {
                gone += 1;
            }
        });
        assert_eq!(gone, 2);
        assert_eq!(driver::n_rules(), 0);
        assert!(!block.is_bound());
        assert_eq!(block.stats(4), Err(ENODEV));
        assert_eq!(block.replace(5, 1, 0, &rule, &mut said), Err(ENODEV));
        // The second attempt to bind it was refused.
        assert_eq!(driver::calls().bind, driver::calls().unbind + 1);

        // It can be bound again.
        let Ok(block) = bind(device.dev()) else {
            return Err(EIO);
        };
        unbind(&block, |_, _| ());
        Ok(())
    }

    #[test]
    fn devices_without_offload() -> Result {
        let lo = NetDevice::get_by_name(Net::init(), c_str!("lo")).ok_or(ENODEV)?;
        assert!(matches!(bind(&lo), Err(BindError::NoDriver)));
        let device = Device::new()?;
        // SAFETY: The device is valid; features change under the rtnl lock.
        unsafe {
            let _guard = RtnlGuard::new();
            (*device.dev().as_ptr()).features &= !(1 << bindings::NETIF_F_HW_TC_BIT);
        }
        assert!(matches!(bind(device.dev()), Err(BindError::Disabled)));
        Ok(())
    }
}

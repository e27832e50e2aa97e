// SPDX-License-Identifier: GPL-2.0

//! Flow rules as text, read from the C structures as a driver reads them.
//!
//! Each key is `name=VALUE/MASK` in the hexadecimal bytes of a packet, or, for
//! what is a number of the kernel's own, in decimal.

use kernel::fmt;

use super::rule::FlowRule;
use crate::{
    bindings,
    net::{
        ip_tunnels::IpTunnelInfo,
        netdevice::NetDevice, //
    },
};

/// Bytes as hexadecimal digits.
struct Hex<'a>(&'a [u8]);

impl core::fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0 {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

/// Writes a key of bytes, if any of the mask is set.
fn put(f: &mut fmt::Formatter<'_>, name: &str, value: &[u8], mask: &[u8]) -> fmt::Result {
    if mask.iter().all(|&byte| byte == 0) {
        return Ok(());
    }
    write!(f, "{name}={}/{} ", Hex(value), Hex(mask))
}

fn put_vlan(
    f: &mut fmt::Formatter<'_>,
    names: [&str; 4],
    value: &bindings::flow_dissector_key_vlan,
    mask: &bindings::flow_dissector_key_vlan,
) -> fmt::Result {
    // SAFETY: All views of the union are the same 16 bits.
    let (tag, tag_mask) = unsafe {
        (
            value.__bindgen_anon_1.__bindgen_anon_1.as_ref(),
            mask.__bindgen_anon_1.__bindgen_anon_1.as_ref(),
        )
    };
    let [tpid, vid, prio, eth_type] = names;
    put(
        f,
        tpid,
        &value.vlan_tpid.to_ne_bytes(),
        &mask.vlan_tpid.to_ne_bytes(),
    )?;
    put(
        f,
        vid,
        &tag.vlan_id().to_be_bytes(),
        &tag_mask.vlan_id().to_be_bytes(),
    )?;
    put(
        f,
        prio,
        &[tag.vlan_priority() as u8],
        &[tag_mask.vlan_priority() as u8],
    )?;
    put(
        f,
        eth_type,
        &value.vlan_eth_type.to_ne_bytes(),
        &mask.vlan_eth_type.to_ne_bytes(),
    )
}

/// The two ports of a key.
fn ports(key: &bindings::flow_dissector_key_ports) -> ([u8; 2], [u8; 2]) {
    // SAFETY: All views of the union are the same 32 bits.
    let ports = unsafe { key.__bindgen_anon_1.__bindgen_anon_1.as_ref() };
    (ports.src.to_ne_bytes(), ports.dst.to_ne_bytes())
}

/// The bytes of an IPv6 address.
fn in6(addr: &bindings::in6_addr) -> [u8; 16] {
    // SAFETY: All views of the union are the same 128 bits.
    unsafe { addr.in6_u.u6_addr8 }
}

impl FlowRule {
    fn show_match(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use bindings::*;
        let (key, mask) = (&self.matches.key, &self.matches.mask);

        if self.has(flow_dissector_key_id_FLOW_DISSECTOR_KEY_META) {
            write!(f, "ingress={} ", key.meta.ingress_ifindex)?;
        }
        if self.has(flow_dissector_key_id_FLOW_DISSECTOR_KEY_CONTROL) {
            write!(
                f,
                "addr_type={} flags={:#x}/{:#x} ",
                key.control.addr_type, key.control.flags, mask.control.flags
            )?;
        }
        if self.has(flow_dissector_key_id_FLOW_DISSECTOR_KEY_BASIC) {
            put(
                f,
                "n_proto",
                &key.basic.n_proto.to_ne_bytes(),
                &mask.basic.n_proto.to_ne_bytes(),
            )?;
            put(f, "ip_proto", &[key.basic.ip_proto], &[mask.basic.ip_proto])?;
        }
        if self.has(flow_dissector_key_id_FLOW_DISSECTOR_KEY_ETH_ADDRS) {
            put(f, "eth_src", &key.eth.src, &mask.eth.src)?;
            put(f, "eth_dst", &key.eth.dst, &mask.eth.dst)?;
        }
        if self.has(flow_dissector_key_id_FLOW_DISSECTOR_KEY_VLAN) {
            let names = ["vlan_tpid", "vlan_id", "vlan_prio", "vlan_eth_type"];
            put_vlan(f, names, &key.vlan, &mask.vlan)?;
        }
        if self.has(flow_dissector_key_id_FLOW_DISSECTOR_KEY_CVLAN) {
            let names = ["cvlan_tpid", "cvlan_id", "cvlan_prio", "cvlan_eth_type"];
            put_vlan(f, names, &key.cvlan, &mask.cvlan)?;
        }
        if self.has(flow_dissector_key_id_FLOW_DISSECTOR_KEY_IPV4_ADDRS) {
            let (k, m) = (&key.ipv4, &mask.ipv4);
            put(f, "src", &k.src.to_ne_bytes(), &m.src.to_ne_bytes())?;
            put(f, "dst", &k.dst.to_ne_bytes(), &m.dst.to_ne_bytes())?;
        }
        if self.has(flow_dissector_key_id_FLOW_DISSECTOR_KEY_IPV6_ADDRS) {
            put(f, "src", &in6(&key.ipv6.src), &in6(&mask.ipv6.src))?;
            put(f, "dst", &in6(&key.ipv6.dst), &in6(&mask.ipv6.dst))?;
        }
        if self.has(flow_dissector_key_id_FLOW_DISSECTOR_KEY_IP) {
            put(f, "tos", &[key.ip.tos], &[mask.ip.tos])?;
            put(f, "ttl", &[key.ip.ttl], &[mask.ip.ttl])?;
        }
        if self.has(flow_dissector_key_id_FLOW_DISSECTOR_KEY_PORTS) {
            let (k, m) = (ports(&key.ports), ports(&mask.ports));
            put(f, "tp_src", &k.0, &m.0)?;
            put(f, "tp_dst", &k.1, &m.1)?;
        }
        if self.has(flow_dissector_key_id_FLOW_DISSECTOR_KEY_TCP) {
            put(
                f,
                "tcp_flags",
                &key.tcp.flags.to_ne_bytes(),
                &mask.tcp.flags.to_ne_bytes(),
            )?;
        }
        if self.has(flow_dissector_key_id_FLOW_DISSECTOR_KEY_ICMP) {
            let (k, m) = (&key.icmp.__bindgen_anon_1, &mask.icmp.__bindgen_anon_1);
            put(f, "icmp_type", &[k.type_], &[m.type_])?;
            put(f, "icmp_code", &[k.code], &[m.code])?;
        }
        if self.has(flow_dissector_key_id_FLOW_DISSECTOR_KEY_ARP) {
            let (k, m) = (&key.arp, &mask.arp);
            put(f, "arp_sip", &k.sip.to_ne_bytes(), &m.sip.to_ne_bytes())?;
            put(f, "arp_tip", &k.tip.to_ne_bytes(), &m.tip.to_ne_bytes())?;
            put(f, "arp_op", &[k.op], &[m.op])?;
            put(f, "arp_sha", &k.sha, &m.sha)?;
            put(f, "arp_tha", &k.tha, &m.tha)?;
        }
        self.show_outer(f)
    }

    fn show_outer(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use bindings::*;
        let (key, mask) = (&self.matches.key, &self.matches.mask);

        if self.has(flow_dissector_key_id_FLOW_DISSECTOR_KEY_ENC_CONTROL) {
            write!(
                f,
                "enc_addr_type={} enc_flags={:#x}/{:#x} ",
                key.enc_control.addr_type, key.enc_control.flags, mask.enc_control.flags
            )?;
        }
        if self.has(flow_dissector_key_id_FLOW_DISSECTOR_KEY_ENC_KEYID) {
            put(
                f,
                "enc_keyid",
                &key.enc_keyid.keyid.to_ne_bytes(),
                &mask.enc_keyid.keyid.to_ne_bytes(),
            )?;
        }
        if self.has(flow_dissector_key_id_FLOW_DISSECTOR_KEY_ENC_IPV4_ADDRS) {
            let (k, m) = (&key.enc_ipv4, &mask.enc_ipv4);
            put(f, "enc_src", &k.src.to_ne_bytes(), &m.src.to_ne_bytes())?;
            put(f, "enc_dst", &k.dst.to_ne_bytes(), &m.dst.to_ne_bytes())?;
        }
        if self.has(flow_dissector_key_id_FLOW_DISSECTOR_KEY_ENC_IPV6_ADDRS) {
            let (k, m) = (&key.enc_ipv6, &mask.enc_ipv6);
            put(f, "enc_src", &in6(&k.src), &in6(&m.src))?;
            put(f, "enc_dst", &in6(&k.dst), &in6(&m.dst))?;
        }
        if self.has(flow_dissector_key_id_FLOW_DISSECTOR_KEY_ENC_PORTS) {
            let (k, m) = (ports(&key.enc_ports), ports(&mask.enc_ports));
            put(f, "enc_tp_src", &k.0, &m.0)?;
            put(f, "enc_tp_dst", &k.1, &m.1)?;
        }
        if self.has(flow_dissector_key_id_FLOW_DISSECTOR_KEY_ENC_IP) {
            put(f, "enc_tos", &[key.enc_ip.tos], &[mask.enc_ip.tos])?;
            put(f, "enc_ttl", &[key.enc_ip.ttl], &[mask.enc_ip.ttl])?;
        }
        Ok(())
    }

    fn show_action(
        &self,
        f: &mut fmt::Formatter<'_>,
        entry: &bindings::flow_action_entry,
    ) -> fmt::Result {
        let data = &entry.__bindgen_anon_1;
        // SAFETY: The kind of the action says which view of the union was
        // written. Devices are valid by the type invariants of the rule.
        unsafe {
            let dev = || NetDevice::from_raw(*data.dev.as_ref()).name();
            match entry.id {
                bindings::flow_action_id_FLOW_ACTION_DROP => f.write_str("drop"),
                bindings::flow_action_id_FLOW_ACTION_TRAP => f.write_str("trap"),
                bindings::flow_action_id_FLOW_ACTION_GOTO => {
                    write!(f, "goto({})", *data.chain_index.as_ref())
                }
                bindings::flow_action_id_FLOW_ACTION_REDIRECT => show_dev(f, "redirect", dev()),
                bindings::flow_action_id_FLOW_ACTION_MIRRED => show_dev(f, "mirred", dev()),
                bindings::flow_action_id_FLOW_ACTION_REDIRECT_INGRESS => {
                    show_dev(f, "redirect_ingress", dev())
                }
                bindings::flow_action_id_FLOW_ACTION_PTYPE => {
                    write!(f, "ptype({})", data.ptype.as_ref())
                }
                bindings::flow_action_id_FLOW_ACTION_VLAN_POP => f.write_str("vlan_pop"),
                bindings::flow_action_id_FLOW_ACTION_VLAN_PUSH
                | bindings::flow_action_id_FLOW_ACTION_VLAN_MANGLE => {
                    let vlan = data.vlan.as_ref();
                    let name = match entry.id {
                        bindings::flow_action_id_FLOW_ACTION_VLAN_PUSH => "vlan_push",
                        _ => "vlan_mangle",
                    };
                    let proto = vlan.proto.to_ne_bytes();
                    let (proto, vid, prio) = (Hex(&proto), vlan.vid, vlan.prio);
                    write!(f, "{name}({proto},vid={vid},prio={prio})")
                }
                bindings::flow_action_id_FLOW_ACTION_MANGLE => {
                    let mangle = data.mangle.as_ref();
                    write!(
                        f,
                        "mangle({}+{},{}/{})",
                        mangle.htype,
                        mangle.offset,
                        Hex(&mangle.val.to_ne_bytes()),
                        Hex(&(!mangle.mask).to_ne_bytes())
                    )
                }
                bindings::flow_action_id_FLOW_ACTION_CSUM => {
                    write!(f, "csum({:#x})", *data.csum_flags.as_ref())
                }
                bindings::flow_action_id_FLOW_ACTION_TUNNEL_DECAP => f.write_str("tunnel_decap"),
                bindings::flow_action_id_FLOW_ACTION_TUNNEL_ENCAP => {
                    show_tunnel(f, IpTunnelInfo::from_raw(*data.tunnel.as_ref()))
                }
                id => write!(f, "action{id}"),
            }
        }
    }
}

fn show_tunnel(f: &mut fmt::Formatter<'_>, info: &IpTunnelInfo) -> fmt::Result {
    let key = info.key();
    let used = if info.is_ipv6() { 32 } else { 8 };
    write!(
        f,
        "tunnel_encap({},{},tos={},ttl={},{},{:#x},{})",
        Hex(&key.tun_id),
        Hex(key.addrs.get(..used).unwrap_or_default()),
        key.tos,
        key.ttl,
        key.tp_dst,
        key.tun_flags,
        Hex(info.options())
    )
}

fn show_dev(
    f: &mut fmt::Formatter<'_>,
    what: &str,
    name: crate::net::netdevice::DeviceName,
) -> fmt::Result {
    f.write_str(what)?;
    f.write_str("(")?;
    fmt::Display::fmt(&name, f)?;
    f.write_str(")")
}

impl fmt::Display for FlowRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.show_match(f)?;
        f.write_str("->")?;
        for entry in self.actions() {
            f.write_str(" ")?;
            self.show_action(f, entry)?;
        }
        Ok(())
    }
}

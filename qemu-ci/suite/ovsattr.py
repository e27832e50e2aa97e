# SPDX-License-Identifier: GPL-2.0
"""Numbers of include/uapi/linux/openvswitch.h, builders, and the schemas by
which replies are decoded into trees that can be compared.
"""

import hashlib
import socket
import struct

from nlcore import NLA_F_NESTED, attr, be16, nest, parse_attrs, string, u16, u32

DP, VPORT, FLOW, PACKET = "ovs_datapath", "ovs_vport", "ovs_flow", "ovs_packet"
METER, CT_LIMIT = "ovs_meter", "ovs_ct_limit"

# Commands are numbered alike in datapath, vport and flow.
NEW, DEL, GET, SET = 1, 2, 3, 4
MISS, ACTION, EXECUTE = 1, 2, 3

(
    DP_NAME,
    DP_UPCALL_PID,
    DP_STATS,
    DP_MEGAFLOW_STATS,
    DP_USER_FEATURES,
    DP_PAD,
    DP_MASKS_CACHE_SIZE,
    DP_PER_CPU_PIDS,
    DP_IFINDEX,
) = range(1, 10)
F_UNALIGNED, F_VPORT_PIDS, F_TC_RECIRC, F_PER_CPU = 1, 2, 4, 8

(
    VP_PORT_NO,
    VP_TYPE,
    VP_NAME,
    VP_OPTIONS,
    VP_UPCALL_PID,
    VP_STATS,
    VP_PAD,
    VP_IFINDEX,
    VP_NETNSID,
    VP_UPCALL_STATS,
) = range(1, 11)
T_NETDEV, T_INTERNAL, T_GRE, T_VXLAN, T_GENEVE = range(1, 6)

(
    FL_KEY,
    FL_ACTIONS,
    FL_STATS,
    FL_TCP_FLAGS,
    FL_USED,
    FL_CLEAR,
    FL_MASK,
    FL_PROBE,
    FL_UFID,
    FL_UFID_FLAGS,
    FL_PAD,
) = range(1, 12)
OMIT_KEY, OMIT_MASK, OMIT_ACTIONS = 1, 2, 4

(
    PK_PACKET,
    PK_KEY,
    PK_ACTIONS,
    PK_USERDATA,
    PK_EGRESS_TUN_KEY,
    PK_UNUSED1,
    PK_UNUSED2,
    PK_PROBE,
    PK_MRU,
    PK_LEN,
    PK_HASH,
    PK_UPCALL_PID,
) = range(1, 13)

(
    K_ENCAP,
    K_PRIORITY,
    K_IN_PORT,
    K_ETHERNET,
    K_VLAN,
    K_ETHERTYPE,
    K_IPV4,
    K_IPV6,
    K_TCP,
    K_UDP,
    K_ICMP,
    K_ICMPV6,
    K_ARP,
    K_ND,
    K_SKB_MARK,
    K_TUNNEL,
    K_SCTP,
    K_TCP_FLAGS,
    K_DP_HASH,
    K_RECIRC_ID,
    K_MPLS,
    K_CT_STATE,
    K_CT_ZONE,
    K_CT_MARK,
    K_CT_LABELS,
    K_CT_ORIG4,
    K_CT_ORIG6,
    K_NSH,
    K_PACKET_TYPE,
    K_ND_EXT,
    K_TUNNEL_INFO,
    K_EXTHDRS,
) = range(1, 33)

(
    A_OUTPUT,
    A_USERSPACE,
    A_SET,
    A_PUSH_VLAN,
    A_POP_VLAN,
    A_SAMPLE,
    A_RECIRC,
    A_HASH,
    A_PUSH_MPLS,
    A_POP_MPLS,
    A_SET_MASKED,
    A_CT,
    A_TRUNC,
    A_PUSH_ETH,
    A_POP_ETH,
    A_CT_CLEAR,
    A_PUSH_NSH,
    A_POP_NSH,
    A_METER,
    A_CLONE,
    A_CHECK_PKT_LEN,
    A_ADD_MPLS,
    A_DEC_TTL,
    A_DROP,
    A_PSAMPLE,
) = range(1, 26)

(
    M_ID,
    M_KBPS,
    M_STATS,
    M_BANDS,
    M_USED,
    M_CLEAR,
    M_MAX_METERS,
    M_MAX_BANDS,
    M_PAD,
) = range(1, 10)
B_TYPE, B_RATE, B_BURST, B_STATS = range(1, 5)
M_FEATURES, M_SET, M_DEL, M_GET = range(1, 5)
BAND_DROP = 1

(
    CT_COMMIT,
    CT_ZONE,
    CT_MARK,
    CT_LABELS,
    CT_HELPER,
    CT_NAT,
    CT_FORCE_COMMIT,
    CT_EVENTMASK,
    CT_TIMEOUT,
) = range(1, 10)
(
    NAT_SRC,
    NAT_DST,
    NAT_IP_MIN,
    NAT_IP_MAX,
    NAT_PROTO_MIN,
    NAT_PROTO_MAX,
    NAT_PERSISTENT,
    NAT_PROTO_HASH,
    NAT_PROTO_RANDOM,
) = range(1, 10)
# Bits of ct_state.
CS_NEW, CS_EST, CS_REL, CS_REPLY, CS_INV, CS_TRACKED, CS_SNAT, CS_DNAT = (1 << i for i in range(8))

# Commands and the one attribute of ovs_ct_limit.
CTL_SET, CTL_DEL, CTL_GET = 1, 2, 3
CTL_ZONE_LIMIT = 1
DEFAULT_ZONE = -1

NSH_BASE, NSH_MD1, NSH_MD2 = 1, 2, 3

US_PID, US_USERDATA, US_EGRESS_TUN_PORT, US_ACTIONS = range(1, 5)
SA_PROBABILITY, SA_ACTIONS = 1, 2
CP_PKT_LEN, CP_GREATER, CP_LESS_EQUAL = 1, 2, 3
DT_ACTION = 1
PS_GROUP, PS_COOKIE = 1, 2

KEY_NAMES = (
    "unspec encap priority in_port ethernet vlan ethertype ipv4 ipv6 tcp udp "
    "icmp icmpv6 arp nd skb_mark tunnel sctp tcp_flags dp_hash recirc_id mpls "
    "ct_state ct_zone ct_mark ct_labels ct_orig4 ct_orig6 nsh packet_type "
    "nd_ext tunnel_info exthdrs"
).split()

ACTION_NAMES = (
    "unspec output userspace set push_vlan pop_vlan sample recirc hash "
    "push_mpls pop_mpls set_masked ct trunc push_eth pop_eth ct_clear "
    "push_nsh pop_nsh meter clone check_pkt_len add_mpls dec_ttl drop "
    "psample"
).split()


# ---- key builders -------------------------------------------------------


def mac(text):
    return bytes.fromhex(text.replace(":", ""))


def ip4(text):
    return socket.inet_pton(socket.AF_INET, text)


def ip6(text):
    return socket.inet_pton(socket.AF_INET6, text)


def d_eth(src, dst):
    return mac(src) + mac(dst)


def d_ipv4(src, dst, proto, tos=0, ttl=64, frag=0):
    return ip4(src) + ip4(dst) + bytes((proto, tos, ttl, frag))


def d_ipv6(src, dst, proto, label=0, tclass=0, hlimit=64, frag=0):
    return ip6(src) + ip6(dst) + struct.pack("!I", label) + bytes((proto, tclass, hlimit, frag))


def d_ports(src, dst):
    return struct.pack("!HH", src, dst)


def k_eth(src="02:00:00:00:00:01", dst="02:00:00:00:00:02"):
    return attr(K_ETHERNET, d_eth(src, dst))


def k_type(value):
    return be16(K_ETHERTYPE, value)


def k_in_port(port):
    return u32(K_IN_PORT, port)


def k_ipv4(*args, **kw):
    return attr(K_IPV4, d_ipv4(*args, **kw))


def k_ipv6(*args, **kw):
    return attr(K_IPV6, d_ipv6(*args, **kw))


def k_tcp(src, dst):
    return attr(K_TCP, d_ports(src, dst))


def k_tcp_flags(flags):
    return be16(K_TCP_FLAGS, flags)


def k_udp(src, dst):
    return attr(K_UDP, d_ports(src, dst))


def k_sctp(src, dst):
    return attr(K_SCTP, d_ports(src, dst))


def k_icmp(kind, code):
    return attr(K_ICMP, bytes((kind, code)))


def k_icmpv6(kind, code):
    return attr(K_ICMPV6, bytes((kind, code)))


def k_arp(sip, tip, oper, sha, tha):
    return attr(
        K_ARP, ip4(sip) + ip4(tip) + struct.pack("!H", oper) + mac(sha) + mac(tha) + b"\0\0"
    )


def k_nd(target, sll, tll):
    return attr(K_ND, ip6(target) + mac(sll) + mac(tll))


def d_lse(label, tc=0, bos=True, ttl=64):
    """An entry of an MPLS label stack."""
    return struct.pack("!I", label << 12 | tc << 9 | int(bos) << 8 | ttl)


def k_mpls(*entries):
    return attr(K_MPLS, b"".join(entries))


def n_base(mdtype=1, np=3, flags=0, ttl=63, path=0x00012300 | 255):
    """What is of fixed form in a network service header."""
    return attr(NSH_BASE, struct.pack("!BBBBI", flags, ttl, mdtype, np, path))


def n_md1(context=bytes(range(16))):
    return attr(NSH_MD1, context)


def n_md2(metadata):
    return attr(NSH_MD2, metadata)


def k_nsh(*attrs):
    return nest(K_NSH, *attrs)


# ---- action builders ----------------------------------------------------


def a_output(port):
    return u32(A_OUTPUT, port)


def a_userspace(pid, userdata=None, tun_port=None, actions=False):
    parts = [u32(US_PID, pid)]
    if userdata is not None:
        parts.append(attr(US_USERDATA, userdata))
    if tun_port is not None:
        parts.append(u32(US_EGRESS_TUN_PORT, tun_port))
    if actions:
        parts.append(attr(US_ACTIONS))
    return nest(A_USERSPACE, *parts)


def a_set(key):
    return nest(A_SET, key)


def a_set_masked(kind, value, mask):
    return nest(A_SET_MASKED, attr(kind, value + mask))


def a_push_vlan(tci, tpid=0x8100):
    return attr(A_PUSH_VLAN, struct.pack("!HH", tpid, tci))


def a_pop_vlan():
    return attr(A_POP_VLAN)


def a_push_mpls(entry, kind=0x8847, pad=b"\0\0"):
    return attr(A_PUSH_MPLS, entry + struct.pack("!H", kind) + pad)


def a_pop_mpls(kind):
    return be16(A_POP_MPLS, kind)


def a_add_mpls(entry, kind=0x8847, flags=0):
    return attr(A_ADD_MPLS, entry + struct.pack("!H", kind) + struct.pack("=H", flags))


def a_push_nsh(*attrs):
    return nest(A_PUSH_NSH, k_nsh(*attrs))


def a_pop_nsh():
    return attr(A_POP_NSH)


def a_recirc(ident):
    return u32(A_RECIRC, ident)


def a_hash(alg, basis=0):
    return attr(A_HASH, struct.pack("=II", alg, basis))


def a_trunc(length):
    return u32(A_TRUNC, length)


def a_push_eth(src, dst):
    return attr(A_PUSH_ETH, d_eth(src, dst))


def a_pop_eth():
    return attr(A_POP_ETH)


def a_clone(*actions):
    return nest(A_CLONE, *actions)


def a_sample(probability, *actions):
    return nest(A_SAMPLE, u32(SA_PROBABILITY, probability), nest(SA_ACTIONS, *actions))


def a_meter(ident):
    return u32(A_METER, ident)


def a_check_pkt_len(length, less_equal=b"", greater=b""):
    return nest(
        A_CHECK_PKT_LEN,
        u16(CP_PKT_LEN, length),
        nest(CP_LESS_EQUAL, less_equal),
        nest(CP_GREATER, greater),
    )


def a_dec_ttl(*actions):
    return nest(A_DEC_TTL, nest(DT_ACTION, *actions))


def a_psample(group, cookie=None):
    parts = [u32(PS_GROUP, group)]
    if cookie is not None:
        parts.append(attr(PS_COOKIE, cookie))
    return nest(A_PSAMPLE | NLA_F_NESTED, *parts)


def a_drop(code=0):
    return u32(A_DROP, code)


def a_ct(*attrs):
    return nest(A_CT, *attrs)


def a_ct_clear():
    return attr(A_CT_CLEAR)


def ct_commit():
    return attr(CT_COMMIT)


def ct_force():
    return attr(CT_FORCE_COMMIT)


def ct_zone(zone):
    return u16(CT_ZONE, zone)


def ct_mark(value, mask=0xFFFFFFFF):
    return attr(CT_MARK, struct.pack("=II", value, mask))


def ct_labels(value, mask=b"\xff" * 16):
    """Both 16 bytes, or fewer from the first on."""
    return attr(CT_LABELS, value.ljust(16, b"\0") + mask.ljust(16, b"\0"))


def ct_helper(name):
    return string(CT_HELPER, name)


def ct_timeout(name):
    return string(CT_TIMEOUT, name)


def ct_nat(kind=None, ip=None, ip_max=None, port=None, port_max=None, flags=()):
    """NAT: `kind` is NAT_SRC, NAT_DST or none of them; `ip` may be of either
    version."""
    parts = b"" if kind is None else attr(kind)
    for number, value in ((NAT_IP_MIN, ip), (NAT_IP_MAX, ip_max)):
        if value is not None:
            parts += attr(number, ip6(value) if ":" in value else ip4(value))
    for number, value in ((NAT_PROTO_MIN, port), (NAT_PROTO_MAX, port_max)):
        if value is not None:
            parts += u16(number, value)
    return nest(CT_NAT, parts, *(attr(flag) for flag in flags))


def zone_limits(*limits):
    """Elements of a request of ovs_ct_limit: (zone, limit), or a zone alone."""
    pairs = (one if isinstance(one, tuple) else (one, 0) for one in limits)
    return attr(CTL_ZONE_LIMIT, b"".join(struct.pack("=iII", z, n, 0) for z, n in pairs))


# ---- decoding -----------------------------------------------------------

KEY = {}
KEY.update(
    {
        K_ENCAP: ("encap", KEY),
        K_PRIORITY: ("priority", "u32"),
        K_IN_PORT: ("in_port", "u32"),
        K_ETHERNET: ("ethernet", "hex"),
        K_VLAN: ("vlan", "be16"),
        K_ETHERTYPE: ("ethertype", "be16"),
        K_IPV4: ("ipv4", "ipv4"),
        K_IPV6: ("ipv6", "hex"),
        K_TCP: ("tcp", "ports"),
        K_UDP: ("udp", "ports"),
        K_ICMP: ("icmp", "hex"),
        K_ICMPV6: ("icmpv6", "hex"),
        K_ARP: ("arp", "hex"),
        K_ND: ("nd", "hex"),
        K_SKB_MARK: ("skb_mark", "u32"),
        K_TUNNEL: ("tunnel", "tunnel"),
        K_SCTP: ("sctp", "ports"),
        K_TCP_FLAGS: ("tcp_flags", "be16"),
        K_DP_HASH: ("dp_hash", "dphash"),
        K_RECIRC_ID: ("recirc_id", "u32"),
        K_MPLS: ("mpls", "hex"),
        K_CT_STATE: ("ct_state", "u32"),
        K_CT_ZONE: ("ct_zone", "u16"),
        K_CT_MARK: ("ct_mark", "u32"),
        K_CT_LABELS: ("ct_labels", "hex"),
        K_CT_ORIG4: ("ct_orig4", "hex"),
        K_CT_ORIG6: ("ct_orig6", "hex"),
        K_NSH: ("nsh", "hex"),
        K_EXTHDRS: ("exthdrs", "u16"),
    }
)

USERSPACE = {
    US_PID: ("pid", "pid"),
    US_USERDATA: ("userdata", "hex"),
    US_EGRESS_TUN_PORT: ("tun_port", "u32"),
    US_ACTIONS: ("actions", "hex"),
}
ACTIONS = {}
SAMPLE = {SA_PROBABILITY: ("probability", "u32"), SA_ACTIONS: ("actions", ACTIONS)}
CHECK_PKT_LEN = {
    CP_PKT_LEN: ("pkt_len", "u16"),
    CP_GREATER: ("greater", ACTIONS),
    CP_LESS_EQUAL: ("less_equal", ACTIONS),
}
DEC_TTL = {DT_ACTION: ("actions", ACTIONS)}
PSAMPLE = {PS_GROUP: ("group", "u32"), PS_COOKIE: ("cookie", "hex")}
NAT = {
    NAT_SRC: ("src", "hex"),
    NAT_DST: ("dst", "hex"),
    NAT_IP_MIN: ("ip_min", "hex"),
    NAT_IP_MAX: ("ip_max", "hex"),
    NAT_PROTO_MIN: ("proto_min", "u16"),
    NAT_PROTO_MAX: ("proto_max", "u16"),
    NAT_PERSISTENT: ("persistent", "hex"),
    NAT_PROTO_HASH: ("hash", "hex"),
    NAT_PROTO_RANDOM: ("random", "hex"),
}
CT_ACTION = {
    CT_COMMIT: ("commit", "hex"),
    CT_ZONE: ("zone", "u16"),
    CT_MARK: ("mark", "hex"),
    CT_LABELS: ("labels", "hex"),
    CT_HELPER: ("helper", "str"),
    CT_NAT: ("nat", NAT),
    CT_FORCE_COMMIT: ("force", "hex"),
    CT_EVENTMASK: ("eventmask", "u32"),
    CT_TIMEOUT: ("timeout", "str"),
}
SET_KEY = {k: (v[0], "hex") for k, v in KEY.items()}
ACTIONS.update(
    {
        A_OUTPUT: ("output", "u32"),
        A_USERSPACE: ("userspace", USERSPACE),
        A_SET: ("set", SET_KEY),
        A_PUSH_VLAN: ("push_vlan", "hex"),
        A_POP_VLAN: ("pop_vlan", "hex"),
        A_SAMPLE: ("sample", SAMPLE),
        A_RECIRC: ("recirc", "u32"),
        A_HASH: ("hash", "hex"),
        A_PUSH_MPLS: ("push_mpls", "hex"),
        A_POP_MPLS: ("pop_mpls", "hex"),
        A_SET_MASKED: ("set_masked", SET_KEY),
        A_CT: ("ct", CT_ACTION),
        A_TRUNC: ("trunc", "u32"),
        A_PUSH_ETH: ("push_eth", "hex"),
        A_POP_ETH: ("pop_eth", "hex"),
        A_CT_CLEAR: ("ct_clear", "hex"),
        A_PUSH_NSH: ("push_nsh", "hex"),
        A_POP_NSH: ("pop_nsh", "hex"),
        A_METER: ("meter", "u32"),
        A_CLONE: ("clone", ACTIONS),
        A_CHECK_PKT_LEN: ("check_pkt_len", CHECK_PKT_LEN),
        A_ADD_MPLS: ("add_mpls", "hex"),
        A_DEC_TTL: ("dec_ttl", DEC_TTL),
        A_DROP: ("drop", "u32"),
        A_PSAMPLE: ("psample", PSAMPLE),
    }
)

BAND = {
    B_TYPE: ("type", "u32"),
    B_RATE: ("rate", "u32"),
    B_BURST: ("burst", "u32"),
    B_STATS: ("stats", "u64s"),
}

# The source port is made of the packet's hash.
EGRESS_TUN = {9: ("tp_src", "some")}

SCHEMAS = {
    DP: {
        DP_NAME: ("name", "str"),
        DP_UPCALL_PID: ("upcall_pid", "pid"),
        DP_STATS: ("stats", "u64s"),
        DP_MEGAFLOW_STATS: ("megaflow", "megaflow"),
        DP_USER_FEATURES: ("features", "u32"),
        DP_PAD: ("pad", "hex"),
        DP_MASKS_CACHE_SIZE: ("masks_cache_size", "u32"),
        DP_PER_CPU_PIDS: ("per_cpu_pids", "pids"),
        DP_IFINDEX: ("ifindex", "ifindex"),
    },
    VPORT: {
        VP_PORT_NO: ("port_no", "u32"),
        VP_TYPE: ("type", "u32"),
        VP_NAME: ("name", "str"),
        VP_OPTIONS: ("options", "hex"),
        VP_UPCALL_PID: ("upcall_pid", "pids"),
        VP_STATS: ("stats", "u64s"),
        VP_PAD: ("pad", "hex"),
        VP_IFINDEX: ("ifindex", "ifindex"),
        VP_NETNSID: ("netnsid", "u32"),
        VP_UPCALL_STATS: (
            "upcall_stats",
            {0: ("success", "u64s"), 1: ("fail", "u64s"), 7: ("pad", "hex")},
        ),
    },
    FLOW: {
        FL_KEY: ("key", KEY),
        FL_ACTIONS: ("actions", ACTIONS),
        FL_STATS: ("stats", "u64s"),
        FL_TCP_FLAGS: ("tcp_flags", "hex"),
        FL_USED: ("used", "time"),
        FL_CLEAR: ("clear", "hex"),
        FL_MASK: ("mask", KEY),
        FL_PROBE: ("probe", "hex"),
        FL_UFID: ("ufid", "hex"),
        FL_UFID_FLAGS: ("ufid_flags", "u32"),
        FL_PAD: ("pad", "hex"),
    },
    PACKET: {
        PK_PACKET: ("packet", "hex"),
        PK_KEY: ("key", KEY),
        PK_ACTIONS: ("actions", ACTIONS),
        PK_USERDATA: ("userdata", "hex"),
        PK_EGRESS_TUN_KEY: ("egress_tun_key", EGRESS_TUN),
        PK_PROBE: ("probe", "hex"),
        PK_MRU: ("mru", "u16"),
        PK_LEN: ("len", "u32"),
        PK_HASH: ("hash", "hash"),
        PK_UPCALL_PID: ("upcall_pid", "pid"),
    },
    METER: {
        M_ID: ("id", "u32"),
        M_KBPS: ("kbps", "hex"),
        M_STATS: ("stats", "u64s"),
        M_BANDS: ("bands", {0: ("band", BAND)}),
        M_USED: ("used", "time"),
        M_CLEAR: ("clear", "hex"),
        M_MAX_METERS: ("max_meters", "u32"),
        M_MAX_BANDS: ("max_bands", "u32"),
        M_PAD: ("pad", "hex"),
    },
    CT_LIMIT: {CTL_ZONE_LIMIT: ("zone_limit", "zone_limits")},
}

FIXED = {"u16": 2, "u32": 4, "be16": 2, "time": 8, "hash": 8, "dphash": 4, "pid": 4, "ifindex": 4}


class Decoder:
    """Turns reply attributes into [name, value] trees.

    `names` maps port ids and ifindexes to what the case calls them, so that
    two boots compare equal. `raw_hash` keeps packet hashes and dp_hash (where
    the case has set them itself and they are no matter of a boot's secret).
    """

    def __init__(self, pid_name, if_name):
        self.pid_name = pid_name
        self.if_name = if_name
        self.raw_hash = False
        self.raw_masks = False
        self.raw_tunnels = True

    def tree(self, schema, data):
        out = []
        attrs, rest = parse_attrs(data)
        for kind, value in attrs:
            name, how = schema.get(kind, (f"#{kind:d}", "hex"))
            if isinstance(how, dict):
                out.append([name, self.tree(how, value)])
            else:
                out.append([name, self.value(how, value)])
        if rest:
            out.append(["<rest>", data[len(data) - rest :].hex()])
        return out

    def value(self, how, data):
        if FIXED.get(how, len(data)) != len(data):
            return f"len{len(data):d}:{data.hex()}"
        if how in ("u16", "u32"):
            return int.from_bytes(data, "little")
        if how == "be16":
            return "0x" + data.hex()
        if how == "str":
            return data.decode(errors="replace")
        if how == "pid":
            return self.pid_name(int.from_bytes(data, "little"))
        if how == "pids":
            return [
                self.pid_name(int.from_bytes(data[i : i + 4], "little"))
                for i in range(0, len(data), 4)
            ]
        if how == "ifindex":
            return self.if_name(int.from_bytes(data, "little"))
        if how == "u64s":
            return [int.from_bytes(data[i : i + 8], "little") for i in range(0, len(data), 8)]
        if how == "megaflow" and len(data) == 32:
            hit, masks, pad0, cache, pad1 = struct.unpack("=QIIQQ", data)
            if not self.raw_masks:
                # How many masks a lookup tried is the table's own business.
                hit, cache = "~", "~"
            return [hit, masks, pad0, cache, pad1]
        if how == "time":
            return "<time>"
        if how == "hash" and not self.raw_hash:
            number = int.from_bytes(data, "little")
            return "{} flags={:x}".format("set" if number & 0xFFFFFFFF else "0", number >> 32)
        if how == "tunnel" and not self.raw_tunnels:
            # The source port is made of the packet's hash.
            attrs = parse_attrs(data)[0]
            return " ".join(
                f"{kind:d}:{value.hex() if kind != 9 else '~'}" for kind, value in attrs
            )
        if how == "some":
            return "set" if any(data) else 0
        if how == "dphash" and not self.raw_hash:
            return "set" if any(data) else 0
        if how == "ipv4" and len(data) == 12:
            return f"{socket.inet_ntoa(data[:4])}>{socket.inet_ntoa(data[4:8])} {data[8:].hex()}"
        if how == "zone_limits" and len(data) % 12 == 0:
            return [list(one) for one in struct.iter_unpack("=iII", data)]
        if how == "ports" and len(data) == 4:
            return "{}>{}".format(*struct.unpack("!HH", data))
        return shorten(data)


def shorten(data, keep=256):
    """Bytes as hex; of long ones the begin, the length and a digest."""
    if len(data) <= 4 * keep:
        return data.hex()
    digest = hashlib.sha256(data).hexdigest()[:16]
    return f"{data[:keep].hex()}... {len(data)} bytes, sha256 {digest}"


__all__ = [n for n in dir() if not n.startswith("_")]
_ = (string, u16)

# SPDX-License-Identifier: GPL-2.0
"""Helpers: connections that others expect, and the addresses in what they say."""

import frames as f
import ovsattr as o
from nlcore import u32
from registry import case, case_each

from cases._ct import ACK, PSH, SYN, Talk, pipeline, send

COMMIT = o.ct_commit()
VERSIONS = [("4", False), ("6", True)]
BOTH = ("4", "6")
MARKS = (o.ct_mark(0x77), o.ct_labels(b"\x77"))


def kinds(v6):
    return (0x86DD if v6 else 0x0800,)


def tftp(t, v6, client, server_to=None):
    """A read, and what comes of it. `server_to`: the address and port that the
    server sends to, if NAT has changed the client's."""
    data = Talk(v6, 3333, 1111, client.ends[1], client.ends[0])
    to = server_to or {}
    send(t, "read request", client.udp(b"\0\1file\0octet\0"))
    send(t, "data", data.udp(b"\0\3\0\1data", **to), back=True)
    send(t, "ack", data.udp(b"\0\4\0\1", back=True))
    send(t, "data 2", data.udp(b"\0\3\0\2data", **to), back=True)
    send(t, "of nobody", Talk(v6, 44, 1112, *reversed(client.ends)).udp(), back=True)


@case_each("conntrack_helper", VERSIONS, stock=BOTH)
def tftp_read(t, v6):
    """The answer comes from another port. Labels and mark of the master are in
    the key before the commit, and labels are inherited (row 58)."""
    t.switch(2)
    t.ct.listen()
    for name, first, second, back in (
        ("helper at commit", o.a_ct(), o.a_ct(COMMIT, o.ct_helper("tftp"), *MARKS), b""),
        ("helper in both", o.a_ct(o.ct_helper("tftp")), None, o.a_ct(COMMIT)),
        ("helper at the first look", o.a_ct(o.ct_helper("tftp")), o.a_ct(COMMIT), b""),
        ("no look", b"", o.a_ct(COMMIT, o.ct_helper("tftp")), o.a_ct(COMMIT)),
        ("answers with labels", o.a_ct(), None, o.a_ct(COMMIT, o.ct_labels(b"\0\5", b"\0\xff"))),
    ):
        if second is None:
            second = o.a_ct(COMMIT, o.ct_helper("tftp"), *MARKS)
        pipeline(t, first, second, o.a_ct(), back or o.a_ct(COMMIT), kinds(v6), 17)
        t.note(name)
        tftp(t, v6, Talk(v6, 1111, 69))
        t.flush()
        t.note("flush", t.ct.flush())
        t.connections()


@case_each("conntrack_helper", VERSIONS)
def tftp_nat(t, v6):
    """With source NAT, the expected connection is changed back."""
    t.switch(2)
    ip = "fd00::99" if v6 else "10.1.0.99"
    for name, nat in (
        ("address", o.ct_nat(o.NAT_SRC, ip)),
        ("address and port", o.ct_nat(o.NAT_SRC, ip, port=7777)),
    ):
        pipeline(
            t,
            o.a_ct(o.ct_nat()),
            o.a_ct(COMMIT, o.ct_helper("tftp"), nat, *MARKS),
            o.a_ct(o.ct_nat()),
            o.a_ct(COMMIT, o.ct_nat()),
            kinds(v6),
            17,
        )
        t.note(name)
        port = 7777 if "port" in name else 1111
        tftp(t, v6, Talk(v6, 1111, 69), {"dst": ip, "dport": port})
        t.flush()
        t.ct.flush()


def ftp_text(talk, v6, ip=None, port=0x1234):
    ip = ip or talk.ends[0]
    if v6:
        return f"EPRT |2|{ip}|{port:d}|\r\n".encode()
    return "PORT {},{:d},{:d}\r\n".format(ip.replace(".", ","), port >> 8, port & 255).encode()


def ftp(t, v6, talk, nat_ip=None):
    """A control connection with PORT, the data connection that it announces, then
    PASV and its data connection."""
    to = {"dst": nat_ip} if nat_ip else {}
    send(t, "syn", talk.tcp(SYN))
    send(t, "syn ack", talk.tcp(SYN | ACK, back=True, **to), back=True)
    send(t, "ack", talk.tcp(ACK))
    send(t, "user", talk.tcp(PSH | ACK, b"USER me\r\n"))
    send(t, "port", talk.tcp(PSH | ACK, ftp_text(talk, v6)))
    data = Talk(v6, 20, 0x1234, talk.ends[1], talk.ends[0])
    send(t, "data syn", data.tcp(SYN, **to), back=True)
    send(t, "data syn ack", data.tcp(SYN | ACK, back=True))
    send(t, "error about the data", data.error(data.tcp_packet(ACK)))
    send(t, "ok", talk.tcp(PSH | ACK, b"200 ok\r\n", back=True, **to), back=True)
    send(t, "pasv", talk.tcp(PSH | ACK, b"EPSV\r\n" if v6 else b"PASV\r\n"))
    if v6:
        answer = b"229 Entering Extended Passive Mode (|||4660|)\r\n"
    else:
        answer = b"227 Entering Passive Mode (10,1,0,2,18,52)\r\n"
    send(t, "pasv answer", talk.tcp(PSH | ACK, answer, back=True, **to), back=True)
    passive = Talk(v6, 5555, 0x1234, *talk.ends)
    send(t, "passive syn", passive.tcp(SYN))
    send(t, "passive syn ack", passive.tcp(SYN | ACK, back=True, **to), back=True)
    send(t, "not announced", Talk(v6, 5556, 0x1235, *talk.ends).tcp(SYN))


@case_each("conntrack_helper", VERSIONS, stock=BOTH)
def ftp_active(t, v6):
    """FTP without NAT: expectations in both directions."""
    t.switch(2)
    pipeline(
        t,
        o.a_ct(),
        o.a_ct(COMMIT, o.ct_helper("ftp"), *MARKS),
        o.a_ct(),
        o.a_ct(COMMIT),
        kinds(v6),
        6,
    )
    ftp(t, v6, Talk(v6, 1234, 21))
    t.note("flush", t.ct.flush())
    t.connections()


@case_each("conntrack_helper", VERSIONS, stock=BOTH)
def ftp_nat(t, v6):
    """FTP with source NAT: the text is rewritten, and with it the sequence
    numbers and the length."""
    t.switch(2)
    ip = "fd00::9999:1234" if v6 else "10.123.45.67"
    pipeline(
        t,
        o.a_ct(o.ct_nat()),
        o.a_ct(COMMIT, o.ct_helper("ftp"), o.ct_nat(o.NAT_SRC, ip), *MARKS),
        o.a_ct(o.ct_nat()),
        o.a_ct(COMMIT, o.ct_nat()),
        kinds(v6),
        6,
    )
    ftp(t, v6, Talk(v6, 1234, 21), ip)


@case_each("conntrack_helper", VERSIONS)
def cached(t, v6):
    """A helper that is named after a look is attached, that of another action is
    looked up anew (row 57)."""
    t.switch(2)
    lists = {
        "ct, commit with helper": o.a_ct() + o.a_ct(COMMIT, o.ct_helper("tftp")),
        "helper twice": o.a_ct(o.ct_helper("tftp")) + o.a_ct(COMMIT, o.ct_helper("tftp")),
        "commit, then helper": o.a_ct(COMMIT) + o.a_ct(COMMIT, o.ct_helper("tftp")),
        "commit with helper, ct": o.a_ct(COMMIT, o.ct_helper("tftp")) + o.a_ct(),
        "helper and nat": o.a_ct() + o.a_ct(COMMIT, o.ct_helper("tftp"), o.ct_nat(o.NAT_SRC)),
        "helper, no commit": o.a_ct(o.ct_helper("tftp")),
        "eventmask": o.a_ct(COMMIT, o.ct_helper("tftp"), u32(o.CT_EVENTMASK, 4)),
    }
    for number, (name, acts) in enumerate(lists.items()):
        pipeline(t, acts, b"", kinds=kinds(v6), proto=17)
        talk = Talk(v6, 100 + number, 69)
        send(t, name, talk.udp(b"\0\1file\0octet\0"))
        send(t, name + ", again", talk.udp(b"\0\2file\0octet\0"))
        t.flush()


@case("conntrack_helper")
def module_in_use(t):
    """What a flow's helper holds is given back with the flow."""
    t.switch(2)

    def users():
        out = {}
        with open("/proc/modules") as handle:
            for line in handle:
                name, _, count, *_ = line.split()
                if name in ("nf_conntrack_tftp", "nf_nat_tftp", "nf_conntrack_ftp", "nf_nat_ftp"):
                    out[name] = int(count)
        return out

    t.note("before", users())
    act = o.a_ct(COMMIT, o.ct_helper("tftp"))
    nat = o.a_ct(COMMIT, o.ct_helper("tftp"), o.ct_nat(o.NAT_SRC, "10.1.1.1"))
    key = o.k_eth() + o.k_type(0x0800) + o.k_ipv4("1.1.1.1", "1.1.1.2", 17) + o.k_udp(1, 2)
    for name, acts in (
        ("one", act),
        ("in clones", o.a_clone(act) + o.a_clone(o.a_clone(act)) + act),
        ("nat", nat),
        ("bad at the end", act + nat + o.a_output(70000)),
    ):
        before = users()
        t.flow(name, key, acts, flags=0)
        t.note(name, users())
        t.flow(name + ", replaced", key, b"", cmd=o.SET, flags=0)
        t.wait("given back", lambda before=before: users() == before)
        t.execute(name + ", executed", f.udp4(), acts)
        t.wait("given back", lambda before=before: users() == before)
        t.flow(name + ", probed", key, acts, flags=0)
        t.flush()
        t.wait("given back", lambda before=before: users() == before)
    t.note("after", users())


@case_each("conntrack_helper", VERSIONS)
def flushed(t, v6):
    """Entries with helper, labels, mark and NAT go while others expect them
    (row 49)."""
    t.switch(2)
    ip = "fd00::99" if v6 else "10.1.0.99"
    nat = o.ct_nat(o.NAT_SRC, ip)
    pipeline(
        t,
        o.a_ct(),
        o.a_ct(COMMIT, o.ct_helper("tftp"), nat, *MARKS),
        o.a_ct(o.ct_nat()),
        o.a_ct(COMMIT),
        kinds(v6),
        17,
    )
    for i in range(20):
        talk = Talk(v6, 1000 + i, 69)
        t.inject(f"request {i:d}", t.taps["t1"], talk.udp(b"\0\1file\0octet\0"))
        if i % 3 == 0:
            data = Talk(v6, 3333, 1000 + i, talk.ends[1], ip)
            t.inject(f"data {i:d}", t.taps["t2"], data.udp(b"\0\3\0\1x"))
        if i % 7 == 6:
            t.note("flush", t.ct.flush())
    t.connections()
    t.note("flush", t.ct.flush())
    t.connections()

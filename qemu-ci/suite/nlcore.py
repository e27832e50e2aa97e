# SPDX-License-Identifier: GPL-2.0
"""Raw netlink: attributes as bytes, sockets that keep what the kernel said.

Nothing here checks what it sends: a test builds malformed attributes with
the same functions as good ones. Replies keep errno, extended ack and the
exact bytes.
"""

import errno as errno_mod
import os
import socket
import struct

NETLINK_ROUTE = 0
NETLINK_GENERIC = 16

SOL_NETLINK = 270
NETLINK_ADD_MEMBERSHIP = 1
NETLINK_CAP_ACK = 10
NETLINK_EXT_ACK = 11
NETLINK_GET_STRICT_CHK = 12
SO_RCVBUFFORCE = 33

NLM_F_REQUEST = 0x01
NLM_F_MULTI = 0x02
NLM_F_ACK = 0x04
NLM_F_ECHO = 0x08
NLM_F_DUMP_INTR = 0x10
NLM_F_ROOT = 0x100
NLM_F_MATCH = 0x200
NLM_F_DUMP = NLM_F_ROOT | NLM_F_MATCH
NLM_F_REPLACE = 0x100
NLM_F_EXCL = 0x200
NLM_F_CREATE = 0x400
NLM_F_CAPPED = 0x100
NLM_F_ACK_TLVS = 0x200

NLMSG_ERROR = 2
NLMSG_DONE = 3

NLA_F_NESTED = 0x8000
NLA_TYPE_MASK = 0x3FFF

NLMSGERR_ATTR_MSG = 1
NLMSGERR_ATTR_OFFS = 2
NLMSGERR_ATTR_COOKIE = 3
NLMSGERR_ATTR_POLICY = 4
NLMSGERR_ATTR_MISS_TYPE = 5
NLMSGERR_ATTR_MISS_NEST = 6

NLHDR = struct.Struct("=IHHII")
GENLHDR = struct.Struct("=BBH")

GENL_ID_CTRL = 16
CTRL_CMD_GETFAMILY = 3
CTRL_CMD_GETPOLICY = 10


def align4(n):
    """Round up to the netlink alignment."""
    return (n + 3) & ~3


def attr(kind, payload=b"", length=None, pad=True):
    """One attribute. `length` replaces the true nla_len (malformed input)."""
    if isinstance(payload, int):
        payload = struct.pack("=I", payload)
    nla_len = 4 + len(payload) if length is None else length
    out = struct.pack("=HH", nla_len & 0xFFFF, kind & 0xFFFF) + payload
    if pad:
        out += bytes(align4(len(payload)) - len(payload))
    return out


def u8(kind, value):
    return attr(kind, struct.pack("=B", value & 0xFF))


def u16(kind, value):
    return attr(kind, struct.pack("=H", value & 0xFFFF))


def be16(kind, value):
    return attr(kind, struct.pack("!H", value & 0xFFFF))


def u32(kind, value):
    return attr(kind, struct.pack("=I", value & 0xFFFFFFFF))


def s32(kind, value):
    return attr(kind, struct.pack("=i", value))


def u64(kind, value):
    return attr(kind, struct.pack("=Q", value & 0xFFFFFFFFFFFFFFFF))


def string(kind, text):
    return attr(kind, text.encode() + b"\0")


def nest(kind, *children, flag=False):
    """A nested attribute; `flag` sets NLA_F_NESTED."""
    return attr(kind | (NLA_F_NESTED if flag else 0), b"".join(children))


def parse_attrs(data):
    """[(type without flags, payload)], and how many bytes were left over."""
    out = []
    pos = 0
    while len(data) - pos >= 4:
        length, kind = struct.unpack_from("=HH", data, pos)
        if length < 4 or length > len(data) - pos:
            break
        out.append((kind & NLA_TYPE_MASK, data[pos + 4 : pos + length]))
        pos += align4(length)
    return out, max(0, len(data) - pos)


def attr_dict(data):
    return dict(parse_attrs(data)[0])


def errname(number):
    """A stable name for an errno (0 stays 0)."""
    if number == 0:
        return 0
    return errno_mod.errorcode.get(number, str(number))


class Message:
    """One netlink message as received."""

    def __init__(self, data):
        self.data = data
        (self.length, self.kind, self.flags, self.seq, self.portid) = NLHDR.unpack_from(data)
        self.body = data[NLHDR.size : self.length]

    @property
    def genl(self):
        """(cmd, version) of a generic netlink message."""
        cmd, version, _ = GENLHDR.unpack_from(self.body)
        return cmd, version

    def payload(self, hdrsize=0):
        """What follows the genl header and the family's own header."""
        return self.body[GENLHDR.size + hdrsize :]

    def userhdr(self, hdrsize):
        return self.body[GENLHDR.size : GENLHDR.size + hdrsize]


def split_messages(data):
    out = []
    pos = 0
    while len(data) - pos >= NLHDR.size:
        length = struct.unpack_from("=I", data, pos)[0]
        if length < NLHDR.size or length > len(data) - pos:
            break
        out.append(Message(data[pos : pos + length]))
        pos += align4(length)
    return out


class Ack:
    """What the kernel answered: errno (positive, 0 for success), extack."""

    def __init__(self, errno=0, extack=None, done=False):
        self.errno = errno
        self.extack = extack or {}
        self.done = done


def parse_ack(msg):
    """An NLMSG_ERROR or NLMSG_DONE message as an Ack."""
    code = struct.unpack_from("=i", msg.body)[0] if len(msg.body) >= 4 else 0
    pos = 4
    if msg.kind == NLMSG_ERROR:
        orig_len = struct.unpack_from("=I", msg.body, 4)[0]
        pos = 4 + (NLHDR.size if msg.flags & NLM_F_CAPPED else align4(orig_len))
    extack = {}
    if msg.flags & NLM_F_ACK_TLVS:
        extack = parse_extack(msg.body[pos:])
    return Ack(-code, extack, msg.kind == NLMSG_DONE)


POLICY_ATTRS = {
    1: "type",
    2: "min_s",
    3: "max_s",
    4: "min_u",
    5: "max_u",
    6: "min_len",
    7: "max_len",
    8: "policy_idx",
    9: "policy_maxtype",
    10: "bf32_mask",
    12: "mask",
}


def parse_policy(data):
    out = {}
    for kind, value in parse_attrs(data)[0]:
        if kind == 11:
            continue
        name = POLICY_ATTRS.get(kind, str(kind))
        if len(value) == 8 and name.endswith("_s"):
            out[name] = struct.unpack("=q", value)[0]
        else:
            out[name] = int.from_bytes(value, "little")
    return out


def parse_extack(data):
    out = {}
    for kind, value in parse_attrs(data)[0]:
        if kind == NLMSGERR_ATTR_MSG:
            out["msg"] = value.rstrip(b"\0").decode(errors="replace")
        elif kind == NLMSGERR_ATTR_OFFS:
            out["offs"] = struct.unpack("=I", value)[0]
        elif kind == NLMSGERR_ATTR_POLICY:
            out["policy"] = parse_policy(value)
        elif kind == NLMSGERR_ATTR_MISS_TYPE:
            out["miss_type"] = struct.unpack("=I", value)[0]
        elif kind == NLMSGERR_ATTR_MISS_NEST:
            out["miss_nest"] = struct.unpack("=I", value)[0]
        else:
            out[f"attr{kind:d}"] = value.hex()
    return out


class Socket:
    """One AF_NETLINK socket with extended acks."""

    def __init__(self, proto=NETLINK_GENERIC, sock=None):
        self.sock = sock or socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, proto)
        if sock is None:
            self.sock.bind((0, 0))
        self.sock.setsockopt(SOL_NETLINK, NETLINK_EXT_ACK, 1)
        self.sock.setsockopt(SOL_NETLINK, NETLINK_CAP_ACK, 1)
        try:
            self.sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 23)
        except PermissionError:
            pass
        # Not settimeout(): that would make MSG_DONTWAIT wait, too.
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("=qq", 10, 0))
        self.seq = 0
        self.bufsize = 1 << 20

    @property
    def portid(self):
        return self.sock.getsockname()[0]

    def close(self):
        self.sock.close()

    def join(self, group):
        self.sock.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group)

    def send(self, kind, flags, body, length=None):
        """Send one message; returns its sequence number."""
        self.seq += 1
        total = NLHDR.size + len(body) if length is None else length
        self.sock.send(NLHDR.pack(total, kind, flags, self.seq, 0) + body)
        return self.seq

    def recv(self):
        return split_messages(self.sock.recv(self.bufsize))

    def transact(self, kind, flags, body, length=None):
        """Send, then read until the ack or the end of the dump.

        Returns (Ack, [Message]). Messages with another sequence number
        (notifications) are ignored.
        """
        seq = self.send(kind, flags | NLM_F_REQUEST, body, length)
        out = []
        want_ack = bool(flags & NLM_F_ACK)
        while True:
            for msg in self.recv():
                if msg.seq != seq:
                    continue
                if msg.kind in (NLMSG_ERROR, NLMSG_DONE):
                    return parse_ack(msg), out
                out.append(msg)
                if not want_ack and not msg.flags & NLM_F_MULTI:
                    return Ack(), out

    def drain(self):
        """All that waits in the queue, without blocking."""
        out = []
        while True:
            try:
                data = self.sock.recv(1 << 20, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return out
            except OSError as exc:
                if exc.errno == errno_mod.ENOBUFS:
                    continue
                raise
            out.extend(split_messages(data))


class Family:
    """A generic netlink family as the controller describes it."""

    def __init__(self, msg):
        attrs = attr_dict(msg.payload())
        self.ident = struct.unpack("=H", attrs[1])[0]
        self.name = attrs[2].rstrip(b"\0").decode()
        self.version = struct.unpack("=I", attrs[3])[0]
        self.hdrsize = struct.unpack("=I", attrs[4])[0]
        self.maxattr = struct.unpack("=I", attrs[5])[0]
        self.ops = []
        for _, one in parse_attrs(attrs.get(6, b""))[0]:
            op = attr_dict(one)
            self.ops.append((struct.unpack("=I", op[1])[0], struct.unpack("=I", op[2])[0]))
        self.groups = {}
        for _, one in parse_attrs(attrs.get(7, b""))[0]:
            grp = attr_dict(one)
            self.groups[grp[1].rstrip(b"\0").decode()] = struct.unpack("=I", grp[2])[0]


def get_family(sock, name):
    """Family, or the errno with which the controller refused."""
    body = GENLHDR.pack(CTRL_CMD_GETFAMILY, 2, 0) + string(2, name)
    ack, msgs = sock.transact(GENL_ID_CTRL, NLM_F_ACK, body)
    if ack.errno:
        return ack.errno
    return Family(msgs[0])


def get_policy(sock, ident):
    """The family's policies: {index: {attr: policy}}, {op: index}."""
    body = GENLHDR.pack(CTRL_CMD_GETPOLICY, 2, 0) + u16(1, ident)
    ack, msgs = sock.transact(GENL_ID_CTRL, NLM_F_DUMP | NLM_F_ACK, body)
    policies = {}
    per_op = {}
    for msg in msgs:
        attrs = attr_dict(msg.payload())
        for index, one in parse_attrs(attrs.get(8, b""))[0]:
            for number, pol in parse_attrs(one)[0]:
                policies.setdefault(index, {})[number] = parse_policy(pol)
        for cmd, one in parse_attrs(attrs.get(9, b""))[0]:
            per_op[cmd] = {k: int.from_bytes(v, "little") for k, v in parse_attrs(one)[0]}
    return ack, policies, per_op


def in_netns(path_or_fd):
    """Enter a network namespace (a path, or an open file)."""
    if isinstance(path_or_fd, str):
        fd = os.open(path_or_fd, os.O_RDONLY)
        try:
            os.setns(fd, os.CLONE_NEWNET)
        finally:
            os.close(fd)
    else:
        os.setns(path_or_fd, os.CLONE_NEWNET)

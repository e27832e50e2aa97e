// SPDX-License-Identifier: GPL-2.0
/*
 * The netlink side of `make bench`: makes a datapath, installs, deletes and
 * dumps flows through Open vSwitch's generic netlink families, and drains
 * upcalls. Messages are sent many at a time, so that what is measured is the
 * datapath and not the system call.
 *
 *	ovsbench setup IN OUT		a datapath with two devices as ports
 *	ovsbench install SHAPE		the flows of SHAPE, from IN to OUT
 *	ovsbench delete SHAPE		the same flows, one message each
 *	ovsbench dump [terse]		every flow
 *	ovsbench upcalls COUNT		reads COUNT misses of port IN
 *	ovsbench churn SHAPE SECONDS	a flow with a mask of its own comes and goes
 *					1,000 times a second, beside those of SHAPE
 *	ovsbench stats			the datapath's counters
 *	ovsbench teardown
 *
 * Each prints one JSON object. SHAPE is one, masks32 (1,024 flows, one for
 * each UDP source port from 1024 up, under 32 masks) or masks256 (100,000
 * flows, one for each pair of 400 source ports and 250 destination addresses,
 * under 256 masks); attackN (N flows that differ from a whitelist, each under a
 * mask of its own, see spray.c) or stages (50 recirculation ids with 1 to 5 masks
 * each, of which a packet goes through five).
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <linux/openvswitch.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define DP_NAME "bench"
#define PORT_IN 1
#define PORT_OUT 2
#define BATCH 128
#define BUFSIZE (256 * 1024)
#define FIRST_UDP_PORT 1024
#define SRC_ADDR 0xc6120001u /* 198.18.0.1 */
#define DST_ADDR 0xc6130001u /* 198.19.0.1 */
#define DST_PORT 9
#define NUM_STAGES 50
#define STAGE_MASKS(stage) (1 + (stage) % 5)
/* Ten times 1 to 5. */
#define STAGE_FLOWS 150
/* A packet goes from one of them to the one that is so much further. */
#define STAGE_STEP 11

struct shape {
	const char *name;
	unsigned int ports;
	unsigned int addrs;
	unsigned int masks;
	bool match_port;
	enum { PLAIN, ATTACK, STAGES } kind;
};

/* Of an attack `ports` is how many prefixes of the source port there are times
 * 16, which is how many there are of the destination port.
 */
static const struct shape shapes[] = {
	{ "one", 1, 1, 1, false, PLAIN },
	{ "masks32", 1024, 1, 32, true, PLAIN },
	{ "masks256", 400, 250, 256, true, PLAIN },
	{ "attack32", 32, 1, 32, true, ATTACK },
	{ "attack64", 64, 1, 64, true, ATTACK },
	{ "attack512", 256, 2, 512, true, ATTACK },
	{ "attack3840", 256, 15, 3840, true, ATTACK },
	{ "attack8192", 256, 32, 8192, true, ATTACK },
	{ "stages", STAGE_FLOWS, 1, STAGE_FLOWS, true, STAGES },
};

#define NUM_SHAPES (sizeof(shapes) / sizeof(*shapes))

static int fd;
static __u32 seq;
static __u16 dp_family, vport_family, flow_family;
static char buf[BUFSIZE];
static char rbuf[BUFSIZE];
static size_t len;

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static void *put_raw(const void *data, size_t size)
{
	void *p = buf + len;
	size_t room = NLMSG_ALIGN(size);

	if (len + room > sizeof(buf))
		errx(1, "message too long");
	memset(p, 0, room);
	if (data)
		memcpy(p, data, size);
	len += room;
	return p;
}

static void put_attr(__u16 type, const void *data, size_t size)
{
	struct nlattr a = { .nla_len = NLA_HDRLEN + size, .nla_type = type };

	put_raw(&a, sizeof(a));
	put_raw(data, size);
}

static void put_u32(__u16 type, __u32 v)
{
	put_attr(type, &v, sizeof(v));
}

static size_t nest_begin(__u16 type)
{
	size_t at = len;

	put_attr(type | NLA_F_NESTED, NULL, 0);
	return at;
}

static void nest_end(size_t at)
{
	struct nlattr *a = (struct nlattr *)(buf + at);

	a->nla_len = len - at;
}

static size_t msg_begin(__u16 family, __u8 cmd, __u8 version,
			__u16 flags)
{
	struct nlmsghdr h = { .nlmsg_type = family,
			      .nlmsg_flags = NLM_F_REQUEST | flags,
			      .nlmsg_seq = ++seq };
	struct genlmsghdr g = { .cmd = cmd, .version = version };
	size_t at = len;

	put_raw(&h, sizeof(h));
	put_raw(&g, sizeof(g));
	return at;
}

static void put_dp(int dp_ifindex)
{
	struct ovs_header h = { .dp_ifindex = dp_ifindex };

	put_raw(&h, sizeof(h));
}

static void msg_end(size_t at)
{
	struct nlmsghdr *h = (struct nlmsghdr *)(buf + at);

	h->nlmsg_len = len - at;
}

static void flush_out(void)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };

	if (sendto(fd, buf, len, 0, (struct sockaddr *)&kernel,
		   sizeof(kernel)) != (ssize_t)len)
		errx(1, "send: %s", strerror(errno));
	len = 0;
}

/* Read until the acknowledgment of message `want`; any error is fatal. A reply
 * with that number is copied to `reply`.
 */
static void wait_ack(__u32 want, void *reply, size_t room)
{
	for (;;) {
		ssize_t n = recv(fd, rbuf, sizeof(rbuf), 0);
		struct nlmsghdr *h;

		if (n < 0)
			errx(1, "receive: %s", strerror(errno));
		for (h = (struct nlmsghdr *)rbuf; NLMSG_OK(h, n);
		     h = NLMSG_NEXT(h, n)) {
			if (h->nlmsg_type == NLMSG_ERROR) {
				struct nlmsgerr *e = NLMSG_DATA(h);

				if (e->error)
					errx(1, "message %u: %s", h->nlmsg_seq,
					     strerror(-e->error));
				if (h->nlmsg_seq == want)
					return;
			} else if (h->nlmsg_seq == want && reply) {
				memcpy(reply, h, h->nlmsg_len < room ?
				       h->nlmsg_len : room);
			}
		}
	}
}

static struct nlattr *find_attr(struct nlmsghdr *h, size_t skip, __u16 type)
{
	char *p = (char *)NLMSG_DATA(h) + GENL_HDRLEN + skip;
	char *end = (char *)h + h->nlmsg_len;

	while (p + NLA_HDRLEN <= end) {
		struct nlattr *a = (struct nlattr *)p;

		if ((a->nla_type & NLA_TYPE_MASK) == type)
			return a;
		if (a->nla_len < NLA_HDRLEN)
			break;
		p += NLA_ALIGN(a->nla_len);
	}
	return NULL;
}

static __u16 family_id(const char *name)
{
	static char reply[16384];
	struct nlattr *a;
	size_t at = msg_begin(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 1, NLM_F_ACK);

	put_attr(CTRL_ATTR_FAMILY_NAME, name, strlen(name) + 1);
	msg_end(at);
	flush_out();
	wait_ack(seq, reply, sizeof(reply));
	a = find_attr((struct nlmsghdr *)reply, 0, CTRL_ATTR_FAMILY_ID);
	if (!a)
		errx(1, "no generic netlink family %s", name);
	return *(__u16 *)((char *)a + NLA_HDRLEN);
}

static void open_socket(void)
{
	int size = 256 << 20;
	struct sockaddr_nl me = { .nl_family = AF_NETLINK };

	fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_GENERIC);
	if (fd < 0)
		errx(1, "socket: %s", strerror(errno));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	if (bind(fd, (struct sockaddr *)&me, sizeof(me)))
		errx(1, "bind: %s", strerror(errno));
	dp_family = family_id(OVS_DATAPATH_FAMILY);
	vport_family = family_id(OVS_VPORT_FAMILY);
	flow_family = family_id(OVS_FLOW_FAMILY);
}

static int dp_index(void)
{
	int i = if_nametoindex(DP_NAME);

	if (!i)
		errx(1, "no datapath: run 'ovsbench setup' first");
	return i;
}

static void add_port(const char *dev, __u32 port)
{
	size_t at = msg_begin(vport_family, OVS_VPORT_CMD_NEW,
			      OVS_VPORT_VERSION, NLM_F_ACK);

	put_dp(dp_index());
	put_u32(OVS_VPORT_ATTR_PORT_NO, port);
	put_u32(OVS_VPORT_ATTR_TYPE, OVS_VPORT_TYPE_NETDEV);
	put_attr(OVS_VPORT_ATTR_NAME, dev, strlen(dev) + 1);
	put_u32(OVS_VPORT_ATTR_UPCALL_PID, 0);
	msg_end(at);
	flush_out();
	wait_ack(seq, NULL, 0);
}

static void cmd_setup(const char *in, const char *out)
{
	size_t at = msg_begin(dp_family, OVS_DP_CMD_NEW, OVS_DATAPATH_VERSION,
			      NLM_F_ACK);

	put_dp(0);
	put_attr(OVS_DP_ATTR_NAME, DP_NAME, sizeof(DP_NAME));
	put_u32(OVS_DP_ATTR_UPCALL_PID, 0);
	put_u32(OVS_DP_ATTR_USER_FEATURES,
		OVS_DP_F_UNALIGNED | OVS_DP_F_VPORT_PIDS);
	msg_end(at);
	flush_out();
	wait_ack(seq, NULL, 0);
	add_port(in, PORT_IN);
	add_port(out, PORT_OUT);
	printf("{\"ok\": true}\n");
}

static void cmd_teardown(void)
{
	size_t at = msg_begin(dp_family, OVS_DP_CMD_DEL, OVS_DATAPATH_VERSION,
			      NLM_F_ACK);

	put_dp(dp_index());
	msg_end(at);
	flush_out();
	wait_ack(seq, NULL, 0);
	printf("{\"ok\": true}\n");
}

static __u32 prefix(unsigned int bits)
{
	return bits ? ~0u << (32 - bits) : 0;
}

/* The values of the whitelist are allowed by a flow of its own, the first. Flow
 * `i` after that is for what differs from them at a bit of each field.
 */
static void put_attack(const struct shape *s, unsigned int i, bool mask)
{
	unsigned int sports = s->ports / 16;
	unsigned int dport_bit = 15 - i % 16;
	unsigned int sport_bit = 15 - i / 16 % sports;
	unsigned int addr_bit = 31 - i / s->ports;
	struct ovs_key_ipv4 ip = { .ipv4_proto = mask ? 0xff : 17,
				   .ipv4_frag = mask ? 0xff : 0 };
	struct ovs_key_udp udp = { 0 };

	if (i == s->masks) {
		ip.ipv4_src = htonl(mask ? ~0u : SRC_ADDR);
		udp.udp_src = htons(mask ? 0xffff : FIRST_UDP_PORT);
		udp.udp_dst = htons(mask ? 0xffff : DST_PORT);
	} else {
		__u32 src = ~0u << addr_bit;
		__u16 sport = 0xffff << sport_bit, dport = 0xffff << dport_bit;

		ip.ipv4_src = htonl(mask ? src : (SRC_ADDR ^ 1u << addr_bit) & src);
		udp.udp_src = htons(mask ? sport :
				    (FIRST_UDP_PORT ^ 1u << sport_bit) & sport);
		udp.udp_dst = htons(mask ? dport : (DST_PORT ^ 1u << dport_bit) & dport);
	}
	put_attr(OVS_KEY_ATTR_IPV4, &ip, sizeof(ip));
	put_attr(OVS_KEY_ATTR_UDP, &udp, sizeof(udp));
}

/* Which stage a flow is of, and which flow of that it is. */
static unsigned int stage_of(unsigned int i, unsigned int *nth)
{
	unsigned int stage = 0;

	while (i >= STAGE_MASKS(stage))
		i -= STAGE_MASKS(stage++);
	*nth = i;
	return stage;
}

/* The last flow of a stage matches all packets. */
static void put_stage(unsigned int i, bool mask)
{
	unsigned int nth, stage = stage_of(i, &nth);
	bool last = nth == STAGE_MASKS(stage) - 1;
	unsigned int addr_bit = 31 - (stage % 6 * 5 + nth);
	__u32 src = ~0u << addr_bit;
	__u16 dport = 0xffff << (15 - stage / 6);
	struct ovs_key_ipv4 ip = { .ipv4_proto = mask ? 0xff : 17,
				   .ipv4_frag = mask ? 0xff : 0 };
	struct ovs_key_udp udp = { 0 };

	ip.ipv4_src = htonl(mask ? src : (SRC_ADDR ^ (last ? 0 : 1u << addr_bit)) & src);
	udp.udp_dst = htons(mask ? dport : DST_PORT & dport);
	put_attr(OVS_KEY_ATTR_IPV4, &ip, sizeof(ip));
	put_attr(OVS_KEY_ATTR_UDP, &udp, sizeof(udp));
	put_u32(OVS_KEY_ATTR_RECIRC_ID, mask ? ~0u : stage);
}

/* The match of a flow, or its mask. Masks differ in how long a prefix of the
 * source address and of the destination port they have; both are the same in
 * all packets, so each packet has exactly one flow.
 */
static void put_key(const struct shape *s, unsigned int i, bool mask)
{
	unsigned int m = i % s->masks;
	unsigned int sport = FIRST_UDP_PORT + i % s->ports;
	unsigned int addr = DST_ADDR + i / s->ports;
	__u32 src_mask = s->masks > 1 ? prefix(17 + m % 16) : 0;
	__u32 dport_mask = s->masks > 1 ? prefix(17 + m / 16) & 0xffff : 0;
	__u16 eth_type = mask ? 0xffff : htons(0x0800);
	struct ovs_key_ethernet eth = { 0 };
	struct ovs_key_ipv4 ip = { 0 };
	struct ovs_key_udp udp = { 0 };

	put_u32(OVS_KEY_ATTR_IN_PORT, mask ? 0xffffffff : PORT_IN);
	put_attr(OVS_KEY_ATTR_ETHERNET, &eth, sizeof(eth));
	put_attr(OVS_KEY_ATTR_ETHERTYPE, &eth_type, sizeof(eth_type));
	if (s->kind == ATTACK) {
		put_attack(s, i, mask);
		return;
	}
	if (s->kind == STAGES) {
		put_stage(i, mask);
		return;
	}
	ip.ipv4_src = htonl(mask ? src_mask : SRC_ADDR & src_mask);
	ip.ipv4_proto = mask ? 0xff : 17;
	ip.ipv4_frag = mask ? 0xff : OVS_FRAG_TYPE_NONE;
	if (s->match_port) {
		ip.ipv4_dst = mask ? 0xffffffff : htonl(addr);
		udp.udp_src = mask ? 0xffff : htons(sport);
		udp.udp_dst = htons(mask ? dport_mask : 9 & dport_mask);
	}
	put_attr(OVS_KEY_ATTR_IPV4, &ip, sizeof(ip));
	put_attr(OVS_KEY_ATTR_UDP, &udp, sizeof(udp));
}

/* As ovs-vswitchd's: a hash of the match, so random-looking and 16 octets. */
static void put_ufid(unsigned int i)
{
	__u64 id[2], x = i + 1;
	int j;

	for (j = 0; j < 2; j++) {
		x += 0x9e3779b97f4a7c15ull;
		x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
		x = (x ^ x >> 27) * 0x94d049bb133111ebull;
		id[j] = x ^ x >> 31;
	}
	put_attr(OVS_FLOW_ATTR_UFID, id, sizeof(id));
}

static void put_flow(const struct shape *s, unsigned int i)
{
	unsigned int next = NUM_STAGES;
	unsigned int nth;
	size_t nest;

	put_ufid(i);
	nest = nest_begin(OVS_FLOW_ATTR_KEY);
	put_key(s, i, false);
	nest_end(nest);
	nest = nest_begin(OVS_FLOW_ATTR_MASK);
	put_key(s, i, true);
	nest_end(nest);
	nest = nest_begin(OVS_FLOW_ATTR_ACTIONS);
	if (s->kind == STAGES)
		next = stage_of(i, &nth) + STAGE_STEP;
	if (next < NUM_STAGES)
		put_u32(OVS_ACTION_ATTR_RECIRC, next);
	else
		put_u32(OVS_ACTION_ATTR_OUTPUT, PORT_OUT);
	nest_end(nest);
}

static const struct shape *find_shape(const char *name)
{
	size_t i;

	for (i = 0; i < NUM_SHAPES; i++)
		if (!strcmp(shapes[i].name, name))
			return &shapes[i];
	errx(1, "no shape is called '%s'", name);
}

static unsigned int num_flows(const struct shape *s)
{
	/* One that is allowed. */
	return s->ports * s->addrs + (s->kind == ATTACK);
}

/* Only the last message of a batch asks for an acknowledgment; errors come
 * back for all.
 */
static void change(const struct shape *s, bool install)
{
	unsigned int i, n = num_flows(s);
	int dp = dp_index();
	double t = now();

	for (i = 0; i < n; i++) {
		bool last = i % BATCH == BATCH - 1 || i == n - 1;
		size_t at = msg_begin(flow_family, install ? OVS_FLOW_CMD_NEW :
				      OVS_FLOW_CMD_DEL, OVS_FLOW_VERSION,
				      (last ? NLM_F_ACK : 0) |
				      (install ? NLM_F_CREATE | NLM_F_EXCL : 0));

		put_dp(dp);
		if (install) {
			put_flow(s, i);
		} else {
			/* The reply is a notification to whoever asked for
			 * it: without NLM_F_ECHO nobody did.
			 */
			put_ufid(i);
		}
		msg_end(at);
		if (last) {
			flush_out();
			wait_ack(seq, NULL, 0);
		}
	}
	t = now() - t;
	printf("{\"flows\": %u, \"seconds\": %.6f}\n", n, t);
}

/* Each flow looks at other bits of the MAC addresses. "ready" is printed when
 * the first is there.
 */
static void cmd_churn(const struct shape *s, double seconds)
{
	int dp = dp_index();
	double start = now();
	unsigned int i;

	for (i = 1; now() - start < seconds; i++) {
		struct ovs_key_ethernet eth = { 0 };
		double t = start + i / 1000.0 - now();
		size_t at, nest;
		int j;

		at = msg_begin(flow_family, OVS_FLOW_CMD_NEW, OVS_FLOW_VERSION,
			       NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
		put_dp(dp);
		put_ufid(s->masks + 1000 + i);
		nest = nest_begin(OVS_FLOW_ATTR_KEY);
		put_u32(OVS_KEY_ATTR_IN_PORT, PORT_IN);
		put_attr(OVS_KEY_ATTR_ETHERNET, &eth, sizeof(eth));
		nest_end(nest);
		nest = nest_begin(OVS_FLOW_ATTR_MASK);
		put_u32(OVS_KEY_ATTR_IN_PORT, ~0u);
		for (j = 0; j < 16; j++)
			eth.eth_src[3 + j % 3] |= (i >> j & 1) << j / 3;
		/* No packet is of this flow. */
		eth.eth_dst[0] = 0xff;
		put_attr(OVS_KEY_ATTR_ETHERNET, &eth, sizeof(eth));
		nest_end(nest);
		nest = nest_begin(OVS_FLOW_ATTR_ACTIONS);
		nest_end(nest);
		msg_end(at);
		flush_out();
		wait_ack(seq, NULL, 0);
		if (i == 1) {
			printf("ready\n");
			fflush(stdout);
		}
		if (t > 0)
			usleep(t * 1e6);
		at = msg_begin(flow_family, OVS_FLOW_CMD_DEL, OVS_FLOW_VERSION, NLM_F_ACK);
		put_dp(dp);
		put_ufid(s->masks + 1000 + i);
		msg_end(at);
		flush_out();
		wait_ack(seq, NULL, 0);
	}
	printf("{\"masks\": %u, \"seconds\": %.6f}\n", i, now() - start);
}

static void cmd_dump(bool terse)
{
	unsigned int n = 0;
	bool done = false;
	double t = now();
	size_t at = msg_begin(flow_family, OVS_FLOW_CMD_GET, OVS_FLOW_VERSION,
			      NLM_F_DUMP);

	put_dp(dp_index());
	if (terse)
		put_u32(OVS_FLOW_ATTR_UFID_FLAGS, OVS_UFID_F_OMIT_KEY |
			OVS_UFID_F_OMIT_MASK | OVS_UFID_F_OMIT_ACTIONS);
	msg_end(at);
	flush_out();
	while (!done) {
		ssize_t got = recv(fd, rbuf, sizeof(rbuf), 0);
		struct nlmsghdr *h;

		if (got < 0)
			errx(1, "receive: %s", strerror(errno));
		for (h = (struct nlmsghdr *)rbuf; NLMSG_OK(h, got);
		     h = NLMSG_NEXT(h, got)) {
			if (h->nlmsg_type == NLMSG_DONE) {
				done = true;
			} else if (h->nlmsg_type == NLMSG_ERROR) {
				struct nlmsgerr *e = NLMSG_DATA(h);

				errx(1, "dump: %s", strerror(-e->error));
			} else {
				n++;
			}
		}
	}
	t = now() - t;
	printf("{\"flows\": %u, \"seconds\": %.6f}\n", n, t);
}

/* The misses of port IN: "ready" is printed when they come here. After each line
 * on standard input, which says that COUNT have been sent, they are read one by
 * one, as ovs-vswitchd's handlers do. A reader that runs while the sender does
 * would measure the scheduler: the rate then has two values, four times apart.
 */
static void cmd_upcalls(unsigned int count)
{
	struct sockaddr_nl me;
	socklen_t l = sizeof(me);
	char line[16];
	size_t at;

	if (getsockname(fd, (struct sockaddr *)&me, &l))
		errx(1, "getsockname: %s", strerror(errno));
	at = msg_begin(vport_family, OVS_VPORT_CMD_SET, OVS_VPORT_VERSION,
		       NLM_F_ACK);
	put_dp(dp_index());
	put_u32(OVS_VPORT_ATTR_PORT_NO, PORT_IN);
	put_u32(OVS_VPORT_ATTR_UPCALL_PID, me.nl_pid);
	msg_end(at);
	flush_out();
	wait_ack(seq, NULL, 0);
	printf("ready\n");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		unsigned int n = 0;
		double t = now();

		while (n < count) {
			struct nlmsghdr *h = (struct nlmsghdr *)rbuf;
			ssize_t got = recv(fd, rbuf, sizeof(rbuf),
					   MSG_DONTWAIT);

			if (got < 0 && errno == EAGAIN)
				break;
			if (got < 0)
				errx(1, "receive: %s", strerror(errno));
			if (!NLMSG_OK(h, got) ||
			    h->nlmsg_type < NLMSG_MIN_TYPE)
				errx(1, "not an upcall: type %u",
				     h->nlmsg_type);
			n++;
		}
		printf("{\"upcalls\": %u, \"seconds\": %.6f}\n", n,
		       now() - t);
		fflush(stdout);
	}
}

static void cmd_stats(void)
{
	static char reply[16384];
	struct ovs_dp_stats s = { 0 };
	struct nlattr *a;
	size_t at = msg_begin(dp_family, OVS_DP_CMD_GET, OVS_DATAPATH_VERSION,
			      NLM_F_ACK);

	put_dp(dp_index());
	msg_end(at);
	flush_out();
	wait_ack(seq, reply, sizeof(reply));
	a = find_attr((struct nlmsghdr *)reply, sizeof(struct ovs_header),
		      OVS_DP_ATTR_STATS);
	if (!a)
		errx(1, "the datapath has no counters");
	memcpy(&s, (char *)a + NLA_HDRLEN, sizeof(s));
	printf("{\"hit\": %llu, \"missed\": %llu, \"lost\": %llu, \"flows\": %llu}\n",
	       (unsigned long long)s.n_hit, (unsigned long long)s.n_missed,
	       (unsigned long long)s.n_lost, (unsigned long long)s.n_flows);
}

int main(int argc, char **argv)
{
	const char *cmd = argc > 1 ? argv[1] : "";

	open_socket();
	if (!strcmp(cmd, "setup") && argc == 4)
		cmd_setup(argv[2], argv[3]);
	else if (!strcmp(cmd, "install") && argc == 3)
		change(find_shape(argv[2]), true);
	else if (!strcmp(cmd, "delete") && argc == 3)
		change(find_shape(argv[2]), false);
	else if (!strcmp(cmd, "churn") && argc == 4)
		cmd_churn(find_shape(argv[2]), atof(argv[3]));
	else if (!strcmp(cmd, "dump"))
		cmd_dump(argc == 3 && !strcmp(argv[2], "terse"));
	else if (!strcmp(cmd, "upcalls") && argc == 3)
		cmd_upcalls(atoi(argv[2]));
	else if (!strcmp(cmd, "stats"))
		cmd_stats();
	else if (!strcmp(cmd, "teardown"))
		cmd_teardown();
	else
		errx(1, "usage: see the top of ovsbench.c");
	return 0;
}

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The guest's root folder: Debian's own Open vSwitch and the tools that the
# demo and the tests drive it with.
. "$(dirname "$0")/../lib.sh"

PKGS="openvswitch-switch iproute2 iputils-ping iputils-arping tcpdump ethtool
	python3 python3-pyroute2 python3-scapy python3-yaml python3-jsonschema iperf3 conntrack nftables
	kmod ncat net-tools socat lftp python3-pyftpdlib procps psmisc curl wget gawk bpftool
	openvswitch-source libreswan libnss3-tools openssl"

build() {
	[ -d "$GUESTROOT" ] && return
	need_space 3000
	make_root "$GUESTROOT" "$(echo $PKGS)" ""
}

need_root
locked guestroot build

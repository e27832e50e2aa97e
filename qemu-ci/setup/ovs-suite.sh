#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Open vSwitch's own tests of the kernel module, as Debian's autopkgtest `kmod`
# has them: the tree of the package openvswitch-source, of the version that the
# guest root runs, configured in _debian/. Of it, only what the tests run beside
# the packaged programs is built: ovstest, and ovs-monitor-ipsec, whose package
# insists on strongSwan where the tests take Libreswan. Prints where it is.
#
# Everything is at /ovs, where the guest mounts it: that path is compiled in, and
# the names of sockets below it have to stay short.
. "$(dirname "$0")/../lib.sh"

SUITE_TREE=$CACHE/ovs-suite-$(key_of "$(realpath "$0")" "${GUESTROOT##*-}" "${TOOLROOT##*-}")
# The server of the TFTP tests, which Debian 13 has no package of.
TFTPY=tftpy==0.8.7

# In the tool root, with $1 at /ovs.
# shellcheck disable=SC2016 # for the shell in the tool root
MAKE='
	set -e
	mkdir -p /ovs
	mount --bind "$1" /ovs
	mkdir -p /ovs/_debian
	cd /ovs/_debian
	../configure --prefix=/usr --localstatedir=/var --sysconfdir=/etc --enable-ssl \
		CC=gcc-14 CFLAGS=-O1
	# What is generated comes first: a plain "make" would build all of Open vSwitch.
	printf "generated: \$(BUILT_SOURCES)\n" >generated.mk
	make -j"$(nproc)" -f Makefile -f generated.mk generated
	make -j"$(nproc)" tests/ovstest ipsec/ovs-monitor-ipsec
	find . -name "*.[ao]" -o -name "*.lo" -o -name .libs | xargs rm -rf
'

build() {
	local tmp=$SUITE_TREE.tmp
	[ ! -d "$SUITE_TREE" ] || return 0
	[ -d "$GUESTROOT" ] || "$TOP/qemu-ci/setup/guestroot.sh"
	[ -d "$TOOLROOT" ] || "$TOP/qemu-ci/setup/toolroot.sh"
	need_space 1000
	say "Open vSwitch's tests: build"
	rm -rf "$tmp"
	cp -a "$GUESTROOT/usr/src/openvswitch" "$tmp"
	run_logged "$CACHE/log/ovs-suite.log" in_tools sh -c "$MAKE" sh "$tmp"
	make_venv "$tmp/venv" "$TFTPY"
	mkdir "$tmp/python-extra"
	cp -r "$tmp"/venv/lib/python3*/site-packages/tftpy "$tmp/python-extra/"
	rm -rf "$tmp/venv"
	mv "$tmp" "$SUITE_TREE"
}

no_arguments "$@"
need_root
locked ovs-suite build
echo "$SUITE_TREE"

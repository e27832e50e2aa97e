#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The tool root: one Debian folder with the compilers, the kernel source and
# headers and QEMU, so that nothing depends on what the machine has installed.
. "$(dirname "$0")/../lib.sh"

PKGS="rustc cargo rust-src rustfmt rust-clippy bindgen clang-19 lld-19 llvm-19
	make gcc gcc-14 flex bison libelf-dev libssl-dev bc cpio kmod xz-utils zstd rsync
	dwarves python3 perl git patch sparse codespell shellcheck busybox-static
	linux-perf iproute2 ethtool tcpdump procps util-linux virtiofsd"
BPO="linux-source-$KSERIES linux-config-$KSERIES linux-headers-amd64
	qemu-system-x86 virtme-ng"

build() {
	[ -d "$TOOLROOT" ] && return
	need_space 12000
	make_root "$TOOLROOT" "$(echo $PKGS)" "$(echo $BPO)"
}

need_root
locked toolroot build

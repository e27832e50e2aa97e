#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The user-mode Linux kernel for KUnit, fuzzing and benchmarks: Debian's
# kernel source at -O2, with Rust, the in-tree openvswitch.ko and what the
# benches send packets with, and little else.
. "$(dirname "$0")/../lib.sh"
. "$TOP/qemu-ci/kernels/lib.sh"

no_arguments "$@"
need_root
[ -d "$TOOLROOT" ] || "$TOP/qemu-ci/setup/toolroot.sh"
locked uml kernel_build uml
kernel_dir uml

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A debug kernel for QEMU: lockdep, RCU checks, kmemleak, and NET_TC_SKB_EXT with
# the mlx5 driver. See pc.config. Built when it is asked for.
. "$(dirname "$0")/../lib.sh"
. "$TOP/qemu-ci/kernels/lib.sh"

no_arguments "$@"
need_root
[ -d "$TOOLROOT" ] || "$TOP/qemu-ci/setup/toolroot.sh"
locked pc kernel_build pc
kernel_dir pc

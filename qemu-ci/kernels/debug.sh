#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The debug kernel as user-mode Linux: KASAN, lockdep, RCU checks, kmemleak and
# fault injection at close to native speed. See debug.config.
. "$(dirname "$0")/../lib.sh"
. "$TOP/qemu-ci/kernels/lib.sh"

no_arguments "$@"
need_root
[ -d "$TOOLROOT" ] || "$TOP/qemu-ci/setup/toolroot.sh"
locked debug kernel_build debug
kernel_dir debug

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The user-mode Linux kernel for what is benchmarked on one processor: that for
# speed without SMP. See up.config.
. "$(dirname "$0")/../lib.sh"
. "$TOP/qemu-ci/kernels/lib.sh"

no_arguments "$@"
need_root
[ -d "$TOOLROOT" ] || "$TOP/qemu-ci/setup/toolroot.sh"
locked up kernel_build up
kernel_dir up

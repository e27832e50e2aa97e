#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Fetch and prepare what the demo and the tests need: the tool root, the guest
# root and the stock kernel. What is there already is left alone, and what was
# interrupted begins again.
. "$(dirname "$0")/../lib.sh"

no_arguments "$@"
need_root
mkdir -p "$CACHE/log"
trap end_children EXIT
trap 'exit 130' INT TERM

# Making the guest root is mostly waiting for the network, and the stock
# kernel's build tree mostly the processor: make them side by side.
"$TOP/qemu-ci/setup/guestroot.sh" &
guest=$!
"$TOP/qemu-ci/setup/toolroot.sh"
"$TOP/qemu-ci/setup/kernel-stock.sh"
wait "$guest"

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Install openvswitch.ko into updates/ of the kernel it was built for, where
# modprobe looks before the kernel's own folder.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

no_arguments "$@"

ko=$TOP/openvswitch.ko
prefix=${INSTALL_MOD_PATH:-}
[ -f "$ko" ] || die "there is no openvswitch.ko: run 'make' first (with KDIR= for a kernel other than the stock one)"
[ "$(id -u)" = 0 ] || [ -n "$prefix" ] || die "installing into /lib/modules needs root: run it with sudo, or set INSTALL_MOD_PATH"
# modinfo may be missing where the module is built; the string is in the file.
rel=$(grep -aom1 'vermagic=[^ ]*' "$ko" | sed 's/vermagic=//')
moddir=$prefix/lib/modules/$rel
[ -d "$moddir" ] ||
	die "openvswitch.ko is for kernel $rel, which has no $moddir: build with KDIR=/lib/modules/\$(uname -r)/build for the running kernel ($(uname -r))"
command -v depmod >/dev/null || die "depmod is missing: install kmod"
install -D -m 644 "$ko" "$moddir/updates/openvswitch.ko"
depmod ${prefix:+-b "$prefix"} "$rel"
say "installed $moddir/updates/openvswitch.ko"
if [ -d /sys/module/openvswitch ] && [ "$rel" = "$(uname -r)" ]; then
	say "the old module is still loaded: stop openvswitch-switch, 'modprobe -r openvswitch', start it again"
fi

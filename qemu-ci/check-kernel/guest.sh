#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# In a guest of user-mode Linux: run some of Open vSwitch's tests of the kernel
# module, set up as debian/tests/run-tests.sh of its source does it.
#   guest.sh TREE KERNEL ARGUMENT-OF-GUEST.PY...
# $MODULE is our module, or empty for the kernel's own.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
tree=$1 kernel=$2
shift 2

# overlay LOWER DIR: what is written below DIR is gone with the guest.
overlay() {
	mkdir -p "/run/over$2/up" "/run/over$2/work" "$2"
	mount -t overlay -o "lowerdir=$1,upperdir=/run/over$2/up,workdir=/run/over$2/work" overlay "$2"
}

# Our module is where `make install` puts it.
release=$(uname -r)
modules=$(realpath "/lib/modules/$release")
rm "/lib/modules/$release"
overlay "$modules" "/lib/modules/$release"
if [ -n "${MODULE:-}" ]; then
	mkdir -p "/lib/modules/$release/updates"
	cp "$MODULE" "/lib/modules/$release/updates/openvswitch.ko"
	depmod
fi
echo "$here/../kernels/autoload" >/proc/sys/kernel/modprobe

# A distribution's kernel leaves its configuration here, and a test reads it.
mkdir -p /boot
cp "$kernel/build/.config" "/boot/config-$release"

# As systemd-tmpfiles makes it: opening it loads the module.
mkdir -p /dev/net
[ -e /dev/net/tun ] || mknod /dev/net/tun c 10 200

# The tests rely on the netcat of Nmap.
ln -sf /usr/bin/ncat /usr/bin/nc
overlay "$tree" /ovs
export TROUBLE=$here/../kernels/trouble.re EVENTS=/run/events PYTHONPATH=/ovs/python-extra
# Devices and namespaces come and go all the time, and each waits for RCU.
echo 1 >/sys/kernel/rcu_expedited
: >"$EVENTS"
dmesg -c >"$RESULTS/kernel.log"
cd /ovs
exec python3 "$here/guest.py" --path "$here/bin" "$@"

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# In the guest: run the selftests where they may write, keep their logs.
#   guest.sh FOLDER [TEST...]
# On user-mode Linux the kernel cannot load a module on demand.
for m in veth vxlan geneve ip_gre psample sctp 8021q nf_conntrack; do
	modprobe -q "$m"
done
if [ -n "${MODULE:-}" ]; then
	for d in $(modinfo -F depends "$MODULE" | tr , ' '); do
		modprobe "$d" || exit 125
	done
	insmod "$MODULE" || exit 125
else
	modprobe openvswitch || exit 125
fi
mkdir /run/selftests
cp "$1"/* /run/selftests/
cd /run/selftests || exit 125
shift
bash ./openvswitch.sh "$@"
rc=$?
for log in */debug.log; do
	[ ! -e "$log" ] || cp "$log" "$RESULTS/${log%%/*}.log"
done
exit "$rc"

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# `make deb-check`: the Debian packages, put into a root folder that has the tool
# root below it and is thrown away: lintian, install, upgrade, removal.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

no_arguments "$@"
need_root
[ -e "$(stock_dir)/abi" ] || "$TOP/qemu-ci/setup/kernel-stock.sh"
WORK=$(per_tree deb-check)
ABI=$(cat "$(stock_dir)/abi")
BASE=$CACHE/deb-base-${TOOLROOT##*-}
LOG=$CACHE/log
PASSED=0 FAILED=0

# expect TEXT CMD...: one line of the result.
expect() {
	local text=$1
	shift
	if "$@" >>"$LOG/deb-check.log" 2>&1; then
		say "ok: $text"
		PASSED=$((PASSED + 1))
	else
		say "FAILED: $text ($LOG/deb-check.log)"
		FAILED=$((FAILED + 1))
	fi
}

# in_layer LAYER CMD...: run CMD in the tool root with what LAYER changes of it.
in_layer() {
	local layer=$1 lower=$TOOLROOT
	shift
	[ "$layer" = "$BASE" ] || lower=$BASE/upper:$lower
	mkdir -p "$layer/upper" "$layer/work" "$layer/root"
	LAYER=$layer LOWER=$lower LIB=$TOP/qemu-ci/lib.sh unshare --mount --propagation private bash -c '
		. "$LIB"
		mount -t overlay overlay -o "lowerdir=$LOWER,upperdir=$LAYER/upper,workdir=$LAYER/work" "$LAYER/root"
		in_root "$LAYER/root" "$@"' bash "$@"
}

# What the packages and their tests need beside the tool root, and the kernel's
# own modules, so that modinfo has something to fall back to.
make_base() {
	[ ! -e "$BASE/.ready" ] || return 0
	rm -rf "$BASE"
	say "deb-check: dkms and lintian"
	run_logged "$LOG/deb-base.log" in_layer "$BASE" sh -c "
		export DEBIAN_FRONTEND=noninteractive
		# appstream asks about this one where the machine has one of that name.
		rm -f /etc/apt/apt.conf.d/50appstream
		apt-get -q update &&
		apt-get -qy -o Dpkg::Options::=--force-unsafe-io install dkms lintian &&
		mkdir -p /lib/modules/$ABI/kernel &&
		cp -a '$(stock_dir)/root/lib/modules/$ABI/kernel/net' /lib/modules/$ABI/kernel/ &&
		{ cp '$(stock_dir)/root/lib/modules/$ABI/'modules.order /lib/modules/$ABI/ || true; } &&
		{ cp '$(stock_dir)/root/lib/modules/$ABI/'modules.builtin* /lib/modules/$ABI/ || true; } &&
		depmod $ABI"
	touch "$BASE/.ready"
}

# which_module: the file that modprobe would load.
which_module() {
	in_layer "$WORK" modinfo -k "$ABI" -n openvswitch
}

module_is() {
	[[ $(which_module) = *$1* ]]
}

# one_version VERSION: DKMS has this one installed, for the one kernel, and no other.
one_version() {
	local have
	have=$(in_layer "$WORK" dkms status)
	# Where the kernel has one of that name, DKMS says so behind it.
	[ "${have% (Original modules exist)}" = "openvswitch-rs/$1, $ABI, x86_64: installed" ] || {
		printf 'dkms status: %s\n' "$have"
		return 1
	}
}

finish() {
	rm -rf --one-file-system "$WORK"
	printf '%d passed, %d failed, 0 skipped\n' "$PASSED" "$FAILED"
	[ "$FAILED" = 0 ]
}

locked deb-base make_base
rm -rf "$WORK"
mkdir -p "$WORK"
: >"$LOG/deb-check.log"
DEB_OUT=$WORK/one DEB_VERSION=0.1.1 "$TOP/tools/net/package/deb.sh"
DEB_OUT=$WORK/two DEB_VERSION=0.1.2 "$TOP/tools/net/package/deb.sh"
expect "lintian has nothing to say" in_layer "$WORK" sh -c \
	"lintian --fail-on error,warning,info $WORK/one/*.deb"
expect "the manual is well-formed" in_layer "$WORK" sh -c \
	"[ -z \"\$(groff -man -Tutf8 -ww -z $TOP/tools/net/package/*.[78] 2>&1)\" ]"
expect "before: the kernel's own module" module_is "/kernel/net/openvswitch/openvswitch.ko"
# Nothing is downloaded from here on.
expect "install without a network" in_layer "$WORK" unshare --net sh -c \
	"dpkg -i $WORK/one/*.deb && dkms autoinstall -k $ABI"
expect "installed: built for $ABI by DKMS" one_version 0.1.1
expect "installed: modprobe takes ours" module_is "/updates/dkms/openvswitch.ko"
expect "ovs-offload speaks its version" in_layer "$WORK" sh -c \
	"ovs-offload --version | grep 'ovs-offload 0.1.1; module openvswitch: '"
expect "upgrade" in_layer "$WORK" unshare --net sh -c \
	"dpkg -i $WORK/two/*.deb && dkms autoinstall -k $ABI"
expect "upgraded: the old one is gone" one_version 0.1.2
expect "removal" in_layer "$WORK" dpkg -P openvswitch-rs-dkms openvswitch-rs-tools
expect "removed: the kernel's own module is back" module_is "/kernel/net/openvswitch/openvswitch.ko"
finish

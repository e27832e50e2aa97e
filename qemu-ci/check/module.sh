#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The module builds without a warning, is what modprobe will look for, loads
# and unloads on the stock kernel ten times, and leaves a clean log.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

no_arguments "$@"

passed=0 failed=0

# expect TEXT CMD...: one test.
expect() {
	local text=$1
	shift
	if "$@"; then
		echo "pass: $text"
		passed=$((passed + 1))
	else
		echo "FAIL: $text"
		failed=$((failed + 1))
	fi
}

built() {
	"$TOP/qemu-ci/build.sh" modules 2>&1 | tee "$CACHE/log/check-module.log"
	return "${PIPESTATUS[0]}"
}

no_warnings() {
	! grep -E '(^|[^-])(warning|error)[:[]' "$CACHE/log/check-module.log"
}

ko=$TOP/openvswitch.ko
field() {
	in_tools modinfo -F "$1" "$ko"
}

aliases() {
	local want
	want=$(printf 'net-pf-16-proto-16-family-ovs_%s\n' ct_limit datapath flow meter packet vport)
	diff <(field alias | grep '^net-pf-16' | sort) - <<<"$want"
}

is() {
	[ "$1" = "$2" ] || { echo "is '$1', not '$2'"; return 1; }
}

all_rust() {
	in_tools nm "$ko" | grep -E ' [tT] _R.*openvswitch_main' >/dev/null
}

loads() {
	# shellcheck disable=SC2016 # expanded in the guest
	"$TOP/qemu-ci/boot.sh" --timeout 120 --clean-log --module "$ko" -- sh -ec '
		modinfo -n openvswitch | grep /updates/
		for i in 1 2 3 4 5 6 7 8 9 10; do
			modprobe openvswitch
			modprobe -r openvswitch
		done
		! lsmod | grep -q ^openvswitch
		modprobe net-pf-16-proto-16-family-ovs_flow
		lsmod | grep ^openvswitch'
}

parameters() {
	# shellcheck disable=SC2016 # expanded in the guest
	"$TOP/qemu-ci/boot.sh" --timeout 120 --clean-log --module "$ko" -- sh -ec '
		for p in :auto offload=0:never offload_always=1:always "offload=0 offload_always=1:never"; do
			modprobe openvswitch ${p%:*}
			"$0" show >/tmp/shown
			grep policy: /tmp/shown
			grep -qx "policy: ${p#*:}" /tmp/shown
			modprobe -r openvswitch
		done' "$TOP/tools/net/ovs-offload"
}

# refuses WANT NAME [LINE...]: build.sh says WANT, in one line, of a build tree NAME
# with LINEs in its .config; without any, the tree is not there.
refuses() {
	local want=$1 name=$2 dir out rc=0
	shift 2
	dir=$(mktemp -d)
	[ $# = 0 ] || {
		mkdir "$dir/$name"
		touch "$dir/$name/Makefile"
		printf '%s\n' "$@" >"$dir/$name/.config"
	}
	out=$("$TOP/qemu-ci/build.sh" --kdir "$dir/$name" modules 2>&1) || rc=$?
	rm -r "$dir"
	[ "$rc" != 0 ] && [[ $out = "error: "*"$want"* ]] && [[ $out != *$'\n'* ]] || {
		printf 'exit %d: %s\n' "$rc" "$out"
		return 1
	}
}

RUSTC=CONFIG_RUSTC_VERSION_TEXT
expect 'a KDIR that is not there is refused' refuses 'does not exist: give' linux-headers-7.3.4-x
expect 'a kernel without modules is refused' refuses 'has no CONFIG_MODULES' \
	linux-headers-7.3.4-x CONFIG_RUST=y
expect "a kernel without Rust, as Debian's 6.12, is refused" refuses 'has no CONFIG_RUST=y: boot one' \
	linux-headers-6.12.1-amd64 CONFIG_MODULES=y
expect 'a kernel of another compiler is refused' refuses "was built with 'rustc 1.99.0'" \
	linux-headers-7.3.4-x CONFIG_MODULES=y CONFIG_RUST=y "$RUSTC=\"rustc 1.99.0\""
expect 'a kernel whose source is not at hand is refused' refuses 'the matching source (6.19.1) is not' \
	linux-headers-6.19.1-x CONFIG_MODULES=y CONFIG_RUST=y "$RUSTC=\"$(in_tools rustc --version)\""
expect 'the module builds' built
expect 'the build has no warning' no_warnings
expect 'it is called openvswitch' is "$(field name)" openvswitch
expect 'its license is GPL' is "$(field license)" GPL
expect 'it has the six generic-netlink aliases' aliases
expect 'it holds the Rust crate' all_rust
expect 'it loads by name and by alias, and unloads, in place of the C one' loads
expect 'its parameters are the policy at first' parameters
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" = 0 ]

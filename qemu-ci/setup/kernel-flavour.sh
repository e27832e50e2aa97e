#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Another flavour of the stock kernel, such as rt: Debian's own image and
# modules (root/) and its headers (headers/, for KDIR=), unpacked.
#
#   kernel-flavour.sh FLAVOUR
. "$(dirname "$0")/../lib.sh"

[ $# = 1 ] || die "kernel-flavour.sh: say which flavour, such as rt"
case $1 in *[!a-z]* | '') die "kernel-flavour.sh: '$1' is no flavour of Debian's kernel: try rt" ;; esac
flavour=$1
dir=$(flavour_dir "$flavour")

build() {
	local abi d
	[ ! -e "$dir/abi" ] || return 0
	need_space 2000
	abi=$(stock_abi)
	abi=${abi%-amd64}-$flavour-amd64
	say "$flavour kernel $abi: fetching Debian's image, modules and headers"
	rm -rf "$dir"
	mkdir -p "$dir/debs" "$dir/root" "$dir/headers"
	(cd "$dir/debs" && run_logged "$CACHE/log/$flavour-fetch.log" in_tools \
		apt-get -qy -o APT::Sandbox::User=root download \
		"linux-binary-$abi" "linux-modules-$abi" "linux-headers-$abi")
	for d in "$dir"/debs/linux-[bm]*.deb; do
		run_logged "$CACHE/log/$flavour-unpack.log" in_tools dpkg-deb -x "$d" "$dir/root"
	done
	run_logged "$CACHE/log/$flavour-unpack.log" in_tools dpkg-deb -x "$dir"/debs/linux-headers-*.deb "$dir/headers"
	[ -d "$dir/root/lib/modules" ] || {
		mkdir -p "$dir/root/lib"
		mv "$dir/root/usr/lib/modules" "$dir/root/lib/modules"
	}
	run_logged "$CACHE/log/$flavour-depmod.log" in_tools depmod -b "$dir/root" "$abi"
	rm -rf "$dir/debs"
	printf '%s\n' "$abi" >"$dir/abi"
}

need_root
[ -d "$TOOLROOT" ] || "$TOP/qemu-ci/setup/toolroot.sh"
locked "kernel-$flavour" build

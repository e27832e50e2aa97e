#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The stock kernel: Debian's own image and modules, unpacked, and a build tree
# for modules. Debian's headers lack the Rust metadata (the .rmeta files,
# libmacros, target.json), so it is made again from Debian's source with
# Debian's configuration and compilers, and its symbols are then compared with
# those that Debian's kernel exports.
. "$(dirname "$0")/../lib.sh"

STOCK=$(stock_dir)

unpack_source() {
	[ -d "$KSRC" ] && return
	need_space 3000
	say "kernel source: unpacking"
	rm -rf "$KSRC.tmp"
	mkdir -p "$KSRC.tmp"
	run_logged "$CACHE/log/source.log" in_tools \
		tar -C "$KSRC.tmp" --strip-components=1 -xf "/usr/src/linux-source-$KSERIES.tar.xz"
	mv "$KSRC.tmp" "$KSRC"
}

fetch_binaries() {
	local abi=$1
	[ -d "$STOCK/root" ] && return
	say "stock kernel $abi: fetching Debian's image and modules"
	rm -rf "$STOCK/debs" "$STOCK/root.tmp"
	mkdir -p "$STOCK/debs" "$STOCK/root.tmp"
	(cd "$STOCK/debs" && run_logged "$CACHE/log/stock-fetch.log" in_tools \
		apt-get -qy -o APT::Sandbox::User=root download "linux-binary-$abi" "linux-modules-$abi")
	local d
	for d in "$STOCK"/debs/*.deb; do
		run_logged "$CACHE/log/stock-unpack.log" in_tools dpkg-deb -x "$d" "$STOCK/root.tmp"
	done
	# Newer layouts put the modules below /usr/lib; depmod and virtme-ng
	# look below /lib.
	[ -d "$STOCK/root.tmp/lib/modules" ] || {
		mkdir -p "$STOCK/root.tmp/lib"
		mv "$STOCK/root.tmp/usr/lib/modules" "$STOCK/root.tmp/lib/modules"
	}
	run_logged "$CACHE/log/stock-depmod.log" in_tools depmod -b "$STOCK/root.tmp" "$abi"
	rm -rf "$STOCK/debs"
	mv "$STOCK/root.tmp" "$STOCK/root"
}

prepare_build() {
	local abi=$1 hdr=$TOOLROOT/usr/src/linux-headers-$1
	[ -e "$STOCK/build/.ready" ] && return
	need_space 2000
	say "stock kernel $abi: build tree with Rust metadata"
	rm -rf "$STOCK/build"
	mkdir -p "$STOCK/build"
	cp "$hdr/.config" "$STOCK/build/.config"
	run_logged "$CACHE/log/stock-prepare.log" in_tools make -C "$KSRC" O="$STOCK/build" -j"$(nproc)" \
		CC=x86_64-linux-gnu-gcc-14 HOSTCC=gcc-14 KERNELRELEASE="$abi" prepare modules_prepare
	cp "$hdr/Module.symvers" "$STOCK/build/Module.symvers"
	run_logged "$CACHE/log/stock-symbols.log" in_tools \
		python3 "$TOP/qemu-ci/setup/check_rust_symbols.py" "$STOCK/build"
	printf '%s\n' "$abi" >"$STOCK/build/.ready"
}

build() {
	local abi
	abi=$(stock_abi)
	case $abi in "$KSERIES".*) ;; *) die "the Debian suite has moved to kernel $abi and this tree is for $KSERIES: set KSERIES in qemu-ci/lib.sh" ;; esac
	unpack_source
	fetch_binaries "$abi"
	prepare_build "$abi"
	printf '%s\n' "$abi" >"$STOCK/abi"
}

need_root
[ -d "$TOOLROOT" ] || "$TOP/qemu-ci/setup/toolroot.sh"
locked stock build

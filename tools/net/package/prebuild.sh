#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# What DKMS runs before and in place of make, in its copy of the source:
#
#   prebuild.sh RELEASE HEADERS   make kbuild/, a build tree with Rust metadata
#   prebuild.sh --make RELEASE    build the module with it
#
# Debian's headers have no Rust metadata. It is made again from Debian's source
# of the same version with the configuration of the headers, as qemu-ci/build.sh
# does it, and every Rust symbol that the kernel exports is compared.
set -eu
export LC_ALL=C.UTF-8
# Kbuild must not take these from DKMS's own make.
unset MAKEFLAGS MAKELEVEL ARCH CC LD 2>/dev/null || true

die() {
	echo "openvswitch-rs: $*" >&2
	exit 1
}

# config NAME: the value of an option of the headers, without quotes.
config() {
	sed -n "s/^CONFIG_$1=\"\{0,1\}\([^\"]*\)\"\{0,1\}$/\1/p" "$headers/.config" | head -n 1
}

# kbuild ARGUMENT...: the kernel's make, with the compiler of that kernel.
kbuild() {
	cc=$(cat kbuild.cc)
	make --no-print-directory -j"$(nproc)" -C "$(readlink -f kbuild.src)" O="$PWD/kbuild" \
		CC="$cc" HOSTCC="${cc#x86_64-linux-gnu-}" KERNELRELEASE="$rel" "$@"
}

if [ "$1" = --make ]; then
	rel=$2
	if [ -L kbuild ]; then
		exec make --no-print-directory -j"$(nproc)" -C kbuild M="$PWD" modules
	fi
	kbuild M="$PWD" modules
	# The kernel's source and metadata need not stay with DKMS.
	rm -rf kbuild linux
	exit
fi

rel=$1 headers=$(readlink -f "$2")
[ -e "$headers/.config" ] ||
	die "there are no headers of $rel in $2: install linux-headers-$rel"
[ "$(config RUST)" = y ] ||
	die "kernel $rel has no CONFIG_RUST=y: boot one that has"
want=$(config RUSTC_VERSION_TEXT) have=$(rustc --version 2>/dev/null) || have=none
[ "$have" = "$want" ] ||
	die "kernel $rel was built with '$want' and this machine has '$have': install that rustc"
rm -rf kbuild linux kbuild.src kbuild.cc
if [ -e "$headers/rust/libkernel.rmeta" ]; then
	ln -s "$headers" kbuild
	exit
fi

cc=$(config CC_VERSION_TEXT)
cc=${cc%% *}
command -v "$cc" >/dev/null ||
	die "kernel $rel was built with $cc, which is not installed"
version=${rel%%[-+]*}
series=$(echo "$version" | cut -d. -f1,2)
tarball=/usr/src/linux-source-$series.tar.xz
[ -e "$tarball" ] ||
	die "$tarball is not there: install linux-source-$series"
[ -s "$headers/Module.symvers" ] || die "$headers has no Module.symvers"
mkdir linux kbuild
tar -C linux --strip-components=1 -xf "$tarball"
have=$(make -s -C linux kernelversion)
[ "$have" = "$version" ] ||
	die "kernel $rel needs the source of $version and linux-source-$series is of $have: upgrade both"
ln -s linux kbuild.src
echo "$cc" >kbuild.cc
cp "$headers/.config" "$headers/Module.symvers" kbuild/
kbuild prepare modules_prepare
cp "$headers/Module.symvers" kbuild/
python3 ./check_rust_symbols.py kbuild || die "the Rust symbols of $rel cannot be made again"

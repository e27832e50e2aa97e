#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Build something of this tree against a kernel: the stock one, or KDIR.
# shellcheck disable=SC2317 # functions that others call by name
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
	cat <<'TXT'
usage: build.sh [--kdir DIR] [--out DIR] [--release] [KBUILD ARGUMENT...]

Runs Kbuild for this tree (M=). Without --kdir the kernel is Debian's stock
one, with the build tree that qemu-ci/setup/kernel-stock.sh makes.

  --kdir DIR   a kernel build tree. With Rust metadata it is used as it is.
               Without (Debian's headers), the metadata is made again from
               the matching source and checked against its Module.symvers
  --out DIR    build a copy of the tree in DIR and leave the tree alone
  --release    only print the kernel release that the build is for
TXT
}

kdir='' out='' release_only=''
while [ $# -gt 0 ]; do
	case $1 in
	--kdir | --out)
		[ $# -ge 2 ] || die "build.sh: $1 needs a value (see --help)"
		[ "$1" = --kdir ] && kdir=$2
		[ "$1" = --out ] && out=$2
		shift
		;;
	--release) release_only=1 ;;
	-h | --help) usage; exit ;;
	-*) die "build.sh: unknown option '$1' (see --help)" ;;
	*) break ;;
	esac
	shift
done
[ $# -gt 0 ] || set -- modules

# config NAME: the value of a kernel option of $kdir, without quotes.
config() {
	sed -n "s/^CONFIG_$1=\"\\?\\([^\"]*\\)\"\\?$/\\1/p" "$kdir/.config" "$kdir/include/config/auto.conf" 2>/dev/null |
		head -n 1 || true
}

# kernel_release: what the modules of $kdir are built for.
kernel_release() {
	cat "$kdir/include/config/kernel.release" 2>/dev/null || {
		# Debian's headers name it in their path.
		basename "$(realpath "$kdir")" | sed -n 's/^linux-headers-//p' | grep .
	}
}

stock_ready() {
	[ -e "$(stock_dir)/build/.ready" ] && [ -e "$(stock_dir)/abi" ] || "$TOP/qemu-ci/setup/kernel-stock.sh"
}

# in_turn COMMAND...: one build in a tree at a time.
in_turn() {
	locked "module-$(sha256sum <<<"${out:-$TOP}" | cut -c1-12)" "$@"
}

# kbuild ARGUMENT...: Kbuild for this tree, in the tool root.
kbuild() {
	in_turn kbuild_now "$@"
}

kbuild_now() {
	local src=$TOP
	[ -z "$out" ] || { src=$out; copy_tree; }
	EXTRA_BIND="${out:-} ${kdir:-}" in_tools make --no-print-directory -j"$(nproc)" "$@" M="$src"
}

# copy_tree: what Kbuild reads of this tree, without what is built in it.
copy_tree() {
	mkdir -p "$out"
	EXTRA_BIND=$out in_tools rsync -rlpt --delete --include='/Kbuild' --include='/src/***' \
		--include='/rust/***' --include='/kunit/***' --exclude='/*' \
		--filter='- *.o' --filter='- *.ko' --filter='- .*.cmd' --filter='- *.rmeta' \
		--filter='- *_generated.rs' "$TOP/" "$out/"
}

build_stock() {
	need_root
	stock_ready
	kbuild -C "$KSRC" O="$(stock_dir)/build" CC=x86_64-linux-gnu-gcc-14 HOSTCC=gcc-14 \
		KERNELRELEASE="$(cat "$(stock_dir)/abi")" "$@"
}

# regenerate RELEASE: a build tree with Rust metadata for headers without.
regenerate() {
	local rel=$1 tree
	need_root
	stock_ready
	local have want
	have=$(in_tools make -s -C "$KSRC" kernelversion)
	want=${rel%%[-+]*}
	[ "$have" = "$want" ] ||
		die "$kdir has no Rust metadata and the matching source ($want) is not at hand (the tool root has $have): give KDIR= a build tree made with CONFIG_RUST=y, or update the kernel"
	[ -s "$kdir/Module.symvers" ] ||
		die "$kdir has no Module.symvers to check the Rust symbols against: install the kernel's headers package in full"
	if cmp -s "$kdir/.config" "$(stock_dir)/build/.config" &&
		cmp -s "$kdir/Module.symvers" "$(stock_dir)/build/Module.symvers"; then
		kdir='' build_stock "${@:2}"
		return
	fi
	tree=$CACHE/kdir-$(key_of "$kdir/.config" "$kdir/Module.symvers" "$rel" "${TOOLROOT##*-}")
	[ -e "$tree/.ready" ] || locked kdir make_metadata "$tree" "$rel"
	kbuild -C "$KSRC" O="$tree" CC=x86_64-linux-gnu-gcc-14 HOSTCC=gcc-14 KERNELRELEASE="$rel" "${@:2}"
}

make_metadata() {
	local tree=$1 rel=$2
	[ ! -e "$tree/.ready" ] || return 0
	need_space 2000
	say "$rel: $kdir has no Rust metadata; making it from the source (2 minutes)"
	rm -rf "$tree"
	mkdir -p "$tree"
	cp "$kdir/.config" "$kdir/Module.symvers" "$tree/"
	run_logged "$CACHE/log/kdir-prepare.log" in_tools make -C "$KSRC" O="$tree" -j"$(nproc)" \
		CC=x86_64-linux-gnu-gcc-14 HOSTCC=gcc-14 KERNELRELEASE="$rel" prepare modules_prepare
	cp "$kdir/Module.symvers" "$tree/Module.symvers"
	in_tools python3 "$TOP/qemu-ci/setup/check_rust_symbols.py" "$tree" >"$CACHE/log/kdir-symbols.log" ||
		die "$(sed -n 's/^error: //p' "$CACHE/log/kdir-symbols.log")"
	touch "$tree/.ready"
}

build_kdir() {
	local want rel have
	[ -d "$kdir" ] ||
		die "KDIR=$kdir does not exist: give a kernel build tree, such as /lib/modules/\$(uname -r)/build"
	kdir=$(realpath -- "$kdir")
	[ -e "$kdir/Makefile" ] && [ -e "$kdir/.config" ] ||
		die "KDIR=$kdir is not a configured kernel build tree (no Makefile or .config)"
	[ "$(config MODULES)" = y ] || die "the kernel of $kdir has no CONFIG_MODULES: it loads no module"
	[ "$(config RUST)" = y ] ||
		die "the kernel of $kdir has no CONFIG_RUST=y: boot one that has, such as Debian's linux-image-amd64 $KSERIES from backports"
	rel=$(kernel_release) || die "cannot tell the kernel release of $kdir: run 'make modules_prepare' there"
	[ -z "$release_only" ] || { printf '%s\n' "$rel"; return; }
	want=$(config RUSTC_VERSION_TEXT)
	[ -e "$kdir/rust/libkernel.rmeta" ] || {
		[ -d "$TOOLROOT" ] || "$TOP/qemu-ci/setup/toolroot.sh"
		have=$(in_tools rustc --version)
		[ "$have" = "$want" ] || die "$kdir was built with '$want' and the tool root has '$have': Rust symbols would differ"
		regenerate "$rel" "$@"
		return
	}
	have=$(rustc --version 2>/dev/null) || have=none
	if [ "$have" = "$want" ]; then
		[ -z "$out" ] || copy_tree
		in_turn make --no-print-directory -C "$kdir" M="${out:-$TOP}" -j"$(nproc)" "$@"
		return
	fi
	[ -d "$TOOLROOT" ] || "$TOP/qemu-ci/setup/toolroot.sh"
	[ "$(in_tools rustc --version)" = "$want" ] ||
		die "$kdir was built with '$want' and this machine has '$have': install that rustc (metadata of another one cannot be read)"
	need_root
	kbuild -C "$kdir" "$@"
}

if [ -n "$kdir" ]; then
	build_kdir "$@"
elif [ -n "$release_only" ]; then
	stock_ready
	cat "$(stock_dir)/abi"
else
	build_stock "$@"
fi

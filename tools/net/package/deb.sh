#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# `make deb`: Debian packages of the module, into target/deb.
. "$(dirname "${BASH_SOURCE[0]}")/../../../qemu-ci/lib.sh"

usage() {
	cat <<'TXT'
usage: deb.sh [--modules]

Makes Debian packages in target/deb:

  openvswitch-rs-dkms    the module's source, which DKMS builds for each kernel
  openvswitch-rs-tools   ovs-offload, its manual and completion

  --modules  also openvswitch-rs-modules-ABI: the module for Debian's current
             kernel, ready built (root; KDIR= for another kernel)
TXT
}

modules=
case ${1:-} in
'') ;;
--modules) modules=1 ;;
-h | --help) usage; exit ;;
*) die "deb.sh: unknown option '$1' (see --help)" ;;
esac

HERE=$TOP/tools/net/package
OUT=${DEB_OUT:-$TOP/target/deb}
NAME=openvswitch-rs
# Whoever hands the packages on sets DEBFULLNAME and DEBEMAIL.
MAINTAINER="${DEBFULLNAME:-Open vSwitch Rust datapath team} <${DEBEMAIL:-ovs-rs@example.org}>"
command -v dpkg-deb >/dev/null || die "dpkg-deb is missing: make deb needs Debian"

# A later commit is a later version. Without git there is nothing to count.
count=$(git -C "$TOP" rev-list --count HEAD 2>/dev/null) || count=0
VERSION=${DEB_VERSION:-0.1.$count}
SOURCE_DATE_EPOCH=$(git -C "$TOP" log -1 --format=%ct 2>/dev/null) || SOURCE_DATE_EPOCH=$(date +%s)
export SOURCE_DATE_EPOCH

# doc PACKAGE: what Debian wants of each package.
doc() {
	local dir=$OUT/$1/usr/share/doc/$1
	mkdir -p "$dir"
	cat >"$dir/copyright" <<-TXT
		Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
		Upstream-Name: $NAME

		Files: *
		Copyright: 2026 Open vSwitch Rust datapath team
		License: GPL-2
		 On Debian systems, the text of this license is in
		 /usr/share/common-licenses/GPL-2.
	TXT
	printf '%s (%s) unstable; urgency=medium\n\n  * Made from the tree.\n\n -- %s  %s\n' \
		$NAME "$VERSION" "$MAINTAINER" "$(date -R -u -d "@$SOURCE_DATE_EPOCH")" |
		gzip -9n >"$dir/changelog.gz"
}

# control PACKAGE ARCH SECTION: the head of a control file; the rest is stdin.
control() {
	mkdir -p "$OUT/$1/DEBIAN"
	{
		printf 'Package: %s\nSource: %s\nVersion: %s\nArchitecture: %s\nMaintainer: %s\nSection: %s\nPriority: optional\n' \
			"$1" "$NAME" "$VERSION" "$2" "$MAINTAINER" "$3"
		cat
	} >"$OUT/$1/DEBIAN/control"
}

# maintainer PACKAGE SCRIPT: a script of the package; the body is stdin.
maintainer() {
	{ printf '#!/bin/sh\nset -e\n'; cat; } >"$OUT/$1/DEBIAN/$2"
	chmod 755 "$OUT/$1/DEBIAN/$2"
}

# pack PACKAGE: sums, owners and the .deb.
pack() {
	(cd "$OUT/$1" && find . -type f -not -path './DEBIAN/*' -printf '%P\0' | sort -z |
		xargs -0 md5sum >DEBIAN/md5sums)
	chmod -R u+rwX,go+rX,go-w "$OUT/$1"
	dpkg-deb --root-owner-group -Zxz --build "$OUT/$1" "$OUT" >/dev/null
	rm -rf "${OUT:?}/$1"
	say "${OUT#"$TOP/"}: $(basename "$OUT/$1"_*.deb)"
}

man() {
	mkdir -p "$OUT/$1/usr/share/man/man${2##*.}"
	gzip -9nc "$HERE/$2" >"$OUT/$1/usr/share/man/man${2##*.}/$2.gz"
}

dkms_package() {
	local p=$NAME-dkms src f
	src=$OUT/$p/usr/src/$NAME-$VERSION
	mkdir -p "$src"
	# What Kbuild reads, and nothing that was built.
	(cd "$TOP" && { git ls-files Kbuild src rust kunit 2>/dev/null || find Kbuild src rust kunit -type f; }) |
		while read -r f; do
			[ "${f##*/}" = .kunitconfig ] || install -D -m 644 "$TOP/$f" "$src/$f"
		done
	sed "s/@VERSION@/$VERSION/; s/@SERIES@/${KSERIES/./[.]}/" "$HERE/dkms.conf" >"$src/dkms.conf"
	install -m 755 "$HERE/prebuild.sh" "$src/prebuild.sh"
	install -m 644 "$TOP/qemu-ci/setup/check_rust_symbols.py" "$src/"
	control $p all kernel <<-TXT
		Depends: dkms, linux-source-$KSERIES, rustc, rust-src, bindgen, gcc, gcc-14, make, flex, bison, bc, libelf-dev, libssl-dev, dwarves, kmod, python3:any, rsync, xz-utils
		Recommends: $NAME-tools, openvswitch-switch
		Description: Open vSwitch kernel datapath in Rust (source for DKMS)
		 The module openvswitch of the kernel, written in Rust: it has the same name
		 and netlink interface and takes the place of the one in C.
		 .
		 DKMS builds it for each kernel $KSERIES that has CONFIG_RUST. The Rust
		 metadata, which Debian's headers lack, is made again from the kernel's source.
	TXT
	maintainer $p postinst <<-TXT
		if [ "\$1" = configure ]; then
		    /usr/lib/dkms/common.postinst $NAME $VERSION "" "" "\$2"
		fi
	TXT
	maintainer $p prerm <<-TXT
		if [ "\$(dkms status -m $NAME -v $VERSION)" ]; then
		    dkms remove -m $NAME -v $VERSION --all
		fi
	TXT
	doc $p
	pack $p
}

tools_package() {
	local p=$NAME-tools
	mkdir -p "$OUT/$p/usr/sbin"
	sed "s/^VERSION = .*/VERSION = \"$VERSION\"/; 1s,.*,#!/usr/bin/python3," \
		"$TOP/tools/net/ovs-offload" >"$OUT/$p/usr/sbin/ovs-offload"
	chmod 755 "$OUT/$p/usr/sbin/ovs-offload"
	install -D -m 644 "$HERE/ovs-offload.bash" "$OUT/$p/usr/share/bash-completion/completions/ovs-offload"
	control $p all net <<-TXT
		Depends: python3:any
		Enhances: $NAME-dkms
		Description: Open vSwitch kernel datapath in Rust (tools)
		 ovs-offload shows and sets which flows of Open vSwitch run in the switch of
		 a network card, with the module openvswitch of $NAME-dkms.
	TXT
	doc $p
	man $p ovs-offload.8
	man $p openvswitch-rs.7
	pack $p
}

modules_package() {
	local rel p
	[ -z "${KDIR:-}" ] || set -- --kdir "$KDIR"
	rel=$("$TOP/qemu-ci/build.sh" "$@" --release)
	"$TOP/qemu-ci/build.sh" "$@" modules
	p=$NAME-modules-$(tr _ - <<<"$rel")
	install -D -m 644 "$TOP/openvswitch.ko" "$OUT/$p/usr/lib/modules/$rel/updates/openvswitch.ko"
	in_tools strip --strip-debug "$OUT/$p/usr/lib/modules/$rel/updates/openvswitch.ko"
	control "$p" amd64 kernel <<-TXT
		Depends: linux-image-$rel, kmod
		Recommends: $NAME-tools, openvswitch-switch
		Conflicts: $NAME-dkms
		Description: Open vSwitch kernel datapath in Rust for Linux $rel
		 The module openvswitch of the kernel, written in Rust, built for this one
		 kernel: it has the same name and netlink interface and takes the place of
		 the one in C.
	TXT
	for s in postinst postrm; do
		maintainer "$p" $s <<-TXT
			case "\$1" in
			configure|remove)
			    if [ -d /lib/modules/$rel/kernel ]; then
			        depmod $rel
			    fi
			    ;;
			esac
		TXT
	done
	doc "$p"
	pack "$p"
}

rm -rf "$OUT"
mkdir -p "$OUT"
umask 022
dkms_package
tools_package
[ -z "$modules" ] || modules_package

# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What every script of qemu-ci/ shares: where things are cached, how progress
# and errors are shown, and how a command runs inside the tool root.
# Source it; it runs nothing by itself.

set -euo pipefail

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/openvswitch-rs
export TOP CACHE
export LC_ALL=C.UTF-8
# Where debootstrap and depmod are, which 'su' without '-' leaves out.
export PATH=$PATH:/usr/sbin:/sbin

# The Debian release of the tool root and of the guest, and the kernel series.
SUITE=trixie
KSERIES=7.3
export SUITE KSERIES

START_SECONDS=$SECONDS

# say TEXT...: one line of progress, with the seconds since the script began.
say() {
	printf '[%4ds] %s\n' "$((SECONDS - START_SECONDS))" "$*" >&2
}

# die TEXT...: one line that says what is wrong and what to do about it.
die() {
	printf 'error: %s\n' "$*" >&2
	exit 1
}

# no_arguments ARGUMENT...: for a script that takes none.
no_arguments() {
	[ $# = 0 ] || die "${0##*/} takes no argument, not '$1'"
}

# need_root: most of the work is chroot, mount and mknod.
need_root() {
	[ "$(id -u)" = 0 ] || die "this needs root (chroot, mounts): run it as root, for example with sudo"
}

# need_space MIB: refuse to begin what would fill the disk.
need_space() {
	local free
	mkdir -p "$CACHE"
	free=$(df -Pm "$CACHE" | awk 'NR == 2 { print $4 }')
	[ "$free" -ge "$1" ] ||
		die "$CACHE has $free MiB free and $1 MiB are needed: free some space, or set XDG_CACHE_HOME to a larger disk"
}

# key_of FILE|TEXT...: a short hash of what a cached thing is made from.
key_of() {
	local a
	for a in "$@"; do
		if [ -f "$a" ]; then cat "$a"; else printf '%s\n' "$a"; fi
	done | sha256sum | cut -c1-12
}

# recording NAME KEY...: the file where what the C module did in tests NAME is kept.
# As it does the same each time, it need not run again until one of the KEYs (files
# or words: the kernel, the guest root, the tests) is another.
recording() {
	local name=$1
	shift
	mkdir -p "$CACHE/recordings"
	printf '%s/%s-%s\n' "$CACHE/recordings" "$name" "$(key_of "$@")"
}

# per_tree NAME: a folder of the cache for this very tree, so that two clones
# do not get in each other's way.
per_tree() {
	printf '%s/%s-%s\n' "$CACHE" "$1" "$(key_of "$TOP")"
}

# run_logged LOG CMD...: run quietly, with a dot of life every ten seconds;
# on failure show the end of the log.
run_logged() {
	local log=$1 pid rc=0 t=0
	shift
	mkdir -p "$(dirname "$log")"
	"$@" >"$log" 2>&1 </dev/null &
	pid=$!
	while kill -0 "$pid" 2>/dev/null; do
		sleep 1
		t=$((t + 1))
		if [ $((t % 15)) = 0 ]; then
			printf '        … %ds: %s\n' "$t" "$(tail -c 400 "$log" | tr '\r' '\n' | tail -n 1 | cut -c1-90)" >&2
		fi
	done
	wait "$pid" || rc=$?
	if [ "$rc" != 0 ]; then
		if grep -qE 'No space left on device' "$log"; then
			die "the disk of $CACHE is full: free some space, or set XDG_CACHE_HOME to a larger disk (log: $log)"
		fi
		if grep -qE 'Could not resolve|Temporary failure (in name resolution|resolving)|Failed getting release file|Network is unreachable|Could not connect to|Connection (refused|timed out)' "$log"; then
			die "the network or the package mirror cannot be reached: check the connection, and the mirror and proxy in /etc/apt (log: $log)"
		fi
		tail -n 30 "$log" >&2
		die "'$1' failed (exit $rc); the whole log is $log"
	fi
}

# locked NAME CMD...: one builder at a time for each cached thing.
locked() {
	local name=$1
	shift
	mkdir -p "$CACHE/locks"
	(
		exec 9>"$CACHE/locks/$name"
		flock -n 9 || { say "waiting for another run that makes $name"; flock 9; }
		"$@"
	)
}

# debian_mirror: the mirror that the host's own apt uses for Debian.
debian_mirror() {
	local m
	m=$(apt-get indextargets --format '$(ORIGIN)|$(REPO_URI)|$(SUITE)' 'Created-By: Packages' 2>/dev/null |
		awk -F'|' '$1 == "Debian" && $2 !~ /security/ { print $2; exit }')
	[ -n "$m" ] || m=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null |
		sed -nE 's/^(deb( \[[^]]*\])?|URIs:) +([^ ]+\/debian)\/?( .*)?$/\3/p' | head -n 1)
	[ -n "$m" ] || die "no Debian mirror in this machine's apt configuration: add one to /etc/apt/sources.list and run 'apt-get update'"
	printf '%s\n' "${m%/}"
}

# need_debootstrap: the one thing that this machine is asked to install.
need_debootstrap() {
	! command -v debootstrap >/dev/null || return 0
	say "installing debootstrap"
	run_logged "$CACHE/log/debootstrap-install.log" sh -c \
		'apt-get -q update && DEBIAN_FRONTEND=noninteractive \
			apt-get -qy -o DPkg::Lock::Timeout=300 install debootstrap'
	command -v debootstrap >/dev/null ||
		die "debootstrap could not be installed: run 'apt-get install debootstrap'"
}

# make_root DIR "PKGS" "BACKPORTS PKGS" [deb-src]: a Debian root folder.
make_root() {
	local dir=$1 pkgs=$2 bpo=$3 mirror types=deb
	[ "${4:-}" = deb-src ] && types='deb deb-src'
	mirror=$(debian_mirror)
	locked debootstrap need_debootstrap
	if [ -d "$dir.tmp" ]; then
		umount_under "$dir.tmp"
		rm -rf --one-file-system "$dir.tmp"
	fi
	mkdir -p "$dir.tmp"
	say "$(basename "$dir"): base system"
	run_logged "$CACHE/log/$(basename "$dir").log" \
		debootstrap --variant=minbase --include=ca-certificates "$SUITE" "$dir.tmp" "$mirror"
	cat >"$dir.tmp/etc/apt/sources.list.d/debian.sources" <<-SRC
		Types: $types
		URIs: $mirror
		Suites: $SUITE $SUITE-backports
		Components: main
		Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
	SRC
	rm -f "$dir.tmp/etc/apt/sources.list"
	cp /etc/resolv.conf /etc/hosts "$dir.tmp/etc/"
	local f
	for f in /etc/apt/apt.conf /etc/apt/apt.conf.d/*; do
		grep -qiE 'proxy|Acquire' "$f" 2>/dev/null && cp "$f" "$dir.tmp/etc/apt/apt.conf.d/"
	done
	echo 'APT::Install-Recommends "0"; APT::Sandbox::User "root";' >"$dir.tmp/etc/apt/apt.conf.d/90minimal"
	printf '#!/bin/sh\nexit 101\n' >"$dir.tmp/usr/sbin/policy-rc.d"
	chmod +x "$dir.tmp/usr/sbin/policy-rc.d"
	say "$(basename "$dir"): packages"
	run_logged "$CACHE/log/$(basename "$dir")-apt.log" in_root "$dir.tmp" sh -c "
		export DEBIAN_FRONTEND=noninteractive &&
		apt-get -q update &&
		apt-get -qy -o Dpkg::Options::=--force-unsafe-io install $pkgs &&
		{ [ -z '$bpo' ] || apt-get -qy -o Dpkg::Options::=--force-unsafe-io -t $SUITE-backports install $bpo; } &&
		apt-get clean"
	mv "$dir.tmp" "$dir"
}

# end_children: end what this script has started and what that has started, for
# a trap at exit: a job in the background does not hear an interrupt.
end_children() {
	local p all='' before=none
	# Stopped first, until no new ones come: a shell whose child is ended goes on
	# with its next command.
	while [ "$all" != "$before" ]; do
		before=$all all=
		for p in $(tree_of $$); do
			[ "$p" = $$ ] || ! kill -STOP "$p" 2>/dev/null || all+=" $p"
		done
	done
	for p in $all; do
		kill "$p" 2>/dev/null || true
	done
	for p in $all; do
		kill -CONT "$p" 2>/dev/null || true
	done
}

# tree_of PID: it and its descendants, the youngest first.
tree_of() {
	local c
	# shellcheck disable=SC2013 # they are words
	for c in $(cat /proc/"$1"/task/*/children 2>/dev/null); do
		tree_of "$c"
	done
	echo "$1"
}

# umount_under DIR: nothing stays mounted below DIR.
umount_under() {
	local m
	awk -v d="$1/" 'index($2, d) == 1 { print $2 }' /proc/mounts | sort -r |
		while read -r m; do umount -l "$m"; done
}

# in_root ROOT CMD...: run CMD in ROOT, with this tree and the cache at the
# paths they have outside. The mounts live in a mount namespace of their own,
# so they end with the command.
in_root() {
	local root=$1
	shift
	ROOT=$root PWD_IN=$PWD unshare --mount --propagation private bash -c '
		set -e
		mount -t proc proc "$ROOT/proc"
		mount --rbind /dev "$ROOT/dev"
		mount --rbind /sys "$ROOT/sys"
		mount -t tmpfs tmpfs "$ROOT/tmp"
		for d in "$CACHE" "$TOP" ${EXTRA_BIND:-}; do
			mkdir -p "$ROOT$d"
			mount --rbind "$d" "$ROOT$d"
		done
		cp /etc/resolv.conf "$ROOT/etc/resolv.conf" 2>/dev/null || true
		# What this machine trusts, its own authorities included.
		ca=/etc/ssl/certs/ca-certificates.crt
		if [ -s $ca ] && cp -L $ca "$ROOT/tmp/host-ca.crt"; then
			export SSL_CERT_FILE=/tmp/host-ca.crt
			export CURL_CA_BUNDLE=$SSL_CERT_FILE PIP_CERT=$SSL_CERT_FILE
			export REQUESTS_CA_BUNDLE=$SSL_CERT_FILE CARGO_HTTP_CAINFO=$SSL_CERT_FILE
			unset SSL_CERT_DIR
		fi
		export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
		unset XDG_CACHE_HOME
		exec chroot "$ROOT" sh -c "cd \"\$1\" 2>/dev/null || cd /; shift; exec \"\$@\"" sh "$PWD_IN" "$@"
	' bash "$@"
}

TOOLROOT=$CACHE/toolroot-$(key_of "$TOP/qemu-ci/setup/toolroot.sh")
GUESTROOT=$CACHE/guestroot-$(key_of "$TOP/qemu-ci/setup/guestroot.sh")
export TOOLROOT GUESTROOT

# in_tools CMD...: run CMD in the tool root.
in_tools() {
	in_root "$TOOLROOT" "$@"
}

# make_venv DIR PACKAGE...: Python packages in a folder of their own, for the tool root.
make_venv() {
	local dir=$1
	shift
	rm -rf "$dir"
	# pip is not part of the tool root; it takes this machine's configuration,
	# but for the certificates, which in_root has seen to.
	in_tools sh -c 'python3 -m ensurepip --version' >/dev/null 2>&1 ||
		run_logged "$CACHE/log/venv-apt.log" in_tools apt-get -qy install python3-venv
	sed '/^cert/d' /etc/pip.conf >"$TOOLROOT/etc/pip.conf" 2>/dev/null || true
	run_logged "$CACHE/log/$(basename "$dir").log" in_tools sh -c \
		'd=$1; shift; python3 -m venv "$d" && "$d/bin/pip" install --quiet "$@"' sh "$dir" "$@"
}

# stock_abi: the name of the Debian kernel that the tool root has headers for,
# such as 7.3.4+deb13-amd64.
stock_abi() {
	local d
	for d in "$TOOLROOT"/usr/src/linux-headers-*-amd64; do
		[ -d "$d" ] && { basename "$d" | sed 's/^linux-headers-//'; return; }
	done
	die "the tool root $TOOLROOT has no kernel headers: remove it and run the set-up again"
}

KSRC=$CACHE/linux-source-${TOOLROOT##*-}
export KSRC

# stock_dir: where the stock kernel's image, modules and build tree are.
stock_dir() {
	printf '%s/stock-%s\n' "$CACHE" "$(key_of "$TOP/qemu-ci/setup/kernel-stock.sh" "${TOOLROOT##*-}")"
}

# flavour_dir FLAVOUR: where another flavour of the stock kernel is.
flavour_dir() {
	printf '%s/%s-%s\n' "$CACHE" "$1" "$(key_of "$TOP/qemu-ci/setup/kernel-flavour.sh" "${TOOLROOT##*-}")"
}

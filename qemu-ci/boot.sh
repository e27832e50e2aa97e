#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Boot a kernel in QEMU through virtme-ng, run one command in it, stream what
# the command prints, and return its exit status.
# shellcheck disable=SC2317 # functions that others call by name
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
	cat <<'TXT'
usage: boot.sh [OPTION...] [--] COMMAND [ARGUMENT...]

Boots a kernel in QEMU with the guest root as its root folder, runs COMMAND
as root in it, and exits with COMMAND's status. The guest sees this tree and
the results folder at the paths they have outside; nothing it writes anywhere
else outlives it.

  --kernel DIR       boot DIR/lib/modules/*/vmlinuz (default: the stock kernel,
                     or $KERNEL)
  --root DIR         root folder of the guest (default: the guest root)
  --under DIR        a folder that shows below the root folder: what the root
                     has not is taken from there
  --module FILE.ko   let modprobe find FILE.ko first, as updates/FILE.ko
                     (may be repeated)
  --results DIR      folder that the guest may write (made if missing); the
                     kernel log goes there as dmesg.txt. Also $RESULTS inside
  --ro DIR           one more folder of this machine to show at the same path
  --rw DIR           the same, writable
  --timeout SECONDS  end the guest after so long (default 600), exit status 124
  --smp N            processors (default 2)
  --mem SIZE         memory (default 1536M)
  --append ARGS      more kernel arguments
  --qemu OPTION      one more QEMU argument (may be repeated); guest memory is
                     a shared memfd, as vfio-user needs
  --accel tcg|kvm    default: kvm where a guest really boots with it, else tcg
  --env NAME=VALUE   set a variable in the guest (may be repeated)
  --dmesg            print the kernel log at the end, on stderr
  --clean-log        fail (status 99) where the kernel log has a WARNING, BUG,
                     Oops, lockdep, KASAN or KMEMLEAK report
  --console          show the guest's console while it runs, on stderr
  --time             say how long the boot took
  -h, --help         this text

Exit status: COMMAND's own; 124 timeout; 99 unclean kernel log; 125 the guest
ended without a status (a panic: see the console in dmesg.txt).
TXT
}

wrong() {
	die "boot.sh: $* (see boot.sh --help)"
}

TROUBLE=$TOP/qemu-ci/kernels/trouble.re

kernel=${KERNEL:-} guest_root=$GUESTROOT under='' results='' timeout=600 smp=2 mem=1536M append=''
accel='' show_dmesg='' clean_log='' console='' timing=''
modules=() qemu=() ro=() rw=() env=()
while [ $# -gt 0 ]; do
	case $1 in
	--kernel | --root | --under | --module | --results | --ro | --rw | --timeout | --smp | --mem | --append | --qemu | --accel | --env)
		[ $# -ge 2 ] || wrong "$1 needs a value"
		;;&
	--kernel) kernel=$2; shift ;;
	--root) guest_root=$2; shift ;;
	--under) under=$2; shift ;;
	--module) modules+=("$(realpath -- "$2")"); shift ;;
	--results) mkdir -p "$2"; results=$(realpath -- "$2"); shift ;;
	--ro) ro+=("$(realpath -- "$2")"); shift ;;
	--rw) rw+=("$(realpath -- "$2")"); shift ;;
	--timeout) timeout=$2; shift ;;
	--smp) smp=$2; shift ;;
	--mem) mem=$2; shift ;;
	--append) append=$2; shift ;;
	--qemu) qemu+=("$2"); shift ;;
	--accel) accel=$2; shift ;;
	--env) env+=("$2"); shift ;;
	--dmesg) show_dmesg=1 ;;
	--clean-log) clean_log=1 ;;
	--console) console=1 ;;
	--time) timing=1 ;;
	-h | --help) usage; exit ;;
	--) shift; break ;;
	-*) wrong "unknown option '$1'" ;;
	*) break ;;
	esac
	shift
done
[ $# -gt 0 ] || wrong "no command to run in the guest"
case $timeout in *[!0-9]* | '') wrong "--timeout wants whole seconds" ;; esac
case $accel in '' | tcg | kvm) ;; *) wrong "--accel is tcg or kvm" ;; esac
need_root
[ -d "$TOOLROOT" ] || "$TOP/qemu-ci/setup/toolroot.sh"
[ -d "$guest_root" ] || { [ "$guest_root" = "$GUESTROOT" ] || wrong "no root folder $guest_root"; "$TOP/qemu-ci/setup/guestroot.sh"; }
[ -n "$kernel" ] || {
	kernel=$(stock_dir)/root
	[ -e "$kernel/../abi" ] || "$TOP/qemu-ci/setup/kernel-stock.sh"
}
vmlinuz=$(find "$kernel"/lib/modules/*/vmlinuz 2>/dev/null | head -n 1) || true
[ -n "$vmlinuz" ] || wrong "no kernel image $kernel/lib/modules/*/vmlinuz"
for m in "${modules[@]}"; do
	[ -f "$m" ] || wrong "no module $m"
done

# kvm_works: /dev/kvm may be there and still not run this kernel, so boot it:
# without a root folder a kernel that runs gets as far as its panic about that.
kvm_works() {
	local mark
	[ -w /dev/kvm ] || return 1
	mark=$CACHE/kvm-$(key_of "$(cat /proc/sys/kernel/random/boot_id)" "$vmlinuz")
	[ -e "$mark" ] || {
		if in_tools timeout 20 qemu-system-x86_64 -accel kvm -cpu host -m 512M \
			-display none -no-reboot -monitor none -serial stdio -net none \
			-kernel "$vmlinuz" -append "console=ttyS0 panic=-1" </dev/null 2>&1 |
			grep -qa 'Unable to mount root fs'; then
			echo yes >"$mark"
		else
			echo no >"$mark"
		fi
	}
	[ "$(cat "$mark")" = yes ]
}

[ -n "$accel" ] || { if kvm_works; then accel=kvm; else accel=tcg; fi; }

WORK=$(mktemp -d "$CACHE/boot.XXXXXX")
trap 'rm -rf "$WORK"' EXIT
[ -n "$results" ] || { mkdir "$WORK/results"; results=$WORK/results; }
rm -f "$results/dmesg.txt"

{
	printf 'cd %q 2>/dev/null || cd /\n' "$PWD"
	printf 'export RESULTS=%q\n' "$results"
	for e in "${env[@]}"; do
		printf 'export %q\n' "$e"
	done
	# shellcheck disable=SC2016 # the guest expands these
	[ -z "$timing" ] || echo 'echo "booted in $(cut -d" " -f1 /proc/uptime)s of guest time" >&2'
	printf '%q ' "$@"
	# shellcheck disable=SC2016
	printf '\nrc=$?\ndmesg >%q\nexit $rc\n' "$results/dmesg.txt"
} >"$WORK/script"

# module_layer: the folder that holds updates/ and what depmod makes of it, in
# $moddir. depmod reads thousands of compressed modules, so its result is kept
# by what it depends on: the modules' symbols, aliases and dependencies.
module_layer() {
	local m key ver
	ver=$(basename "$(dirname "$vmlinuz")")
	# shellcheck disable=SC2016 # expanded by the inner shell
	key=$(EXTRA_BIND="${modules[*]%/*}" in_tools sh -c 'for m in "$@"; do
		basename "$m"
		modinfo -F alias "$m"
		modinfo -F depends "$m"
		modinfo -F softdep "$m"
		nm "$m" | grep -E " U |__ksymtab" | sed "s/^[0-9a-f]* *//"
	done | sha256sum | cut -c1-12' sh "${modules[@]}")
	moddir=$CACHE/modlayer-$(key_of "$vmlinuz" "$(stat -c %Y "$vmlinuz")" "$key")
	[ -d "$moddir" ] || locked modlayer make_module_layer "$ver"
}

make_module_layer() {
	local lower
	[ ! -d "$moddir" ] || return 0
	lower=$(dirname "$vmlinuz")
	say "depmod with ${modules[*]##*/}"
	rm -rf "$moddir.tmp"
	mkdir -p "$moddir.tmp/root/lib/modules/$1/updates"
	cp "${modules[@]}" "$moddir.tmp/root/lib/modules/$1/updates/"
	cp "$lower"/modules.{builtin,builtin.modinfo,order} "$moddir.tmp/root/lib/modules/$1/" 2>/dev/null || true
	ln -s "$lower/kernel" "$moddir.tmp/root/lib/modules/$1/kernel"
	run_logged "$CACHE/log/depmod.log" in_tools depmod -b "$moddir.tmp/root" "$1"
	rm "$moddir.tmp/root/lib/modules/$1/kernel"
	mv "$moddir.tmp/root/lib/modules/$1" "$moddir.tmp/layer"
	rm -r "$moddir.tmp/root" "$moddir.tmp/layer"/updates/*
	mv "$moddir.tmp/layer" "$moddir"
	rmdir "$moddir.tmp"
}

# compose: in the mount namespace of in_tools, lay out the guest's root: the
# guest root below, then the kernel's modules, and a tmpfs for what is written.
compose() {
	set -e
	mkdir "$WORK/tmp"
	mount -t tmpfs guest "$WORK/tmp"
	mkdir "$WORK/tmp/upper" "$WORK/tmp/work" "$WORK/tmp/root"
	mount -t overlay guest -o "lowerdir=$guest_root${under:+:$under},upperdir=$WORK/tmp/upper,workdir=$WORK/tmp/work" "$WORK/tmp/root"
	cp "$WORK/script" "$WORK/tmp/root/.boot-script"
	local guest=$WORK/tmp/root ver d m a kernel_args=()
	ver=$(basename "$(dirname "$vmlinuz")")
	mkdir -p "$guest/usr/lib/modules/$ver"
	# The module folder's upper layer, if there is a module to add.
	if [ -n "$moddir" ]; then
		cp -r "$moddir" "$WORK/tmp/mup"
		for m in $kmods; do cp "$m" "$WORK/tmp/mup/updates/"; done
		mkdir "$WORK/tmp/mwork"
		mount -t overlay mods -o "lowerdir=$(dirname "$vmlinuz"),upperdir=$WORK/tmp/mup,workdir=$WORK/tmp/mwork" \
			"$guest/usr/lib/modules/$ver"
	else
		mount --bind -o ro "$(dirname "$vmlinuz")" "$guest/usr/lib/modules/$ver"
	fi
	for d in $ro_dirs; do
		mkdir -p "$guest$d"
		mount --bind "$d" "$guest$d"
		mount -o remount,bind,ro "$guest$d"
	done
	for d in $rw_dirs; do
		mkdir -p "$guest$d"
		mount --bind "$d" "$guest$d"
	done
	# Our own first process in place of virtme-ng's.
	mount --bind "$TOP/qemu-ci/guest" "$(python3 -c 'import virtme, os; print(os.path.dirname(virtme.__file__))')/guest"
	[ "$accel" = kvm ] || kernel_args=(--disable-kvm)
	for a in $kopts; do kernel_args+=(--kopt "$a"); done
	echo $$ >"$WORK/pid"
	exec setsid timeout -k 5 "$timeout" virtme-run --mods auto --kimg "$vmlinuz" --root "$guest" --rw \
		"${kernel_args[@]}" --cpus "$smp" --memory "$mem" --disable-monitor --disable-microvm \
		--script-sh "exec bash /.boot-script" \
		--qemu-opts "$@"
}

run() {
	local opts=(-chardev "file,id=klog,path=$WORK/console"
		-device virtio-serial-pci -device "virtconsole,chardev=klog")
	if [ "$accel" = tcg ]; then
		opts+=(-accel "tcg,thread=multi" -cpu max)
	fi
	kopts="console=hvc0 loglevel=5 nokaslr mitigations=off tsc=reliable no_timer_check random.trust_cpu=on audit=0 cryptomgr.notests net.ifnames=0 $append"
	ro_dirs="$TOP ${ro[*]}" rw_dirs="$results ${rw[*]}" kmods="${modules[*]}"
	export WORK guest_root under vmlinuz ro_dirs rw_dirs kmods moddir kopts accel smp mem timeout
	EXTRA_BIND="$results ${ro[*]} ${rw[*]} $guest_root $under $kernel ${modules[*]%/*}" \
		in_tools bash -c "$(declare -f compose)"'; compose "$@"' compose "${opts[@]}" "${qemu[@]}"
}

moddir=
[ ${#modules[@]} = 0 ] || module_layer
rc=0
touch "$WORK/console"
if [ -n "$console" ]; then
	tail -f "$WORK/console" --pid=$$ >&2 &
fi
# stop: the guest is a session of its own, so it must be told.
stop() {
	[ ! -s "$WORK/pid" ] || kill "$(cat "$WORK/pid")" 2>/dev/null || true
	exit 130
}
trap stop INT TERM HUP

# QEMU opens what it writes to anew, which would overwrite a regular file from
# its start: give it pipes. In the background, for the shell to hear signals.
input=0
[ ! -t 0 ] || exec {input}</dev/null
(run 2>&3 3>&- | cat) 3> >(exec cat >&2) <&"$input" &
wait "$!" || rc=$?
[ "$rc" != 255 ] || rc=125
if [ ! -s "$results/dmesg.txt" ]; then
	cp "$WORK/console" "$results/dmesg.txt"
	if [ "$rc" = 124 ] || [ "$rc" = 125 ]; then
		tail -n 40 "$WORK/console" >&2
	fi
fi
case $rc in
124) printf 'error: the guest did not finish in %s s\n' "$timeout" >&2 ;;
125) printf 'error: the guest ended without an exit status\n' >&2 ;;
esac
[ -z "$show_dmesg" ] || cat "$results/dmesg.txt" >&2
if [ -n "$clean_log" ] && grep -aqEf "$TROUBLE" "$results/dmesg.txt" "$WORK/console"; then
	grep -ahEf "$TROUBLE" -A25 "$results/dmesg.txt" "$WORK/console" | head -n 60 >&2
	[ "$rc" != 0 ] || rc=99
fi
exit "$rc"

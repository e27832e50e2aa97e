#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Run a command on a user-mode Linux kernel and exit with its status.
#
#   boot-uml.sh [OPTION]... -- COMMAND [ARG]...
#
#   --kernel NAME|DIR  uml (default), debug, or a folder made by kernel_build
#   --timeout S        give up after S seconds (default 300; the status is 124)
#   --mem SIZE         memory of the guest (default 1G, at most 1536M)
#   --cpus N           processors of the guest (default 2, of the debug kernel 1)
#   --results DIR      a folder that the guest may write (default: a new one)
#   --bind DIR         another folder that the guest sees, at the same path
#   --dmesg FILE       keep the kernel's log there
#   --check-log        fail (status 99) when the kernel's log has a warning, an
#                      oops, a lockdep or RCU splat or a leak
#   --under TEXT       a command, with its arguments, to run the kernel's host
#                      process under, such as perf record
#   --append TEXT      more words for the kernel's command line
#
# The guest's root is the guest root folder, read-only through hostfs under an
# overlay in memory: nothing that COMMAND does to it outlives the run. This
# tree (read-only), the cache (read-only) and the results folder (writable, in
# $RESULTS) are at the paths that they have outside. `modprobe` finds the
# kernel's own modules.
. "$(dirname "$0")/../lib.sh"
. "$TOP/qemu-ci/kernels/lib.sh"

KERNEL=uml TIMEOUT=300 MEM=1G CPUS='' RESULTS='' DMESG='' CHECK=0 APPEND=() UNDER=() BINDS=()

usage() {
	sed -n '/^#   boot-uml/,/^$/p' "$0" | sed 's/^# \{0,1\}//'
	exit "${1:-2}"
}

while [ $# -gt 0 ]; do
	case $1 in
	--kernel | --timeout | --mem | --cpus | --results | --bind | --dmesg | --under | --append)
		[ $# -ge 2 ] || die "boot-uml.sh: $1 needs a value (see --help)"
		;;&
	--kernel) KERNEL=$2; shift ;;
	--timeout) TIMEOUT=$2; shift ;;
	--mem) MEM=$2; shift ;;
	--cpus) CPUS=$2; shift ;;
	--results) RESULTS=$2; shift ;;
	--bind) BINDS+=("$(realpath "$2")"); shift ;;
	--dmesg) DMESG=$2; shift ;;
	--check-log) CHECK=1 ;;
	--under) read -ra UNDER <<<"$2"; shift ;;
	--append) read -ra APPEND <<<"$2"; shift ;;
	--help) usage 0 ;;
	--) shift; break ;;
	*) die "boot-uml.sh: unknown option '$1' (see --help)" ;;
	esac
	shift
done
[ $# -gt 0 ] || usage
need_root
[ -n "$CPUS" ] || CPUS=$([ "$KERNEL" = debug ] && echo 1 || echo 2)
# Modules come after the memory, and must be within 2 GiB of the kernel.
case $MEM in
[0-9]*M) [ "${MEM%M}" -le 1536 ] || usage ;;
1G) ;;
*) usage ;;
esac
case $KERNEL in
*/*) KDIR=$KERNEL ;;
*) KDIR=$(kernel_dir "$KERNEL") ;;
esac
[ -e "$KDIR/release" ] ||
	die "the kernel in $KDIR is not built: run qemu-ci/kernels/$KERNEL.sh"
[ -d "$GUESTROOT" ] || "$TOP/qemu-ci/setup/guestroot.sh"
RELEASE=$(cat "$KDIR/release")

mkdir -p "$CACHE/run"
RUN=$(mktemp -d "$CACHE/run/uml.XXXXXX")
trap 'rm -rf "$RUN"' EXIT
if [ -n "$RESULTS" ]; then
	mkdir -p "$RESULTS"
	RESULTS=$(realpath "$RESULTS")
else
	RESULTS=$RUN/results
fi
mkdir -p "$RESULTS" "$RUN/out"

# What the guest runs: a script, so that no quoting is lost on the way.
{
	printf 'export RESULTS=%q KERNEL_RELEASE=%q\n' "$RESULTS" "$RELEASE"
	printf 'cd %q 2>/dev/null || cd /\n' "$PWD"
	printf 'exec'
	printf ' %q' "$@"
	printf '\n'
} >"$RUN/out/command"

# The first root is the tool root, for its static busybox; everything that the
# command sees is below /tmp/new.
cat >"$RUN/init" <<INIT
#!/usr/bin/busybox sh
b=/usr/bin/busybox
\$b mount -t proc proc /proc
\$b mount -t tmpfs -o size=75% tmpfs /tmp
cd /tmp
\$b mkdir low up work new
\$b mount -t hostfs -o ro,$GUESTROOT none low
\$b mount -t overlay -o lowerdir=low,upperdir=up,workdir=work overlay new || exec \$b poweroff -f
cd new
for f in proc sys dev tmp run; do \$b mkdir -p \$f; done
\$b mount -t proc proc proc
\$b mount -t sysfs sysfs sys
\$b mount -t debugfs debugfs sys/kernel/debug
\$b mount -t devtmpfs devtmpfs dev
\$b mkdir -p dev/pts dev/shm
\$b mount -t devpts devpts dev/pts
\$b mount -t tmpfs tmpfs dev/shm
\$b ln -sf /proc/self/fd dev/fd
\$b mount -t tmpfs tmpfs run
\$b mount -t tmpfs -o size=75% tmpfs tmp
bind() {
	\$b mkdir -p ".\$1"
	\$b mount -t hostfs -o "\$2,\$1" none ".\$1"
}
bind $CACHE ro
bind $TOP ro
$(for d in "${BINDS[@]}"; do printf 'bind %q ro\n' "$d"; done)
bind $RUN/out rw
bind $RESULTS rw
\$b mkdir -p lib/modules
\$b ln -sfn $KDIR/root/lib/modules/$RELEASE lib/modules/$RELEASE
\$b ip link set lo up
\$b stty -opost <dev/tty0
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 TERM=dumb
\$b setsid \$b chroot . /bin/bash $RUN/out/command <dev/null >dev/tty0 2>&1
echo \$? >.$RUN/out/status.tmp
if [ $CHECK = 1 ] && [ -e sys/kernel/debug/kmemleak ]; then
	# A leak is an object that two scans, some seconds apart, cannot reach.
	for i in 1 2; do
		\$b sleep 6
		echo scan >sys/kernel/debug/kmemleak
	done
	\$b cat sys/kernel/debug/kmemleak >.$RUN/out/kmemleak
fi
\$b dmesg >.$RUN/out/dmesg
\$b mv .$RUN/out/status.tmp .$RUN/out/status
\$b sync
\$b poweroff -f
INIT
chmod +x "$RUN/init"

# The log goes to console 1, which is kept; the command's own output comes
# through console 0. The PID namespace ends every host process of the guest
# with the run.
rc=0
EXTRA_BIND="${EXTRA_BIND:-} ${BINDS[*]} $RESULTS $KDIR" in_tools env TMPDIR=/dev/shm \
	unshare --pid --fork --kill-child \
	sh -c 'mount -t proc proc /proc && exec "$@"' sh \
	timeout -k 5 "$TIMEOUT" "${UNDER[@]}" "$KDIR/build/linux" \
	mem="$MEM" ncpus="$CPUS" seccomp=on root=/dev/root rootfstype=hostfs ro \
	init="$RUN/init" console=tty1 con=null con0=null,fd:1 con1=null,fd:2 \
	ignore_loglevel kunit.enable=1 sysctl.kernel.panic_on_rcu_stall=1 "${APPEND[@]}" \
	</dev/null 2>"$RUN/console" || rc=$?

log=$RUN/out/dmesg
if [ ! -s "$log" ]; then
	log=$RUN/console
fi
[ -z "$DMESG" ] || cp "$log" "$DMESG"
if [ ! -e "$RUN/out/status" ]; then
	tail -n 60 "$RUN/console" >&2
	if [ "$rc" = 124 ] || [ "$rc" = 137 ]; then
		printf 'error: the guest did not end within %s s\n' "$TIMEOUT" >&2
		exit 124
	fi
	printf 'error: the guest died before its command ended (host status %s)\n' "$rc" >&2
	exit 98
fi
if [ "$CHECK" = 1 ]; then
	"$TOP/qemu-ci/kernels/check-log.sh" "$log" || exit 99
	if [ -s "$RUN/out/kmemleak" ]; then
		cat "$RUN/out/kmemleak" >&2
		exit 99
	fi
fi
exit "$(cat "$RUN/out/status")"

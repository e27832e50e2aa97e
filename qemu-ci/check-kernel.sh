#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Open vSwitch's own tests of the kernel module (its `make check-kernel`),
# unmodified and run as Debian's autopkgtest does, on the C module and on ours, on
# user-mode Linux, compared test by test.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. "$TOP/qemu-ci/kernels/lib.sh"

HERE=$TOP/qemu-ci/check-kernel

usage() {
	cat <<'TXT'
usage: check-kernel.sh [OPTION...]

  --only REGEX       only the tests whose name matches
  --tests LIST       only these numbers, such as 1-20,33
  --part I/N         only the I-th of N parts, each with tests of all kinds
  --list             list the tests and exit
  --side c|ours      only one module: 'c' makes the recording, 'ours' is compared
                     with the recording that is there
  --fresh            run the C module again even if its results are recorded
  --on uml|debug     the kernel: user-mode Linux (default), or the debug one, which
                     also looks for leaks after each test, and takes hours
  --module FILE.ko   our module (default: build it)
  --jobs N           guests at a time (default: one for each processor)
  --no-retry         no second try for a test that fails
  --out DIR          where results and logs go (default: below the cache)
  --list-failed      at the end list only what failed, not all tests
  -h, --help         this text

A test passes if Open vSwitch says so, and if the module could then be unloaded
and the kernel's log has no trouble. Where the C module passes and ours does not,
that is a failure. Ends with a line `N passed, N failed, N skipped`.
TXT
}

on=uml side='' fresh='' module='' jobs=$(nproc) retry=1 out='' pick=() report=()
while [ $# -gt 0 ]; do
	case $1 in
	--only | --tests | --part | --side | --on | --module | --jobs | --out)
		[ $# -ge 2 ] || die "check-kernel.sh: $1 needs a value (see --help)"
		;;&
	--only | --tests | --part) pick+=("$1" "$2"); shift ;;
	--list) pick+=(--list) ;;
	--side) side=$2; shift ;;
	--fresh) fresh=1 ;;
	--on) on=$2; shift ;;
	--module) module=$(realpath -- "$2"); shift ;;
	--jobs) jobs=$2; shift ;;
	--no-retry) retry='' ;;
	--out) out=$2; shift ;;
	--list-failed) report+=(--quiet) ;;
	-h | --help) usage; exit ;;
	*) die "check-kernel.sh: unknown option '$1' (see --help)" ;;
	esac
	shift
done
case $on in uml | debug) ;; *) die "check-kernel.sh: --on is uml or debug, not '$on'" ;; esac
case $side in '' | c | ours) ;; *) die "check-kernel.sh: --side is c or ours, not '$side'" ;; esac
[[ $jobs =~ ^[1-9][0-9]?$ ]] || die "check-kernel.sh: --jobs is a number of guests, not '$jobs'"
[ -z "$module" ] || [ -f "$module" ] || die "check-kernel.sh: no module $module"
need_root
[ -d "$TOOLROOT" ] || "$TOP/qemu-ci/setup/toolroot.sh"
tree=$("$TOP/qemu-ci/setup/ovs-suite.sh")

# tool COMMAND...: tests.py, which knows the tests and the recording.
tool() {
	EXTRA_BIND="${EXTRA_BIND:-} ${out:-}" in_tools python3 "$HERE/tests.py" --tree "$tree" "$@"
}

if [ -n "$out" ]; then
	mkdir -p "$out"
	out=$(realpath -- "$out")
fi
tool "${pick[@]}" pick >/dev/null || exit 2
if [[ " ${pick[*]} " = *' --list '* ]]; then
	tool "${pick[@]}" pick
	exit
fi
[ -n "$out" ] || out=$(per_tree check-kernel)/$on
mkdir -p "$out"
trap end_children EXIT
trap 'exit 130' INT TERM

[ -e "$(kernel_dir "$on")/release" ] || "$KERNELS/$on.sh" >/dev/null
kernel=$(kernel_dir "$on")
if [ "$side" != c ] && [ -z "$module" ]; then
	say "building our module for the $on kernel"
	kernel_module "$on" "$TOP" "$out/module"
	module=$out/module/openvswitch.ko
fi
recorded=$(recording "check-kernel-$on" "${kernel##*/}" "${GUESTROOT##*/}" "${tree##*/}" \
	"$HERE/guest.sh" "$HERE/guest.py" "$HERE/bin/modprobe" "$TOP/qemu-ci/kernels/trouble.re")

# The time that a test may take: the longest, 20 nodes that speak IPsec, takes minutes.
limit=600
[ "$on" = uml ] || limit=2400

# guests SIDE SHARD NUMBER...: run these in a guest, and give those that fail without
# trouble a second try, as Debian does.
guests() {
	local name=$1 dir=$out/$1-$2 more worth=()
	shift 2
	rm -rf "$dir"
	mkdir -p "$dir"
	until_done "$name" "$dir" 1 "$@"
	[ -n "$retry" ] || return 0
	# Of ours those that the C module passes.
	[ "$name" = c ] || worth=(--recorded "$recorded")
	mapfile -t more < <(tool "${worth[@]}" again "$dir/tests.jsonl" "$@")
	[ ${#more[@]} = 0 ] || until_done "$name" "$dir" 2 "${more[@]}"
}

# until_done SIDE DIR ATTEMPT NUMBER...: one guest after another until all have run:
# one that has trouble, or that dies, leaves the rest to the next.
until_done() {
	local name=$1 dir=$2 attempt=$3 left before rc
	shift 3
	left=("$@")
	mv "$dir/tests.jsonl" "$dir/tests-1.jsonl" 2>/dev/null || true
	while [ ${#left[@]} -gt 0 ]; do
		rc=0
		"$TOP/qemu-ci/kernels/boot-uml.sh" --kernel "$on" --cpus 1 --mem 1G \
			--timeout $((limit * (${#left[@]} + 2))) --results "$dir" \
			--bind "$(dirname "${module:-$tree/tests}")" -- \
			env MODULE="$([ "$name" = c ] || echo "$module")" \
			"$HERE/guest.sh" "$tree" "$kernel" --limit "$limit" --attempt "$attempt" \
			"${left[@]}" 2>"$dir/guest.err" |
			sed -u "s/^/$(printf '%-4s ' "$name")/" >&2 || rc=$?
		before=${#left[@]}
		mapfile -t left < <(tool left "$dir/tests.jsonl" "$rc" "${left[@]}" <"$dir/guest.err")
		if [ "$rc" != 0 ] && [ "$rc" != 3 ]; then
			say "$name: a guest ended with status $rc, ${#left[@]} tests left"
		fi
		if [ ${#left[@]} = "$before" ]; then
			tail -n 20 "$dir/guest.err" >&2
			die "no test runs in the guest"
		fi
	done
}

# run_side SIDE NUMBER...: all of these, some guests at a time; the results are in
# $out/SIDE.jsonl.
run_side() {
	local name=$1 pids=() i=0 numbers p rc=0
	shift
	say "$name: $# tests, $jobs guests at a time"
	while read -r numbers; do
		i=$((i + 1))
		# shellcheck disable=SC2086 # they are words
		guests "$name" "$i" $numbers &
		pids+=($!)
	done < <(tool --recorded "$recorded" share "$jobs" "$@")
	for p in "${pids[@]}"; do wait "$p" || rc=1; done
	cat "$out/$name"-[0-9]*/tests-1.jsonl "$out/$name"-[0-9]*/tests.jsonl \
		>"$out/$name.jsonl" 2>/dev/null || true
	[ "$name" = ours ] || locked recordings tool --recorded "$recorded" record "$out/c.jsonl"
	[ "$rc" = 0 ] || die "not all tests ran on $name"
}

mapfile -t wanted < <(tool "${pick[@]}" pick)
if [ "$side" != ours ]; then
	[ -z "$fresh" ] || tool --recorded "$recorded" forget "${wanted[@]}"
	mapfile -t todo < <(tool --recorded "$recorded" missing "${wanted[@]}")
	if [ ${#todo[@]} -gt 0 ]; then
		rm -rf "$out"/c-[0-9]*
		run_side c "${todo[@]}"
	fi
fi
if [ "$side" != c ]; then
	rm -rf "$out"/ours-[0-9]*
	# Not those that do not end in time on the C module.
	mapfile -t todo < <(tool --recorded "$recorded" ours "${wanted[@]}")
	: >"$out/ours.jsonl"
	[ ${#todo[@]} = 0 ] || run_side ours "${todo[@]}"
	report+=(--ours "$out/ours.jsonl")
fi
say "logs of tests that failed are below $out"
EXTRA_BIND=$(dirname "$recorded") tool --recorded "$recorded" report "${report[@]}" \
	--json "$out/check-kernel.json" --fact "on=$on" --fact "kernel=$(cat "$kernel/release")" \
	--fact "guest=${GUESTROOT##*/}" --fact "commit=$(git -C "$TOP" rev-parse --short=12 HEAD 2>/dev/null || echo none)" \
	"${wanted[@]}"

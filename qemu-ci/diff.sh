#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The differential fuzzer: the same seeded messages and packets on the kernel's
# own C module and on ours, and a comparison of everything that can be seen.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. "$TOP/qemu-ci/kernels/lib.sh"

usage() {
	cat <<'TXT'
usage: diff.sh [OPTION...]

Plays rounds of generated netlink messages and packets on both modules, in turn,
on user-mode Linux. Compared are replies with errno and extended ack, multicast
messages, upcalls, frames, log lines, drop reasons, and at the end of each round
flows, ports and meters with their statistics, and connections. What the C module
did is kept in the cache, under kernel and seed.

  --seed N          start of the random numbers (default 1)
  --messages N      how many netlink messages (default 100000)
  --packets N       how many packets (default 100000)
  --first N         number of the first round (default 0)
  --module FILE.ko  our module (default: build it)
  --fresh           run the C module again even if its records are cached
  --show N          look into so many of the rounds that differ (default 5)
  --out DIR         where the records go (default: a folder of the cache)
  -h, --help        this text

A round that differs is played again in full. If the C module then does not do
what it did before, the round is up to chance and counts as skipped; otherwise
the least list of operations that differs is looked for and printed. Ends with
the line 'N passed, N failed, N skipped', of rounds.
TXT
}

seed=1 messages=100000 packets=100000 first=0 module='' fresh='' show=5 out=''
while [ $# -gt 0 ]; do
	case $1 in
	--seed | --messages | --packets | --first | --module | --show | --out)
		[ $# -ge 2 ] || die "diff.sh: $1 needs a value (see --help)"
		;;&
	--seed | --messages | --packets | --first | --show)
		case $2 in *[!0-9]* | '') die "diff.sh: $1 wants a number" ;; esac
		;;&
	--seed) seed=$2; shift ;;
	--messages) messages=$2; shift ;;
	--packets) packets=$2; shift ;;
	--first) first=$2; shift ;;
	--module) module=$(realpath -- "$2"); shift ;;
	--show) show=$2; shift ;;
	--out) out=$2; shift ;;
	--fresh) fresh=1 ;;
	-h | --help) usage; exit ;;
	*) die "diff.sh: unknown option '$1' (see --help)" ;;
	esac
	shift
done
need_root
DIFF=$TOP/qemu-ci/diff
[ -n "$out" ] || out=$(per_tree diff)
mkdir -p "$out"
out=$(realpath -- "$out")
[ -e "$(kernel_dir uml)/release" ] || "$TOP/qemu-ci/kernels/uml.sh"
if [ -z "$module" ]; then
	say "building our module for the uml kernel"
	kernel_module uml "$TOP" "$out/module"
	module=$out/module/openvswitch.ko
fi

# tool COMMAND...: what plans and judges, in the tool root.
tool() {
	EXTRA_BIND="$out" in_tools python3 "$DIFF/judge.py" "$@"
}

# play NAME WORK RECORDS: all that WORK says, on one module. A guest that ends
# early is started again behind what ended it.
play() {
	local name=$1 work=$2 records=$3 path=C bind=() rc tries=0
	if [ "$name" != C ]; then
		path=$module bind=(--bind "$(dirname "$module")")
	fi
	rm -f "$records"
	while [ -n "$(tool rest "$work" "$records" "$out/$name.work")" ]; do
		tries=$((tries + 1))
		[ "$tries" -le 20 ] || die "diff.sh: $name ended early for the twentieth time; see $out/$name.dmesg"
		rc=0
		rm -f "$out/$name.part"
		"$TOP/qemu-ci/kernels/boot-uml.sh" --kernel uml --timeout 5000 --results "$out" \
			--dmesg "$out/$name.dmesg" "${bind[@]}" -- \
			python3 "$DIFF/guest.py" --module "$path" --work "$out/$name.work" \
			--out "$out/$name.part" 2>&1 | sed -u "s/^/$name: /" >&2 || rc=${PIPESTATUS[0]}
		[ -s "$out/$name.part" ] || die "diff.sh: nothing from $name (status $rc): see $out/$name.dmesg"
		cat "$out/$name.part" >>"$records"
	done
}

tool plan "$seed" "$messages" "$packets" "$first" "$out/plan.json"
recorded=$(recording diff "$(kernel_dir uml)" "${GUESTROOT##*/}" "$out/plan.json" \
	"$DIFF/guest.py" "$DIFF/generate.py" "$TOP"/qemu-ci/suite/*.py \
	"$TOP"/qemu-ci/suite/cases/{fuzz,actions,conntrack,keys,meter,tunnels}.py)
if [ -n "$fresh" ] || [ ! -s "$recorded" ]; then
	say "the C module"
	play C "$out/plan.json" "$out/c.jsonl"
	cp "$out/c.jsonl" "$recorded.tmp"
	mv "$recorded.tmp" "$recorded"
fi
say "ours"
play ours "$out/plan.json" "$out/ours.jsonl"
cp "$recorded" "$out/c.jsonl"
tool compare "$out" "$show"
# Looking into what differs: again in full, then shorter and shorter lists.
while [ "$(cat "$out/next")" != 'done' ]; do
	say "$(cat "$out/next")"
	play C "$out/next.json" "$out/c-next.jsonl"
	play ours "$out/next.json" "$out/ours-next.jsonl"
	tool step "$out"
done
tool report "$out"

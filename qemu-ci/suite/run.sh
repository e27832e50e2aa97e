#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The differential suite: the same cases on the kernel's own C module and on
# ours, each in a fresh boot of the same kernel, and a comparison.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
. "$TOP/qemu-ci/kernels/lib.sh"

SUITE_DIR=$TOP/qemu-ci/suite

usage() {
	cat <<'TXT'
usage: run.sh [OPTION...]

  --on uml|debug|stock|rt  the kernel: user-mode Linux (default), the debug one,
                     or the distribution's in QEMU, the usual one or its
                     PREEMPT_RT flavour. All but the first are slow and run
                     lists of their own: without the cases marked stock=False,
                     and what DEBUG in registry.py names. On the debug kernel
                     the log and the leak detector have to be clean as well
  --full             the whole list on these, too
  --only PATTERN     only the cases whose name matches (may be repeated)
  --module FILE.ko   our module (default: build it for that kernel)
  --self             the C module twice, to see that the records are stable
  --fresh            run the C module even if the same cases are recorded for it
  --c FILE.jsonl     take the C module's records from an earlier run on that
                     kernel, also of other cases; what it has not, or of another
                     version of the case, is skipped
  --out DIR          where the records go (default: below the cache)
  --seed N           start of the message generator's random numbers
  --count N          how many messages it makes
  --verbose          list the cases that passed, too
  --all              show all differences of a case, not only the first

Ends with a line `N passed, N failed, N skipped`; the exit status is 0 when
nothing failed.
TXT
}

on=uml out='' module='' self='' fresh='' full='' oracle='' guest=() compare=() quiet=(--quiet)
while [ $# -gt 0 ]; do
	case $1 in
	--on | --only | --module | --c | --out | --seed | --count)
		[ $# -ge 2 ] || die "run.sh: $1 needs a value (see run.sh --help)"
		;;&
	--on) on=$2; shift ;;
	--full) full=1 ;;
	--only) guest+=(--only "$2"); shift ;;
	--module) module=$(realpath -- "$2"); shift ;;
	--self) self=1 ;;
	--fresh) fresh=1 ;;
	--c)
		oracle=$(realpath -- "$2")
		[ -s "$oracle" ] || die "run.sh: --c $2: no records there"
		compare+=(--stored)
		shift
		;;
	--out) out=$2; shift ;;
	--seed) export OVS_SEED=$2; shift ;;
	--count) export OVS_COUNT=$2; shift ;;
	--verbose) quiet=() ;;
	--all) compare+=(--all) ;;
	-h | --help) usage; exit ;;
	*) die "run.sh: unknown option '$1' (see run.sh --help)" ;;
	esac
	shift
done
case $on in uml | debug | stock | rt) ;; *) die "run.sh: --on is uml, debug, stock or rt" ;; esac
need_root
[ -n "$out" ] || out=$CACHE/suite-$(key_of "$TOP")/$on
mkdir -p "$out"
out=$(realpath -- "$out")

# build_ours: our module for the chosen kernel; sets $module.
build_ours() {
	say "building our module for the $on kernel"
	if [ "$on" = stock ]; then
		run_logged "$CACHE/log/build.log" "$TOP/qemu-ci/build.sh" modules
		module=$TOP/openvswitch.ko
	elif [ "$on" = rt ]; then
		run_logged "$CACHE/log/build-rt.log" "$TOP/qemu-ci/build.sh" \
			--kdir "$(echo "$(flavour_dir rt)"/headers/usr/src/linux-headers-*)" \
			--out "$out/module" modules
		module=$out/module/openvswitch.ko
	else
		kernel_module "$on" "$TOP" "$out/module"
		module=$out/module/openvswitch.ko
	fi
	[ -f "$module" ] || die "the build made no $module"
}

# run_on NAME MODULE: one boot; the records go to $out/NAME.jsonl.
run_on() {
	local name=$1 path=$2 rc=0 args bind=()
	say "running the suite on $name ($on)"
	rm -f "$out/$name.jsonl"
	local check=()
	args=(env OVS_SEED="${OVS_SEED:-1}" OVS_COUNT="${OVS_COUNT:-}"
		python3 "$SUITE_DIR/guest.py" --module "$path" --out "$out/$name.jsonl" "${guest[@]}")
	if [ "$on" = stock ] || [ "$on" = rt ]; then
		[ "$on" = stock ] || bind+=(--kernel "$(flavour_dir rt)/root")
		args+=(--slow 20)
		[ -n "${full:-}" ] || args+=(--stock)
		[ "$path" = C ] || bind+=(--ro "$(dirname "$path")")
		"$TOP/qemu-ci/boot.sh" --timeout 1500 --results "$out" "${bind[@]}" -- \
			"${args[@]}" || rc=$?
	else
		[ "$on" = debug ] || args+=(--slow 6)
		if [ "$on" = debug ]; then
			args+=(--slow 30)
			[ -n "${full:-}" ] || args+=(--debug)
			check=(--check-log)
		fi
		[ "$path" = C ] || bind=(--bind "$(dirname "$path")")
		"$TOP/qemu-ci/kernels/boot-uml.sh" --kernel "$on" --timeout 1500 --mem 1536M "${check[@]}" \
			--results "$out" --dmesg "$out/$name.dmesg" "${bind[@]}" -- \
			"${args[@]}" || rc=$?
	fi
	[ -s "$out/$name.jsonl" ] ||
		die "no records from $name (exit $rc): the guest did not run; see $out"
	[ "$rc" = 0 ] || say "$name ended with status $rc"
	[ "$rc" != 99 ] || [ "$name" != ours ] ||
		compare+=(--failure "the kernel's log or the leak detector has a report, see $out/ours.dmesg")
}

# find_oracle: the C module's records of these very cases, from an earlier run that had
# no trouble, or else from one that is made now; sets $oracle.
find_oracle() {
	local list=("${guest[@]}") kept kernel common
	case $on in
	stock | rt) [ -n "$full" ] || list+=(--stock) ;;&
	rt) kernel=$(flavour_dir rt) ;;
	stock) kernel=$(stock_dir) ;;
	debug) [ -n "$full" ] || list+=(--debug) ;;&
	*) kernel=$(kernel_dir "$on") ;;
	esac
	in_tools env OVS_SEED="${OVS_SEED:-1}" OVS_COUNT="${OVS_COUNT:-}" \
		python3 "$SUITE_DIR/guest.py" --module C --list "${list[@]}" >"$out/c.list" ||
		die "run.sh: no such case"
	# What all cases have in common; the list has the versions of the cases.
	mapfile -t common < <(find "$SUITE_DIR" -maxdepth 1 -name '*.py' ! -name compare.py | sort)
	kept=$(recording "suite-$on" "${kernel##*/}" "${GUESTROOT##*/}" "${common[@]}" \
		"$out/c.list" "${OVS_SEED:-1}" "${OVS_COUNT:-}")
	if [ -n "$fresh" ] || [ ! -s "$kept" ]; then
		run_on c C
		oracle=$out/c.jsonl
		if grep -qE '^\{"end": true, "unload": null' "$oracle" &&
			! grep -qE '"status": "(error|failed)"' "$oracle"; then
			cp "$oracle" "$kept.tmp" && mv "$kept.tmp" "$kept"
		fi
	else
		say "the C module did these cases before: $kept"
		oracle=$kept
	fi
}

case $on in
stock) ;;
rt) [ -e "$(flavour_dir rt)/abi" ] || "$TOP/qemu-ci/setup/kernel-flavour.sh" rt ;;
*) [ -e "$(kernel_dir "$on")/release" ] || "$KERNELS/$on.sh" ;;
esac
if [ -n "$self" ]; then
	run_on c-1 C
	run_on c-2 C
	EXTRA_BIND="${EXTRA_BIND:-} $out" in_tools python3 "$SUITE_DIR/compare.py" --no-known "${quiet[@]}" "${compare[@]}" \
		--json "$out/self.json" "$out/c-1.jsonl" "$out/c-2.jsonl"
	exit
fi
[ -n "$module" ] || build_ours
[ -n "$oracle" ] || find_oracle
run_on ours "$module"
say "comparing; all differences are in $out/compare.json"
EXTRA_BIND="${EXTRA_BIND:-} $out $(dirname "$oracle")" in_tools python3 "$SUITE_DIR/compare.py" \
	"${quiet[@]}" "${compare[@]}" \
	--json "$out/compare.json" "$oracle" "$out/ours.jsonl"

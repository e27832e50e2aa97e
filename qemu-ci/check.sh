#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# `make check` and `make check-all`: the tests, two at a time, and one closing line.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# NAME|COMMAND. Each ends with a line 'N passed, N failed, N skipped'. The two
# lanes run side by side; one that is done takes over from the other. The first
# is mostly guests in QEMU on the stock kernel, the second what is built and
# run natively.
LANE1=(
	'module|qemu-ci/check/module.sh'
	'demo|qemu-ci/demo.sh'
	'suite-stock|qemu-ci/suite/run.sh --on stock'
	'offload|qemu-ci/offload/check.sh'
	'mlx5-check|qemu-ci/mlx5/check.sh'
)
LANE2=(
	'kunit|qemu-ci/kunit.sh'
	'suite|qemu-ci/suite/run.sh --on uml'
	'selftests|qemu-ci/selftests.sh --on uml'
	'check-kernel|qemu-ci/check-kernel.sh --part 1/5 --list-failed'
	'kunit-debug|qemu-ci/kunit.sh --kernel debug'
	'suite-debug|qemu-ci/suite/run.sh --on debug'
	'lint|qemu-ci/lint.sh'
)
# What --all has beside them, and what it runs in place of a piece's short form.
ALL=(
	'selftests-stock|qemu-ci/selftests.sh --on stock'
	'check-kernel|qemu-ci/check-kernel.sh'
)
usage() {
	cat <<'TXT'
usage: check.sh [OPTION...] [PIECE...]

  --all           the long lists of all pieces; takes an hour or two
  --record FILE   write the result, with date and versions, as reStructuredText
  --results DIR   where logs and check.json go (default: a folder of the cache)
  --skip PIECE    leave a piece out (may be repeated); counts as skipped
  --list          list the pieces
  -h, --help      this text

Runs the pieces of --list, or those named. Ends with one line 'N passed, N failed,
N skipped' and fails if anything failed.
TXT
}

# long_lists: what ALL has takes the place of a piece of that name, or comes after
# the others.
long_lists() {
	local entry i
	for entry in "${ALL[@]}"; do
		for i in "${!LANE2[@]}"; do
			if [ "${LANE2[i]%%|*}" = "${entry%%|*}" ]; then
				LANE2[i]=$entry
				continue 2
			fi
		done
		LANE1+=("$entry")
	done
}

results=$(per_tree check) record='' pieces=() skip=()
while [ $# -gt 0 ]; do
	case $1 in
	--results | --skip | --record)
		[ $# -ge 2 ] || die "check.sh: $1 needs a value (see --help)"
		[ "$1" = --results ] && results=$2
		[ "$1" = --skip ] && skip+=("$2")
		[ "$1" = --record ] && record=$(realpath -- "$2")
		shift
		;;
	--all) long_lists ;;
	--list) printf '%s\n' "${LANE1[@]}" "${LANE2[@]}" | cut -d'|' -f1; exit ;;
	-h | --help) usage; exit ;;
	-*) die "check.sh: unknown option '$1' (see --help)" ;;
	*) pieces+=("$1") ;;
	esac
	shift
done
known=" $(printf '%s\n' "${LANE1[@]}" "${LANE2[@]}" | cut -d'|' -f1 | tr '\n' ' ')"
for p in "${pieces[@]}" "${skip[@]}"; do
	[[ $known = *" $p "* ]] || die "check.sh: no piece '$p' (see --list)"
done
need_root
need_space 8000
rm -rf "$results"
mkdir -p "$results"
results=$(realpath "$results")
cd "$TOP"

# wanted NAME: is this piece asked for?
wanted() {
	[[ " ${skip[*]} " != *" $1 "* ]] || return 1
	[ ${#pieces[@]} = 0 ] || [[ " ${pieces[*]} " = *" $1 "* ]]
}

# run_piece NAME COMMAND: run it and leave its counts in NAME.counts.
run_piece() {
	local name=$1 log=$results/$1.log rc=0 start=$SECONDS line p=0 f=0 s=0 note=''
	say "$name: begins"
	# shellcheck disable=SC2086 # a command with its arguments
	$2 >"$log" 2>&1 </dev/null || rc=$?
	line=$(grep -aE '^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped' "$log" | tail -n 1) || true
	if [ -n "$line" ]; then
		read -r p f s < <(sed -E 's/^([0-9]+) passed, ([0-9]+) failed, ([0-9]+) skipped.*/\1 \2 \3/' <<<"$line")
		if [ "$rc" != 0 ] && [ "$f" = 0 ]; then
			f=1 note="ended with status $rc"
		elif [ $((p + f)) = 0 ]; then
			f=1 note='ran no test'
		fi
	else
		f=1 note="ended with status $rc and without a result"
	fi
	echo "$p $f $s $((SECONDS - start)) $note" >"$results/$name.counts"
	say "$name: $p passed, $f failed, $s skipped in $((SECONDS - start)) s${note:+ ($note)}"
	[ "$f" = 0 ] || grep -avE '^\[ *[0-9]+s\]' "$log" | tail -n 25 | sed "s/^/    $name: /" >&2
}

# write_record: the result for Documentation/.
write_record() {
	local abi kernel
	abi=$(stock_abi)
	kernel=$(cat "$(. "$TOP/qemu-ci/kernels/lib.sh"; kernel_dir uml)/release" 2>/dev/null) || kernel='?'
	EXTRA_BIND="$results $(dirname "$record")" in_tools python3 "$TOP/qemu-ci/check/record.py" \
		--fact "Commit=$(git rev-parse --short=12 HEAD 2>/dev/null || echo none)" \
		--fact "Stock kernel=$abi" --fact "User-mode Linux=$kernel" \
		--fact "Open vSwitch=$(chroot "$GUESTROOT" dpkg-query -W -f '${Version}' openvswitch-switch)" \
		--fact "Processors=$(nproc) of $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1)" \
		--fact "KVM=$([ -w /dev/kvm ] && echo yes || echo no)" \
		"$results/check.json" "$(per_tree check-kernel)/uml/check-kernel.json" "$record"
	say "the result is in $record"
}

# lane ENTRY...: run those that no other lane has claimed.
lane() {
	local entry
	for entry in "$@"; do
		wanted "${entry%%|*}" || continue
		mkdir "$results/${entry%%|*}.claim" 2>/dev/null || continue
		run_piece "${entry%%|*}" "${entry#*|}"
	done
}

# pulse: what is running, twice a minute.
pulse() {
	local c n
	while sleep 30; do
		for c in "$results"/*.claim; do
			n=$(basename "$c" .claim)
			[ ! -e "$results/$n.counts" ] || continue
			say "$n: … $(tail -c 300 "$results/$n.log" 2>/dev/null | tr '\r' '\n' |
				grep -a . | tail -n 1 | cut -c1-90)"
		done
	done
}

"$TOP/qemu-ci/setup/all.sh"
pulse &
pulse=$!
trap end_children EXIT
trap 'exit 130' INT TERM
lane "${LANE1[@]}" "${LANE2[@]}" &
one=$!
lane "${LANE2[@]}" "${LANE1[@]}" &
wait "$one" "$!" || true
kill "$pulse" 2>/dev/null

passed=0 failed=0 skipped=${#skip[@]}
json=''
printf '\n%-14s %8s %8s %8s %8s\n' piece passed failed skipped seconds
for entry in "${LANE1[@]}" "${LANE2[@]}"; do
	name=${entry%%|*}
	wanted "$name" || continue
	p=0 f=1 s=0 t=0 note='did not run'
	[ ! -s "$results/$name.counts" ] || read -r p f s t note <"$results/$name.counts"
	printf '%-14s %8d %8d %8d %8d  %s\n' "$name" "$p" "$f" "$s" "$t" "$note"
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
	json+=$(printf '{"piece":"%s","passed":%d,"failed":%d,"skipped":%d,"seconds":%d,"note":"%s"},' \
		"$name" "$p" "$f" "$s" "$t" "$note")
done
rm -rf "$results"/*.claim "$results"/*.counts
printf '{"pieces":[%s],"passed":%d,"failed":%d,"skipped":%d,"seconds":%d}\n' \
	"${json%,}" "$passed" "$failed" "$skipped" "$((SECONDS - START_SECONDS))" >"$results/check.json"
say "logs and check.json are in $results"
[ -z "$record" ] || write_record
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]

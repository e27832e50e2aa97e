#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Our module's flows in the switch of the mlx5 device model, through the real
# driver: where each flow runs, what comes out, and that the counters add up.
. "$(dirname "${BASH_SOURCE[0]}")/../mlx5/lib.sh"

usage() {
	cat <<'TXT'
usage: check.sh [--kernel pc] [--module FILE.ko] [--only TEXT] [--results DIR]

  --kernel pc       a debug kernel with NET_TC_SKB_EXT in place of the stock one, which is built if it is not there (a quarter of an hour)
  --module FILE.ko  our module, built for that kernel (default: build it)
  --only TEXT       only the first case (the set-up) and those whose title has a word of TEXT, which are comma-separated
  --results DIR     where logs and results go

Prints a table and "N passed, N failed, N skipped"; the exit status is 1 if
anything failed.
TXT
}

kernel='' module='' only='' results=$CACHE/results/offload
while [ $# -gt 0 ]; do
	case $1 in
	--kernel | --module | --only | --results)
		[ $# -ge 2 ] || die "offload/check.sh: $1 needs a value (see --help)"
		;;&
	--kernel)
		[ "$2" = pc ] || die "offload/check.sh: no kernel '$2' (pc; none: the stock one)"
		kernel=$2
		shift
		;;
	--module) module=$(realpath -- "$2"); shift ;;
	--only) only=$2; shift ;;
	--results) results=$2; shift ;;
	-h | --help) usage; exit ;;
	*) die "offload/check.sh: unknown option '$1' (see --help)" ;;
	esac
	shift
done

mlx5_setup
if [ -z "$kernel" ]; then
	mlx5_modules module "$module"
	boot=(--timeout 900 --env "MLX5_KO=$MLX5_KO" --ro "${MLX5_KO%/*}")
else
	. "$TOP/qemu-ci/kernels/lib.sh"
	"$TOP/qemu-ci/kernels/$kernel.sh"
	boot=(--timeout 2400 --kernel "$(kernel_dir "$kernel")/root" --env CHAINS=1)
	if [ -z "$module" ]; then
		say "module: build for the $kernel kernel"
		out=$(per_tree "offload-$kernel")
		kernel_module "$kernel" "$TOP" "$out"
		module=$out/openvswitch.ko
	fi
fi

rm -rf "$results"
mkdir -p "$results"
RUN=$(mktemp -d "$MLX5_CACHE/run.XXXXXX")
trap 'mlx5_stop "$RUN" 2>/dev/null; rm -rf "$RUN"' EXIT

say "offload: boot with the device model"
rc=0
mlx5_start "$RUN" --vfs 4
mlx5_boot "$RUN" --results "$results" --module "$module" "${boot[@]}" \
	-- python3 "$TOP/qemu-ci/offload/check_offload.py" ${only:+"$only"} \
	>"$results/offload.log" 2>&1 || rc=$?
grep -E '^(PASS|FAIL|SKIP) ' "$results/offload.log" || true
mlx5_stop "$RUN"
cp "$RUN/model.log" "$results/"
if [ "$rc" -gt 1 ]; then
	tail -n 5 "$results/offload.log" >&2
	echo "0 passed, 1 failed, 0 skipped"
	die "the guest ended with status $rc; its log is $results/offload.log"
fi
# The rest needs two guests: not where some cases were asked for.
if [ -z "$only$kernel" ] && ! "$TOP/qemu-ci/offload/same.sh" "$module" "$results/same" &&
	[ ! -e "$results/same/same.json" ]; then
	mkdir -p "$results/same"
	echo '[{"suite":"same","case":"both guests","status":"fail","detail":"did not run","seconds":0}]' \
		>"$results/same/same.json"
fi
EXTRA_BIND=$results in_tools python3 "$TOP/qemu-ci/mlx5/report.py" "$results"

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Check the mlx5 device model: its own tests, the stock driver on it, and tc
# rules that run in its switch.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
	cat <<'TXT'
usage: check.sh [--json FILE] [--cycles N] [SUITE...]

Suites: unit (no guest), fault (a model or a guest that dies), nic (the stock
kernel's own driver), tc (rules run in the model's switch), vxlan, ovs.
Default: all. Prints a table, and "N passed, N failed, N skipped" at the end;
the exit status is 1 if anything failed. --json also writes the results there.
--cycles N: load and unload the driver so many times in nic (default 20).
TXT
}

json='' cycles=20 suites=()
while [ $# -gt 0 ]; do
	case $1 in
	--json) json=$2; shift ;;
	--cycles) cycles=$2; shift ;;
	-h | --help) usage; exit ;;
	unit | fault | nic | tc | vxlan | ovs) suites+=("$1") ;;
	*) usage >&2; exit 2 ;;
	esac
	shift
done
[ ${#suites[@]} -gt 0 ] || suites=(unit fault nic tc vxlan ovs)

mlx5_setup
results=$CACHE/results/mlx5
rm -rf "$results"
mkdir -p "$results"
RUN=$(mktemp -d "$MLX5_CACHE/run.XXXXXX")
trap 'mlx5_stop "$RUN" 2>/dev/null; rm -rf "$RUN"' EXIT

# guest SUITE SECONDS [BOOT.SH OPTION...]: one boot, one suite.
guest() {
	local name=$1 limit=$2 rc=0
	shift 2
	say "$name"
	mlx5_start "$RUN/$name" --vfs 4
	mlx5_boot "$RUN/$name" --timeout "$limit" --results "$results/$name" --env "MLX5_CYCLES=$cycles" "$@" \
		-- python3 "$TOP/qemu-ci/mlx5/check_$name.py" >"$results/$name.log" 2>&1 || rc=$?
	grep -E '^(PASS|FAIL|SKIP) ' "$results/$name.log" || true
	mlx5_stop "$RUN/$name"
	cp "$RUN/$name/model.log" "$results/$name/"
	if [ "$rc" != 0 ] && [ "$rc" != 1 ]; then
		tail -n 5 "$results/$name.log" >&2
		lost "$name" "the guest ended with status $rc"
	fi
	# Something that the model cannot explain is a failure of the model.
	if grep -q 'error: ' "$results/$name/model.log"; then
		lost "$name" "the model's log has $(grep -c 'error: ' "$results/$name/model.log") errors: $(grep -m1 'error: ' "$results/$name/model.log")"
	fi
}

# lost SUITE TEXT: a failure outside any case.
lost() {
	in_tools python3 -c 'import json, sys
print(json.dumps([dict(suite=sys.argv[1], case="the run itself", status="fail", detail=sys.argv[2], seconds=0)]))' \
		"$1" "$2" >"$results/$1-run.json"
}

tc_driver() {
	local ko
	ko=$("$TOP/qemu-ci/mlx5/driver.sh")
	printf -- '--env\nMLX5_KO=%s\n--ro\n%s\n' "$ko" "${ko%/*}"
}

for s in "${suites[@]}"; do
	case $s in
	unit)
		say "unit"
		if mlx5_cargo test --release --locked >"$results/unit.log" 2>&1; then rc=0; else rc=1; fi
		in_tools python3 "$TOP/qemu-ci/mlx5/cargo_results.py" "$rc" <"$results/unit.log" >"$results/unit.json"
		;;
	fault) in_tools env RESULTS="$results" python3 "$TOP/qemu-ci/mlx5/check_fault.py" "$MLX5_BIN" "$RUN" || true ;;
	nic) guest nic 900 ;;
	tc | vxlan | ovs)
		mapfile -t with_tc < <(tc_driver)
		guest "$s" 400 "${with_tc[@]}"
		;;
	esac
done

EXTRA_BIND="${json:+$(dirname "$(realpath -m "$json")")}" in_tools \
	python3 "$TOP/qemu-ci/mlx5/report.py" "$results" ${json:+"$(realpath -m "$json")"}

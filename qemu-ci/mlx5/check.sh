#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Check the mlx5 device model: its own tests, the stock driver on it, and tc
# rules that run in its switch.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
	cat <<'TXT'
usage: check.sh [OPTION...] [SUITE...]

Suites: unit (no guest), fault (a broken client), nic (the stock kernel's own
driver), far (hosts behind TAP devices), tc (rules run in the model's switch),
vxlan, ovs.
Default: all. Prints a table, and "N passed, N failed, N skipped" at the end;
the exit status is 1 if anything failed.

  --json FILE      write the results there too
  --results DIR    where logs go (default: a folder of the cache)
  --cycles N       load and unload the driver so many times in nic (default 20)
  --only WORD,...  in the guests, only cases with one of the words in their title
                   (most need the one that loads the driver: --only load,goto)
TXT
}

json='' results=$(per_tree mlx5-check) only='' cycles=20 suites=() model_args=() same_model=''
while [ $# -gt 0 ]; do
	case $1 in
	--json | --results | --cycles | --only)
		[ $# -ge 2 ] || die "mlx5/check.sh: $1 needs a value (see --help)"
		[ "$1" = --json ] && json=$2
		[ "$1" = --cycles ] && cycles=$2
		[ "$1" = --results ] && results=$2
		[ "$1" = --only ] && only=$2
		shift
		;;
	-h | --help) usage; exit ;;
	unit | fault | nic | far | tc | vxlan | ovs) suites+=("$1") ;;
	*) die "mlx5/check.sh: no suite or option '$1' (see --help)" ;;
	esac
	shift
done
case $cycles in *[!0-9]* | '' | 0) die "mlx5/check.sh: --cycles wants a number from 1 up" ;; esac
[ ${#suites[@]} -gt 0 ] || suites=(unit fault nic far tc vxlan ovs)

mlx5_setup
rm -rf "$results"
mkdir -p "$results"
results=$(realpath "$results")
RUN=$(mktemp -d "$MLX5_CACHE/run.XXXXXX")
trap 'end_children; rm -rf "$RUN"' EXIT
trap 'exit 130' INT TERM

# guest SUITE SECONDS [BOOT.SH OPTION...]: one boot, one suite.
guest() {
	local name=$1 limit=$2 rc=0 dir
	shift 2
	say "$name"
	mkdir -p "$results/$name"
	if [ -n "$same_model" ]; then
		dir=$RUN/$same_model
	else
		dir=$RUN/$name
		mlx5_start "$dir" --vfs 4 "${model_args[@]}"
	fi
	! declare -F "hosts_of_$name" >/dev/null || "hosts_of_$name"
	mlx5_boot "$dir" --timeout "$limit" --results "$results/$name" --env "MLX5_CYCLES=$cycles" --env MLX5_DIE=1 "$@" \
		-- python3 "$TOP/qemu-ci/mlx5/check_$name.py" ${only:+"$only"} >"$results/$name.log" 2>&1 || rc=$?
	grep -E '^(PASS|FAIL|SKIP) ' "$results/$name.log" || true
	if [ -e "$results/$name/died" ]; then
		rc=0 same_model=$name
		died "$name" "$dir"
	else
		mlx5_stop "$dir"
		mlx5_cleanup
		same_model=
	fi
	cp "$dir/model.log" "$results/$name/"
	if [ "$rc" != 0 ] && [ "$rc" != 1 ]; then
		tail -n 5 "$results/$name.log" >&2
		lost "$name" "the guest ended with status $rc"
	fi
	# Something that the model cannot explain is a failure of the model.
	if grep -q 'error: ' "$results/$name/model.log"; then
		lost "$name" "the model's log has $(grep -c 'error: ' "$results/$name/model.log") errors: $(grep -m1 'error: ' "$results/$name/model.log")"
	fi
}

# hosts_of_far: the hosts that check_far.py expects, with what runs on them until
# the namespaces end, or for ten minutes.
hosts_of_far() {
	local wire='' two='' three=''
	mlx5_host wire far-up 10.9.1.2/24 02:00:00:00:01:00
	mlx5_host two far-vf2 10.7.0.2/24 02:00:00:00:00:22
	mlx5_host three far-vf3 10.7.0.3/24 02:00:00:00:00:33
	mlx5_in "$two" ip neigh replace 10.7.0.3 lladdr 02:00:00:00:00:33 dev far-vf2
	mlx5_in "$three" ip neigh replace 10.7.0.2 lladdr 02:00:00:00:00:22 dev far-vf3
	mlx5_guest_in "$wire" timeout 600 iperf3 -s >"$results/far/iperf3.log" 2>&1 &
	MLX5_KEEPERS+=("$!")
	mlx5_guest_in "$two" ping -q -c 3000 -i 0.2 10.7.0.3 >"$results/far/ping.log" 2>&1 &
	MLX5_KEEPERS+=("$!")
}

# died SUITE DIR: its guest has ended at once, with the driver loaded and frames
# under way, and has left a mark of that. The model serves the next one.
died() {
	local status
	sleep 1
	mlx5_ctl "$2" gen-stop >/dev/null || true
	status=$(mlx5_ctl "$2" status | tr -d ' \n') || status='no answer'
	row "$1" "the guest dies while frames pass: the model forgets it, and serves the next" \
		"$(case $status in
			*'"flow_entries":0,'*'"initialized":false'*'"vports":2,'*) echo pass ;;
			*) echo fail ;;
		esac)" "$status" >"$results/$1-died.json"
}

# row SUITE CASE STATUS DETAIL: one result.
row() {
	in_tools python3 -c 'import json, sys
print(json.dumps([dict(zip(("suite", "case", "status", "detail"), sys.argv[1:]), seconds=0)]))' "$@"
}

# lost SUITE TEXT: a failure outside any case.
lost() {
	row "$1" "the run itself" fail "$2" >"$results/$1-run.json"
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
	far | tc | vxlan | ovs)
		mapfile -t with_tc < <(tc_driver)
		if [ "$s" = far ]; then
			# It needs a model of its own.
			[ -z "$same_model" ] || mlx5_stop "$RUN/$same_model"
			same_model=
			mlx5_namespace MLX5_NETNS
			model_args=(--tap uplink=far-up --tap vf2=far-vf2 --tap vf3=far-vf3)
		fi
		guest "$s" 400 "${with_tc[@]}"
		model_args=()
		;;
	esac
done

[ -z "$same_model" ] || mlx5_stop "$RUN/$same_model"
EXTRA_BIND="${json:+$(dirname "$(realpath -m "$json")")}" in_tools \
	python3 "$TOP/qemu-ci/mlx5/report.py" "$results" ${json:+"$(realpath -m "$json")"}

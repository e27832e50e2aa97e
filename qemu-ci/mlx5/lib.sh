# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Build the device model, start it, and boot a machine with it attached.
# Source it; it runs nothing by itself.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

MLX5_CACHE=$(per_tree mlx5-model)
MLX5_BIN=$MLX5_CACHE/target/release/mlx5-model
MLX5_PID=
# A process in the network namespace that the model runs in, where its TAP devices
# appear; none: this shell's own.
MLX5_NETNS=
# Processes that keep a namespace.
MLX5_KEEPERS=()
export MLX5_CACHE MLX5_BIN

# mlx5_cargo ARGUMENT...: cargo of the tool root, on the model's package.
mlx5_cargo() {
	mkdir -p "$MLX5_CACHE"
	# The certificates that this machine trusts, for the package registry.
	[ ! -f /etc/ssl/certs/ca-certificates.crt ] ||
		cp -u /etc/ssl/certs/ca-certificates.crt "$MLX5_CACHE/ca.crt"
	(cd "$TOP/qemu-ci/mlx5-model" && in_tools env \
		CARGO_HTTP_CAINFO="$MLX5_CACHE/ca.crt" CARGO_HOME="$CACHE/cargo" \
		CARGO_TARGET_DIR="$MLX5_CACHE/target" \
		MLX5_INCLUDE="$KSRC/include/linux/mlx5" nice -n 5 cargo "$@")
}

# mlx5_setup: everything that a run needs, made if it is not there.
mlx5_setup() {
	need_root
	[ -d "$TOOLROOT" ] || "$TOP/qemu-ci/setup/toolroot.sh"
	[ -d "$GUESTROOT" ] || "$TOP/qemu-ci/setup/guestroot.sh"
	[ -e "$(stock_dir)/abi" ] || "$TOP/qemu-ci/setup/kernel-stock.sh"
	locked "${MLX5_CACHE##*/}" run_logged "$CACHE/log/${MLX5_CACHE##*/}.log" mlx5_cargo build --release --locked
}

# mlx5_start DIR OPTION...: start the model with its sockets in DIR.
mlx5_start() {
	local dir=$1 tries=100
	shift
	mkdir -p "$dir"
	mlx5_in "$MLX5_NETNS" "$MLX5_BIN" run --dir "$dir" "$@" 2>"$dir/model.log" </dev/null &
	MLX5_PID=$!
	while [ $((tries -= 1)) -gt 0 ]; do
		! grep -q 'ready:' "$dir/model.log" 2>/dev/null || return 0
		kill -0 "$MLX5_PID" 2>/dev/null || break
		sleep 0.1
	done
	cat "$dir/model.log" >&2
	die "the device model did not start"
}

# mlx5_namespace NAME: make a network namespace; NAME is set to the id of a
# process in it.
mlx5_namespace() {
	local -n keeper=$1
	unshare --net sleep 3600 </dev/null &
	keeper=$!
	MLX5_KEEPERS+=("$keeper")
	while [ "$(readlink "/proc/$keeper/ns/net")" = "$(readlink /proc/self/ns/net)" ]; do
		kill -0 "$keeper" 2>/dev/null || die "no network namespace could be made"
		sleep 0.05
	done
	mlx5_in "$keeper" ip link set lo up
}

# mlx5_in PID COMMAND...: a command of the tool root, in that namespace.
mlx5_in() {
	local pid=$1
	shift
	if [ -z "$pid" ]; then in_tools "$@"; else in_tools nsenter "--net=/proc/$pid/ns/net" "$@"; fi
}

# mlx5_guest_in PID COMMAND...: a command of the guest root, in that namespace
# outside the guest.
mlx5_guest_in() {
	# shellcheck disable=SC2016 # the inner shell expands these
	in_tools sh -c 'mount --rbind /dev "$2/dev" && mount -t tmpfs tmpfs "$2/tmp" &&
		net=$1 root=$2 && shift 2 && exec nsenter "--net=/proc/$net/ns/net" chroot "$root" "$@"' \
		sh "$1" "$GUESTROOT" "${@:2}"
}

# mlx5_host NAME TAP ADDRESS/LENGTH MAC: a host behind a TAP device of the model,
# in a namespace of its own; NAME is set as by mlx5_namespace.
mlx5_host() {
	mlx5_namespace "$1"
	mlx5_in "$MLX5_NETNS" ip link set "$2" netns "${!1}"
	mlx5_in "${!1}" sh -c 'sysctl -qw net.ipv6.conf.all.disable_ipv6=1 2>/dev/null
		ip link set "$1" address "$3" && ip addr add "$2" dev "$1" && ip link set "$1" up' \
		sh "$2" "$3" "$4"
}

# mlx5_ctl DIR REQUEST [KEY=VALUE...]
mlx5_ctl() {
	in_tools "$MLX5_BIN" ctl "$@"
}

# mlx5_stop DIR: end the model.
mlx5_stop() {
	[ -n "$MLX5_PID" ] || return 0
	mlx5_ctl "$1" quit >/dev/null 2>&1 || kill "$MLX5_PID" 2>/dev/null || true
	wait "$MLX5_PID" 2>/dev/null || true
	MLX5_PID=
}

# mlx5_cleanup: end the namespaces, and what was put into MLX5_KEEPERS besides.
mlx5_cleanup() {
	local p
	for p in "${MLX5_KEEPERS[@]}"; do
		# shellcheck disable=SC2046 # they are numbers
		kill $(tree_of "$p") 2>/dev/null || true
	done
	MLX5_KEEPERS=() MLX5_NETNS=
}

# mlx5_qemu_args DIR: arguments for boot.sh that attach the model: the device,
# and its control socket as the serial port named "mlx5-model" in the guest.
mlx5_qemu_args() {
	printf -- '--qemu\n%s\n' \
		-device "{\"driver\":\"vfio-user-pci\",\"socket\":{\"type\":\"unix\",\"path\":\"$1/device.sock\"}}" \
		-chardev "socket,id=mlx5ctl,path=$1/control.sock" \
		-device virtio-serial-pci,id=mlx5ser \
		-device virtserialport,bus=mlx5ser.0,chardev=mlx5ctl,name=mlx5-model
}

# mlx5_boot DIR [BOOT.SH OPTION...] -- COMMAND...
mlx5_boot() {
	local dir=$1 args
	shift
	mapfile -t args < <(mlx5_qemu_args "$dir")
	"$TOP/qemu-ci/boot.sh" "${args[@]}" "$@"
}

# mlx5_modules NAME FILE: NAME is set to FILE, our module for the stock kernel,
# or without FILE to the one of this tree, which is built then; MLX5_KO to the
# driver that takes flows.
mlx5_modules() {
	local -n ko=$1
	ko=$2
	if [ -z "$ko" ]; then
		say "building openvswitch.ko"
		run_logged "$CACHE/log/build.log" "$TOP/qemu-ci/build.sh" modules
		ko=$TOP/openvswitch.ko
	fi
	[ -f "$ko" ] || die "no module $ko"
	MLX5_KO=$("$TOP/qemu-ci/mlx5/driver.sh")
}

# mlx5_side NAME RESULTS BOOT.SH-ARGUMENT...: one of two guests, with a device
# model of its own. See mlx5_both.
mlx5_side() {
	local name=$1 results=$2 rc=0
	shift 2
	mlx5_start "$RUN/$name" --vfs 4
	mlx5_boot "$RUN/$name" --clean-log --results "$results/$name" --rw "$results/shared" \
		--env "MLX5_KO=$MLX5_KO" --ro "${MLX5_KO%/*}" "${@//\{\}/"$name"}" 2>&1 |
		sed -u -e '/Could not enable error recovery/d' -e "s/^/$(printf '%-5s|' "$name")/" || rc=$?
	# Whatever happened, the other one shall not wait.
	touch "$results/shared/$name.over"
	mlx5_stop "$RUN/$name"
	cp "$RUN/$name/model.log" "$results/$name/"
	return "$rc"
}

# mlx5_both MODULE RESULTS [BOOT.SH OPTION...] -- COMMAND...: two guests side by
# side, "ours" with MODULE and "c" with the kernel's own. {} in a word is the name.
# RESULTS, which is made anew, has a folder of each name, and one that they
# share, with NAME.over in it when that guest has ended.
mlx5_both() {
	local module=$1 results=$2 c rc=0
	shift 2
	rm -rf "$results"
	mkdir -p "$results/ours" "$results/c" "$results/shared" || return
	RUN=$(mktemp -d "$MLX5_CACHE/run.XXXXXX") || return
	trap 'end_children; rm -rf "$RUN"' EXIT
	trap 'exit 130' INT TERM
	mlx5_side c "$results" "$@" &
	c=$!
	mlx5_side ours "$results" --module "$module" "$@" || rc=$?
	wait "$c" || rc=$?
	[ "$rc" = 0 ] || printf 'error: a run ended with status %s (99: the kernel log has a report)\n' "$rc" >&2
	return "$rc"
}

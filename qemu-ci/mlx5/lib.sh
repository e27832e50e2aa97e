# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Build the device model, start it, and boot a machine with it attached.
# Source it; it runs nothing by itself.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

MLX5_CACHE=$(per_tree mlx5-model)
MLX5_BIN=$MLX5_CACHE/target/release/mlx5-model
MLX5_PID=
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
	in_tools "$MLX5_BIN" run --dir "$dir" "$@" 2>"$dir/model.log" </dev/null &
	MLX5_PID=$!
	while [ $((tries -= 1)) -gt 0 ]; do
		! grep -q 'ready:' "$dir/model.log" 2>/dev/null || return 0
		kill -0 "$MLX5_PID" 2>/dev/null || break
		sleep 0.1
	done
	cat "$dir/model.log" >&2
	die "the device model did not start"
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

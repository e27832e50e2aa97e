#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Build mlx5_core.ko with tc offload for the stock kernel, from Debian's own
# source of that kernel, unchanged.
#
# Debian's kernel has CONFIG_NET_TC_SKB_EXT off, and with it CONFIG_MLX5_CLS_ACT:
# its mlx5_core.ko has representors but no tc offload. The driver needs the
# extension for one thing, see driver/no-skb-ext.h, so the rest can be had on
# the stock kernel. Prints the module's path.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

here=$TOP/qemu-ci/mlx5
stock=$(stock_dir)
[ -e "$stock/abi" ] || "$TOP/qemu-ci/setup/kernel-stock.sh"
abi=$(cat "$stock/abi")
out=$CACHE/mlx5-driver-$(key_of "$here/driver/no-skb-ext.h" "$here/driver.sh" "${stock##*-}")

build() {
	[ ! -e "$out/mlx5_core.ko" ] || return 0
	say "mlx5_core.ko with tc offload: building (some minutes, once)"
	mkdir -p "$out/mellanox"
	cp -ru "$KSRC"/drivers/net/ethernet/mellanox/{mlx5,mlxfw} "$out/mellanox/"
	run_logged "$CACHE/log/mlx5-driver.log" in_tools nice -n 5 make -C "$KSRC" O="$stock/build" -j2 \
		CC=x86_64-linux-gnu-gcc-14 HOSTCC=gcc-14 KERNELRELEASE="$abi" \
		M="$out/mellanox/mlx5/core" CONFIG_MLX5_CLS_ACT=y \
		KCFLAGS="-DCONFIG_MLX5_CLS_ACT=1 -include $here/driver/no-skb-ext.h" modules
	in_tools strip --strip-debug -o "$out/mlx5_core.ko" "$out/mellanox/mlx5/core/mlx5_core.ko"
	rm -rf "$out/mellanox"
}

locked mlx5-driver build
printf '%s\n' "$out/mlx5_core.ko"

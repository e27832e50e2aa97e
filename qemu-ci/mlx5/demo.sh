#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Show the mlx5 device model: representors, and a tc rule that moves traffic
# from the CPU to the model's switch, with the counters that prove it.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

no_arguments "$@"

mlx5_setup
ko=$("$TOP/qemu-ci/mlx5/driver.sh")
RUN=$(mktemp -d "$MLX5_CACHE/run.XXXXXX")
trap 'mlx5_stop "$RUN" 2>/dev/null; rm -rf "$RUN"' EXIT
say "a guest with Debian's stock kernel boots, with the device model attached"
mlx5_start "$RUN" --vfs 4
rc=0
mlx5_boot "$RUN" --timeout 200 --env "MLX5_KO=$ko" --ro "${ko%/*}" \
	-- python3 "$TOP/qemu-ci/mlx5/demo.py" 2>"$RUN/stderr" || rc=$?
[ "$rc" = 0 ] || cat "$RUN/stderr" >&2
exit "$rc"

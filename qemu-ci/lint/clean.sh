#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Remove what was built in this tree; the sources decide what that is.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

no_arguments "$@"

cd "$TOP" || exit
find . -path ./.git -prune -o -type f \( -name '*.o' -o -name '*.ko' -o -name '*.mod' \
	-o -name '*.mod.c' -o -name '.*.cmd' -o -name '*.rmeta' -o -name '*_generated.rs' \
	-o -name '.*.d' -o -name '*.bc' -o -name modules.order -o -name Module.symvers \) -print0 |
	xargs -0r rm -f
rm -rf target .ruff_cache

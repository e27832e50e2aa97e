#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Remove the cache with everything in it.
. "$(dirname "$0")/../lib.sh"

need_root
[ -d "$CACHE" ] || exit 0
umount_under "$CACHE"
rm -rf --one-file-system "$CACHE"
say "removed $CACHE"

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Remove the cache with everything in it. Takes no argument, so that one that
# was meant for something else removes nothing.
. "$(dirname "$0")/../lib.sh"

[ $# = 0 ] || die "distclean.sh: takes no argument, and removes $CACHE: not done"
need_root
[ -d "$CACHE" ] || exit 0
umount_under "$CACHE"
rm -rf --one-file-system "$CACHE"
say "removed $CACHE"

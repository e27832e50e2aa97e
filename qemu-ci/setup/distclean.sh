#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Remove the cache with everything in it. Takes no argument, so that one that
# was meant for something else removes nothing.
. "$(dirname "$0")/../lib.sh"

[ $# = 0 ] || die "distclean.sh: takes no argument, and removes $CACHE: not done"
need_root
[ -d "$CACHE" ] || exit 0
user=$(find /proc/[0-9]*/{root,cwd,exe} -maxdepth 0 -lname "$CACHE/*" -print -quit 2>/dev/null || true)
if [ -n "$user" ]; then
	user=${user#/proc/}
	die "distclean.sh: process ${user%%/*} uses the cache: wait for it, or end it"
fi
umount_under "$CACHE"
rm -rf --one-file-system "$CACHE"
say "removed $CACHE"

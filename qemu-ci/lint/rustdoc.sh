#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# API documentation of both crates in target/doc, with warnings as errors.
# Kbuild makes none for a module outside the kernel tree: take the compiler's
# command lines that it keeps, and give them to rustdoc.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

no_arguments "$@"

need_root
build=$(per_tree lint)
run_logged "$CACHE/log/rustdoc-build.log" "$TOP/qemu-ci/build.sh" --out "$build" modules
out=$TOP/target/doc
mkdir -p "$out"

# doc CRATE: from the saved command of rust or src object CRATE.
doc() {
	local dir name cmd
	dir=$(dirname "$1") name=$(basename "$1")
	cmd=$(sed -n 's/^savedcmd_[^ ]* := //p' "$build/$dir/.$name.o.cmd" | sed 's/;.*//')
	[ -n "$cmd" ] || die "no saved command for $1"
	# Without what asks for object files and metadata.
	cmd=$(sed -E "s/ (rustc|clippy-driver) / rustdoc /; s/ --emit=[^ ]*//g
		s/ --out-dir [^ ]*//g; s/ -o [^ ]*//g" <<<"$cmd")
	say "rustdoc: $name"
	in_tools sh -c "cd '$build' && RUSTC_BOOTSTRAP=1 $cmd -o '$out' --document-private-items" \
		>"$CACHE/log/rustdoc-$name.log" 2>&1 || {
		tail -n 30 "$CACHE/log/rustdoc-$name.log" >&2
		die "rustdoc failed on $1; the log is $CACHE/log/rustdoc-$name.log"
	}
	grep -E '^(warning|error)' "$CACHE/log/rustdoc-$name.log" | sort | uniq -c || true
}

doc rust/kernel/kernel_ext
doc src/openvswitch_main
say "rustdoc: $out/openvswitch_main/index.html"

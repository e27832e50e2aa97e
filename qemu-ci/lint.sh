#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# `make lint`: formatting, lints and the gates that keep src/ safe.
# shellcheck disable=SC2317 # the checks are called by name
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

CHECKS=(rustfmt clippy model sparse checkpatch shellcheck ruff gates panics frames compilefail specs)
# The kernel's CONFIG_FRAME_WARN for 64 bits, which is for C alone.
MAX_FRAME=2048

usage() {
	cat <<TXT
usage: lint.sh [CHECK...]

Checks (default: all): ${CHECKS[*]}

  rustfmt     the kernel's .rustfmt.toml
  clippy      Kbuild's CLIPPY=1 with warnings as errors
  model       cargo clippy on the mlx5 device model, with warnings as errors
  sparse      Kbuild's C=2 on the C shims
  checkpatch  --strict, on C, headers, Rust, scripts and Kbuild files
  shellcheck  shell scripts
  ruff        Python: lints and formatting
  gates       no unsafe code in src/, files below 800 lines, SPDX lines,
              no file of src/ that uses one of a higher floor, and
              each function of the C module is named
  panics      no call of core::panicking from code of ours
  frames      no function of the module needs more than $MAX_FRAME bytes of stack
  compilefail what would be wrong in lint/compile_fail does not compile
  specs       netlink policies are those of the kernel's YNL specifications
TXT
}

case ${1:-} in -h | --help) usage; exit ;; esac
want=("$@")
[ $# -gt 0 ] || want=("${CHECKS[@]}")
for w in "${want[@]}"; do
	[[ " ${CHECKS[*]} " = *" $w "* ]] || die "lint.sh: no check '$w' (see --help)"
done
need_root
[ -e "$(stock_dir)/build/.ready" ] || "$TOP/qemu-ci/setup/kernel-stock.sh"
cd "$TOP"
BUILD=$(per_tree lint)
LOG=$CACHE/log

# sources PATTERN...: this tree's files, committed or not.
sources() {
	git -C "$TOP" ls-files -co --exclude-standard -- "$@" | while read -r f; do
		[ ! -f "$f" ] || echo "$f"
	done
}

check_rustfmt() {
	local files
	mapfile -t files < <(sources '*.rs')
	[ ${#files[@]} -gt 0 ] || return 2
	in_tools rustfmt --check --edition 2021 --config-path "$KSRC/.rustfmt.toml" "${files[@]}"
}

# One build of a copy of the tree serves clippy and sparse.
lint_build() {
	"$TOP/qemu-ci/build.sh" --out "$BUILD" "$@" >"$LOG/lint-build.log" 2>&1
}

check_clippy() {
	lint_build CLIPPY=1 KRUSTFLAGS=-Dwarnings modules && return
	grep -vE '^(make|  [A-Z]+ )' "$LOG/lint-build.log"
	return 1
}

check_model() {
	# A subshell: it has settings of its own.
	(
		. "$TOP/qemu-ci/mlx5/lib.sh"
		locked "${MLX5_CACHE##*/}" mlx5_cargo clippy --release --locked --all-targets --quiet -- -Dwarnings
	)
}

check_sparse() {
	# Debian's sparse is older than the headers' __typeof_unqual__. Shims have
	# no prototypes: bindgen reads their definitions.
	local check='sparse -D__typeof_unqual__=__typeof__'
	find "$BUILD" -name helpers.o -delete 2>/dev/null || true
	lint_build CHECK="$check" CF=-Wno-decl C=2 modules || { tail -n 20 "$LOG/lint-build.log"; return 1; }
	grep -q '^  CHECK ' "$LOG/lint-build.log" || { echo "sparse checked no file"; return 1; }
	! grep -E "^($BUILD/)?(rust|src)/[^ ]*: (warning|error):" "$LOG/lint-build.log"
}

# checkpatch "FILE..." [TYPES TO IGNORE]: as the kernel's own sources are checked.
# FILE_PATH_CHANGES is about patches.
checkpatch() {
	# shellcheck disable=SC2086 # file names of this tree have no spaces
	in_tools perl "$KSRC/scripts/checkpatch.pl" --strict --no-tree --terse --quiet --show-types \
		--no-summary --ignore "FILE_PATH_CHANGES${2:+,$2}" -f $1
}

check_checkpatch() {
	local rc=0
	checkpatch "$(sources '*.c' '*.h' '*.rs' Kbuild '*/Kbuild' Makefile '*/Makefile' \
		':!*_trace.h')" || rc=1
	# Tracepoints are calls of macros over many lines; what two of them share is
	# in macros that are no expressions.
	checkpatch "$(sources '*_trace.h')" \
		OPEN_ENDED_LINE,PARENTHESIS_ALIGNMENT,LONG_LINE_STRING,COMPLEX_MACRO || rc=1
	# Of a shell script it can judge little: 'mount -t proc proc' is no typo.
	checkpatch "$(sources '*.sh')" \
		LONG_LINE,LONG_LINE_STRING,LONG_LINE_COMMENT,REPEATED_WORD || rc=1
	return "$rc"
}

check_shellcheck() {
	local files setup=() others=() f
	mapfile -t files < <(
		{
			sources '*.sh' '.ci/*' ':!*.yml'
			sources | while read -r f; do
				! head -c 64 "$f" | grep -aqE '^#!/bin/(ba)?sh' || echo "$f"
			done
		} | sort -u
	)
	for f in "${files[@]}"; do
		case $f in
		# These name what the cache is keyed by; their lists are folded on purpose.
		qemu-ci/setup/guestroot.sh | qemu-ci/setup/toolroot.sh) setup+=("$f") ;;
		*) others+=("$f") ;;
		esac
	done
	in_tools shellcheck -x -P "$TOP/qemu-ci" -e SC1091,SC2015,SC2016,SC2086,SC2116 "${setup[@]}" &&
		in_tools shellcheck -x -P "$TOP/qemu-ci" -e SC1091,SC2015,SC2016 "${others[@]}"
}

check_ruff() {
	local venv=$CACHE/venv-${TOOLROOT##*-} files
	mapfile -t files < <(sources '*.py')
	[ ${#files[@]} -gt 0 ] || return 2
	[ -x "$venv/bin/ruff" ] || locked venv make_ruff "$venv"
	in_tools "$venv/bin/ruff" check --quiet --config "$TOP/qemu-ci/lint/ruff.toml" "${files[@]}" &&
		in_tools "$venv/bin/ruff" format --quiet --check --config "$TOP/qemu-ci/lint/ruff.toml" "${files[@]}"
}

make_ruff() {
	[ ! -x "$1/bin/ruff" ] || return 0
	say "ruff: installing into the cache"
	make_venv "$1" ruff
}

check_gates() {
	in_tools python3 "$TOP/qemu-ci/lint/gates.py" "$TOP" < <(sources) &&
		in_tools python3 "$TOP/qemu-ci/lint/rooms.py" "$TOP" &&
		in_tools python3 "$TOP/qemu-ci/lint/names.py" "$TOP" "$KSRC/net/openvswitch"
}

check_panics() {
	lint_build modules || { tail -n 20 "$LOG/lint-build.log"; return 1; }
	in_tools python3 "$TOP/qemu-ci/lint/panics.py" \
		"$BUILD/src/openvswitch_main.o" "$BUILD/rust/kernel/kernel_ext.o"
}

check_frames() {
	lint_build modules || { tail -n 20 "$LOG/lint-build.log"; return 1; }
	in_tools python3 "$TOP/qemu-ci/lint/frames.py" "$BUILD/openvswitch.ko" "$MAX_FRAME"
}

check_compilefail() {
	local files
	mapfile -t files < <(sources 'qemu-ci/lint/compile_fail/*.rs')
	lint_build modules || { tail -n 20 "$LOG/lint-build.log"; return 1; }
	in_tools python3 "$TOP/qemu-ci/lint/compile_fail.py" "$BUILD" "${files[@]/#/$TOP/}"
}

check_specs() {
	in_tools python3 "$TOP/qemu-ci/lint/specs.py" "$TOP" "$KSRC"
}

passed=0 failed=0 skipped=0
for name in "${want[@]}"; do
	rc=0
	start=$SECONDS
	"check_$name" >"$LOG/lint-$name.log" 2>&1 || rc=$?
	case $rc in
	0) word=pass passed=$((passed + 1)) ;;
	2) word=skip skipped=$((skipped + 1)) ;;
	*) word=FAIL failed=$((failed + 1)) ;;
	esac
	[[ $rc = 0 && $name != panics && $name != frames && $name != compilefail ]] || head -n "${LINT_LINES:-60}" "$LOG/lint-$name.log"
	echo "$word: lint $name ($((SECONDS - start)) s)"
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]

# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# How a kernel for the tests is built, most of them user-mode Linux; the scripts
# beside this one say which.
# Source it after qemu-ci/lib.sh.

KERNELS=$TOP/qemu-ci/kernels

# kernel_fragments NAME: the files that kernel NAME is configured from.
kernel_fragments() {
	case $1 in
	uml | debug) printf '%s\n' "$KERNELS/um.config" "$KERNELS/$1.config" ;;
	up) printf '%s\n' "$KERNELS/um.config" "$KERNELS/uml.config" "$KERNELS/up.config" ;;
	pc) printf '%s\n' "$KERNELS/um.config" "$KERNELS/debug.config" "$KERNELS/pc.config" ;;
	*) die "no kernel is called '$1': the names are uml, up, debug and pc" ;;
	esac
}

# kernel_dir NAME: where kernel NAME (uml, up, debug or pc) is. It depends on the options,
# the flags and the tool root, not on how scripts and comments are worded.
kernel_dir() {
	local files
	mapfile -t files < <(kernel_fragments "$1")
	[ ${#files[@]} -gt 0 ] || exit 1
	printf '%s/%s-%s\n' "$CACHE" "$1" \
		"$(key_of "$(kernel_merge "${files[@]}" | grep CONFIG_)" "$(kernel_make_args "$1")" "${TOOLROOT##*-}")"
}

# kernel_make_args NAME: the variables that every make of that kernel needs, the
# makes of modules for it included. KASAN and Rust together need clang. UML
# compiles Rust as position-independent code and its module loader knows no
# GOT: without direct access, a module that takes the address of a function of
# the kernel would not load ("Unknown rela relocation: 9"). UML uses the large
# code model, where clang puts all data into sections that UML's linker script
# does not know; outside of _sdata to _edata and of .bss, lockdep does not see
# that a lock is static and kmemleak does not look for pointers. So the data of
# the kernel is made small there, and that of modules, which are loaded above
# 2 GiB, large again. The vDSO is not of that code model, and clang says there
# that the option has no use.
kernel_make_args() {
	[ "$1" = pc ] || printf 'ARCH=um\n'
	printf 'KBUILD_BUILD_USER=ovs\nKBUILD_BUILD_HOST=localhost\n'
	[ "$1" = pc ] || printf 'RUSTFLAGS_MODULE=-Zdirect-access-external-data=yes\n'
	case $1 in
	pc) printf 'CC=x86_64-linux-gnu-gcc-14\nHOSTCC=gcc-14\n' ;;
	debug)
		printf 'LLVM=-19\nKCFLAGS=-mlarge-data-threshold=2147483647 -Wno-unused-command-line-argument\n'
		printf 'CFLAGS_MODULE=-mlarge-data-threshold=0\n'
		;;
	*) printf 'CC=gcc-14\nHOSTCC=gcc-14\n' ;;
	esac
}

# kernel_module NAME SRC OUT [VARIABLE=VALUE]...: build the module whose Kbuild is
# in SRC for kernel NAME, in a copy of its sources in OUT, so that one tree
# serves several kernels at a time. The log is OUT.log.
kernel_module() {
	local dir args src=$2 out=$3
	dir=$(kernel_dir "$1")
	mapfile -t args < <(kernel_make_args "$1")
	shift 3
	mkdir -p "$out"
	EXTRA_BIND="${EXTRA_BIND:-} $src" in_tools rsync -a --prune-empty-dirs \
		--exclude='/qemu-ci' --exclude='/Documentation' --exclude='.*' \
		--exclude='*_generated.rs' --exclude='*.mod.c' --include='*/' \
		--include='*.rs' --include='*.[ch]' --include=Kbuild \
		--include=bindgen_parameters --exclude='*' "$src/" "$out/"
	run_logged "$out.log" \
		in_tools make -C "$KSRC" O="$dir/build" "${args[@]}" "$@" \
		-j"$(nproc)" M="$out" modules
}

# kernel_missing FRAGMENT CONFIG: the lines of FRAGMENT that CONFIG has not. An option
# that CONFIG does not name is not set.
kernel_missing() {
	local line name
	while read -r line; do
		name=$(grep -oE 'CONFIG_[A-Z0-9_]+' <<<"$line" | head -n 1)
		if [[ $line != '# '* ]] || grep -qE "^(# )?${name}[= ]" "$2"; then
			printf '%s\n' "$line"
		fi
	done < <(grep -E '^(CONFIG_[A-Z0-9_]+=|# CONFIG_[A-Z0-9_]+ is not set)' "$1" |
		grep -vxFf "$2")
}

# kernel_merge FRAGMENT...: the fragments as one; of two lines for one option the
# later one stays.
kernel_merge() {
	cat "$@" | awk '
		{ name = "" }
		match($0, /^(# )?CONFIG_[A-Z0-9_]+[= ]/) {
			name = substr($0, RSTART, RLENGTH)
			gsub(/^# |[= ]/, "", name)
			if (name in at)
				line[at[name]] = ""
			at[name] = NR
		}
		{ line[NR] = $0 }
		END { for (i = 1; i <= NR; i++) print line[i] }'
}

# kernel_build NAME: make kernel NAME in $(kernel_dir NAME): build/ is the O= tree
# for modules, root/ has the installed modules (of pc the image, too), release
# their release. An interrupted build goes on where it was.
kernel_build() {
	local name=$1 dir args missing files image=linux
	dir=$(kernel_dir "$name")
	[ -e "$dir/release" ] && return
	[ -d "$KSRC" ] || "$TOP/qemu-ci/setup/kernel-stock.sh"
	need_space 3000
	mapfile -t args < <(kernel_make_args "$name")
	mkdir -p "$dir/build"
	if [ ! -e "$dir/configured" ]; then
		say "$name kernel: configuration"
		mapfile -t files < <(kernel_fragments "$name")
		kernel_merge "${files[@]}" >"$dir/fragment"
		run_logged "$CACHE/log/$name-config.log" in_tools make -C "$KSRC" \
			O="$dir/build" "${args[@]}" \
			KCONFIG_ALLCONFIG="$dir/fragment" allnoconfig
		missing=$(kernel_missing "$dir/fragment" "$dir/build/.config")
		[ -z "$missing" ] ||
			die "the $name kernel cannot be configured as asked; not taken: ${missing//$'\n'/ }"
		touch "$dir/configured"
	fi
	say "$name kernel: build"
	[ "$name" = pc ] && image=bzImage
	run_logged "$CACHE/log/$name-build.log" in_tools nice -n 5 make -C "$KSRC" \
		O="$dir/build" "${args[@]}" -j"$(nproc)" "$image" modules
	say "$name kernel: modules"
	rm -rf "$dir/root"
	run_logged "$CACHE/log/$name-install.log" in_tools make -C "$KSRC" \
		O="$dir/build" "${args[@]}" INSTALL_MOD_PATH="$dir/root" modules_install
	cp "$dir/build/include/config/kernel.release" "$dir/release.tmp"
	[ "$name" != pc ] || cp "$dir/build/arch/x86/boot/bzImage" \
		"$dir/root/lib/modules/$(cat "$dir/release.tmp")/vmlinuz"
	mv "$dir/release.tmp" "$dir/release"
	say "$name kernel: ready in $dir"
}

# SPDX-License-Identifier: GPL-2.0
#
# openvswitch.ko in Rust: 'make help' lists what there is. The module itself is
# described in Kbuild; everything else is in qemu-ci/.

# An empty KDIR stands for Debian's stock kernel, which is fetched.
KDIR ?=
V ?= 0

BUILD := qemu-ci/build.sh $(if $(KDIR),--kdir '$(KDIR)')

.PHONY: all modules install setup demo check check-all check-kernel kunit bench lint rustdoc \
	selftests suite diff deb deb-check mlx5-check mlx5-demo offload-check offload-bench clean \
	distclean help

all: modules

modules:
	@$(BUILD) V=$(V) modules

install:
	@qemu-ci/install.sh

deb:
	@KDIR='$(KDIR)' tools/net/package/deb.sh $(DEB_ARGS)

setup:
	@qemu-ci/setup/all.sh

demo:
	@qemu-ci/demo.sh $(DEMO_ARGS)

check:
	@qemu-ci/check.sh $(CHECK_ARGS)

check-all:
	@qemu-ci/check.sh --all --record Documentation/check-all.rst $(CHECK_ARGS)

check-kernel:
	@qemu-ci/check-kernel.sh $(CHECK_KERNEL_ARGS)

deb-check:
	@qemu-ci/deb-check.sh

kunit:
	@qemu-ci/kunit.sh $(KUNIT_ARGS)

bench:
	@qemu-ci/bench.sh $(BENCH_ARGS)

suite:
	@qemu-ci/suite/run.sh $(SUITE_ARGS)

diff:
	@qemu-ci/diff.sh $(DIFF_ARGS)

selftests:
	@qemu-ci/selftests.sh $(SELFTESTS_ARGS)

lint:
	@qemu-ci/lint.sh $(LINT_ARGS)

rustdoc:
	@qemu-ci/lint/rustdoc.sh

offload-check:
	@qemu-ci/offload/check.sh $(OFFLOAD_CHECK_ARGS)

offload-bench:
	@qemu-ci/offload/bench.sh $(OFFLOAD_BENCH_ARGS)

mlx5-check:
	@qemu-ci/mlx5/check.sh

mlx5-demo:
	@qemu-ci/mlx5/demo.sh

clean:
	@qemu-ci/lint/clean.sh

distclean: clean
	@qemu-ci/setup/distclean.sh

help:
	@echo 'The module:'
	@echo '  make                 build openvswitch.ko for the stock Debian kernel'
	@echo '  make KDIR=DIR        build it for the kernel build tree DIR'
	@echo '  make install         put it into updates/ of its kernel and run depmod (root)'
	@echo '  make deb             Debian packages of it, for DKMS, and of ovs-offload, in target/deb;'
	@echo '                       with DEB_ARGS=--modules also of the built module (root)'
	@echo '  make clean           remove what was built in this tree'
	@echo ''
	@echo 'Showing and testing it (root; everything is fetched into the cache):'
	@echo '  make demo            real Open vSwitch on our module and on the C one, side by side;'
	@echo '                       then with flows in the switch of a device model'
	@echo '  make check           the tests; ends with N passed, N failed, N skipped'
	@echo '  make check-all       the same with the long lists; into Documentation/check-all.rst'
	@echo "  make check-kernel    Open vSwitch's own tests of the kernel module, on C and ours"
	@echo '  make deb-check       the Debian packages: lintian, install, upgrade, removal'
	@echo '  make suite           the differential suite alone'
	@echo '  make diff            the same generated messages and packets on C and ours'
	@echo '  make selftests       the kernel selftests of openvswitch alone'
	@echo '  make kunit           KUnit suites on user-mode Linux'
	@echo '  make bench           speed of C, ours and a floor on user-mode Linux'
	@echo '  make lint            formatting, lints and gates'
	@echo '  make rustdoc         API documentation into target/doc'
	@echo '  make mlx5-check      the mlx5 device model with the real driver'
	@echo '  make offload-check   our flows in the switch of the device model'
	@echo '  make offload-bench   installs, deletes and dumps there, against OVS and TC'
	@echo '  make mlx5-demo       the device model with a TC rule, as a demonstration'
	@echo '  make setup           only fetch and prepare what the rest needs'
	@echo '  make distclean       also remove the cache'
	@echo ''
	@echo 'The cache is $${XDG_CACHE_HOME:-~/.cache}/openvswitch-rs. See Documentation/testing.rst.'

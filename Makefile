# A thin front: CMake does the work. Everything that is missing is installed first (Debian 12).
#
#   make                               build/adze
#   make demo                          examples/digits on this machine and on an emulated Cortex-M55
#   make demo MODEL=path TARGET=name   any other model and target
#   make test                          everything that tests/README.md names
#   make bench                         ms per inference of every model on this machine
#   make install-deps                  only install what building and testing need
#
# BUILD is the build folder, DEPS=no installs nothing.

BUILD ?= build
DEPS ?= yes
MODEL ?=
TARGET ?=
JOBS ?= $(shell nproc 2>/dev/null || echo 2)

install = if [ "$(DEPS)" = yes ]; then sh tests/tools/install-deps.sh $(1); fi
configure = test -f $(BUILD)/CMakeCache.txt || cmake -S . -B $(BUILD) -G Ninja
# ccache and the like are the environment's business; the compiler is the environment's CC.
compile = cmake --build $(BUILD) -j $(JOBS) --target $(1)

.PHONY: all adze demo test bench install-deps clean

all: adze

adze:
	@$(call install,build)
	@$(configure)
	@$(call compile,adze)

demo:
	@$(call install,build native $(or $(TARGET),cortex-m55))
	@$(configure)
	@$(call compile,adze)
	@sh examples/demo.sh $(BUILD)/adze '$(MODEL)' '$(TARGET)'

test:
	@$(call install,build test)
	@$(configure)
	@cmake -S . -B $(BUILD) >/dev/null
	@$(call compile,all)
	@sh tests/run.sh $(BUILD)

bench: adze
	@sh bench/models.sh $(BUILD)/adze

install-deps:
	@sh tests/tools/install-deps.sh build test

clean:
	rm -rf $(BUILD) out

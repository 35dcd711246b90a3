# Sekisho. `make help` lists everything; nothing but git and make is assumed, every target installs
# what it needs through dev/setup. Works as root; as another user sudo is asked only for what needs
# namespaces.

BUILD ?= build
ASAN ?= build-asan
ANALYZE ?= build-analyze
SEC ?= 60
T ?=
SEED ?=
SETUP = @dev/setup
SUDO = $(if $(filter 0,$(shell id -u)),,sudo)

.DEFAULT_GOAL := help
.PHONY: help setup build demo check check-all fmt fmt-check layers asan asan-build analyze hardening \
	fuzz sim net bench docs install uninstall clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' Makefile | while IFS='	' read -r name what; do \
		printf '  make %-12s %s\n' "$$name" "$$what"; done

setup: ## install the Debian packages that are missing
	@dev/setup

build: ## compile everything into build/
	$(SETUP) build
	@test -f $(BUILD)/build.ninja || said=$$(meson setup $(BUILD)) || { echo "$$said"; exit 1; }
	@ninja -C $(BUILD)

demo: build ## the product in two minutes
	$(SETUP)
	@$(SUDO) lab/demo

check: ## all tests that fit ten minutes
	$(SETUP)
	@dev/check --build $(BUILD)

check-all: ## and those that take longer: fuzz, asan, kernel, 10,000 seeds
	$(SETUP)
	@dev/check --all --build $(BUILD)

fmt: ## put the C files into the format
	$(SETUP) check
	@dev/fmt

fmt-check: ## say which are not
	$(SETUP) check
	@dev/fmt --check

layers: ## check who includes whom (dev/layers.txt)
	$(SETUP) build
	@dev/check-layers

hardening: build ## check that the programs are built hardened
	@dev/check-hardening --build $(BUILD)

asan: ## unit, sim, attack, net and fault tests under the address and undefined behaviour sanitizers
	$(SETUP)
	@dev/check --build $(BUILD) --sanitize

asan-build:
	@test -f $(ASAN)/build.ninja || meson setup $(ASAN) -Db_sanitize=address,undefined \
		-Db_lundef=false >/dev/null
	@ninja -C $(ASAN)

analyze: ## compile src/ with gcc -fanalyzer
	$(SETUP) build
	@test -f $(ANALYZE)/build.ninja || CC=gcc CFLAGS=-fanalyzer meson setup $(ANALYZE) >/dev/null
	@ninja -C $(ANALYZE) -t targets all | sed -n 's/^\(src\/.*\.o\): .*/\1/p' | \
		xargs ninja -C $(ANALYZE)

fuzz: ## fuzz every codec, SEC=60 seconds each, or one: T=name
	$(SETUP)
	@tests/fuzz/run $(SEC) $(T)

sim: build ## whole-system simulation: SEED=n repeats one run
	@$(BUILD)/tests/sim/sim $(if $(SEED),--seed $(SEED),--seeds 500)

net: build ## a net test: T=name, or all
	$(SETUP)
	@$(if $(T),$(SUDO) env SEKISHO_BUILD=$(abspath $(BUILD)) tests/net/$(T)/run, \
		dev/check --build $(BUILD) net)

bench: build ## a benchmark: T=name, or all
	$(SETUP)
	@for bench in $(if $(T),tests/bench/$(T)/run,tests/bench/*/run); do \
		$(SUDO) env SEKISHO_BUILD=$(abspath $(BUILD)) $$bench || exit 1; done

docs: build ## man pages and API description, made from the tables in the code
	@ninja -C $(BUILD) docs

install: build ## install (DESTDIR is respected)
	@meson install -C $(BUILD) --no-rebuild

clean: ## remove what was built
	rm -rf $(BUILD) $(ASAN) $(ANALYZE) build-fuzz

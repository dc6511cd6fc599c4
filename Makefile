# SPDX-License-Identifier: Apache-2.0
#
# Build, test and install ingot. GNU make, no configure step; `make help` lists the targets.
# Sources are found by wildcard: adding a file needs no edit here.
#
#   CC=clang               another compiler (any variable may be set on the command line)
#   SAN=address,undefined  build with sanitizers, in a directory of its own
#   WERROR=1               warnings are errors
#   ISAL=                  deflate by zlib although ISA-L is installed
#   JOBS=n                 jobs at a time (default: all processors)
#   V=1                    show the commands

VERSION := 0.1.0
PREFIX ?= /usr/local
DESTDIR ?=
SHELL := /bin/bash
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:
# Use all processors; JOBS=1 for one job at a time.
ifeq ($(MAKELEVEL),0)
JOBS ?= $(shell nproc 2>/dev/null || echo 1)
MAKEFLAGS += -j$(JOBS)
endif
ifeq ($(origin CC),default)
CC := gcc
endif
Q := $(if $(V),,@)
say = $(if $(V),@:,@printf '  %-6s %s\n' '$(1)' '$(2)')

# ---- where things go -------------------------------------------------------------------------
# The default variant puts its programs into build/, every other one into build/<variant>/.
comma := ,
VARIANT ?= $(if $(SAN),san-$(subst $(comma),-,$(SAN)),release)
O := build/$(VARIANT)
BIN := $(if $(filter release,$(VARIANT)),build,$(O))

# ---- flags -----------------------------------------------------------------------------------
WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
	-Wwrite-strings -Wvla -Wformat=2 -Wundef $(if $(WERROR),-Werror)
HARDEN := -fstack-protector-strong -fPIE $(if $(SAN),,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
OPTIMISE := $(if $(SAN),-O1,-O2) -g
SAN_FLAGS := $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all)
# Programs of other variants are never installed: they find their data in the tree.
DATADIR := $(if $(filter release,$(VARIANT)),$(PREFIX)/share/ingot,$(CURDIR))
LIBDIR := $(if $(filter release,$(VARIANT)),$(PREFIX)/lib/ingot,$(CURDIR)/$(BIN))
DEFINES := -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DINGOT_VERSION='"$(VERSION)"' \
	-DINGOT_DATADIR='"$(DATADIR)"' -DINGOT_LIBDIR='"$(LIBDIR)"'
# Deflate by ISA-L is much faster than by zlib, but not every architecture has it: what is installed is
# taken.
ifeq ($(origin ISAL),undefined)
ISAL := $(shell pkg-config --exists libisal 2>/dev/null && echo libisal)
endif
DEFINES += $(if $(ISAL),-DHAVE_ISAL)
INCLUDES := -Ibuilder -Icloud-init
# Paths in debug data and __FILE__ do not depend on where the tree lies: the agent goes into images.
FLAGS := -std=gnu17 $(OPTIMISE) $(WARNINGS) $(HARDEN) $(SAN_FLAGS) $(DEFINES) $(INCLUDES) \
	-ffile-prefix-map=$(CURDIR)/=
LINK := -pie -Wl,-z,relro,-z,now -Wl,--as-needed $(SAN_FLAGS) $(LDFLAGS)

# pkg-config runs once and only when something is compiled, so `make help` needs no package.
PACKAGES := openssl libcurl yaml-0.1 libarchive libsquashfs1 libzstd zlib jansson libsystemd $(ISAL)
# libcurl is loaded when it is needed (builder/net/http_curl.c).
AGENT_PACKAGES := openssl yaml-0.1 jansson libsystemd zlib
BUILDER_PACKAGES := $(filter-out libsystemd libcurl,$(PACKAGES))
pkg = $(or $(shell pkg-config $(1) && echo ' '),$(error Libraries are missing: run \
	scripts/install-deps build))
PKG_CFLAGS = $(eval PKG_CFLAGS := $(call pkg,--cflags $(PACKAGES)))$(PKG_CFLAGS)
BUILDER_LIBS = $(eval BUILDER_LIBS := $(call pkg,--libs $(BUILDER_PACKAGES)))$(BUILDER_LIBS)
AGENT_LIBS = $(eval AGENT_LIBS := $(call pkg,--libs $(AGENT_PACKAGES)))$(AGENT_LIBS)
COMPILE = $(CC) $(FLAGS) $(CPPFLAGS) $(CFLAGS)

# ---- sources ---------------------------------------------------------------------------------
obj = $(patsubst %.c,$(O)/obj/%.o,$(1))
BUILDER_SRC := $(filter-out builder/main.c,$(wildcard builder/*.c)) $(wildcard builder/*/*.c)
SHARED_SRC := $(wildcard builder/base/*.c builder/net/*.c)
AGENT_SRC := $(wildcard cloud-init/agent/*.c cloud-init/agent/*/*.c)
AGENT_LIB_SRC := $(filter-out cloud-init/agent/main.c,$(AGENT_SRC)) $(SHARED_SRC)
INITRD_SRC := $(wildcard firmware/initrd-helper/*.c)
UNIT_SRC := $(wildcard tests/unit/*.c)
HELPER_SRC := $(wildcard tests/helper/*.c)
FUZZ_SRC := $(wildcard tests/fuzz/fuzz_*.c)
ALL_SRC := $(wildcard builder/main.c) $(BUILDER_SRC) $(AGENT_SRC) $(INITRD_SRC)
HEADERS := $(wildcard builder/*.h builder/*/*.h cloud-init/agent/*.h cloud-init/agent/*/*.h firmware/initrd-helper/*.h)

PROGRAMS := $(if $(wildcard builder/main.c),$(BIN)/ingot) \
	$(if $(wildcard cloud-init/agent/main.c),$(BIN)/ingot-agent) \
	$(if $(INITRD_SRC),$(BIN)/ingot-initrd)
UNIT_TESTS := $(patsubst tests/unit/%.c,$(O)/tests/%.t,$(UNIT_SRC))
HELPERS := $(patsubst tests/helper/%.c,$(O)/helper/%,$(HELPER_SRC))
FUZZERS := $(patsubst tests/fuzz/fuzz_%.c,$(O)/fuzz/%,$(FUZZ_SRC))

# ---- programs --------------------------------------------------------------------------------
all: $(PROGRAMS) ## build ingot, ingot-agent and ingot-initrd (the default)

$(BIN)/ingot: $(call obj,builder/main.c) $(O)/libbuilder.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(LINK) -o $@ $^ $(BUILDER_LIBS) -lm -pthread

# What goes into images is stripped; the unstripped program stays beside the objects.
$(BIN)/ingot-agent: $(O)/debug/ingot-agent
$(BIN)/ingot-initrd: $(O)/debug/ingot-initrd
$(BIN)/ingot-agent $(BIN)/ingot-initrd:
	$(call say,STRIP,$@)
	$(Q)strip -o $@ $<

$(O)/debug/ingot-agent: $(call obj,cloud-init/agent/main.c) $(O)/libagent.a
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LINK) -o $@ $^ $(AGENT_LIBS) -pthread

# libc only, and static: the initrd's libc may be older than ours.
$(O)/debug/ingot-initrd: $(call obj,$(INITRD_SRC))
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(if $(SAN),$(LINK),-static-pie -Wl,-z,relro,-z,now) -o $@ $^

# Files that are linked into the program as they are.
EMBEDDED := $(wildcard builder/cli/*.json)
EMBEDDED_OBJ := $(patsubst %,$(O)/obj/%.o,$(EMBEDDED))
$(EMBEDDED_OBJ): $(O)/obj/%.o: %
	$(call say,EMBED,$<)
	@mkdir -p $(@D)
	$(Q)cd $(<D) && ld -r -b binary -z noexecstack -o $(abspath $@) $(<F)

$(O)/libbuilder.a: $(call obj,$(BUILDER_SRC)) $(EMBEDDED_OBJ) $(O)/sources
$(O)/libagent.a: $(call obj,$(AGENT_LIB_SRC)) $(O)/sources
%.a:
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcsD $@ $(filter %.o,$^)

$(O)/obj/%.o: %.c $(O)/flags
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(COMPILE) $(PKG_CFLAGS) -MMD -MP -c -o $@ $<

# These two change when the flags or the list of sources change, so that no object is stale.
stamp = mkdir -p $(O); printf '%s\n' $(1) | cmp -s - $@ || printf '%s\n' $(1) >$@
FORCE:
$(O)/flags: FORCE
	@$(call stamp,'$(subst ','\'',$(COMPILE) $(LINK))')
$(O)/sources: FORCE
	@$(call stamp,$(sort $(BUILDER_SRC) $(AGENT_LIB_SRC)))

# ---- tests -----------------------------------------------------------------------------------
# tests/unit/agent_*.c and tests/fuzz/fuzz_agent_*.c test the agent, initrd_*.c the program of the
# initrd, all others the builder.
.SECONDARY:
link_test = $(CC) $(LINK) -o $@ $(filter %.o %.a,$^)
test_compile = $(COMPILE) -Itests $(PKG_CFLAGS) -MMD -MP -c -o $@ $<

$(O)/obj/tests/%.o: tests/%.c $(O)/flags
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(test_compile)

$(O)/tests/agent_%.t: $(O)/obj/tests/unit/agent_%.o $(O)/libagent.a
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(link_test) $(AGENT_LIBS) -pthread

$(O)/tests/initrd_%.t: $(O)/obj/tests/unit/initrd_%.o \
		$(call obj,$(filter-out %/main.c,$(INITRD_SRC)))
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(link_test)

$(O)/tests/%.t: $(O)/obj/tests/unit/%.o $(O)/libbuilder.a
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(link_test) $(BUILDER_LIBS) -lm -pthread

# A fuzz target is always built, with the driver that replays files; `make fuzz` takes libFuzzer's.
FUZZ_MAIN := $(if $(FUZZING),,$(O)/obj/tests/fuzz/main.o)
FUZZ_LINK := $(if $(FUZZING),-fsanitize=fuzzer)
$(O)/fuzz/agent_%: $(O)/obj/tests/fuzz/fuzz_agent_%.o $(FUZZ_MAIN) $(O)/libagent.a
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(link_test) $(FUZZ_LINK) $(AGENT_LIBS) -pthread

$(O)/fuzz/%: $(O)/obj/tests/fuzz/fuzz_%.o $(FUZZ_MAIN) $(O)/libbuilder.a
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(link_test) $(FUZZ_LINK) $(BUILDER_LIBS) -lm -pthread

# Programs that tests in shell run; agent_* are linked with the agent's parts.
$(O)/helper/agent_%: $(O)/obj/tests/helper/agent_%.o $(O)/libagent.a
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(link_test) $(AGENT_LIBS) -pthread

unit-tests: $(UNIT_TESTS) $(FUZZERS) $(HELPERS)

# prove runs these beside each other, then those of tests/build and tests/boot one by one, as
# tests/rules.yml says.
FAST_TESTS = $(UNIT_TESTS) $(wildcard tests/cli/*.t tests/fuzz/*.t)
SLOW_TESTS = $(wildcard tests/build/*.t tests/boot/*.t)
PROVE = INGOT='$(CURDIR)/$(BIN)/ingot' INGOT_BUILD='$(CURDIR)/$(O)' \
	HARNESS_RULESFILE=tests/rules.yml prove --timer -j2

test: ## install what is missing, build, run all tests (boot tests included)
	scripts/install-deps build test
	$(Q)$(MAKE) --no-print-directory all unit-tests
	$(PROVE) $(FAST_TESTS) $(SLOW_TESTS)

test-fast: all unit-tests ## only the tests that need seconds: unit, command line, fuzz replay
	$(PROVE) $(FAST_TESTS)

test-full: export INGOT_TEST_FULL := 1
test-full: test ## test, and what takes long: two complete builds from nothing must be equal

test-cluster: all ## many machines join, RUNS=n times (50) all at once, and are killed at every step: an hour
	INGOT='$(CURDIR)/$(BIN)/ingot' tests/cluster/full

bench: all ## measure builds (QUICK=1: not from nothing); beside mkosi if it is there
	scripts/bench $(if $(QUICK),--quick)

fuzz: ## run fuzz target T=name for SECS=n seconds (clang); all of them without T
	scripts/install-deps build check
	$(Q)$(MAKE) --no-print-directory CC=clang VARIANT=fuzz FUZZING=1 \
		SAN=fuzzer-no-link,address,undefined fuzzers
	scripts/fuzz build/fuzz/fuzz $(or $(SECS),60) \
		$(or $(T),$(patsubst tests/fuzz/fuzz_%.c,%,$(FUZZ_SRC)))
fuzzers: $(FUZZERS)

demo: ## build swarm-manager from nothing, boot it, show the swarm
	+scripts/demo

# ---- static checks ---------------------------------------------------------------------------
check: ## static side: warnings, lint, format, layers, headers, sizes, sanitizer run
	scripts/install-deps build check
	scripts/check-layers
	scripts/check-headers
	scripts/check-sizes
	scripts/check-format
	scripts/check-shell
	$(Q)$(MAKE) --no-print-directory VARIANT=check-gcc CC=gcc WERROR=1 all unit-tests
	$(Q)$(MAKE) --no-print-directory VARIANT=check-clang CC=clang WERROR=1 all unit-tests tidy
	$(Q)$(MAKE) --no-print-directory SAN=address,undefined test-sanitized
	@echo 'check: all good'

format: ## format the C files in place
	clang-format -i $$(git ls-files -co --exclude-standard '*.c' '*.h')

TIDY := $(patsubst %.c,$(O)/tidy/%,$(ALL_SRC))
tidy: $(TIDY)
$(O)/tidy/%: $(O)/obj/%.o .clang-tidy
	$(call say,TIDY,$*.c)
	@mkdir -p $(@D)
	$(Q)clang-tidy --quiet $*.c -- $(filter-out -ffile-prefix-map%,$(FLAGS)) $(PKG_CFLAGS) \
		2> >(grep -v 'warnings\? generated\.$$\|^Suppressed\|^Use -header-filter' >&2)
	@touch $@

test-sanitized: all unit-tests
	ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1 UBSAN_OPTIONS=print_stacktrace=1 \
		$(PROVE) $(FAST_TESTS)

# ---- installing ------------------------------------------------------------------------------
DATA := $(wildcard profiles overlays firmware cloud-init)
COMPLETIONS := $(PREFIX)/share/bash-completion/completions

install: all ## install below DESTDIR, PREFIX (default /usr/local)
	install -d '$(DESTDIR)$(PREFIX)/bin' '$(DESTDIR)$(LIBDIR)' '$(DESTDIR)$(DATADIR)' \
		'$(DESTDIR)$(COMPLETIONS)'
	install -m 755 $(BIN)/ingot '$(DESTDIR)$(PREFIX)/bin/ingot'
	install -m 755 $(filter-out %/ingot,$(PROGRAMS)) '$(DESTDIR)$(LIBDIR)/'
	install -m 644 scripts/ingot.bash-completion '$(DESTDIR)$(COMPLETIONS)/ingot'
	scripts/install-data '$(DESTDIR)$(DATADIR)' $(DATA)

clean: ## remove what was built (not the cache of images)
	rm -rf build

help: ## this list
	@echo 'usage: make [TARGET] [VARIABLE=VALUE]...'
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  \1\t\2/p' Makefile | expand -t 16
	@sed -n 's/^#   \([A-Z]*=.*\)/  \1/p' Makefile

.PHONY: all unit-tests fuzzers test test-fast test-full test-sanitized test-cluster bench fuzz demo check format \
	tidy install clean help FORCE

-include $(patsubst %.o,%.d,$(call obj,$(ALL_SRC) $(UNIT_SRC) $(FUZZ_SRC) $(HELPER_SRC) \
	$(wildcard tests/fuzz/main.c)))

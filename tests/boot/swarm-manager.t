#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The image of role swarm-manager boots, is verified, forms a swarm, keeps it over a reboot, is another
# machine the second time and refuses a flipped bit. `ingot test` speaks TAP itself: its lines are those
# of this test. With KVM this takes two minutes, emulated on two busy cores half an hour.
set -eu
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
ingot=${INGOT:-$top/build/ingot}
out=$(mktemp -d "${TMPDIR:-/tmp}/ingot-boot.XXXXXX")
trap 'rm -rf "$out"' EXIT
# So that bash waits for the program, which ends QEMU, before it removes the image.
trap 'exit 130' INT
trap 'exit 143' TERM
cd "$top"
# The profile's own formats: the cache is the one that `make demo` uses, so the image is built once.
"$ingot" -q test --output "$out" swarm-manager

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# One disk in the formats that QEMU reads too boots from each of them, up to the health check, on the root
# that its manifest names. With KVM this takes a minute, emulated on two busy cores ten.
. "${0%/*}/../lib.sh"
requires jq qemu-img

cd "$top"
# The profile's own formats: the cache is the one that `make demo` uses, so the image is built once.
run_ok 'the image is built' "$INGOT" -q build --output "$tmp/out" swarm-manager
cd "$tmp"
manifest=out/swarm-manager/manifest.json
raw=out/swarm-manager/$(jq -r '.artifacts[] | select(.format == "raw").file' "$manifest")
hash=$(jq -r .root_hash "$manifest")
like "$hash" '^[0-9a-f]{64}$' 'it has a root hash'
run_ok 'it is converted' "$INGOT" -q convert "$raw" --format vhd,vmdk,qcow2 --name disk -o disks
# What boots is the file alone.
rm -rf out

for format in vhd vmdk qcow2; do
    run_ok "$format boots" "$INGOT" -q boot --headless --run 'dmsetup table root' "disks/disk.$format"
    like "$out" " verity 1 .* sha256 $hash " "  from the root of the image"
    [ "$tap_failed" = 0 ] || note "$err"
    rm -f "disks/disk.$format"
done

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

# One of them has a seed in it: the machine finds it, and its disk is laid out as without.
cat >user-data <<'END'
#cloud-config
write_files: [{path: /etc/seeded, content: from the seed}]
END
run_ok 'a seed goes into one' "$INGOT" -q seed -u user-data -H seeded-1 --in-place disks/disk.vmdk
seeded='hostname; cat /etc/seeded; echo; ingot-agent query id; lsblk -nro PARTLABEL /dev/vda | sort | xargs'

for format in vhd vmdk qcow2; do
    more=()
    [ "$format" != vmdk ] || more=(--run "$seeded")
    run_ok "$format boots" "$INGOT" -q boot --headless --run 'dmsetup table root' "${more[@]}" "disks/disk.$format"
    like "$out" " verity 1 .* sha256 $hash " "  from the root of the image"
    if [ "$format" = vmdk ]; then
        like "$out" '^seeded-1$' '  by the name of the seed'
        like "$out" '^from the seed$' '  with what its user-data says'
        like "$out" '^ingot-[0-9a-f]{16}$' '  as the instance of the seed'
        like "$out" '^CIDATA _empty _empty esp swarm-manager_[^ ]* swarm-manager_[^ ]*_verity var$' \
            '  with the second slot and /var'
    fi
    [ "$tap_failed" = 0 ] || note "$err"
    rm -f "disks/disk.$format"
done

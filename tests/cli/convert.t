#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# ingot convert: all formats in one call, each read by the tools of others; disks that grow; bad requests;
# a full disk and an interruption leave nothing.
# shellcheck source=tests/lib.sh
. "${0%/*}/../lib.sh"
requires jq qemu-img sfdisk sgdisk zstd bmaptool tar mke2fs /usr/bin/python3
PATH=$PATH:/usr/sbin:/sbin

# 3 MiB of content in 40 MiB and one sector: no format's favourite size.
make_disk() { # NAME
    truncate -s 41943552 "$1"
    printf 'start=2048, size=20480, name=data\nstart=40960, size=2048, type=uefi\n' |
        sfdisk -q -X gpt "$1"
    seq 1 200000 | dd of="$1" bs=1M seek=1 conv=notrunc status=none
    head -c 1500000 /dev/urandom | dd of="$1" bs=1M seek=5 conv=notrunc status=none
}
blocks() { stat -c %b "$1"; }

make_disk disk.raw
sum=$(sha256sum <disk.raw)
all=raw,raw.zst,qcow2,qcow2-zlib,vhd,vmdk,ova,gcp

run_ok 'formats that take any disk' "$INGOT" convert disk.raw --format raw.zst,qcow2,raw -o same
like "$out" '^same/disk\.raw\.zst  [0-9.]+ [KM]iB$' 'the files are named'
like "$out" '^same/disk\.raw\.bmap  [0-9]+ B|KiB$' 'the map comes with raw.zst'
unlike "$err" 'grows' 'the disk stays as large as it was'
same_file disk.raw same/disk.raw 'raw: the same bytes'
# Holes are of whole clusters of 64 KiB.
if [ "$(blocks same/disk.raw)" -le $(($(blocks disk.raw) + 1024)) ]; then ok 'and holes are holes'; else
    not_ok 'and holes are holes' "$(blocks same/disk.raw) blocks, the input has $(blocks disk.raw)"
fi
zstd -qdc same/disk.raw.zst >back
same_file disk.raw back 'zstd -d gives the raw disk back'
run_ok 'qemu-img agrees about qcow2' qemu-img compare -f raw -F qcow2 disk.raw same/disk.qcow2
for image in disk.raw disk.raw.zst; do
    rm -f target
    run_ok "bmaptool copies $image" bmaptool copy "same/$image" target
    like "$err" "discovered bmap file" '  by the map beside it'
    same_file disk.raw target '  the same bytes'
done

run_ok 'all formats at once' "$INGOT" --json convert disk.raw --format "$all" -o all --name node
cp "$out_file" events
like "$(jq -r 'select(.event == "message") | .text' events)" \
    'the disk grows from 40\.0 MiB to 1\.0 GiB: format gcp has whole 1\.0 GiB' 'the growth is told'
run_ok 'the events fit their schema' /usr/bin/python3 "$top/tests/check-events" <events
converted=$(jq -c 'select(.event == "converted")' events)
is "$(jq -r '[.artifacts[].format] | sort | join(",")' <<<"$converted")" \
    "$(tr , '\n' <<<"$all,bmap" | sort | paste -sd,)" 'an artifact for each'
is "$(jq -r '.artifacts[] | "\(.sha256)  \(.file)"' <<<"$converted" | sha256sum -c --quiet 2>&1)" '' 'the digests are right'
is "$(jq -r '.artifacts[] | "\(.bytes) \(.file)"' <<<"$converted")" \
    "$(jq -r '.artifacts[].file' <<<"$converted" | xargs stat -c '%s %n')" 'the sizes are right'
is "$(jq -r .disk_sha256 <<<"$converted")" "$(sha256sum <all/node.raw | cut -d' ' -f1)" 'the digest of the disk'
is "$(sha256sum <disk.raw)" "$sum" 'the input was not changed'

# One disk in all of them.
run_ok 'sgdisk -v on the larger disk' sgdisk -v all/node.raw
like "$out" 'No problems found' 'finds nothing wrong'
run_ok 'sfdisk --verify' sfdisk --verify all/node.raw
like "$out" 'No errors detected' 'finds nothing wrong either'
is "$(sfdisk -J all/node.raw | jq -c '.partitiontable.partitions | map(del(.node))')" \
    "$(sfdisk -J disk.raw | jq -c '.partitiontable.partitions | map(del(.node))')" 'the partitions stay'
is "$(cmp -l disk.raw all/node.raw 2>/dev/null | awk '$1 > 1024 && $1 <= 41943552 - 33 * 512' | wc -l)" 0 \
    'and nothing but the table changed'
for image in qcow2:node.qcow2 qcow2:node.zlib.qcow2 vmdk:node.vmdk vpc:node.vhd; do
    run_ok "qemu-img compare: $image" qemu-img compare -f raw -F "${image%%:*}" all/node.raw "all/${image#*:}"
done
gcp=$(jq -r '.artifacts[] | select(.format == "gcp") | .file' <<<"$converted")
mkdir gcp
tar -C gcp -xSzf "$gcp"
same_file all/node.raw gcp/disk.raw 'GNU tar: the disk for GCP'
is "$(zstd -qdc all/node.raw.zst | sha256sum | cut -d' ' -f1)" "$(jq -r .disk_sha256 <<<"$converted")" 'zstd: raw.zst'
# The others are in tests/unit/output_convert.c.
run_ok "back from GCP's archive" "$INGOT" --json convert "$gcp" --format qcow2 -o back.d --name back
is "$(jq -r 'select(.event == "converted") | .disk_sha256' "$out_file")" "$(jq -r .disk_sha256 <<<"$converted")" \
    'the same disk'

run_ok 'reproducible' "$INGOT" convert disk.raw --format vmdk,qcow2-zlib -o one --reproducible --jobs 1
run_ok 'again' "$INGOT" convert same/disk.raw.zst --format vmdk,qcow2-zlib -o two --reproducible --jobs 5
same_file one/disk.vmdk two/disk.vmdk 'the same bytes'
same_file one/disk.zlib.qcow2 two/disk.zlib.qcow2 'the same bytes'

# A disk without a partition table grows too.
truncate -s 2100K plain.img
mke2fs -q -F plain.img
run_ok 'a file system without a table' "$INGOT" convert plain.img --format vhd,raw
is "$(stat -c %s plain.raw)" 3145728 'grows to whole MiB'
run_ok 'compares equal' qemu-img compare -f raw -F raw plain.img plain.raw

# Bad input.
run_status 2 'no format' "$INGOT" convert disk.raw
like "$err" '^hint: such as: ingot convert DISK --format' 'says what to write'
run_status 2 'an unknown format' "$INGOT" convert disk.raw --format raw,qcow3
like "$err" "^ingot: unknown format 'qcow3'$" 'says which'
like "$err" "^hint: did you mean 'qcow2'\\? There are: raw, raw\\.zst, .*gcp" 'lists those that there are'
run_status 2 'the input as output' "$INGOT" convert disk.raw --format raw,qcow2
like "$err" "^ingot: cannot write 'disk.raw': it is the input" 'is refused'
missing disk.qcow2 'and nothing written'
for target in /dev/stdout /dev/null; do
    run_status 2 "$target as output" "$INGOT" convert disk.raw --format raw.zst -o "$target"
    like "$err" 'no pipe or device can take them' 'says why not'
done
mkfifo pipe.qcow2
run_status 2 'a FIFO as output' timeout 20 "$INGOT" convert disk.raw --format qcow2 --name pipe
like "$err" "cannot write 'pipe.qcow2': it is no regular file.*no pipe or device" 'says why not'
run_status 1 'no such file' "$INGOT" convert absent --format raw
is "$err" "ingot: cannot open 'absent': No such file or directory" 'one message'
run_status 1 'a folder' "$INGOT" convert all --format raw
printf 'no disk' >text
run_status 5 'no disk' "$INGOT" convert text --format qcow2
like "$err" "cannot convert 'text': 7 bytes are no disk: not a multiple of 512" 'says why'
cp disk.raw broken.raw
printf X | dd of=broken.raw bs=1 seek=1100 conv=notrunc status=none
run_status 5 'a damaged table does not grow' "$INGOT" convert broken.raw --format vhd,qcow2
like "$err" "cannot enlarge the disk 'broken.raw': cannot move the partition table: wrong checksum" 'says why'
run_ok 'but stays as it is in formats of any size' "$INGOT" convert broken.raw --format qcow2
head -c 100000 same/disk.raw.zst >cut.raw.zst
run_status 5 'a file that was cut' "$INGOT" convert cut.raw.zst --format raw
missing cut.raw 'leaves nothing'

# What is unfinished goes.
nothing_in() { is "$(ls -A "$1")" '' "$2"; }
mkdir full small
run_status 7 'a full disk' bash -c 'command -v unshare >/dev/null && exec unshare -Urm bash -c "
    mount -t tmpfs -o size=1M tmpfs full && { $1 convert disk.raw --format raw.zst,qcow2 -o full; status=\$?;
    ls -A full >left; exit \$status; }"' bash "$INGOT"
like "$err" '^ingot: cannot write .*: No space left on device' 'one message'
is "$(cat left)" '' 'leaves nothing'
truncate -s 50G long.raw
"$INGOT" convert long.raw --format qcow2,raw.zst -o small 2>/dev/null &
pid=$!
wait_for 20 eval '[ -n "$(ls -A small)" ]'
kill -INT "$pid" 2>/dev/null || true
wait "$pid" && status=0 || status=$?
is "$status" 10 'an interruption ends it'
nothing_in small 'and leaves nothing'

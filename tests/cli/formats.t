#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# ingot inspect on disks that other tools made, in every container format that we read, and on
# damaged ones. What we write ourselves is compared with other readers in tests/unit/output_*.c.
# shellcheck source=tests/lib.sh
. "${0%/*}/../lib.sh"
# shellcheck source=tests/disklib.sh
. "$top/tests/disklib.sh"
requires jq qemu-img sfdisk mkfs.fat mcopy mmd
PATH=$PATH:/usr/sbin:/sbin

hash=00112233445566778899aabbccddeeff0f1e2d3c4b5a69788796a5b4c3d2e1f0

make_disk() {
    truncate -s 100M disk
    sfdisk -q disk <<-EOF
		label: gpt
		label-id: 01234567-89AB-4DEF-8123-456789ABCDEF
		start=2048, size=81920, type=uefi, name="my esp"
		start=83968, size=2048, type=2c7357ed-ebd2-46d9-aec1-23d437ec2bf5, name="d_1_verity", uuid=0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0
		start=86016, size=20480, type=4f68bce3-e8cd-4db1-96e7-fbcaf984b709, name="d_1", uuid=00112233-4455-6677-8899-aabbccddeeff, attrs="GUID:60"
		EOF
    truncate -s 40M esp
    mkfs.fat -F 32 -s 1 esp >mkfs.log
    make_pe "roothash=$hash ro" 6.1.0-test
    mmd -i esp ::EFI ::EFI/Linux
    mcopy -i esp pe '::EFI/Linux/d_1.efi'
    make_pe $'ro \e[31mred' 6.2.0-test
    mcopy -i esp pe '::EFI/Linux/other+2-1.efi'
    dd if=esp of=disk bs=1M seek=1 conv=notrunc status=none
}

make_disk
run_ok 'a raw image is inspected' "$INGOT" inspect disk
like "$out" '^format +raw, disk of 100\.0 MiB, file of 100\.0 MiB' 'the sizes'
like "$out" '^  1  esp +my esp +1\.0 MiB +40\.0 MiB +[0-9.]+ [KM]iB$' 'the ESP and what is used of it'
like "$out" '^  3  root +d_1 +42\.0 MiB +10\.0 MiB +-$' 'a root with unknown content'
like "$out" "^root hash +$hash\$" 'the root hash'
like "$out" '^kernel +6\.1\.0-test$' 'the kernel'
like "$out" '^  boots +2 tries left, 1 done$' 'the boot counters'
like "$out" '^  boots +not counted' 'an entry without counters'
like "$out" '^  cmdline +ro \?\[31mred$' 'control characters do not reach the terminal'

run_ok 'as JSON' "$INGOT" --json inspect disk
json=$out
is "$(jq -r .event <<<"$json")" image 'one event'
is "$(jq -r '.table.uuid' <<<"$json")" 01234567-89ab-4def-8123-456789abcdef 'the UUID of the table'
is "$(jq -c '[.table.partitions[] | .type]' <<<"$json")" '["esp","root-verity","root"]' 'the types'
is "$(jq -c '[.table.partitions[] | .read_only]' <<<"$json")" '[false,false,true]' 'the flags'
is "$(jq -c '.entries[] | select(.tries_left == 2) | .cmdline' <<<"$json")" '"ro \u001b[31mred"' 'text as it is'
is "$(jq -c '.entries[] | select(.root == 3) | .file' <<<"$json")" '"EFI/Linux/d_1.efi"' 'the entry of the root'
is "$(jq -c .problems <<<"$json")" '["cannot read the squashfs in '"'disk'"': this is no squashfs"]' \
    'the empty root is a problem, not the end'
is "$(jq -c '[.table.partitions[] | .offset, .size]' <<<"$json")" \
    "$(sfdisk -J disk | jq -c '[.partitiontable.partitions[] | .start * 512, .size * 512]')" \
    'places as sfdisk says'

# The same in every container format.
without_container() { jq -S 'del(.file, .format, .bytes, .allocated, .time, .problems)' <<<"$1"; }
for variant in compat=0.10 compat=1.1 compression_type=zstd cluster_size=4096; do
    for packed in '' -c; do
        # shellcheck disable=SC2086
        qemu-img convert $packed -f raw -O qcow2 -o "$variant" disk image
        run_ok "qcow2 $variant $packed" "$INGOT" --json inspect image
        is "$(jq -r .format <<<"$out")" qcow2 '  the format'
        is "$(without_container "$out")" "$(without_container "$json")" '  the same content'
    done
done

# Damage.
run_status 5 'verify needs a real hash tree' "$INGOT" inspect --verify disk
like "$err" 'no verity superblock' 'says what is missing'
cp disk broken
printf X | dd of=broken bs=1 seek=512 conv=notrunc status=none
run_ok 'a damaged table: the backup is used' "$INGOT" inspect broken
like "$err" 'warning: the primary table is damaged \(no GPT signature\): the backup is used' 'and told'
truncate -s 50M broken
run_status 5 'both tables damaged' "$INGOT" inspect broken
like "$err" "^ingot: cannot read the partition table of 'broken': no GPT signature; backup: " 'one message'
qemu-img create -q -f qcow2 -b disk -F raw child
run_status 5 'an image that needs another one' "$INGOT" inspect child
like "$err" 'backing file' 'says why'
run_status 1 'no such file' "$INGOT" inspect absent
is "$err" "ingot: cannot open 'absent': No such file or directory" 'one message'
run_status 1 'a folder' "$INGOT" inspect .
: >empty
run_status 5 'an empty file' "$INGOT" inspect empty
run_status 2 'no operand' "$INGOT" inspect

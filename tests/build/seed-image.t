#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A seed in an image, read by an appliance of libguestfs: what Linux itself finds on such a disk, in formats of
# which QEMU has its own readers. Without KVM a minute.
# shellcheck source=tests/lib.sh
. "${0%/*}/../lib.sh"
# shellcheck source=tests/disklib.sh
. "$top/tests/disklib.sh"
requires guestfish jq qemu-img sfdisk mksquashfs veritysetup mkfs.fat mcopy
PATH=$PATH:/usr/sbin:/sbin
export LIBGUESTFS_BACKEND=direct LIBGUESTFS_BACKEND_SETTINGS=force_tcg

uuid_of() { echo "${1:0:8}-${1:8:4}-${1:12:4}-${1:16:4}-${1:20:12}"; }
mkdir -p root/usr/lib
head -c 2000000 /dev/urandom >root/usr/lib/noise
mksquashfs root squash -quiet -no-progress -noappend -comp zstd -all-root >/dev/null
truncate -s %1M squash
hash=$(veritysetup format squash tree | sed -n 's/^Root hash:[[:space:]]*//p')
truncate -s 56M disk.raw
sfdisk -q disk.raw <<TABLE
label: gpt
start=2048, size=81920, type=uefi, name="esp"
start=83968, size=2048, type=2c7357ed-ebd2-46d9-aec1-23d437ec2bf5, name="d_1_verity", uuid=$(uuid_of "${hash:32}")
start=90112, size=$(($(stat -c %s squash) / 512)), type=4f68bce3-e8cd-4db1-96e7-fbcaf984b709, name="d_1", uuid=$(uuid_of "${hash:0:32}")
TABLE
truncate -s 40M esp
mkfs.fat -F 32 -s 1 esp >mkfs.log
make_pe "roothash=$hash ro" 6.1
mmd -i esp ::EFI ::EFI/Linux
mcopy -i esp pe '::EFI/Linux/d_1.efi'
dd if=esp of=disk.raw bs=1M seek=1 conv=notrunc status=none
dd if=tree of=disk.raw bs=1M seek=41 conv=notrunc status=none
dd if=squash of=disk.raw bs=1M seek=44 conv=notrunc status=none
printf '#cloud-config\nhostname: m1\n' >user-data

# guest FORMAT FILE COMMANDS
guest() { guestfish --ro --format="$1" -a "$2" <<<"$3"; }
read_all='run
list-partitions
vfs-label /dev/sda4
vfs-type /dev/sda4
part-get-name /dev/sda 4
part-get-gpt-type /dev/sda 4
part-get-disk-guid /dev/sda
checksum-device sha256 /dev/sda1
checksum-device sha256 /dev/sda2
checksum-device sha256 /dev/sda3
mount-ro /dev/sda4 /
ls /
cat /user-data'

run_ok 'formats' "$INGOT" convert disk.raw --format qcow2,vhd,vmdk -o formats
part() { dd if=disk.raw bs=512 skip="$1" count="$2" status=none | sha256sum | cut -d' ' -f1; }
want="/dev/sda1
/dev/sda2
/dev/sda3
/dev/sda4
CIDATA
vfat
CIDATA
0FC63DAF-8483-4772-8E79-3D69D8477DE4
$(sfdisk --disk-id disk.raw)
$(part 2048 81920)
$(part 83968 2048)
$(part 90112 $(($(stat -c %s squash) / 512)))
meta-data
user-data
#cloud-config
hostname: m1"
for image in qcow2:disk.qcow2 vpc:disk.vhd vmdk:disk.vmdk; do
    run_ok "seed ${image#*:}" "$INGOT" seed -u user-data -H m1 "formats/${image#*:}" --in-place
    run_ok '  the appliance reads it' guest "${image%%:*}" "formats/${image#*:}" "$read_all"
    is "$(sed '/^$/d' <<<"$out")" "$want" '  one file system more, and all others as they were'
done

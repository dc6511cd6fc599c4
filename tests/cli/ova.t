#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# An OVA is what importers want: archive, manifest and envelope are checked by a reader that knows
# nothing of ours, the disk in it by qemu-img.
# shellcheck source=tests/lib.sh
. "${0%/*}/../lib.sh"
requires qemu-img tar virt-v2v

truncate -s 40M disk.raw
seq 500000 | dd of=disk.raw bs=64K seek=7 conv=notrunc status=none
printf end | dd of=disk.raw bs=1 seek=41943037 conv=notrunc status=none

run_ok 'a disk is converted to VMDK and OVA' "$INGOT" convert --reproducible -f vmdk,ova -n 'my-disk' disk.raw
run_ok 'the OVA is as the specifications want it' /usr/bin/python3 "$top/tests/check-ovf" my-disk.ova my-disk 41943040
is "$out" ok '  and says so'
run_ok 'GNU tar extracts it' tar -xf my-disk.ova
run_ok 'its manifest agrees' sha256sum --strict -c my-disk.mf
run_ok 'qemu-img finds no error in its disk' qemu-img check my-disk-disk1.vmdk
run_ok 'the disk in it is the disk' qemu-img compare -f raw -F vmdk disk.raw my-disk-disk1.vmdk
run_ok 'and so is the VMDK' qemu-img compare -f raw -F vmdk disk.raw my-disk.vmdk

# An importer that is not ours; it checks the manifest too.
run_ok 'virt-v2v takes it' virt-v2v -i ova my-disk.ova --print-source
for line in '^ *source name: my-disk$' '^ *memory: 4294967296' '^ *nr vCPUs: 2$' '^ *firmware: uefi$' \
    '0 \[scsi\]' 'VM Network. \[vmxnet3\]'; do
    like "$out" "$line" "  and finds: $line"
done

mkdir back
for file in my-disk.ova my-disk.vmdk; do
    run_ok "$file is converted back" "$INGOT" convert -f raw -n disk -o back "$file"
    run_ok '  to the same bytes' cmp disk.raw back/disk.raw
done

# A manifest or an envelope that was changed is seen by the check: it can fail.
cp my-disk.ova broken.ova
printf 'SHA256(x' | dd of=broken.ova bs=1 seek="$(grep -abo 'SHA256(' my-disk.ova | head -n 1 | cut -d: -f1)" \
    conv=notrunc status=none
run_status 1 'a changed manifest is found' /usr/bin/python3 "$top/tests/check-ovf" broken.ova my-disk 41943040

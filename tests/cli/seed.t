#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# ingot seed: every medium read by the tools of others, an image that gets a seed in every format, user-data
# that is wrong, and nothing half-written.
# shellcheck source=tests/lib.sh
. "${0%/*}/../lib.sh"
# shellcheck source=tests/disklib.sh
. "$top/tests/disklib.sh"
requires jq isoinfo bsdtar blkid mtype mdir fsck.fat python3 sfdisk sgdisk qemu-img mksquashfs veritysetup mkfs.fat mcopy
PATH=$PATH:/usr/sbin:/sbin
umask 022

cat >user-data <<'E2'
#cloud-config
hostname: m1
chpasswd: {list: "root:hunter2"}
E2
printf '#!/bin/sh\necho vendor\n' >vendor-data
printf 'version: 2\nethernets: {}\n' >network-config
printf '{"links": [], "networks": []}\n' >network_data.json
printf '# a comment\nssh-ed25519 AAAAC3Nz one@host\n\nssh-rsa AAAAB3Nz two@host\n' >keys.pub
mode() { stat -c %a "$1"; }
seed() { "$INGOT" seed --user-data user-data "$@"; }
who=(--hostname m1.example.com --instance-id i-1 --meta-data availability-zone=a --ssh-key keys.pub)
meta='instance-id: "i-1"
local-hostname: "m1.example.com"
availability-zone: "a"
public-keys:
  - "ssh-ed25519 AAAAC3Nz one@host"
  - "ssh-rsa AAAAB3Nz two@host"'

# ---- media -----------------------------------------------------------------------------------
run_ok 'an ISO image is the default' seed "${who[@]}" --vendor-data vendor-data --network-config network-config -o s.iso
like "$out" '^s\.iso  nocloud-iso  [0-9.]+ KiB  instance-id i-1$' 'says what it wrote'
is "$(mode s.iso)" 600 'only its owner can read it'
is "$(blkid -p -o value -s LABEL s.iso) $(blkid -p -o value -s TYPE s.iso)" 'cidata iso9660' 'blkid: label and type'
like "$(isoinfo -d -i s.iso)" '^Volume id: cidata$' 'isoinfo: the label as it is'
is "$(isoinfo -R -f -i s.iso | sort | xargs)" '/meta-data /network-config /user-data /vendor-data' 'Rock Ridge names'
is "$(isoinfo -J -f -i s.iso | sort | xargs)" '/meta-data /network-config /user-data /vendor-data' 'Joliet names'
for file in user-data vendor-data network-config; do
    isoinfo -R -i s.iso -x "/$file" >got
    same_file got "$file" "isoinfo: $file"
done
mkdir iso
bsdtar -C iso -xpf s.iso
is "$(cat iso/meta-data)" "$meta" 'bsdtar: meta-data'
is "$(mode iso/user-data)" 400 'root alone reads the files'
run_ok 'meta-data is YAML for others too' python3 -c '
import yaml
data = yaml.safe_load(open("iso/meta-data"))
assert data["instance-id"] == "i-1" and data["local-hostname"] == "m1.example.com" and len(data["public-keys"]) == 2'

run_ok 'a FAT disk' seed "${who[@]}" --network-config network-config -f nocloud-disk -o s.img
is "$(mode s.img)" 600 'only its owner can read it'
is "$(blkid -p -o value -s LABEL s.img) $(blkid -p -o value -s TYPE s.img)" 'CIDATA vfat' 'blkid: label and type'
run_ok 'fsck.fat' fsck.fat -n s.img
is "$(mtype -i s.img ::meta-data)" "$meta" 'mtools: meta-data'
mtype -i s.img ::user-data >got
same_file got user-data 'mtools: user-data'
is "$(mdir -b -i s.img | xargs)" '::/meta-data ::/network-config ::/user-data' 'and no other file'
if [ "$(stat -c %b s.img)" -lt 4096 ]; then ok 'most of it is a hole'; else not_ok 'most of it is a hole'; fi

run_ok 'a config drive' seed "${who[@]}" --meta-data role=db --vendor-data vendor-data \
    --network-config network_data.json -f configdrive -o c.iso
is "$(blkid -p -o value -s LABEL c.iso)" config-2 'blkid: the label'
like "$(isoinfo -d -i c.iso)" '^Volume id: config-2$' 'isoinfo: the label as it is'
drive() { isoinfo -R -i c.iso -x "/openstack/latest/$1"; }
is "$(drive meta_data.json | jq -c '[.uuid, .hostname, .availability_zone, .meta, .public_keys]')" \
    '["i-1","m1.example.com","a",{"role":"db"},{"key-0":"ssh-ed25519 AAAAC3Nz one@host","key-1":"ssh-rsa AAAAB3Nz two@host"}]' \
    'meta_data.json'
drive user_data >got
same_file got user-data 'user_data'
is "$(drive vendor_data.json | jq -r '.["cloud-init"]')" "$(cat vendor-data)" 'vendor_data.json'
is "$(drive network_data.json)" "$(cat network_data.json)" 'network_data.json'

run_ok 'credentials' seed "${who[@]}" -f credentials -o cred
is "$(mode cred) $(mode cred/ingot.user-data) $(mode cred/qemu.args)" '700 600 600' 'a folder of its owner'
same_file cred/ingot.user-data user-data 'user-data'
is "$(cat cred/ingot.meta-data)" "$meta" 'meta-data'
is "$(sed 's/^io.systemd.credential.binary:ingot.user-data=//' cred/ingot.user-data.smbios | base64 -d)" \
    "$(cat user-data)" 'the string for SMBIOS'
is "$(cat cred/qemu.args)" '-smbios
type=11,path=cred/ingot.meta-data.smbios
-smbios
type=11,path=cred/ingot.user-data.smbios' 'the arguments for QEMU'
like "$out" "^systemd-creds encrypt --name=ingot.user-data 'cred/ingot.user-data'" 'how to encrypt one'
unlike "$out$(cat cred/qemu.args)" "hunter2|$(base64 -w0 user-data)" 'no secret on a command line'
if command -v qemu-system-x86_64 >/dev/null; then
    mapfile -t arguments <cred/qemu.args
    run_ok 'QEMU takes them' timeout 60 qemu-system-x86_64 -accel tcg -machine q35 -S -display none -monitor none \
        -serial none "${arguments[@]}" -daemonize -pidfile qemu.pid
    [ ! -e qemu.pid ] || kill "$(cat qemu.pid)"
else
    skip 'QEMU takes them' 'no QEMU'
fi

# ---- the same input, the same bytes --------------------------------------------------------
for format in nocloud-iso nocloud-disk configdrive; do
    seed --hostname m1 -f "$format" -o "a.$format" >/dev/null
    (sleep 1.1; umask 077; TZ=Asia/Tokyo seed --hostname m1 -f "$format" -o "b.$format") >/dev/null
    same_file "a.$format" "b.$format" "$format is the same later"
    SOURCE_DATE_EPOCH=1700000000 seed --hostname m1 -f "$format" -o "b.$format" >/dev/null
    if cmp -s "a.$format" "b.$format"; then not_ok "$format has the date of SOURCE_DATE_EPOCH"; else
        ok "$format has the date of SOURCE_DATE_EPOCH"
    fi
done
like "$(TZ=UTC isoinfo -R -l -i b.nocloud-iso)" 'Nov 14 2023 .* user-data' 'isoinfo shows the date'
id() { "$INGOT" --json seed "$@" -o id.iso | jq -r 'select(.event == "seeded") | .instance_id'; }
first=$(id -u user-data -H m1)
is "$(id -u user-data -H m1)" "$first" 'the instance-id is derived'
isnt "$(id -u user-data -H m2)" "$first" 'another name is another instance'
isnt "$(id -u vendor-data -H m1)" "$first" 'other user-data is another instance'

# ---- an image --------------------------------------------------------------------------------
root_at=$((44 * 1048576))
make_image() { # FILE: root last and as large as its content, its hash tree as large as a slot of 64 MiB needs
    mkdir -p root/usr/lib root/var/lib/dpkg
    printf 'Package: bash\nStatus: install ok installed\n\n' >root/var/lib/dpkg/status
    head -c 3000000 /dev/urandom >root/usr/lib/noise
    mksquashfs root squash -quiet -no-progress -noappend -comp zstd -all-root >/dev/null
    truncate -s %1M squash
    hash=$(veritysetup format squash tree | sed -n 's/^Root hash:[[:space:]]*//p')
    truncate -s 56M "$1"
    sfdisk -q "$1" <<-TABLE
		label: gpt
		start=2048, size=81920, type=uefi, name="esp"
		start=83968, size=2048, type=2c7357ed-ebd2-46d9-aec1-23d437ec2bf5, name="d_1_verity", uuid=$(uuid_of "${hash:32}")
		start=$((root_at / 512)), size=$(($(stat -c %s squash) / 512)), type=4f68bce3-e8cd-4db1-96e7-fbcaf984b709, name="d_1", uuid=$(uuid_of "${hash:0:32}")
		TABLE
    truncate -s 40M esp
    mkfs.fat -F 32 -s 1 esp >mkfs.log
    make_pe "roothash=$hash ro" 6.1
    mmd -i esp ::EFI ::EFI/Linux
    mcopy -i esp pe '::EFI/Linux/d_1.efi'
    dd if=esp of="$1" bs=1M seek=1 conv=notrunc status=none
    dd if=tree of="$1" bs=1M seek=41 conv=notrunc status=none
    dd if=squash of="$1" bs=1M seek=$((root_at / 1048576)) conv=notrunc status=none
}
uuid_of() { echo "${1:0:8}-${1:8:4}-${1:12:4}-${1:16:4}-${1:20:12}"; }
table() { sfdisk -J "$1" | jq -c '.partitiontable | [.id, (.partitions | map(del(.node))[:3])]'; }

make_image disk.raw
sum=$(sha256sum <disk.raw)
run_ok 'a raw image' seed -H m1 disk.raw -o seeded.raw
is "$(sha256sum <disk.raw)" "$sum" 'the input stays'
is "$(mode seeded.raw)" 600 'only its owner can read the new one'
is "$(table seeded.raw)" "$(table disk.raw)" "the disk's identity and its partitions stay"
run_ok 'sgdisk -v' sgdisk -v seeded.raw
like "$out" 'No problems found' 'finds nothing wrong'
part=$(sfdisk -J seeded.raw | jq -c '.partitiontable.partitions[3]')
is "$(jq -r '[.name, .type] | join(" ")' <<<"$part")" 'CIDATA 0FC63DAF-8483-4772-8E79-3D69D8477DE4' 'one partition more'
start=$(($(jq .start <<<"$part") * 512))
if [ "$start" -ge $((root_at + 64 * 1048576)) ]; then ok 'behind the room that the root grows into'; else
    not_ok 'behind the room that the root grows into' "$start"
fi
is "$(cmp -n $((root_at + 4194304)) -l -i 1048576 disk.raw seeded.raw 2>/dev/null | wc -l)" 0 'nothing before it changed'
is "$(blkid -p -O "$start" -S $((34 * 1048576)) -o value -s LABEL seeded.raw)" CIDATA 'blkid finds its label'
mtype -i "seeded.raw@@$start" ::user-data >got
same_file got user-data 'mtools reads user-data in it'
run_ok 'ingot verify' "$INGOT" verify seeded.raw
like "$out" "^root .*the data are what the root hash $hash" 'the root is what it was'

# Formats: what qemu-img makes is read, what is written qemu-img reads.
run_ok 'other formats' "$INGOT" convert disk.raw --format qcow2,vhd,vmdk,ova,raw.zst -o formats
qemu-img convert -f raw -O qcow2 -c disk.raw formats/old.qcow2
for image in qcow2:disk.qcow2 qcow2:old.qcow2 vpc:disk.vhd vmdk:disk.vmdk; do
    run_ok "into ${image#*:}" seed -H m1 "formats/${image#*:}" -o "out.${image#*:}"
    run_ok '  the same disk' qemu-img compare -f raw -F "${image%%:*}" seeded.raw "out.${image#*:}"
done
unlike "$(qemu-img info out.old.qcow2)" 'compression type: zstd' 'an old qcow2 keeps zlib'
like "$(qemu-img info out.disk.qcow2)" 'compression type: zstd' 'a new one keeps zstd'
run_ok 'into an OVA' seed -H m1 formats/disk.ova -o out.ova
bsdtar -xf out.ova --include='*.vmdk' -O >ova.vmdk
run_ok '  the same disk' qemu-img compare -f raw -F vmdk seeded.raw ova.vmdk
run_ok 'into raw.zst' seed -H m1 formats/disk.raw.zst -o out.raw.zst
zstd -qdc out.raw.zst >back
same_file back seeded.raw '  the same disk'
run_status 2 'in place, beside a map' seed -H m1 formats/disk.raw.zst --in-place
like "$err" "the map '.*formats/disk.raw.bmap' beside it would be wrong" 'says why not'

# In place, and again.
cp disk.raw place.raw
ln -s place.raw link.raw
run_ok 'in place' seed -H m1 --in-place link.raw
same_file place.raw seeded.raw 'the same bytes as elsewhere'
is "$(readlink link.raw)" place.raw 'a link stays one'
run_ok 'again, for another machine' "$INGOT" --json seed -u vendor-data -H m2 --in-place place.raw
cp "$out_file" events
is "$(jq -c 'select(.event == "seeded") | [.format, .hostname, .partition.label, .partition.replaced]' events)" \
    '["raw","m2","CIDATA",true]' 'the event says that it was replaced'
is "$(sfdisk -J place.raw | jq -c .partitiontable.partitions)" \
    "$(sfdisk -J seeded.raw | sed s/seeded/place/ | jq -c .partitiontable.partitions)" 'the same partition'
is "$(mtype -i "place.raw@@$start" ::user-data)" "$(cat vendor-data)" 'has the new user-data'
if grep -qa hunter2 place.raw; then not_ok 'and nothing of the old one'; else ok 'and nothing of the old one'; fi
"$INGOT" --json seed -u user-data -f credentials -o cred2 >>events
"$INGOT" --json seed -u user-data -o e.iso >>events
run_ok 'the events fit their schema' python3 "$top/tests/check-events" <events

# ---- images that are refused -----------------------------------------------------------------
refused() { # STATUS NAME REGEX IMAGE [ARGUMENT...]
    run_status "$1" "$2" seed -H m1 "${@:4}" -o refused
    like "$err" "$3" '  says why'
    missing refused '  and writes nothing'
}
cp disk.raw bad.raw
printf X | dd of=bad.raw bs=1 seek=$((root_at + 100000)) conv=notrunc status=none
refused 5 'a tampered root' "cannot seed 'bad.raw': .*data block [0-9]+ does not match its hash" bad.raw
cp disk.raw table.raw
printf X | dd of=table.raw bs=1 seek=1100 conv=notrunc status=none
refused 5 'a damaged table' 'checksum' table.raw
truncate -s 8M plain.raw
printf 'label: gpt\nsize=1MiB\n' | sfdisk -q plain.raw
refused 5 'an image of others' 'no kernel image on it names a root hash, so ingot did not make it' plain.raw
like "$err" '^hint: attach a disk of' '  and what to do'
cp disk.raw booted.raw
truncate -s 400M booted.raw
sgdisk -e -n 0:0:0 -t 0:4d21b016-b534-45c2-a9fb-5c16e091fd2d -c 0:var booted.raw >/dev/null
refused 5 'a disk that ran' 'it was booted already' booted.raw
printf 'no image' >text.raw
refused 5 'a text' 'text.raw' text.raw
refused 1 'no file' "cannot open 'absent.raw': No such file" absent.raw
mkdir folder
refused 2 'a folder' 'no regular file' folder
refused 2 'a format' "'--format' is for media" disk.raw --format nocloud-disk
refused 2 'two images' 'too many arguments' disk.raw place.raw
run_status 2 'neither output nor --in-place' seed disk.raw
like "$err" "either '--output FILE' or '--in-place'" 'says what is needed'
run_status 2 'both' seed disk.raw -o x.raw --in-place
run_status 2 'the input as output' seed disk.raw -o ./disk.raw
like "$err" '^hint: --in-place replaces it' 'says how'
ln -s absent link
run_status 2 '--in-place without an image' seed --in-place
run_status 2 'standard output as output' seed disk.raw -o link
like "$err" "cannot write 'link': it is no regular file" 'is a link'
is "$(sha256sum <disk.raw)" "$sum" 'the image was never changed'

# ---- user-data that is wrong -----------------------------------------------------------------
wrong() { # TEXT REGEX NAME
    printf '%b' "$1" >wrong
    run_status 3 "$3" "$INGOT" seed -u wrong -o wrong.iso
    like "$err" "$2" '  with its place'
    missing wrong.iso '  and nothing is written'
}
wrong '#cloud-config\na: [1,\nb\n' '^wrong:4:1: error: not valid YAML' 'YAML that is none'
wrong '#cloud-config\na: 1\na: 2\n' '^wrong:3:1: error: ' 'a key that is there twice'
wrong 'hostname: m1\n' '^wrong:1:1: note: YAML needs .#cloud-config. as its first line' 'no first line'
wrong '# cloud-config\n' "^wrong:1:1: note: did you mean '#cloud-config'" 'a slip in the first line'
wrong '' '^wrong:1:1: error: the file is empty' 'an empty file'
wrong '#!/bin/sh\r\necho\r\n' '^wrong:1:10: error: lines end with a carriage return' 'a script of another system'
wrong '{"ignition": {"version": "3.0.0"}}' 'perhaps for Ignition' 'Ignition'
wrong '#cloud-config\ningot:\n  cluster: {name: x, rolle: manager}\n' "^wrong:3:22: error: unknown key 'rolle'" \
    'settings that ingot-agent refuses'
run_status 3 'also from a pipe' bash -c '"$INGOT" seed -u <(cat wrong) -o wrong.iso'
like "$err" "^/dev/fd/[0-9]+:3:22: error: unknown key 'rolle'" '  with its place'
run_ok 'with --no-check' "$INGOT" seed --no-check -u wrong -o unchecked.iso
is "$(isoinfo -R -i unchecked.iso -x /user-data)" "$(cat wrong)" 'it is taken as it is'
mkdir -p beside/firmware beside/build # as in a source tree, in which programs lie beside each other
cp "$INGOT" beside/build/ingot
run_ok 'without the agent beside it' beside/build/ingot seed -u wrong -o unchecked.iso
like "$(beside/build/ingot -vv seed -u wrong -o unchecked.iso 2>&1)" "ingot-agent' cannot be asked" 'is told by -v'
run "$INGOT" --json seed -u wrong -o wrong.iso
is "$(jq -r '.event' "$out_file" | xargs)" 'problems error' 'the problems are an event'
cp "$out_file" events
run_ok '  of the schema' python3 "$top/tests/check-events" <events
printf 'ethernets: {}\n' >wrong
run_status 3 'a network-config without a version' seed --network-config wrong -o wrong.iso
like "$err" "^wrong:1:1: error: expected 'version: 2'" 'with its place'
run_status 2 'one of NoCloud for a config drive' seed --network-config network-config -f configdrive -o wrong.iso
like "$err" "network_data.json" 'says what it wants'
{ echo '#cloud-config'; head -c 60000 /dev/zero | tr '\0' '#'; } >large
run_ok 'what some clouds do not take' "$INGOT" seed -u large -o large.iso
like "$err" 'warning: user-data has 58\.6 KiB: .*EC2 takes 16 KiB, Azure and OpenStack' 'is told'
run_ok 'as credentials' "$INGOT" seed -u large -f credentials -o large.cred
like "$(cat large.cred/qemu.args)" '^name=opt/io.systemd.credentials/ingot.user-data,file=large.cred/ingot.user-data$' \
    'what is too large for SMBIOS goes by fw_cfg'
{ echo '#cloud-config'; head -c 1100000 /dev/zero | tr '\0' '#'; } >huge
run_status 1 'more than a machine reads' "$INGOT" seed -u huge -o huge.iso
missing huge.iso 'is not written'

# ---- usage -----------------------------------------------------------------------------------
run_status 2 'nothing to say' "$INGOT" seed -o x
like "$err" '^hint: such as: ingot seed --user-data FILE' 'says what to write'
run_status 2 'no output' seed
run_status 2 'an unknown format' seed -f nocloud -o x
like "$err" '^hint: .*nocloud-iso, nocloud-disk, configdrive, credentials$' 'lists those that there are'
run_status 2 'an unknown option' seed --userdata x -o x
run_status 1 'a file that is not there' "$INGOT" seed -u absent -o x
like "$err" "option '--user-data': cannot read 'absent': No such file" 'says which'
for host in -a a_b 'a b' a..b; do
    run_status 2 "a host name '$host'" seed "--hostname=$host" -o x
done
run_status 2 'meta-data that is no KEY=VALUE' seed --meta-data a -o x
run_status 2 'meta-data that has an option' seed --meta-data instance-id=x -o x
run_status 2 'a private key' seed --ssh-key user-data -o x
run_status 2 'a bad instance-id' seed --instance-id 'a b' -o x
run_status 2 'a bad date' env SOURCE_DATE_EPOCH=monday "$INGOT" seed -u user-data -o x
missing x 'nothing was written'
mkdir full.d
touch full.d/other
run_status 2 'a folder with other files' seed -f credentials -o full.d
is "$(ls full.d)" other 'stays as it was'
run_status 2 'a device as output' seed -o /dev/null
run_status 1 'a folder that is not there' seed -o absent/x.iso
run_ok 'help' "$INGOT" help seed-formats
for format in nocloud-iso nocloud-disk configdrive credentials; do like "$out" "^\| \`$format\`" "lists $format"; done

# ---- what is unfinished goes -----------------------------------------------------------------
mkdir full
full_disk() { # ARGUMENT...: with 64 KiB of room
    # shellcheck disable=SC2016
    unshare -Urm bash -c 'mount -t tmpfs -o size=64K tmpfs full && { "$@"; status=$?; ls -A full >left; exit $status; }' \
        bash "$INGOT" seed "$@"
}
for format in nocloud-iso configdrive; do
    run_status 7 "$format on a full disk" full_disk -u user-data -f "$format" -o full/x
    is "$(cat left)" '' '  leaves nothing'
done
run_status 7 'credentials on a full disk' full_disk -u large -f credentials -o full/x --vendor-data large
is "$(cat left)" '' '  leave nothing'
run_status 7 'an image on a full disk' full_disk -u user-data disk.raw -o full/x
is "$(cat left)" '' '  leaves nothing'

# A signal at any time: the image is the old one or the new one, and no other file is there.
mkdir place
cp disk.raw place/disk.raw
new=$(sha256sum <seeded.raw)
for signal in INT TERM KILL; do
    for delay in 0.02 0.1 0.2 0.3 0.4; do
        "$INGOT" seed -u user-data -H m1 --in-place place/disk.raw >/dev/null 2>&1 &
        pid=$!
        sleep "$delay"
        kill "-$signal" "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
        is="$(sha256sum <place/disk.raw)"
        if [ "$is" = "$sum" ] || [ "$is" = "$new" ]; then ok "$signal after $delay s: the image is whole"; else
            not_ok "$signal after $delay s: the image is whole"
        fi
        [ "$signal" != KILL ] || rm -f place/disk.raw.*.tmp
        is "$(ls place)" disk.raw '  and alone'
        cp disk.raw place/disk.raw
    done
done

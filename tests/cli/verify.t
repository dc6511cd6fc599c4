#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# ingot keygen and ingot verify on a small image that other tools made (squashfs-tools, veritysetup,
# sfdisk, mkfs.fat, qemu-img) and on every way to tamper with it. Signatures are made and judged by the
# openssl program too.
# shellcheck source=tests/lib.sh
. "${0%/*}/../lib.sh"
requires jq openssl qemu-img sfdisk mkfs.fat mcopy mmd mksquashfs veritysetup sha256sum base64
PATH=$PATH:/usr/sbin:/sbin
unset INGOT_KEY_PASSPHRASE

# ---- keygen ----------------------------------------------------------------------------------
pkey_verifies() { # PUB SIG FILE
    openssl pkeyutl -verify -rawin -pubin -inkey "$1" -sigfile "$2" -in "$3" >/dev/null
}
run_ok 'keygen makes a pair' "$INGOT" keygen
is "$(stat -c %a ingot.key) $(stat -c %a ingot.pub)" '600 644' 'the private key is its owner'"'"'s only'
like "$out" '^private  ingot\.key \(not encrypted' 'says that it is not encrypted'
is "$(sed -n 's/^id *//p' <<<"$out")" \
    "$(openssl pkey -pubin -in ingot.pub -outform DER | sha256sum | cut -d' ' -f1)" \
    'the id is the digest of the public key'
before=$(sha256sum ingot.key ingot.pub)
run_status 1 'a second time' "$INGOT" keygen
is "$err" "ingot: cannot create 'ingot.key': File exists
hint: keys are never overwritten: choose another name by -o" 'nothing is overwritten'
rm ingot.key
run_status 1 'the public key alone is in the way too' "$INGOT" keygen
missing ingot.key 'and no half pair is made'
is "$(sha256sum ingot.pub)" "$(tail -n 1 <<<"$before")" 'and it stays as it was'
for type in ed25519 ecdsa rsa; do
    run_ok "keygen --type $type" "$INGOT" --json keygen --type "$type" -o "$type"
    is "$(jq -r '.event + " " + .private + " " + .public + " \(.encrypted)"' <<<"$out")" \
        "key $type.key $type.pub false" '  as an event'
    cat "$out_file" >>events
    is "$(openssl pkey -in "$type.key" -pubout)" "$(cat "$type.pub")" '  openssl agrees on the public key'
done
is "$(openssl pkey -in rsa.key -noout -text | sed -n '1s/.*(\([0-9]*\) bit.*/\1/p')" 3072 'RSA has 3072 bits'
run_ok 'an encrypted key' env INGOT_KEY_PASSPHRASE='correct horse' "$INGOT" keygen -o locked
like "$(head -n 1 locked.key)" 'BEGIN ENCRYPTED PRIVATE KEY' 'is one'
is "$(openssl pkey -in locked.key -passin 'pass:correct horse' -pubout)" "$(cat locked.pub)" 'openssl opens it'
run_status 1 'but not with another passphrase' openssl pkey -in locked.key -passin pass:wrong -noout
run_status 2 'an unknown type' "$INGOT" keygen --type dsa -o x
run_status 1 'a folder that is not there' "$INGOT" keygen -o absent/x

# ---- an image --------------------------------------------------------------------------------
le16() { printf '%b' "$(printf '\\x%02x\\x%02x' $(($1 & 255)) $(($1 >> 8 & 255)))"; }
le32() { le16 $(($1 & 65535)); le16 $(($1 >> 16 & 65535)); }
zeros() { head -c "$1" /dev/zero; }
make_pe() { # CMDLINE: a PE image with the section .cmdline
    {
        printf 'MZ'; zeros 58; le32 64
        printf 'PE\0\0'; le16 $((0x8664)); le16 1; zeros 12; le16 240; le16 $((0x22e))
        le16 $((0x20b)); zeros 30; le32 4096; le32 512; zeros 20; le32 512; zeros 44; le32 16; zeros 128
        printf '.cmdline'; le32 ${#1}; le32 4096; le32 512; le32 512; zeros 12; le32 $((0x40000040))
    } >pe
    truncate -s 512 pe
    printf '%s' "$1" >>pe; truncate -s 1024 pe
}

uuid_of() { echo "${1:0:8}-${1:8:4}-${1:12:4}-${1:16:4}-${1:20:12}"; }

root_offset=$((48 * 1048576)) tree_offset=$((44 * 1048576))
make_disk() { # FILE
    local hash
    mkdir -p root/usr/lib root/var/lib/dpkg
    printf 'Package: bash\nStatus: install ok installed\n\n' >root/var/lib/dpkg/status
    zeros 3000000 | openssl enc -aes-128-ctr -K 00112233445566778899aabbccddeeff \
        -iv 00000000000000000000000000000000 >root/usr/lib/noise
    ln root/usr/lib/noise root/usr/lib/linked
    seq 1 100000 >root/usr/lib/text
    : >root/usr/lib/empty
    truncate -s 5M root/usr/lib/holes
    mksquashfs root squash -quiet -no-progress -noappend -comp zstd -all-root >/dev/null
    truncate -s %4096 squash
    hash=$(veritysetup format squash tree --salt=aabb --uuid=00000000-0000-0000-0000-000000000001 |
        sed -n 's/^Root hash:[[:space:]]*//p')
    echo "$hash" >root-hash
    truncate -s 64M "$1"
    sfdisk -q "$1" <<-TABLE
		label: gpt
		label-id: 01234567-89AB-4DEF-8123-456789ABCDEF
		start=2048, size=81920, type=uefi, name="ESP"
		start=$((tree_offset / 512)), size=2048, type=2c7357ed-ebd2-46d9-aec1-23d437ec2bf5, name="d_1_verity", uuid=$(uuid_of "${hash:32}")
		start=$((root_offset / 512)), size=20480, type=4f68bce3-e8cd-4db1-96e7-fbcaf984b709, name="d_1", uuid=$(uuid_of "${hash:0:32}")
		TABLE
    truncate -s 40M esp
    mkfs.fat -F 32 -s 1 esp >mkfs.log
    make_pe "roothash=$hash ro"
    mmd -i esp ::EFI ::EFI/Linux
    mcopy -i esp pe '::EFI/Linux/d_1.efi'
    dd if=esp of="$1" bs=1M seek=1 conv=notrunc status=none
    dd if=tree of="$1" bs=1M seek=$((tree_offset / 1048576)) conv=notrunc status=none
    dd if=squash of="$1" bs=1M seek=$((root_offset / 1048576)) conv=notrunc status=none
}

digest() { sha256sum "$1" | cut -d' ' -f1; }

artifact() { # FILE FORMAT
    jq -n --arg file "$1" --arg format "$2" --arg sha256 "$(digest "$1")" --arg root "$(cat ../root-hash)" \
        --argjson bytes "$(stat -c %s "$1")" \
        '{file: $file, format: $format, size: 67108864, bytes: $bytes, sha256: $sha256, root_hash: $root}'
}

# The folder's papers, from what is in it now. The statement's envelope is what the specification says.
make_papers() {
    jq -n --slurpfile a <(artifact d_1.raw raw; artifact d_1.qcow2 qcow2) --arg disk "$(digest ../disk)" \
        --arg root "$(cat ../root-hash)" \
        --argjson table "$(cat ../table)" \
        '{schema: 1, name: "d", version: "1", architecture: "amd64", root_hash: $root, disk_sha256: $disk,
          artifacts: $a, disk: $table,
          papers: [{type: "spdx", file: "d_1.spdx.json"}, {type: "provenance", file: "d_1.provenance.json"}]}' \
        >manifest.json
    echo '{"spdxVersion": "SPDX-2.3"}' >d_1.spdx.json
    jq -n --arg raw "$(digest d_1.raw)" --arg qcow2 "$(digest d_1.qcow2)" \
        '{_type: "https://in-toto.io/Statement/v1", predicateType: "https://slsa.dev/provenance/v1",
          subject: [{name: "d_1.raw", digest: {sha256: $raw}}, {name: "d_1.qcow2", digest: {sha256: $qcow2}}],
          predicate: {}}' >d_1.provenance.json
    seal
}

# Sums, signature and envelope for what is in the folder now, signed by $key.
seal() {
    sha256sum d_1.* manifest.json | grep -v intoto >SHA256SUMS
    openssl pkeyutl -sign -rawin -inkey "../$key.key" -in SHA256SUMS -out SHA256SUMS.sig
    local type=application/vnd.in-toto+json
    { printf 'DSSEv1 %d %s %d ' ${#type} "$type" "$(stat -c %s d_1.provenance.json)"; cat d_1.provenance.json; } >../pae
    openssl pkeyutl -sign -rawin -inkey "../$key.key" -in ../pae -out ../pae.sig
    jq -nc --arg type "$type" --arg payload "$(base64 -w0 d_1.provenance.json)" \
        --arg sig "$(base64 -w0 ../pae.sig)" \
        '{payload: $payload, payloadType: $type, signatures: [{keyid: "", sig: $sig}]}' >d_1.intoto.jsonl
}

make_disk disk
sfdisk -J disk | jq '.partitiontable | {uuid: .id | ascii_downcase, partitions: [.partitions | to_entries[] |
    {number: (.key + 1), label: .value.name, uuid: .value.uuid | ascii_downcase, offset: (.value.start * 512),
     size: (.value.size * 512)}]}' >table
key=ed25519
mkdir good
cp disk good/d_1.raw
qemu-img convert -f raw -O qcow2 -c disk good/d_1.qcow2
(cd good && make_papers)

# ---- what is good ----------------------------------------------------------------------------
run_ok 'a signed folder' "$INGOT" verify good --key ed25519.pub
id=$(openssl pkey -pubin -in ed25519.pub -outform DER | sha256sum | cut -c1-16)
like "$out" "^signature   SHA256SUMS: signed by the Ed25519 key $id" 'by whom'
like "$out" '^provenance  d_1\.provenance\.json: its 2 subjects are what SHA256SUMS says$' 'provenance'
like "$out" '^envelope    d_1\.intoto\.jsonl: it holds d_1\.provenance\.json, signed by' 'envelope'
like "$out" '^sums        SHA256SUMS: 5 files are what it says$' 'sums'
like "$out" "^disk        d_1\.raw, d_1\.qcow2: the same disk of 64\.0 MiB, sha256 $(digest disk)\$" 'disks'
like "$out" "the root hash $(cat root-hash) in the kernel image" 'root hash'
# The root, five folders below it, the status file, and five files of which two are one.
like "$out" '^tree        d_1\.raw: all 12 files and folders can be read, 8\.[0-9] MiB$' 'tree'
unlike "$out" 'not checked' 'nothing is left out'
run_ok 'as JSON' "$INGOT" --json verify good --key ed25519.pub
is "$(jq -sr 'map(select(.event == "verified")) | length' <<<"$out")" 1 'one event'
report=$(jq -c 'select(.event == "verified")' <<<"$out")
cat "$out_file" >>events
is "$(jq -c '[.verified, .unlisted, ([.checks[].result] | unique)]' <<<"$report")" '[true,[],["passed"]]' 'all passed'
is "$(jq -r '[.checks[].check] | join(" ")' <<<"$report")" \
    'signature manifest provenance envelope sums disk table root tree' 'the checks'
run_ok 'quietly' "$INGOT" -q verify good --key ed25519.pub
is "$out$err" '' '  it says nothing'
run_ok 'without a key' "$INGOT" verify good
like "$out" '^signature   SHA256SUMS: not checked: no key was given$' 'says that the signature was not checked'
like "$out" '^envelope .*not checked: .*no key was given$' 'nor that of the envelope'
run_ok 'one of two keys' "$INGOT" verify good --key rsa.pub --key ed25519.pub
for jobs in 1 7; do run_ok "with $jobs threads" "$INGOT" -j "$jobs" verify good --key ed25519.pub; done
for file in d_1.raw d_1.qcow2; do
    run_ok "$file alone" "$INGOT" verify "good/$file" --key ed25519.pub
    like "$out" "^disk        $file: a disk of" 'the disk'
    like "$out" '^manifest ' 'and what is beside it'
done
cp disk lonely
run_ok 'an image with nothing beside it' "$INGOT" verify lonely
like "$out" '^sums        lonely: not checked: there is no SHA256SUMS that names it$' 'says what was not checked'
like "$out" '^tree  ' 'and the rest was'
run_status 5 'which cannot be signed' "$INGOT" verify lonely --key ed25519.pub
is "$(wc -l <"$err_file")" 1 'in one line'
for other in ecdsa rsa; do
    cp -r good "by-$other"
    (key=$other; cd "by-$other" && seal)
    run_ok "signed by $other" "$INGOT" verify "by-$other" --key "$other.pub"
    pkey_verifies "$other.pub" "by-$other/SHA256SUMS.sig" "by-$other/SHA256SUMS"
    openssl req -x509 -new -key "$other.key" -subj /CN=test -out "$other.crt" 2>/dev/null
    run_ok '  with its certificate' "$INGOT" verify "by-$other" --key "$other.crt"
    run_status 5 '  not with another key' "$INGOT" verify "by-$other" --key ed25519.pub
done
echo note >good/notes.txt
run_ok 'a file that nobody named' "$INGOT" verify good --key ed25519.pub
like "$err" "warning: 'notes\.txt' is in the folder, but nothing vouches for it" 'is told'
rm good/notes.txt

# ---- what is not -----------------------------------------------------------------------------
fresh() { rm -rf bad; cp -r good bad; }
flip() { # FILE OFFSET
    local byte
    byte=$(dd if="$1" bs=1 skip="$2" count=1 status=none | od -An -tu1)
    printf '%b' "$(printf '\\x%02x' $((byte ^ 1)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}
# refused NAME REGEX [ARGUMENT...]: exit code 5 and one line that says so.
refused() {
    local name=$1 regex=$2
    shift 2
    run_status 5 "$name" "$INGOT" verify bad "$@"
    like "$err" "^ingot: $regex" '  says what'
    is "$(grep -cv '^hint: ' "$err_file")" 1 '  in one line'
    is "$out" '' '  and nothing else'
}
key_option=(--key ed25519.pub)

for file in d_1.raw d_1.qcow2 d_1.spdx.json d_1.provenance.json manifest.json; do
    for place in start middle end; do
        fresh
        size=$(stat -c %s "bad/$file")
        case $place in start) at=0 ;; middle) at=$((size / 2)) ;; *) at=$((size - 1)) ;; esac
        flip "bad/$file" "$at"
        refused "a flipped bit at the $place of $file" "$file: sha256 is [0-9a-f]{64}, SHA256SUMS says [0-9a-f]{64}$" \
            "${key_option[@]}"
    done
done
fresh
sed -i '1{h; s/^\(.\).*/\1/; y/0123456789abcdef/123456789abcdef0/; G; s/\n.//}' bad/SHA256SUMS
refused 'another digit in SHA256SUMS' 'SHA256SUMS: its signature is not by the given key$' "${key_option[@]}"
refused 'the same without a key' '.*: sha256 is .*, SHA256SUMS says'
fresh
flip bad/SHA256SUMS.sig 20
refused 'a flipped bit in the signature' 'SHA256SUMS: its signature is not by the given key$' "${key_option[@]}"
fresh
refused 'a wrong key' 'SHA256SUMS: its signature is not by the given key$' --key ecdsa.pub
refused 'two wrong keys' 'SHA256SUMS: its signature is not by any of the given keys$' --key ecdsa.pub --key rsa.pub
rm bad/SHA256SUMS.sig
refused 'no signature' "SHA256SUMS\.sig: it is missing from 'bad'$" "${key_option[@]}"
: >bad/SHA256SUMS.sig
refused 'an empty signature' 'SHA256SUMS: its signature is not by' "${key_option[@]}"
head -c 100000 /dev/zero >bad/SHA256SUMS.sig
refused 'a signature that is too large' 'SHA256SUMS\.sig: it has 100000 bytes, more than 4096$' "${key_option[@]}"
for file in SHA256SUMS SHA256SUMS.sig d_1.intoto.jsonl; do
    fresh
    rm "bad/$file" && mkfifo "bad/$file"
    refused "a pipe as $file" "$file: it is no regular file$" "${key_option[@]}"
done
fresh
rm -rf bad-link && mkdir bad-link && ln -s /nonexistent bad-link/SHA256SUMS
run_status 5 'a link to nowhere' "$INGOT" verify bad-link
qemu-img create -q -f qcow2 huge.qcow2 32T
run_status 5 'a disk that is too large' "$INGOT" verify huge.qcow2
fresh
rm bad/SHA256SUMS
refused 'no sums' "cannot verify 'bad': it has no SHA256SUMS$" "${key_option[@]}"

fresh
mv bad/d_1.raw bad/other.raw
refused 'a renamed image' 'd_1\.raw: it is missing, SHA256SUMS names it$' "${key_option[@]}"
fresh
mv bad/d_1.raw bad/x; mv bad/d_1.qcow2 bad/d_1.raw; mv bad/x bad/d_1.qcow2
refused 'two images that changed names' 'd_1\.(raw|qcow2): ' "${key_option[@]}"
fresh
truncate -s -512 bad/d_1.raw
refused 'a truncated image' 'd_1\.raw: it has 67108352 bytes, manifest\.json says 67108864$' "${key_option[@]}"
fresh
rm bad/manifest.json
refused 'no manifest' 'manifest\.json: it is missing, SHA256SUMS names it$' "${key_option[@]}"
fresh
rm bad/d_1.intoto.jsonl
refused 'no envelope' "d_1\.intoto\.jsonl: it is missing from 'bad'$" "${key_option[@]}"
fresh
rm bad/d_1.raw && mkdir bad/d_1.raw
refused 'a folder instead of an image' 'd_1\.raw: it is no regular file$' "${key_option[@]}"

# Lies that are signed: papers that do not fit the files.
signed() { # NAME REGEX: what was changed is signed
    (cd bad && seal)
    refused "$1" "$2" "${key_option[@]}"
}
edit() { jq "$2" "bad/$1" >edited && cp edited "bad/$1"; }
zero=0000000000000000000000000000000000000000000000000000000000000000
fresh; edit manifest.json '.schema = 2'
signed 'an unknown schema' 'manifest\.json: its schema is not 1$'
fresh; edit manifest.json '.artifacts[1].sha256 = .artifacts[0].sha256'
signed 'a swapped digest' 'd_1\.qcow2: manifest\.json says sha256 [0-9a-f]{64}, SHA256SUMS says [0-9a-f]{64}$'
fresh; edit manifest.json '.artifacts[1].format = "raw"'
signed 'a wrong format' 'd_1\.qcow2: it is qcow2, manifest\.json says raw$'
fresh; edit manifest.json '.artifacts[1].format = "\u001b[31m"'
signed 'an unknown format' "d_1\.qcow2: manifest\.json says that its format is '\?', which is unknown$"
fresh; edit manifest.json '.artifacts[0].size = 67108352'
signed 'a wrong size' 'd_1\.raw: its disk has 67108864 bytes, manifest\.json says 67108352$'
fresh; edit manifest.json ".disk_sha256 = \"$zero\""
signed 'a wrong digest of the disk' "d_1\.raw: the sha256 of its disk is [0-9a-f]{64}, manifest\.json says $zero\$"
fresh; edit manifest.json ".root_hash = \"$zero\""
signed 'a wrong root hash' "d_1\.raw: its root hash is $(cat root-hash), manifest\.json says $zero\$"
fresh; edit manifest.json ".artifacts[1].root_hash = \"$zero\""
signed 'a wrong root hash of one image' "d_1\.qcow2: its root hash is $(cat root-hash), manifest\.json says $zero\$"
fresh; edit manifest.json '.disk.uuid = "x"'
signed 'another table' 'd_1\.raw: the uuid of its partition table is "01234567-[0-9a-f-]*", manifest\.json says "x"$'
fresh; edit manifest.json '.disk.partitions[1].offset = 512'
signed 'another place of a partition' "d_1\.raw: the offset of its partition 2 is $tree_offset, manifest\.json says 512\$"
fresh; edit manifest.json '.disk.partitions += [.disk.partitions[0]]'
signed 'one partition more' 'd_1\.raw: it has 3 partitions, manifest\.json says 4$'
fresh; edit manifest.json '.architecture = "arm64"'
signed 'another architecture' 'd_1\.raw: the architecture of its partition 3 is "amd64", manifest\.json says "arm64"$'
fresh; edit manifest.json '.artifacts[0].file = "../good/d_1.raw"'
signed 'a path out of the folder' 'manifest\.json: a file has no name, or one that leads elsewhere$'
fresh; edit manifest.json '.artifacts += [.artifacts[0] + {file: "more.raw"}]'
signed 'an image that is not there' 'more\.raw: manifest\.json names it, SHA256SUMS does not$'
fresh; edit manifest.json '.papers += [{type: "x", file: "paper.json"}]'
signed 'a paper that is not there' 'paper\.json: manifest\.json names it, SHA256SUMS does not$'
fresh; edit manifest.json '.artifacts = []'
signed 'a manifest without images' 'manifest\.json: it names no image$'
fresh; echo '{' >bad/manifest.json
signed 'a manifest that is no JSON' 'manifest\.json:2:0: not valid JSON'
fresh; edit d_1.provenance.json ".subject[0].digest.sha256 = \"$zero\""
signed 'provenance of something else' "d_1\.raw: d_1\.provenance\.json says sha256 $zero, SHA256SUMS says"
fresh; edit d_1.provenance.json 'del(.subject[1])'
signed 'provenance of one image only' 'd_1\.provenance\.json: d_1\.qcow2 is not among its subjects$'
fresh; edit d_1.provenance.json '.subject += [{name: "x", digest: {sha256: .subject[0].digest.sha256}}]'
signed 'provenance of more' "d_1\.provenance\.json: its subject 'x' is not in SHA256SUMS$"
fresh; edit d_1.provenance.json '.predicateType = "https://slsa.dev/provenance/v0.2"'
signed 'another kind of statement' 'd_1\.provenance\.json: it is no in-toto statement with SLSA provenance$'
fresh; edit d_1.intoto.jsonl '.payload = (.payload | @base64d | sub("slsa"; "sls4") | @base64)'
refused 'an envelope with another payload' 'd_1\.intoto\.jsonl: its payload differs from d_1\.provenance\.json$' "${key_option[@]}"
fresh; edit d_1.intoto.jsonl '.signatures[0].sig = "AAAA"'
refused 'an envelope with a wrong signature' 'd_1\.intoto\.jsonl: its signature is not by the given key$' "${key_option[@]}"
run_ok 'which is not looked at without a key' "$INGOT" verify bad

# Lines of SHA256SUMS that nobody should follow.
sums_line() { # NAME LINE REGEX: the line is added and signed
    fresh
    printf '%b\n' "$2" >>bad/SHA256SUMS
    openssl pkeyutl -sign -rawin -inkey ed25519.key -in bad/SHA256SUMS -out bad/SHA256SUMS.sig
    refused "$1" "cannot read 'SHA256SUMS': line 6: $3" "${key_option[@]}"
}
sums_line 'a path upwards' "$zero  ../good/d_1.raw" 'the name is not that of a file in the same folder$'
sums_line 'an absolute path' "$zero  /etc/passwd" 'the name is not that of a file in the same folder$'
sums_line 'a name twice' "$zero  d_1.raw" "'d_1\.raw' is named twice$"
sums_line 'a control character' "$zero  x\\033[31m" 'the name is not that of a file in the same folder$'
sums_line 'a huge line' "$zero  $(printf 'x%.0s' {1..3000})" "it is not '<SHA-256>  <name>'$"
sums_line 'not a digest' 'xyz  d_1.raw' "it is not '<SHA-256>  <name>'$"
fresh
head -c 2000000 /dev/zero >bad/SHA256SUMS
refused 'a huge file' 'SHA256SUMS: it has 2000000 bytes, more than 1048576$'

# Damage that the sums vouch for: the disk itself is looked at.
fresh_disk() { # the image alone, so that no paper is in the way
    rm -rf bad; mkdir bad; cp disk bad/d.raw
}
broken() { # NAME REGEX
    run_status 5 "$1" "$INGOT" verify bad/d.raw
    like "$err" "^ingot: $2" '  says what'
    is "$(wc -l <"$err_file")" 1 '  in one line'
}
fresh_disk; flip bad/d.raw 600
broken 'a damaged primary table' 'd\.raw: the primary table is damaged'
fresh_disk; flip bad/d.raw $((67108864 - 500))
broken 'a damaged backup table' 'd\.raw: the backup table is damaged'
fresh_disk; flip bad/d.raw $((root_offset + 5000))
broken 'a flipped bit in the root' ".*'bad/d\.raw'.* block"
fresh_disk; flip bad/d.raw $((tree_offset + 4096))
broken 'a flipped bit in the hash tree' ".*'bad/d\.raw': the hash tree does not lead to the root hash"
fresh_disk; flip bad/d.raw $((tree_offset + 4))
broken 'no hash tree' ".*'bad/d\.raw': no verity superblock"
fresh_disk
make_pe "roothash=$zero ro"; mcopy -o -i esp pe '::EFI/Linux/d_1.efi'
dd if=esp of=bad/d.raw bs=1M seek=1 conv=notrunc status=none
broken 'a kernel image with another root hash' 'd\.raw: a kernel image names a root hash that no partition has'
make_pe 'ro'; mcopy -o -i esp pe '::EFI/Linux/d_1.efi'
dd if=esp of=bad/d.raw bs=1M seek=1 conv=notrunc status=none
broken 'a kernel image without a root hash' 'd\.raw: no kernel image on it names the root hash'
fresh_disk; truncate -s 40M bad/d.raw
broken 'half an image' '.*backup'
: >bad/d.raw
broken 'an empty image' "cannot read 'bad/d\.raw': it is empty$"

# A squashfs that is damaged although its hash tree is right.
remake() { # puts squash with a tree of its own on the disk
    local hash
    hash=$(veritysetup format squash tree --salt=aabb --uuid=00000000-0000-0000-0000-000000000001 |
        sed -n 's/^Root hash:[[:space:]]*//p')
    make_pe "roothash=$hash ro"; mcopy -o -i esp pe '::EFI/Linux/d_1.efi'
    dd if=esp of=bad/d.raw bs=1M seek=1 conv=notrunc status=none
    dd if=tree of=bad/d.raw bs=1M seek=$((tree_offset / 1048576)) conv=notrunc status=none
    dd if=squash of=bad/d.raw bs=1M seek=$((root_offset / 1048576)) conv=notrunc status=none
    sfdisk -q --part-uuid bad/d.raw 2 "$(uuid_of "${hash:32}")"
    sfdisk -q --part-uuid bad/d.raw 3 "$(uuid_of "${hash:0:32}")"
}
fresh_disk; remake
run_ok 'made again it is good' "$INGOT" verify bad/d.raw
# The first block of what is compressed loses its magic number.
place=$(LC_ALL=C grep -aboP '\x28\xb5\x2f\xfd' squash | head -n 1 | cut -d: -f1)
printf XXXX | dd of=squash bs=1 seek="$place" conv=notrunc status=none
fresh_disk; remake
broken 'a squashfs that cannot be read' 'd\.raw: partition 3: '

# What cannot be read is another matter than what is wrong. Root may read everything.
cp -r good closed
chmod 000 closed/d_1.qcow2
chmod 755 .
cp "$INGOT" ingot-for-all
as_user=()
[ "$(id -u)" != 0 ] || as_user=(setpriv --reuid=65534 --regid=65534 --clear-groups)
run_status 1 'a file that may not be read' "${as_user[@]}" ./ingot-for-all verify closed "${key_option[@]}"
is "$err" "ingot: cannot open 'closed/d_1.qcow2': Permission denied" '  says what'

# ---- usage -----------------------------------------------------------------------------------
run_status 2 'no operand' "$INGOT" verify
run_status 1 'no such folder' "$INGOT" verify absent
is "$err" "ingot: cannot open 'absent': No such file or directory" 'one message'
run_status 1 'no such key' "$INGOT" verify good --key absent
run_status 3 'a private key is not wanted' "$INGOT" verify good --key ed25519.key
like "$err" 'it is a private key' 'says so'
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024 -out weak.key 2>/dev/null
openssl pkey -in weak.key -pubout -out weak.pub
run_status 3 'a weak key' "$INGOT" verify good --key weak.pub
like "$err" 'RSA with 1024 bits' 'says why'
run_status 5 'a failure as JSON' "$INGOT" --json verify bad/d.raw
is "$(jq -c 'select(.event == "verified") | [.verified, .checks[-1].result]' <<<"$out")" '[false,"failed"]' \
    'the report says what failed'
is "$(tail -n 1 <<<"$out" | jq -r '"\(.event) \(.code)"')" 'error 5' 'and the error is the last event'
cat "$out_file" >>events
run_status 1 'what is not there as JSON' "$INGOT" --json verify absent
cat "$out_file" >>events
run_ok 'the events fit their schema' /usr/bin/python3 "$top/tests/check-events" <events

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The whole pipeline: what runs and what does not, what plan says about it, that other programs can read
# the result, events, formats, several profiles, no network.
. "${0%/*}/../lib.sh"
. "$top/tests/build/lib.sh"
requires python3 sfdisk qemu-img veritysetup unsquashfs fsck.fat mtype objcopy unshare
# Debian's own, which has the modules that Debian's packages bring.
events_are_valid() {
    cp "$out_file" events
    run_ok "$1" /usr/bin/python3 "$top/tests/check-events" <events
}

take_layer "$top/profiles/base.yaml"
make_profile one "tests: [{name: 'first', run: 'true'}]"
profile=$tmp/one.yaml

# plan [OPTION...]: the plan of the profile, in $plan.
plan() {
    run ingot --json plan --offline -o out "$@"
    cp "$out_file" events
    plan=$(jq -c 'select(.event == "plan")' events)
}
# steps_are NAME PACKAGES INITRD ROOT IMAGES: which of them are cached, as plan says.
steps_are() {
    is "$(jq -r '[.steps[] | if .cached then "cached" elif .needed then "run" else "idle" end] | join(" ")' <<<"$plan")" \
        "$2 $3 $4 $5" "$1"
}
# build NAME [OPTION...]: with events.
build() {
    run_ok "$1" ingot --json build --offline -o out "${@:2}"
    cp "$out_file" events
    [ "$status" = 0 ] || bail "cannot go on"
}

# ---- the first build -----------------------------------------------------------------------------
plan "$profile"
steps_are "plan of a new profile" cached run run run
for step in initrd root images; do is "$(step_of "$plan" $step why)" "first run" "$step: first run"; done
events_are_valid "the events of plan are valid"
missing out "plan makes nothing"

build "build" "$profile"
is "$(outcomes events)" "one packages cached
one initrd done
one root done
one images done" "what ran"
is "$err" "" "nothing but events"
is "$(jq -r .event events | sort | uniq -c | awk '{print $1, $2}' | grep -v step-progress)" "1 built
1 message
4 step-finished
4 step-started" "each event as often as it should be"
events_are_valid "the events are valid"
is "$(jq -cS 'select(.event == "built").manifest' events)" "$(jq -cS . out/one/manifest.json)" "the event has the manifest"
is "$(ls -A out/one)" ".stamp.json
SHA256SUMS
manifest.json
one_1.2.3.cdx.json
one_1.2.3.provenance.json
one_1.2.3.qcow2
one_1.2.3.raw
one_1.2.3.spdx.json" "what is in the output folder"
is "$(leftovers out "$cache")" "" "nothing is left over"

# ---- nothing changed -----------------------------------------------------------------------------
plan "$profile"
steps_are "plan after it" cached cached cached cached
is "$(jq -r '[.steps[].why] | join("")' <<<"$plan")" "" "nothing changed"
before=$(looks out/one)
build "build again" "$profile"
is "$(outcomes events)" "one images cached" "nothing ran"
touch overlays/one/etc/one.conf "$profile"
build "build after files were touched but not changed" "$profile"
is "$(outcomes events)" "one images cached" "nothing ran"
is "$(looks out/one)" "$before" "no file was written"
mv "$cache/root" gone
build "build with an emptied cache" "$profile"
is "$(outcomes events)" "one images cached" "the images are enough"
mv gone "$cache/root"

# ---- by other programs ---------------------------------------------------------------------------
manifest=out/one/manifest.json raw=out/one/one_1.2.3.raw qcow2=out/one/one_1.2.3.qcow2
sha() { sha256sum "$1" | cut -d' ' -f1; }
# artifact FORMAT FIELD; part NAME FIELD: from the manifest.
artifact() { jq -r --arg f "$1" --arg k "$2" '.artifacts[] | select(.format == $f) | .[$k]' "$manifest"; }
part() { jq -r --arg n "$1" --arg k "$2" '.disk.partitions[] | select(.name == $n) | .[$k]' "$manifest"; }

is "$(artifact raw sha256)" "$(sha $raw)" "digest of raw"
is "$(artifact qcow2 sha256)" "$(sha $qcow2)" "digest of qcow2"
is "$(artifact raw bytes) $(artifact qcow2 bytes)" "$(stat -c %s $raw) $(stat -c %s $qcow2)" "their sizes"
[ $(($(stat -c %b $raw) * 512)) -lt "$(stat -c %s $raw)" ] && ok "raw is sparse" || not_ok "raw is sparse"
is "$(jq -r .disk_sha256 "$manifest")" "$(sha $raw)" "digest of the disk"
run_ok "sha256sum takes SHA256SUMS" env -C out/one sha256sum --check --strict --quiet SHA256SUMS
is "$(cut -c67- out/one/SHA256SUMS)" "$(cd out/one && printf '%s\n' [!.S]*)" "which names every file"
is "$(jq -r '.papers[] | "\(.sha256)  \(.file)"' "$manifest" | sort -k2)" "$(grep -E '(spdx|cdx|provenance)\.json$' out/one/SHA256SUMS)" \
    "as the manifest does"
run_ok "ingot verify" ingot verify out/one
run_ok "qemu-img check" qemu-img check "$qcow2"
like "$out" "^No errors were found" "finds no errors"
run_ok "qemu-img compare" qemu-img compare -f raw -F qcow2 "$raw" "$qcow2"
run_ok "sfdisk --verify" sfdisk --verify "$raw"
like "$out" "^No errors detected" "finds no errors"
sfdisk -J "$raw" >gpt.json
is "$(jq -r '.partitiontable.partitions[] | "\(.start * 512) \(.size * 512) \(.type | ascii_downcase) \(.uuid | ascii_downcase) \(.name)"' gpt.json)" \
    "$(jq -r '.disk.partitions[] | "\(.offset) \(.size) \(.type) \(.uuid) \(.label)"' "$manifest")" "sfdisk and the manifest agree"
is "$(jq '[.partitiontable.partitions[] | (.start, .size) | . % 2048] | add' gpt.json)" 0 "partitions are aligned to 1 MiB"
hash=$(jq -r .root_hash "$manifest")
is "$(part root uuid | tr -d -)$(part root-verity uuid | tr -d -)" "$hash" "partition UUIDs are the halves of the root hash"

# cut NAME: the partition as a file.
cut_out() {
    dd if="$raw" of="$1.part" bs=1M iflag=skip_bytes,count_bytes skip="$(part "$1" offset)" count="$(part "$1" size)" \
        conv=sparse status=none
}
for name in esp root root-verity; do cut_out "$name"; done
run_ok "veritysetup verify" veritysetup verify root.part root-verity.part "$hash"
printf X | dd of=root.part bs=1 seek=4096 conv=notrunc status=none
run veritysetup verify root.part root-verity.part "$hash"
isnt "$status" 0 "and not with a changed byte"
cut_out root
run_ok "unsquashfs -s" unsquashfs -s root.part
like "$out" "Compression zstd" "shows the compression"
unsquashfs -lln root.part >list 2>/dev/null
like "$(cat list)" '^-r--r--r-- 0/0 +0 .* squashfs-root/etc/machine-id$' "machine-id is empty"
unlike "$(cat list)" 'squashfs-root/etc/ssh/ssh_host_' "no host keys"
like "$(cat list)" '^-rw-r--r-- 0/0 +6 .* squashfs-root/etc/one.conf$' "the overlay's file"
like "$(cat list)" '^-rwxr-xr-x 0/0 .* squashfs-root/usr/bin/ingot-agent$' "the agent"
is "$(unsquashfs -cat root.part etc/one.conf)" first "with its content"
is "$(unsquashfs -cat root.part usr/lib/os-release | tr -d '"' | grep -E '^IMAGE_(ID|VERSION)=' | sort)" 'IMAGE_ID=one
IMAGE_VERSION=1.2.3' "os-release names the image"

run_ok "fsck.fat" fsck.fat -n esp.part
mcopy -n -i esp.part "::EFI/Linux/one_1.2.3+3.efi" uki.efi
for section in .cmdline .osrel .uname; do objcopy -O binary --only-section=$section uki.efi "section$section"; done
like "$(tr -d '\0' <section.cmdline)" "^roothash=$hash " "the UKI's command line has the root hash"
is "$(tr -d '\0' <section.osrel)" "$(unsquashfs -cat root.part usr/lib/os-release)" "its os-release is the root's"
is "$(tr -d '\0' <section.uname)" "$(sed -n 's|.*squashfs-root/usr/lib/modules/\([^/]*\)$|\1|p' list)" "its kernel is that of the modules"
is "$(mtype -i esp.part ::loader/loader.conf)" "$(cat "$top/firmware/loader/loader.conf")" "loader.conf"

# ---- one file of an overlay ------------------------------------------------------------------------
first=$(sha $raw)
echo second >overlays/one/etc/one.conf
plan "$profile"
steps_are "plan after a file of the overlay changed" cached cached run run
is "$(step_of "$plan" root why)" "overlay one changed" "root: why"
is "$(step_of "$plan" images why)" "root changed" "images: why"
build "build it" "$profile"
is "$(outcomes events)" "one packages cached
one initrd cached
one root done
one images done" "packages and initrd did not run"
isnt "$(sha $raw)" "$first" "another image"
copy_layer "$cache" "$tmp/cold"
run_ok "build it with a cache that has only the layer" "$INGOT" --cache "$tmp/cold" build --offline --format raw -o cold "$profile"
same_file cold/one/one_1.2.3.raw $raw "what was taken over from the earlier root makes no difference"
rm -rf cold
echo first >overlays/one/etc/one.conf
build "build with the file as it was" "$profile"
is "$(outcomes events)" "one packages cached
one initrd cached
one root cached
one images done" "the root is still there"
is "$(sha $raw)" "$first" "and gives the first image"

# ---- what is not in the root -------------------------------------------------------------------------
sed -i s/first/changed/ "$profile"
plan "$profile"
steps_are "plan after a test changed" cached cached cached run
is "$(step_of "$plan" images why)" "profile tests changed" "why"
before=$(looks out/one | grep -E '\.(raw|qcow2) ')
build "build it" "$profile"
is "$(looks out/one | grep -E '\.(raw|qcow2) ')" "$before" "the images were not written again"
is "$(jq -r '[.tests[].name] | last' $manifest)" changed "the manifest has the test"
jq -S . $manifest >renewed.json
run_ok "the same from the start" ingot build --offline -o again "$profile"
is "$(jq -S . again/one/manifest.json)" "$(cat renewed.json)" "gives the same manifest"
same_file again/one/SHA256SUMS out/one/SHA256SUMS "and the same files beside it"
same_file again/one/one_1.2.3.raw $raw "and the same image"
rm -rf again

plan "$profile" --format raw
steps_are "plan for another set of formats" cached cached cached run
is "$(step_of "$plan" images why)" "formats changed" "why"
run_ok "build qcow2 alone" ingot build --offline -o alone --format qcow2 "$profile"
is "$(jq -r '.artifacts[].file' alone/one/manifest.json)" "one_1.2.3.qcow2" "no other image"
missing alone/one/one_1.2.3.raw "nor a file of one"
same_file alone/one/one_1.2.3.qcow2 $qcow2 "as beside raw"
like "$out" '^alone/one/one_1\.2\.3\.qcow2  [0-9.]+ MiB$' "what it prints"
rm -rf alone

plan "$profile" --set version=2.0.0
steps_are "plan with --set" cached cached run run
is "$(step_of "$plan" root why)" "profile version changed" "why"
plan "$profile" --set kernel.cmdline=[quiet]
is "$(step_of "$plan" images why)" "root changed; formats changed; kernel.cmdline changed" "an argument of the kernel is named once"

# ---- signed --------------------------------------------------------------------------------------
run_ok "make a key" ingot keygen -o key
build "build it signed" --sign key.key "$profile"
is "$(outcomes events)" "one images cached" "nothing else is made again"
verify_signature() {
    openssl pkeyutl -verify -rawin -pubin -inkey key.pub -sigfile out/one/SHA256SUMS.sig -in out/one/SHA256SUMS
}
run_ok "OpenSSL takes the signature" verify_signature
run_ok "ingot verify takes it and the envelope" ingot verify --key key.pub out/one
before=$(looks out/one)
build "build it signed again" --sign key.key "$profile"
is "$(looks out/one)" "$before" "the signature was right"
rm out/one/SHA256SUMS.sig out/one/one_1.2.3.intoto.jsonl
run_ok "sign it later" ingot --json sign --key key.key out/one
cp "$out_file" events
events_are_valid "its events are valid"
run_ok "that is as good" ingot verify --key key.pub out/one
cp out/one/one_1.2.3.spdx.json spdx
sed -i 's/Debian/Debiam/' out/one/one_1.2.3.spdx.json
run_status 5 "what was changed is not signed" ingot sign --key key.key out/one
mv spdx out/one/one_1.2.3.spdx.json
run_status 2 "sign without a key" ingot sign out/one
echo third >overlays/one/etc/one.conf
build "build another one, unsigned" "$profile"
missing out/one/SHA256SUMS.sig "the old signature is gone"
missing out/one/one_1.2.3.intoto.jsonl "and the old envelope"
run_status 3 "a key that is none" ingot build --offline --sign "$profile" -o none "$profile"
missing none "nothing is built"
echo first >overlays/one/etc/one.conf
build "build with the file as it was" "$profile"

# ---- several profiles ----------------------------------------------------------------------------
make_profile two
build "build two profiles" "$profile" "$tmp/two.yaml"
is "$(outcomes events)" "one images cached
two packages cached
two initrd cached
two root done
two images done" "packages and initrd are shared"
events_are_valid "the events are valid"
plan "$profile" "$tmp/two.yaml"
is "$(jq -r '[.steps[] | select(.cached)] | length' <<<"$plan")" 8 "plan has both"
is "$(step_of "$plan" root key one | wc -c)" 65 "with their keys"
run_status 2 "one profile twice" ingot build --offline -o twice "$profile" "$profile"
like "$err" "two of the profiles have the name 'one'" "is refused"
sed 's/name: two/name: three/; s/esp: 256M/esp: 8M/' two.yaml >three.yaml
run_status 3 "an ESP that is too small" ingot build --offline -o three three.yaml
missing three/three/manifest.json "makes no manifest"
is "$(ls three/three 2>/dev/null)" "" "and no image"
printf 'version: [1\n' >broken.yaml
run_status 3 "a broken profile beside a good one" ingot --json build --offline -o broken "$profile" broken.yaml
events_are_valid "its events are valid"
is "$(jq -r .event events | tr '\n' ' ')" "problems error " "what is wrong, then the error"
missing broken "and nothing was started"

# ---- what no image may hold ------------------------------------------------------------------------
mkdir -p overlays/one/etc/ssh
echo key >overlays/one/etc/ssh/ssh_host_rsa_key
run_status 9 "a host key in an overlay" ingot --json build --offline -o lint "$profile"
like "$err" '/etc/ssh/ssh_host_rsa_key' "is named"
events_are_valid "the events are valid"
is "$(jq -r 'select(.event == "error") | "\(.code) \(.kind)"' events)" "9 lint" "the error"
is "$(outcomes events | tail -1)" "one root failed" "the step"
is "$(leftovers lint "$cache"; ls lint/one 2>/dev/null)" "" "nothing is left"
rm -r overlays/one/etc/ssh

# ---- no network ----------------------------------------------------------------------------------
alone() { in_namespace --net -- "$INGOT" "$@"; }
run_ok "offline, with everything cached" alone --cache "$cache" --json build --offline -o offline "$profile"
like "$(jq -r 'select(.event == "message").text' "$out_file")" '^offline: the repositories were asked [0-9.]+ (hours|days) ago$' \
    "says how old its knowledge is"
same_file offline/one/one_1.2.3.raw $raw "the same image"
rm -rf offline
run_status 4 "no network and no --offline" alone --cache "$cache" --json build -o dead "$profile"
like "$err" '^hint: .*--offline' "a hint"
events_are_valid "the events are valid"
is "$(jq -r 'select(.event == "error") | "\(.code) \(.kind)"' events)" "4 network" "the error"
run_status 4 "no network and no cache" alone --cache "$tmp/empty" build -o dead "$profile"
run_status 4 "offline and no cache" alone --cache "$tmp/empty" build --offline -o dead "$profile"
like "$err" 'never asked' "says that the repositories were never asked"
run_status 4 "offline with a package more" ingot --json build --offline -o dead --set packages=[strace] "$profile"
like "$err" "cannot work offline: the cache does not have the packages" "says so"
like "$err" "^hint: .*ingot plan" "a hint"
plan "$profile" --set packages=[strace]
like "$(step_of "$plan" packages why)" 'package strace added' "plan says what changed"
missing dead "no output folder"
is "$(leftovers "$cache" "$tmp/empty")" "" "nothing is left"

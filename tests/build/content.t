#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Compressed content that the next root takes over, archive by archive: what a changed overlay, image or layer costs,
# that the bytes are those of a build from nothing, and that nobody trusts the cache blindly.
. "${0%/*}/../lib.sh"
. "$top/tests/build/lib.sh"
requires python3 unsquashfs busybox mount umount

take_layer "$top/profiles/swarm-manager.yaml"
rm -rf "$tmp/shared"
mkdir -p overlays/one/etc
echo first >overlays/one/etc/one.conf
"$top/tests/makeoci" edges edges || bail "make an image"
"$top/tests/makeoci" deep deep layers=12 || bail "make an image"
"$top/tests/makeoci" zeros bulk size=300000000 content=zeros || bail "make an image"
"$top/tests/makeoci" text bulk size=20000000 content=text || bail "make an image"

# profile NAME...: with these images.
profile() {
    local image
    printf 'extends: [%s]\nname: one\nversion: 1.2.3\noverlays: [one]\nformats: [raw]\n' "$top/profiles/swarm-manager.yaml"
    printf 'disk: {esp: 256M, align: 1M}\nrootfs: {level: 1}\ncontainers:\n  engine: docker\n  images:\n'
    for image; do printf '    - {oci: ./%s, name: "test/%s:1"}\n' "$image" "$image"; done
} >one.yaml

# build NAME [OPTION...]: quietly but for what the root says of content; in $taken.
build() {
    run_ok "$1" ingot -vv build --offline -o out "${@:2}" one.yaml
    [ "$status" = 0 ] || bail "cannot go on"
    taken=$(sed -n 's/^content of \(.*\) archives was compressed already$/\1/p' "$err_file")
}
# from_nothing NAME: the same root without any content in the cache has the same bytes.
from_nothing() {
    mv out/one/one_1.2.3.raw taken-over.raw
    mv "$cache/content" aside
    rm -rf "$cache/root" out
    build "$1: the same from nothing"
    like "$taken" "^0 of " "nothing is taken over"
    same_file out/one/one_1.2.3.raw taken-over.raw "$1: the same bytes"
    rm -rf "$cache/content" taken-over.raw
    mv aside "$cache/content"
}

profile edges
build "the first build"
# The image has six layers, one of them twice and one without content.
is "$taken" "0 of 5" "the package layer and each layer of the image is compressed"

echo second >overlays/one/etc/one.conf
build "another file in the overlay"
is "$taken" "5 of 5" "takes over all content"

profile deep edges text zeros
build "three more images"
like "$taken" "^5 of " "compress only what is new"
isnt "$taken" "5 of 5" "which is something"
from_nothing "images"

profile edges zeros
build "two images less"
all=${taken% of *}
is "$taken" "$all of $all" "compress nothing"
from_nothing "fewer images"
is "$(du -m out/one/one_1.2.3.raw | cut -f1 | awk '{print ($1 < 1000)}')" 1 "zeros of a layer take no room"

# ---- what the cache gives may be wrong -----------------------------------------------------------
mv out/one/one_1.2.3.raw want.raw
rm -rf "$cache/root"
for entry in "$cache"/content/*; do
    # The first byte of its segment: in the middle of a root, or in a file of its own.
    at=$(od -An -tu8 -N8 "$entry/record" | tr -d ' ')
    [ "$(od -An -tu8 -j8 -N8 "$entry/record" | tr -d ' ')" = 0 ] && continue
    byte=$(od -An -tu1 -j"$at" -N1 "$entry/bytes" | tr -d ' ')
    printf '%b' "\\x$(printf %02x $((byte ^ 1)))" | dd of="$entry/bytes" bs=1 seek="$at" conv=notrunc status=none
done
rm -rf out
build "every segment is damaged"
like "$err" "is damaged and is made again" "that is noticed"
same_file out/one/one_1.2.3.raw want.raw "the bytes are right"
rm -rf "$cache/root" out
build "once more"
is "$taken" "$all of $all" "what was damaged has been made again"
for entry in "$cache"/content/*; do
    size=$(stat -c %s "$entry/record")
    printf X | dd of="$entry/record" bs=1 seek=$((size - 40)) conv=notrunc status=none
done
rm -rf "$cache/root" out
build "every record is damaged"
like "$taken" "^0 of " "none is used"
same_file out/one/one_1.2.3.raw want.raw "the bytes are right"
rm -rf "$cache/root" out
build "and once more"
is "$taken" "$all of $all" "new records have taken the place of those"

# ---- what others see in it -------------------------------------------------------------------------
rm -rf "$cache/root" out
profile deep edges text
build "a root of which most is taken over"
read -r offset size <<<"$(jq -r '.disk.partitions[] | select(.name == "root") | "\(.offset) \(.size)"' out/one/manifest.json)"
dd if=out/one/one_1.2.3.raw of=root.part bs=1M iflag=skip_bytes,count_bytes skip="$offset" count="$size" conv=sparse status=none
run_ok "unsquashfs reads every file" unsquashfs -q -n -d read root.part
mkdir mounted
# files FOLDER: how they look, and digests of all content.
files() (
    cd "$1"
    find . -printf '%p %y %m %U %G %T@ %l\n' | sort
    find . -type f -print0 | sort -z | xargs -0 sha256sum
)
if [ "$(id -u)" = 0 ]; then
    run_ok "the kernel mounts it" mount -t squashfs -o loop,ro root.part mounted
    on_exit umount "$tmp/mounted"
    is "$(files mounted)" "$(files read)" "and sees the same"
else
    skip "the kernel mounts it" "needs root; CI runs as root"
fi

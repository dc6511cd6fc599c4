#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Two builds of one role give the same bytes, though everything around them differs: the user, the place of
# the program, its data and the output, umask, locale, time zone, environment, processors. Here both start
# from one package layer, whose own two builds packages.t compares; with INGOT_TEST_FULL=1 (make test-full)
# both also start from nothing, over the network.
. "${0%/*}/../lib.sh"
. "$top/tests/build/lib.sh"
requires setpriv taskset unsquashfs unshare

# ---- the other user ------------------------------------------------------------------------------
# Only a number to this machine: no entry in passwd, no subordinate ids, so this also shows that with a
# cached layer neither is needed. If the tests do not run as root, it is the same user elsewhere.
user=64124
other=$tmp/some/other/place
chmod 755 "$tmp"
mkdir -p "$other/bin" "$other/lib/ingot" "$other/share/ingot" "$other/home"
cp "$INGOT" "$other/bin/ingot"
cp "${INGOT%/*}/ingot-agent" "${INGOT%/*}/ingot-initrd" "$other/lib/ingot/"
for folder in profiles overlays firmware cloud-init; do cp -r "$top/$folder" "$other/share/ingot/"; done
find "$other" -exec touch -h -d '2001-02-03 04:05:06' {} +
chmod -R go+rX "$tmp/some"

as_user() {
    local become=()
    [ "$(id -u)" != 0 ] || become=(setpriv --reuid "$user" --regid "$user" --clear-groups)
    (cd "$other/home" && umask 077 && exec "${become[@]}" taskset -c "$(taskset -cp $$ | sed 's/.*: \([0-9]*\).*/\1/')" \
        env -i PATH=/bin:/usr/bin HOME="$other/home" LANG=tr_TR.UTF-8 LC_ALL=tr_TR.UTF-8 TZ=Pacific/Auckland \
        TMPDIR=/var/tmp COLUMNS=40 "$other/bin/ingot" --jobs 1 "$@")
}
# give_to_user FOLDER
give_to_user() { [ "$(id -u)" != 0 ] || chown -R $user:$user "$1"; }

# same_results FOLDER FOLDER WHAT
same_results() {
    local file
    is "$(cd "$1" && ls)" "$(cd "$2" && ls)" "$3: the same files"
    for file in "$1"/*; do same_file "$file" "$2/${file##*/}" "$3: the same ${file##*/}"; done
}

# ---- from one package layer ------------------------------------------------------------------------
take_layer "$top/profiles/swarm-manager.yaml" raw,qcow2
here=$tmp/shared/swarm-manager
mkdir -p "$other/home/cache/packages" "$other/home/cache/remember"
cp -r "$cache/packages/$key" "$other/home/cache/packages/"
cp "$cache"/remember/repositories.*.json "$other/home/cache/remember/"
give_to_user "$other/home"
run_ok "another user, without subordinate ids" as_user --json build --offline --cache "$other/home/cache" \
    --format qcow2,raw -o images swarm-manager
is "$(outcomes "$out_file")" "swarm-manager packages cached
swarm-manager initrd done
swarm-manager root done
swarm-manager images done" "makes everything but the package layer"
same_results "$here" "$other/home/images/swarm-manager" "another user elsewhere"
is "$(stat -c %a "$other/home/images/swarm-manager"/*.raw)" 600 "whose umask counts for the files themselves"

# More threads than processors, another place for the output, an empty cache but for the layer.
run_ok "eight threads" "$INGOT" --cache "$cache" --jobs 8 build --offline -o "$tmp/eight" "$top/profiles/swarm-manager.yaml"
same_results "$here" "$tmp/eight/swarm-manager" "eight threads"
rm -rf "$tmp/eight" "$other/home/images"

# ---- the date --------------------------------------------------------------------------------------
newest_in() { # the newest time in the root of a raw image, from its manifest: seconds
    local offset size
    offset=$(jq '.disk.partitions[] | select(.name == "root").offset' "$1/manifest.json")
    size=$(jq '.disk.partitions[] | select(.name == "root").size' "$1/manifest.json")
    dd if="$(echo "$1"/*.raw)" of=root.part bs=1M iflag=skip_bytes,count_bytes skip="$offset" count="$size" status=none
    unsquashfs -lln root.part 2>/dev/null | awk '$4 ~ /^20/ {print $4 " " $5}' | sort | tail -1
}
repositories=$(jq '[.suites[].date] | max' "$cache/packages/$key/packages.json")
is "$(jq -r .created "$here/manifest.json")" "$(date -u -d "@$repositories" +%FT%TZ)" \
    "without SOURCE_DATE_EPOCH it is that of the newest repository"
newest=$(newest_in "$here")
[ "$(date -u -d "$newest" +%s)" -le "$repositories" ] && ok "no file is newer" || not_ok "no file is newer" "$newest"

plan_for() { SOURCE_DATE_EPOCH=$1 "$INGOT" --cache "$cache" --json plan --offline -o "$tmp/shared" "$top/profiles/swarm-manager.yaml" | grep '"plan"'; }
is "$(jq -r '[.steps[].cached] | join(" ")' <<<"$(plan_for "$repositories")")" "true true true true" \
    "SOURCE_DATE_EPOCH of the same date changes nothing"
early=$((repositories - 30 * 86400))
plan=$(plan_for $early)
is "$(jq -r '[.steps[].cached] | join(" ")' <<<"$plan")" "true false false false" "another date makes all but the packages again"
is "$(step_of "$plan" root key | wc -c)" 65 "with a key"
like "$(jq -r '.steps[] | select(.step == "root").inputs[] | select(.name == "source date").value' <<<"$plan")" "^$early\$" "that has the date"
run_ok "build with SOURCE_DATE_EPOCH" env SOURCE_DATE_EPOCH=$early "$INGOT" --cache "$cache" build --offline --format raw \
    -o "$tmp/early" "$top/profiles/swarm-manager.yaml"
is "$(jq -r .created "$tmp/early/swarm-manager/manifest.json")" "$(date -u -d "@$early" +%FT%TZ)" "the manifest has it"
newest=$(newest_in "$tmp/early/swarm-manager")
[ "$(date -u -d "$newest" +%s)" -le "$early" ] && ok "no file is newer" || not_ok "no file is newer" "$newest"
rm -rf "$tmp/early"

# ---- from nothing ----------------------------------------------------------------------------------
if [ -z "${INGOT_TEST_FULL:-}" ]; then
    note "two builds from nothing are compared by 'make test-full'"
    exit 0
fi
# Now the user needs a name and subordinate ids, which a mount namespace provides.
requires newuidmap
if [ "$(id -u)" = 0 ]; then
    for file in passwd group subuid subgid; do
        if [ -e "/etc/$file" ]; then cat "/etc/$file"; fi >"$tmp/etc-$file"
    done
    echo "ingot-other:x:$user:$user::$other/home:/bin/sh" >>"$tmp/etc-passwd"
    echo "ingot-other:x:$user:" >>"$tmp/etc-group"
    echo "ingot-other:710000000:65536" | tee -a "$tmp/etc-subuid" >>"$tmp/etc-subgid"
    named() {
        local file
        for file in passwd group subuid subgid; do
            [ -e "/etc/$file" ] || : >"/etc/$file"
            mount --bind "$tmp/etc-$file" "/etc/$file"
        done
        as_user "$@"
    }
else
    named() { as_user "$@"; }
fi
export -f named as_user
export tmp other user
with_name() { if [ "$(id -u)" = 0 ]; then unshare --mount bash -c 'named "$@"' bash "$@"; else named "$@"; fi; }

run_ok "from nothing" "$INGOT" --cache "$tmp/nothing" build -o "$tmp/full" "$top/profiles/swarm-manager.yaml"
run_ok "from nothing, as another user" with_name build --cache "$other/home/nothing" -o images swarm-manager
same_results "$tmp/full/swarm-manager" "$other/home/images/swarm-manager" "from nothing"
full=$(jq -r .keys.packages "$tmp/full/swarm-manager/manifest.json")
same_file "$tmp/nothing/packages/$full/layer.tar" "$other/home/nothing/packages/$full/layer.tar" "from nothing: the same package layer"
same_file "$tmp/nothing/packages/$full/layer.index" "$other/home/nothing/packages/$full/layer.index" "from nothing: the same index"

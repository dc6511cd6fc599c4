#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# ingot cache: list, gc and path, on a cache made by hand.
. "${0%/*}/../lib.sh"
requires jq

cache=$tmp/cache
a=$(printf a | sha256sum | cut -d' ' -f1)
b=$(printf b | sha256sum | cut -d' ' -f1)
mkdir -p "$cache/root/$a" "$cache/root/$b" "$cache/debs/debian-trixie-amd64" "$cache/remember"
for key in "$a" "$b"; do
    head -c 1048576 /dev/urandom >"$cache/root/$key/data"
    echo '{"data": 1048576}' >"$cache/root/$key/complete"
done
touch -d '2020-01-02 03:04' "$cache/root/$a"
touch -d '2021-01-02 03:04' "$cache/root/$b"
head -c 4096 /dev/zero >"$cache/debs/debian-trixie-amd64/a_1_all.deb"
echo '{}' >"$cache/remember/x.json"

run_ok "list is the default" "$INGOT" cache --cache "$cache"
like "$out" "^root +${a:0:16} .* MiB  2020-01-02 03:04$" "an entry with its size and when it was used"
like "$out" '^debs +debian-trixie-amd64 ' "the downloads"
like "$out" '^3 entries, ' "the sum"
unlike "$out" 'remember|lock|tmp' "nothing that is no entry"

run_ok "list --json" "$INGOT" --json cache list --cache "$cache"
is "$(jq -r '.entries | map(.kind) | join(" ")' <<<"$out")" "root root debs" "JSON has every entry"
is "$(jq -r --arg k "$a" '.entries[] | select(.key == $k) | .used' <<<"$out")" "$(date -d '2020-01-02 03:04' +%s)" \
    "JSON says when"

run_ok "path" "$INGOT" cache path --cache "$cache"
is "$out" "$cache" "path is the folder"
run_ok "path from the environment" env INGOT_CACHE="$tmp/own" "$INGOT" cache path
is "$out" "$tmp/own" "INGOT_CACHE counts"

run_ok "gc with room enough" "$INGOT" cache gc --max 10M --cache "$cache"
like "$out" '^freed 0' "frees nothing"
run_ok "gc with room for one" "$INGOT" cache gc --max 1500K --cache "$cache"
missing "$cache/root/$a" "the older one is gone"
exists "$cache/root/$b/data" "the newer one stays"
is "$(ls "$cache/tmp")" "" "nothing half-removed"
run_ok "gc of everything" "$INGOT" --json cache gc --max 0 --cache "$cache"
is "$(jq '.freed > 1048576' <<<"$out")" true "JSON says how much was freed"
missing "$cache/root/$b" "all entries are gone"
missing "$cache/debs/debian-trixie-amd64/a_1_all.deb" "the downloads, too"
exists "$cache/remember/x.json" "what is remembered stays"

run_status 2 "unknown operand" "$INGOT" cache lst --cache "$cache"
is "$err" "ingot: unknown operand 'lst' (list, gc or path)
hint: did you mean 'list'?" "its message"
run_status 2 "--max is for gc only" "$INGOT" cache list --max 1G --cache "$cache"
run_status 2 "a bad size" "$INGOT" cache gc --max much --cache "$cache"
like "$err" "^ingot: --max: 'much' is not a size" "its message"
touch "$tmp/file"
run_status 1 "a cache that cannot be" "$INGOT" cache --cache "$tmp/file/cache"

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# ingot images: container images from layouts, archives and a registry into the cache, what is left when something is
# wrong or killed, and what list and gc say.
# shellcheck source=tests/lib.sh
. "${0%/*}/../lib.sh"
# shellcheck source=tests/containerlib.sh
. "$top/tests/containerlib.sh"
requires skopeo umoci jq python3 zstd

export INGOT_CACHE=$tmp/cache
images() { "$INGOT" images "$@"; }
# entries KIND: how many of them the cache has.
entries() { find "$INGOT_CACHE/$1" -mindepth 1 -maxdepth 1 2>/dev/null | wc -l; }
# nothing_left NAME: no half entry, no lock.
nothing_left() { is "$(find "$INGOT_CACHE/tmp" "$INGOT_CACHE/lock" -mindepth 1)" "" "$1"; }
# diff_ids LAYOUT: the different layers of its image.
diff_ids() { jq -r '.rootfs.diff_ids[]' "$1/blobs/sha256/$(config_of "$1")" | sort -u; }
config_of() {
    jq -r .config.digest "$1/blobs/sha256/$(jq -r '.manifests[0].digest' "$1/index.json" | cut -d: -f2)" | cut -d: -f2
}
# events_fit NAME: what was printed last is events of the schema.
events_fit() {
    if "$top/tests/check-events" <"$out_file" >events.txt 2>&1; then ok "$1"; else not_ok "$1" "$(cat events.txt)"; fi
}
# listed REFERENCE FILTER: of the row of an image in the list that was printed last.
listed() { jq -r --arg reference "$1" ".images[] | select(.reference == \$reference) | $2" <<<"$out"; }

# ---- layouts and archives ---------------------------------------------------------------------------
container_image features app
run_ok "a layout made by hand" images pull oci:app --name team/app:1.4
is "$out" "oci:docker.io/team/app:1.4 $(container_digest app)" "what it is"
is "$(entries container-layer)" "$(diff_ids app | wc -l)" "each layer once"
nothing_left "nothing half is left"
run_ok "once more" images pull -v oci:app --name team/app:1.4
like "$err" 'containers .* cached' "nothing is fetched"

run_ok "list" images
like "$out" "^oci:docker.io/team/app:1.4 +sha256:[0-9a-f]{12} +$(diff_ids app | wc -l) layers .* MiB  20" "the image"
like "$out" "^1 images, " "the sum"
run_ok "list --json" "$INGOT" --json images list
events_fit "its event fits the schema"
is "$(listed oci:docker.io/team/app:1.4 '[.layers[].diff_id] | sort | join(" ")')" "$(diff_ids app | xargs)" "its layers"
is "$(listed oci:docker.io/team/app:1.4 '.complete, .platforms[]' | xargs)" "true linux/$(dpkg --print-architecture)" "it is complete"

rm -rf "$INGOT_CACHE"
skopeo copy -q --insecure-policy oci:app docker-archive:app.tar:team/app:1.4
run_ok "a docker archive by skopeo" images pull oci:app.tar
like "$out" '^oci:docker.io/team/app:1.4 sha256:' "its name is in it"
archive_digest=${out##* }
is "$(entries container-layer)" "$(diff_ids app | wc -l)" "its layers are the same"
gzip -k app.tar
zstd -q app.tar -o app.tar.zst
for file in app.tar.gz app.tar.zst; do
    run_ok "the same in $file" images pull "oci:$file"
    is "$out" "oci:docker.io/team/app:1.4 $archive_digest" "is the same image"
done
is "$(entries container-layer)" "$(diff_ids app | wc -l)" "and has the same layers"
is "$(entries container-archive)" 2 "each is uncompressed once"

skopeo copy -q --insecure-policy oci:app oci-archive:oci.tar:team/app:2
run_ok "an OCI archive by skopeo" images pull oci:oci.tar
is "$out" "oci:docker.io/team/app:2 $(container_digest app)" "has the digest of the layout"

skopeo copy -q --insecure-policy oci:app oci:made:base
umoci unpack --image made:base bundle >/dev/null
echo hello >bundle/rootfs/etc/hello
rm -r bundle/rootfs/bin
umoci repack --image made:second bundle >/dev/null
run_status 3 "a layout with two images" images pull oci:made
like "$err" "cannot tell which image of 'made' is meant: there are: base, second" "names them"
run_ok "one of them by its tag" images pull oci:made --name base
run_ok "the other, with a name" images pull oci:made --name team/other:second
like "$out" '^oci:docker.io/team/other:second sha256:' "is called so"

run_status 3 "what is not there" images pull oci:absent
like "$err" "cannot open container image 'absent': No such file" "says so"
run_status 5 "what is no image" images pull "oci:$top/Makefile"
like "$err" "no tar archive" "says so"

# ---- a registry ------------------------------------------------------------------------------------
rm -rf "$INGOT_CACHE"
container_image busybox multi platforms=yes
container_image features small compression=zstd seed=other
registry_start plain
registry_push plain multi team/multi:1
registry_push plain small team/small:1
host=${registry[plain]}
run_ok "from a registry" images pull --insecure "$host/team/multi:1" "$host/team/small:1"
is "$out" "$host/team/multi:1 $(container_digest multi)
$host/team/small:1 $(container_digest small)" "the index and the manifest"
run_ok "by its digest" "$INGOT" --json images pull --insecure "$host/team/small@$(container_digest small)"
events_fit "its events fit the schema"
is "$(jq -c 'select(.event == "images-pulled") | [.layers, .fetched]' "$out_file")" "[$(diff_ids small | wc -l),0]" "nothing was fetched"
run_ok "for another platform" images pull --insecure --platform arm64 "$host/team/multi:1"
run_ok "list" "$INGOT" --json images
is "$(listed "$host/team/multi:1" '.platforms | sort | join(" ")')" "linux/amd64 linux/arm64" "both platforms are there"
run_status 5 "for a platform that it is not for" images pull --insecure --platform arm64 "$host/team/small:1"
like "$err" "the image is for linux/amd64, not for linux/arm64" "says so"
run_status 4 "a tag that is not there" images pull --insecure "$host/team/multi:9"
like "$err" "cannot resolve container image '$host/team/multi:9'" "says which"

registry_stop plain
run_ok "offline all is there" images pull --offline "$host/team/multi:1" "$host/team/small:1"
run_status 4 "offline what is not" images pull --offline "$host/team/multi:9"
like "$err" "the cache does not know what '$host/team/multi:9' stands for" "says so"
run_status 4 "nobody listens" images pull --insecure "$host/team/multi:1"
rm -rf "$INGOT_CACHE/container-layer"
run_status 4 "offline without layers" images pull --offline "$host/team/multi:1"
like "$err" "cannot work offline: the cache does not have a layer of '$host/team/multi:1'" "says what"
run_ok "list" images
like "$out" "^$host/team/multi:1 .* incomplete$" "shows it as incomplete"

registry_start closed tls,auth
closed=${registry[closed]}
registry_push closed multi team/multi:1
rm -rf "$INGOT_CACHE"
run_status 4 "TLS of an authority that nobody knows" images pull "$closed/team/multi:1"
like "$err" "[Cc]ertificate" "says so"
run_status 4 "without credentials" images pull --ca "$registry_ca" "$closed/team/multi:1"
registry_login closed login
run_ok "with the authority and credentials" env -u REGISTRY_AUTH_FILE DOCKER_CONFIG="$tmp/login" "$INGOT" images pull --ca "$registry_ca" "$closed/team/multi:1"
is "$out" "$closed/team/multi:1 $(container_digest multi)" "the image"
unlike "$err" "$registry_password" "no password"
run_status 1 "nor is it in the cache" grep -rqF -- "$registry_password" "$INGOT_CACHE"

# ---- a profile --------------------------------------------------------------------------------------
registry_start plain
cat >web.yaml <<YAML
name: web
version: 1
base: {distribution: debian, release: trixie, architecture: amd64}
containers:
  engine: docker
  images:
    - $host/team/multi:1@$(container_digest multi)
    - oci: ./app
      name: team/app:1.4
  registries:
    - {name: "$host", insecure: true}
YAML
run_ok "the images of a profile" images pull ./web.yaml
is "$(wc -l <<<"$out")" 2 "both"
rm -rf "$INGOT_CACHE"
cat >mirrored.yaml <<YAML
name: mirrored
version: 1
base: {distribution: debian, release: trixie, architecture: amd64}
containers:
  engine: docker
  images: [registry.example.com/team/multi:1]
  registries:
    - {name: registry.example.com, mirrors: ["$host"], insecure: true}
YAML
run_ok "from a mirror" images pull ./mirrored.yaml
is "$out" "registry.example.com/team/multi:1 $(container_digest multi)" "under its own name"
rm -rf "$INGOT_CACHE/container-layer"
printf '{"version": 1}\n' >bad.lock
run_status 5 "with a lock that is none" images pull --lock bad.lock ./mirrored.yaml
run_status 2 "options that a profile has itself" images pull --insecure ./web.yaml
like "$err" 'are not for profiles' "are refused"

# ---- wrong and killed --------------------------------------------------------------------------------
rm -rf "$INGOT_CACHE"
container_image bulk big content=noise size=60000000
blob=$(find big/blobs/sha256 -size +1M)
cp -r big bad
printf X | dd of="bad/blobs/sha256/${blob##*/}" bs=1 seek=30000000 conv=notrunc status=none
run_status 5 "a blob that is not what its digest says" images pull oci:bad
like "$err" "cannot fetch layer 2 of 'oci:bad'.*'sha256:${blob##*/}' is damaged" "names the layer and the blob"
is "$(find "$INGOT_CACHE/container-layer" -size +10M 2>/dev/null)" "" "and is not in the cache"
nothing_left "nothing half is left"

registry_push plain big team/big:1
rm -rf "$INGOT_CACHE"
killed=0
for delay in 0.02 0.05 0.1 0.15 0.2 0.3 0.4; do
    "$INGOT" images pull -q --insecure "$host/team/big:1" &
    pid=$!
    sleep "$delay"
    if kill -9 "$pid" 2>/dev/null; then killed=$((killed + 1)); fi
    wait "$pid" 2>/dev/null || true
    [ -z "$(find "$INGOT_CACHE/container-layer" -name layer.tar ! -execdir test -e complete \; -print 2>/dev/null)" ] ||
        not_ok "killed after $delay s: half a layer has its name"
done
isnt "$killed" 0 "pulls were killed"
run_ok "after that it is pulled" images pull --insecure "$host/team/big:1"
nothing_left "and what was half is gone"
run_ok "and complete" "$INGOT" --json images
is "$(listed "$host/team/big:1" .complete)" true "the list says so"

rm -rf "$INGOT_CACHE"
"$INGOT" --json images pull --insecure "$host/team/big:1" >first.json 2>first.err &
first=$!
"$INGOT" --json images pull --insecure "$host/team/big:1" >second.json 2>second.err &
second=$!
run_ok "two at once: the first" wait "$first"
run_ok "the second" wait "$second"
is "$(jq -s 'map(select(.event == "images-pulled") | .layers) | add' first.json second.json)" 4 "both have all layers"
is "$(entries container-layer)" 2 "which are there once"
nothing_left "nothing half is left"

# ---- gc ---------------------------------------------------------------------------------------------
run_ok "another one" images pull oci:app --name team/app:1.4
run_ok "gc with everything needed" images gc
is "$out" "freed 0 B" "frees nothing"
touch -d '2020-01-01' "$INGOT_CACHE"/container-ref/*
run_ok "used again" images pull --offline oci:app --name team/app:1.4
run_ok "gc for little room" "$INGOT" --json images gc --max 30M
is "$(jq '.freed > 50000000' <<<"$out")" true "frees the one that was not used"
run_ok "list" "$INGOT" --json images
is "$(jq -c '[.images[].reference]' <<<"$out")" '["oci:docker.io/team/app:1.4"]' "the other one stays"
is "$(listed oci:docker.io/team/app:1.4 .complete)" true "whole"
container_image busybox app2
run_ok "the image moves on" images pull oci:app2 --name team/app:1.4
run_ok "gc" images gc
unlike "$out" '^freed 0' "frees the layers of the old one"
is "$(entries container-layer)" "$(diff_ids app2 | wc -l)" "and leaves those of the new one"
run_ok "gc of everything" images gc --max 0
is "$(entries container-layer)$(entries blob)$(entries container-ref)" 000 "leaves nothing"

# ---- the command line ---------------------------------------------------------------------------------
run_ok "help" images --help
like "$out" '--platform ARCH' "has the options"
run_status 2 "an unknown operand" images lst
is "$err" "ingot: unknown operand 'lst' (list, pull or gc)
hint: did you mean 'list'?" "its message"
run_status 2 "pull of nothing" images pull
run_status 2 "list of something" images list x
run_status 2 "an option of gc for pull" images pull --max 1G oci:app
like "$err" "^ingot: --max is only for 'images gc'" "its message"
run_status 2 "a bad size" images gc --max much
run_status 2 "a bad platform" images pull --platform sparc oci:app
run_status 2 "a bad reference" images pull 'Team/App:1'

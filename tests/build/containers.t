#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Profiles with containers, end to end: real registries on loopback, filled by skopeo, with and without a
# password and TLS; what the built root has is what skopeo and umoci unpack; locks, moved tags, no network.
. "${0%/*}/../lib.sh"
. "$top/tests/build/lib.sh"
. "$top/tests/containerlib.sh"
requires umoci unsquashfs sfdisk python3
[ "$(id -u)" = 0 ] || skip_all "mounts what was built: needs root"

# ---- images and registries ---------------------------------------------------------------------------
container_image busybox app
container_image busybox app2 seed=second
container_image features features compression=mixed
container_image edges edges
container_image deep deep layers=125
container_image deep deeper layers=126
container_image busybox multi platforms=yes seed=multi
container_image busybox docker platforms=yes seed=docker media=docker
container_image control control
container_image sparse local
container_image bulk noise size=60000000 content=noise compression=none
container_debian debian docker.io
registry_start plain
for name in app features edges deep deeper multi control noise; do registry_push plain $name team/$name:1; done
registry_start private auth,tls
registry_push private docker team/docker:1
registry_push private debian team/debian:13
plain=${registry[plain]} private=${registry[private]}
registry_login private login
export DOCKER_CONFIG=$tmp/login
skopeo copy -q --insecure-policy oci:app2 docker-archive:archive.tar:team/archive:1

# fetched NAME: how many blobs and documents a registry gave so far. The times are in the log, too.
fetched() { grep -Ec '"GET /v2/[^ ]*/(blobs|manifests)/[^ ]* HTTP/[0-9.]*" 20[06]' "$tmp/registry-$1/log" || true; }

# ---- profiles ----------------------------------------------------------------------------------------
profile_base=docker
registries="  registries: [{name: \"$plain\", insecure: true}, {name: \"$private\", ca: $registry_ca}]"
# containers NAME IMAGE...: $tmp/NAME.yaml with these images.
containers() {
    local name=$1
    shift
    make_profile "$name" "containers:" "  engine: docker" "  images:" "$(printf '    - %s\n' "$@")" "$registries"
}
take_layer "$top/profiles/docker.yaml"
cp -al "$("$INGOT" cache path)/initrd" "$cache/" 2>/dev/null || cp -a "$("$INGOT" cache path)/initrd" "$cache/"
containers all "$plain/team/app:1" "$plain/team/features:1" "$plain/team/edges:1" "$plain/team/deep:1" \
    "$plain/team/multi:1" "$private/team/docker:1" "$private/team/debian:13" \
    "{oci: ./local, name: team/local:1}" "{oci: ./archive.tar}"

# outcome STEP: of it in the last build or pull; events_are_valid NAME
outcome() { outcomes events | awk -v step="$1" '$2 == step { print $3 }'; }
events_are_valid() { run_ok "$1" /usr/bin/python3 "$top/tests/check-events" <events; }
ingot_ok() {
    run_ok "$1" ingot --json "${@:2}"
    cp "$out_file" events
    [ "$status" = 0 ] || bail "cannot go on"
}

# ---- build ---------------------------------------------------------------------------------------------
ingot_ok "build, which pulls" build --format raw -o out all.yaml
events_are_valid "its events are valid"
is "$(outcome containers)" "done" "the containers are put together"
isnt "$(fetched plain) $(fetched private)" "0 0" "from the registries"
unlike "$(cat "$out_file" "$err_file")" "pass:w0rd" "nobody tells the password"
before="$(fetched plain) $(fetched private)"
ingot_ok "pull what is there" images pull all.yaml
events_are_valid "its events are valid"
is "$(fetched plain) $(fetched private)" "$before" "nothing is fetched twice"
ingot_ok "list" images list
events_are_valid "its events are valid"
is "$(jq -r 'select(.event == "images").images[].complete' events | sort | uniq -c | xargs)" "9 true" "all are complete"

# ---- what is in the root -----------------------------------------------------------------------------------
container_mount_root out/all/all_1.2.3.raw root
list=root/$container_in_root/images.json
is "$(jq -r '.images | length' $list)" 9 "images.json has them all"
is "$(stat -c '%U %G %a' root/$container_in_root/layers)" "root root 700" "their setuid files are not for users of the host"
is "$(jq -r '.images[].layers[]' $list | sort -u)" "$(jq -r '.layers | keys[]' $list)" "every layer is there once"
# The other folders are for images that have a layer twice.
is "$(cd "root/$container_in_root/layers" && printf "sha256:%s\n" * | grep -v '\.2$')" "$(jq -r '.layers | keys[]' $list)" "as a folder"

# same_as_others NAME REFERENCE [SKOPEO-OPTION...]: what the root has of an image is what umoci unpacks of it.
same_as_others() {
    local name=$1 reference=$2 ignore
    shift 2
    container_rootfs "$reference" other "$@" || bail "umoci unpacks $reference"
    container_merge root "$name" merged || bail "the layers of $name can be mounted"
    # The folder that a layer has no entry for.
    ignore=(--ignore .:mtime)
    [[ $name != *edges* ]] || ignore+=(--ignore without:mtime --ignore without/parents:mtime --ignore without/parents/at:mtime)
    run_ok "$name is what umoci unpacks" "$top/tests/sametree" "${ignore[@]}" merged other/rootfs
    note "$out"
    container_umount merged
    rm -rf other
}
is "$(container_built root "$plain/team/app:1" .target.digest)" "$(registry_digest plain team/app:1)" "digest of the tag"
registry_options plain src
for name in app features edges deep multi; do
    same_as_others "$plain/team/$name:1" "docker://$plain/team/$name:1" "${registry_skopeo[@]}"
done
registry_options private src
same_as_others "$private/team/docker:1" "docker://$private/team/docker:1" "${registry_skopeo[@]}"
same_as_others "$private/team/debian:13" "docker://$private/team/debian:13" "${registry_skopeo[@]}"
same_as_others "docker.io/team/archive:1" docker-archive:archive.tar
# An old sparse file is one that Go's programs do not read.
container_merge root docker.io/team/local:1 merged || bail "the layers of the local image can be mounted"
container_rootfs oci:features other
run_ok "an old sparse file is as it should be" cmp merged/sparse other/rootfs/sparse/pax
container_umount merged
rm -rf other
container_umount root

# plan PROFILE: without asking anybody, in $plan.
plan() {
    ingot_ok "plan" plan --offline -o out "$@"
    plan=$(jq -c 'select(.event == "plan")' events)
}
# ran: "STEP OUTCOME" of the last build, on one line.
ran() { outcomes events | cut -d' ' -f2- | paste -sd' '; }
needed() { jq -r '[.steps[] | select(.needed and (.cached | not)) | .step] | join(" ")' <<<"$plan"; }

# ---- nothing changed, and nobody to ask ----------------------------------------------------------------------
ingot_ok "build again" build --offline --format raw -o out all.yaml
is "$(ran)" "images cached" "nothing ran"
registry_stop plain
registry_stop private
run_ok "pull from the cache" ingot images pull --offline all.yaml
rm -rf "$cache/root" "$cache/containers"
ingot_ok "build from the cache, without registries" build --offline --format raw -o offline all.yaml
same_file offline/all/all_1.2.3.raw out/all/all_1.2.3.raw "the same image"
rm -rf offline
run_status 4 "pull without registries" ingot images pull all.yaml
like "$err" "^ingot: .*($plain|$private)" "what cannot be reached is named"
run_status 4 "offline with an empty cache" "$INGOT" --cache empty images pull --offline all.yaml
like "$err" "^ingot: cannot work offline" "says so"
like "$err" "^hint: .*ingot images pull" "a hint"
registry_start plain
registry_start private

# ---- one image more ---------------------------------------------------------------------------------------
mapfile -t images < <(sed -n 's/^    - //p' all.yaml)
containers all "${images[@]}" "$plain/team/noise:1"
lines=$(wc -l <registry-plain/log)
ingot_ok "pull one image more" images pull all.yaml
tail -n +$((lines + 1)) registry-plain/log | grep -o '"GET /v2/[^"]*/blobs/' | sort | uniq -c >asked
is "$(awk '{ print $3 }' asked)" "/v2/team/noise/blobs/" "only its blobs are fetched"
plan all.yaml
is "$(needed)" "containers root images" "plan: what depends on it is made again"
like "$(step_of "$plan" containers why)" 'noise' "why: its name"
ingot_ok "build with it" build --offline --format raw -o out all.yaml
is "$(ran)" "packages cached initrd cached containers done root done images done" "what ran"
containers all "${images[@]}"
ingot_ok "build without it" build --offline --format raw -o out all.yaml

# ---- another image behind a tag, and locks -------------------------------------------------------------------
run_ok "lock" ingot lock --offline all.yaml
app=$(registry_digest plain team/app:1)
for digest in "$app" "$(container_digest features)" "$(container_digest multi)" "$(container_digest local)"; do
    like "$(cat all.lock)" "$digest" "the lock has the digest of the tag"
done
registry_push plain app2 team/app:1
isnt "$(registry_digest plain team/app:1)" "$app" "the tag moves"
ingot_ok "pull what is locked" images pull --lock all.lock all.yaml
plan all.yaml
is "$(step_of "$plan" containers cached) $(step_of "$plan" root cached)" "true true" "the old image is still the one"
ingot_ok "pull what the tag is now" images pull all.yaml
plan all.yaml
like "$(step_of "$plan" containers why)" "team/app" "plan says which image changed"
run_status 5 "the lock is not current" ingot lock --offline --check all.yaml
like "$out$err" "team/app" "which image"
cp --sparse=always out/all/all_1.2.3.raw old.raw
ingot_ok "build what is locked" build --offline --locked --format raw -o out all.yaml
same_file out/all/all_1.2.3.raw old.raw "is the old image"
rm old.raw
ingot_ok "build with the new image" build --offline --format raw -o out all.yaml
like "$(ran)" "^packages cached initrd cached containers (done|cached) root done images done$" "what ran"
container_mount_root out/all/all_1.2.3.raw root2
container_merge root2 "$plain/team/app:1" merged2 || bail "the layers of the new image can be mounted"
is "$(cat merged2/etc/seed)" second "it has the new one"
container_umount merged2
container_umount root2
containers pinned "$plain/team/app:1@$app"
ingot_ok "pull by the old digest" images pull pinned.yaml
is "$(jq -r 'select(.event == "images-pulled").images[].digest' events)" "$app" "the tag does not matter"
sed -i "s/$app/sha256:$(printf '0%.0s' {1..64})/" all.lock
run_status 4 "a lock with a digest that is nowhere" ingot build --offline --locked --format raw -o none all.yaml
missing none "nothing is built"

# ---- what is wrong -------------------------------------------------------------------------------------------
# refused STATUS PATTERN NAME COMMAND...
refused() {
    run_status "$1" "$3" "${@:4}"
    like "$err" "$2" "says what"
    is "$(leftovers "$cache" "$tmp/small")" "" "leaves nothing"
}
containers wrong "{oci: ./nothing}"
refused 3 "^wrong.yaml:[0-9:]+ error: .*'./nothing'" "a layout that is not there" ingot images pull wrong.yaml
containers wrong "$plain/team/app:nosuch"
refused 4 "^ingot: .*$plain/team/app:nosuch" "a tag that is not there" ingot images pull wrong.yaml
containers wrong "$plain/team/control:1"
refused 5 "team/control:1.*not a path" "a name with a control character" ingot images pull wrong.yaml
containers wrong "$private/team/docker:1"
refused 4 "^ingot: .*$private/team/docker:1" "no password" env DOCKER_CONFIG=none "$INGOT" --cache "$cache" images pull wrong.yaml
sed -i "s|, ca: [^}]*}|}|" wrong.yaml
refused 4 "certificate" "an authority that nobody knows" ingot images pull wrong.yaml
refused 4 "^ingot: .*$plain" "no network" in_namespace --net -- "$INGOT" --cache "$cache" images pull "$plain/team/app:1" --insecure
refused 2 "no option '--frobnicate'|unknown option" "an option that is none" ingot images pull --frobnicate wrong.yaml
containers wrong "$plain/team/deeper:1"
ingot_ok "pull more layers than Docker takes" images pull wrong.yaml
refused 3 "deeper.*126|126.*deeper" "are refused by the build" ingot build --offline --format raw -o wrong wrong.yaml
missing wrong/wrong/manifest.json "which makes no image"

mkdir small
mount -t tmpfs -o size=30m tmpfs small
on_exit umount "$tmp/small"
containers wrong "$plain/team/app:1" "$plain/team/noise:1"
refused 7 "No space left on device" "a full disk" "$INGOT" --cache small images pull wrong.yaml
mount -o remount,size=300m small
ingot_ok "with more of it" --cache "$tmp/small" images pull wrong.yaml

# ---- interrupted, and once more ------------------------------------------------------------------------------
registry_slow slow plain 5000000
cat >slow.yaml <<END
name: slow
version: 1
containers:
  engine: docker
  images: ["${registry[slow]}/team/noise:1", "${registry[slow]}/team/features:1"]
  registries: [{name: "${registry[slow]}", insecure: true}]
END
for signal in INT KILL; do
    "$INGOT" --cache interrupted images pull slow.yaml >log 2>&1 &
    pull=$!
    enough() { [ "$(du -sk interrupted 2>/dev/null | cut -f1)0" -gt 80000 ]; }
    if wait_for 60 enough; then ok "the pull is under way"; else not_ok "the pull is under way" "$(cat log)"; fi
    kill -$signal "$pull"
    status=0
    { wait "$pull" || status=$?; } 2>/dev/null
    if [ $signal = INT ]; then
        is "$status" 10 "the pull is interrupted"
    else
        is "$status" 137 "the pull is killed"
    fi
done
sed -i "s|${registry[slow]}|$plain|g" slow.yaml
ingot_ok "the next one is as if nothing had been" --cache interrupted images pull slow.yaml
ingot_ok "list" --cache interrupted images list
is "$(jq -r 'select(.event == "images").images[].complete' events | sort -u)" true "all are complete"
is "$(leftovers interrupted)" "" "nothing unfinished is left"
rm -rf interrupted
# ---- layers of 2 GB ------------------------------------------------------------------------------------------
if [ -n "${INGOT_TEST_FULL:-}" ]; then
    container_image bulk zeros2 size=2147483648 content=zeros
    container_image bulk noise2 size=2147483648 content=noise compression=zstd level=1
    registry_push plain zeros2 big/zeros:1
    registry_push plain noise2 big/noise:1
    containers big "$plain/big/zeros:1" "$plain/big/noise:1"
    ingot_ok "pull layers of 2 GB" images pull big.yaml
    ingot_ok "build with them" build --offline --format raw --set disk.root=4G -o out big.yaml
    container_mount_root out/big/big_1.2.3.raw root
    registry_options plain src
    same_as_others "$plain/big/zeros:1" "docker://$plain/big/zeros:1" "${registry_skopeo[@]}"
    same_as_others "$plain/big/noise:1" "docker://$plain/big/noise:1" "${registry_skopeo[@]}"
    container_umount root
    rm -rf out/big zeros2 noise2
fi

ingot_ok "remove what nobody needs" images gc --max 0
ingot_ok "list" images list
is "$(jq -r 'select(.event == "images").images | length' events)" 0 "nothing is left"

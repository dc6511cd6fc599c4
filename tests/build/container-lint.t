#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a build says about containers that units and Compose files use, and what papers, inspect, diff and lock say about those
# that are in the image. No registry: the images are layouts on disk.
. "${0%/*}/../lib.sh"
. "$top/tests/build/lib.sh"
. "$top/tests/containerlib.sh"

take_layer "$top/profiles/docker.yaml"
profile_base=docker
container_image busybox app
container_image busybox other cmd=other
make_profile one 'containers:' '  engine: docker' '  images:' '    - {oci: ./app, name: "team/app:1.4"}'
make_profile two 'containers:' '  engine: docker' '  images:' '    - {oci: ./other, name: "team/app:1.4"}' '    - {oci: ./app, name: "team/idle:1"}'
units=$tmp/overlays/one/etc/systemd/system
mkdir -p "$units/multi-user.target.wants" "$tmp/overlays/one/srv/app" "$tmp/overlays/two/etc"
cat >"$units/app.service" <<'END'
[Unit]
Description=Application
[Service]
ExecStart=/usr/bin/docker run --rm --name app team/app:1.4
[Install]
WantedBy=multi-user.target
END
ln -s ../app.service "$units/multi-user.target.wants/app.service"
printf 'services:\n  web:\n    image: team/app:${TAG:-1.4}\n  db:\n    image: team/database:9\n  cache:\n    image: team/cache:${CACHE_TAG}\n' \
    >"$tmp/overlays/one/srv/app/compose.yaml"
build() { run "$INGOT" --cache "$cache" "${@:2}" build --offline --format raw -o out "$tmp/$1.yaml"; }

# ---- lint ----------------------------------------------------------------------------------------
build one
is "$status" 9 "an image that a Compose file uses and nobody has fails the build"
like "$err" "the image uses 1 container image that it does not have" 'it is counted'
like "$err" "/srv/app/compose.yaml:5: team/database:9: not preloaded" 'and named, with its line'
like "$err" "hint: .*containers.images, or to containers.elsewhere" 'the hint names both ways'
like "$err" "warning: cannot tell which image '/srv/app/compose.yaml:7' uses: 'team/cache:\\$\\{CACHE_TAG\\}'" 'what has no value is a warning'
unlike "$err" "app.service" 'what is preloaded is fine'
[ ! -e out/one/manifest.json ] && ok "nothing is built" || not_ok "nothing is built" "there is a manifest"
echo '  elsewhere: [team/database:9]' >>"$tmp/one.yaml"
build one
is "$status" 0 "with containers.elsewhere it is built"
build two
is "$status" 0 "without users of the images it is built"
like "$err$out" "nothing in the image uses the container image 'team/idle:1'" 'and told which nobody uses'

# ---- papers --------------------------------------------------------------------------------------
digest=$(container_digest app) other=$(container_digest other)
manifest=out/one/manifest.json
is "$(jq -c '[.containers[] | [.reference, .names, .digest]]' $manifest)" "[[\"docker.io/team/app:1.4\",[\"docker.io/team/app:1.4\"],\"$digest\"]]" \
    "the manifest has the image"
config=$(jq -r .config.digest "app/blobs/sha256/$(jq -r '.containers[0].manifest | ltrimstr("sha256:")' $manifest)")
is "$(jq -r '.containers[0].image' $manifest)" "$config" "its configuration"
is "$(jq -c '.containers[0].layers' $manifest)" "$(jq -c .rootfs.diff_ids "app/blobs/sha256/${config#sha256:}")" "its layers"
run_ok "SPDX" "$top/tests/cli/check-papers" spdx out/one/one_1.2.3.spdx.json
run_ok "CycloneDX" "$top/tests/cli/check-papers" cyclonedx out/one/one_1.2.3.cdx.json
purl="pkg:oci/app@$(jq -r '.containers[0].manifest' $manifest)?repository_url=docker.io%2Fteam%2Fapp&tag=1.4"
is "$(jq -r '.components[] | select(.type == "container") | .purl' out/one/one_1.2.3.cdx.json)" "$purl" "CycloneDX has its purl"
is "$(jq -r '.packages[] | select(.primaryPackagePurpose == "CONTAINER") | .externalRefs[0].referenceLocator' out/one/one_1.2.3.spdx.json)" "$purl" "SPDX too"
is "$(jq '[.components[].name | select(startswith("/usr/share/ingot/containers/layers/"))] | length' out/one/one_1.2.3.cdx.json)" 0 \
    "files of layers are not listed one by one"
is "$(jq -r '[.components[] | select(.name == "/usr/share/ingot/containers/images.json") | .properties[] | select(.name == "ingot:from") | .value] | join(" ")' out/one/one_1.2.3.cdx.json)" \
    containers "what describes them comes from the containers"

# ---- inspect and diff ----------------------------------------------------------------------------
run_ok "inspect" "$INGOT" inspect out/one/one_1.2.3.raw
like "$out" "docker.io/team/app:1.4 +${config:7:12} +$(jq '.containers[0].layers | length' $manifest) " 'it shows the image'
run_ok "inspect --json" "$INGOT" --json inspect out/one/one_1.2.3.raw
is "$(jq -c 'select(.event == "image") | .containers' "$out_file")" "$(jq -c .containers $manifest)" "as the manifest has it"
run_ok "diff" "$INGOT" --json diff --only containers,setuid out/one/one_1.2.3.raw out/two/two_1.2.3.raw
is "$(jq -c 'select(.event == "diff") | .containers | [(.changed[] | [.name, .from.digest, .to.digest]), (.added[] | [.name, .value.digest])]' "$out_file")" \
    "[[\"docker.io/team/app:1.4\",\"$digest\",\"$other\"],[\"docker.io/team/idle:1\",\"$digest\"]]" "it tells what changed"
is "$(jq -c 'select(.event == "diff") | [.setuid.added, .setuid.removed]' "$out_file")" "[[],[]]" "setuid files of layers are none of the host"
run_ok "diff of manifest and image" "$INGOT" diff --exit-code --only containers out/one out/one/one_1.2.3.raw

# ---- lock ----------------------------------------------------------------------------------------
run_ok "lock" ingot lock --offline two.yaml
is "$(jq -c '[.containers[] | [.reference, .digest]]' two.lock)" "[[\"oci:docker.io/team/app:1.4\",\"$other\"],[\"oci:docker.io/team/idle:1\",\"$digest\"]]" \
    "it has the images"
run_ok "it is current" ingot lock --offline --check two.yaml
run_ok "diff of lock and image" "$INGOT" diff --exit-code --only containers two.lock out/two/two_1.2.3.raw
cp -a app again
sed -i 's|oci: ./other|oci: ./again|' two.yaml
run ingot --json lock --offline --check two.yaml
is "$status" 5 "another image under the same name makes it stale"
is "$(jq -c 'select(.event == "lock-changes") | .containers' "$out_file")" \
    "[{\"change\":\"changed\",\"digest\":\"$digest\",\"reference\":\"oci:docker.io/team/app:1.4\",\"was\":\"$other\"}]" "it says which"
like "$err" "lock 'two.lock' is not current: 1 container image differs:" 'in words, too'
like "$err" "~ oci:docker.io/team/app:1.4 ${other:0:19} -> ${digest:0:19}" 'with both digests'
run ingot build --offline --locked --format raw -o out two.yaml
is "$status" 5 "build --locked refuses it"
sed -i '/team\/idle/d' two.yaml
run_ok "lock --update" ingot lock --offline --update two.yaml
like "$out" "^- oci:docker.io/team/idle:1 ${digest:0:19}$" 'tells what goes'
like "$out" "^two.lock: .*, 1 container image$" 'and how many there are'
cp two.lock more.lock
jq --arg d "$digest" '.containers += [{reference: "oci:docker.io/team/zz:1", digest: $d}]' two.lock >more.lock
run ingot build --offline --lock more.lock --format raw -o out two.yaml
is "$status" 5 "a lock with more images than the profile is refused"
like "$err" "the container images of 'two' are not as lock 'more.lock' says:.*" 'and why'

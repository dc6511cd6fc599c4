#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The papers of a built image: valid, true to what is in it as other programs see it, silent about the machine
# and about secrets, and made anew when only they change.
. "${0%/*}/../lib.sh"
. "$top/tests/build/lib.sh"
requires python3 dpkg-query unsquashfs

take_layer "$top/profiles/base.yaml"
make_profile one "files: [{path: /etc/two.conf, content: two}]" "tests: [{name: first, run: 'true'}]"
folder=out/one name=one_1.2.3
check=$top/tests/cli/check-papers
secret='$6$salt$notavalidhashbutsecretallthesame'
build() {
    run_ok "$1" ingot build --offline --format raw,qcow2 -o out --set rootfs.level=2 \
        --set "users=[{name: me, password: $secret}]" "${@:2}" "$tmp/one.yaml"
    [ "$status" = 0 ] || bail "cannot go on"
}
papers_are_valid() {
    run_ok "$1: SPDX" "$check" spdx $folder/$name.spdx.json
    run_ok "$1: CycloneDX" "$check" cyclonedx $folder/$name.cdx.json
    run_ok "$1: provenance" "$check" provenance $folder/$name.provenance.json
}
build "build"
papers_are_valid "valid"
is "$(jq -c '[.papers[] | .file, .sha256]' $folder/manifest.json)" \
    "$(for f in spdx cdx provenance; do sha256sum $folder/$name.$f.json; done | sed 's| .*/| |' | jq -Rnc '[inputs | split(" ") | .[1], .[0]]')" \
    "the manifest has their digests"

# ---- what is in the image ------------------------------------------------------------------------
IFS=/ read -r offset size < <(jq -r '.disk.partitions[] | select(.name == "root") | "\(.offset)/\(.used)"' $folder/manifest.json)
dd if=$folder/$name.raw of=root.part bs=1M iflag=skip_bytes,count_bytes skip="$offset" count="$size" status=none
unsquashfs -q -n -no-xattrs -d root root.part >/dev/null 2>unsquashfs.log || true # device nodes, as a user
dpkg-query --admindir=root/usr/lib/sysimage/dpkg -W \
    -f '${Package} ${Version} ${Architecture} ${source:Package} ${source:Version}\n' | LC_ALL=C sort >installed
[ "$(wc -l <installed)" -gt 50 ] && ok "dpkg lists packages" || not_ok "dpkg lists packages" "$(cat unsquashfs.log)"
jq -r '.components[] | select(.type == "library") | "\(.name) \(.version) \(.purl | capture("arch=(?<a>[^&]*)").a) \(.pedigree.ancestors[0] | "\(.name) \(.version)")"' \
    $folder/$name.cdx.json | LC_ALL=C sort >in-cyclonedx
jq -r '(.packages | map({(.SPDXID): .}) | add) as $p | .relationships[] | select(.relationshipType == "GENERATED_FROM") |
    $p[.spdxElementId] as $d | $p[.relatedSpdxElement] as $s |
    "\($d.name) \($d.versionInfo) \($d.externalRefs[0].referenceLocator | capture("arch=(?<a>[^&]*)").a) \($s.name) \($s.versionInfo)"' \
    $folder/$name.spdx.json | LC_ALL=C sort >in-spdx
same_file installed in-cyclonedx "CycloneDX lists what dpkg says is installed"
same_file installed in-spdx "SPDX too"
is "$(jq '[.components[] | select(.type == "library" and .hashes == null)] | length' $folder/$name.cdx.json)" 0 \
    "every package has the digest of its .deb"
deb=$(jq -r '.packages[] | select(.name == "systemd" and .checksums != null) | .checksums[0].checksumValue' $folder/$name.spdx.json)
is "$(jq -r '.predicate.buildDefinition.resolvedDependencies[] | select(.name == "systemd") | .digest.sha256' $folder/$name.provenance.json)" \
    "$deb" "provenance and SBOM agree on it"

# Every file whose content is not in the package layer is listed, with the digests that it has; and no other.
cat >files.py <<'END'
import hashlib, json, os, sys, tarfile
root, layer, sbom = sys.argv[1:]
listed = {}
for c in json.load(open(sbom))["components"]:
    if c["type"] == "file":
        listed[c["name"]] = {h["alg"]: h["content"] for h in c["hashes"]}
known = set()
with tarfile.open(layer) as tar:
    for entry in tar:
        if entry.isreg():
            known.add(hashlib.sha256(tar.extractfile(entry).read()).hexdigest())
seen = 0
for folder, _, names in os.walk(root):
    for name in names:
        path = os.path.join(folder, name)
        if os.path.islink(path) or not os.path.isfile(path):
            continue
        seen += 1
        content = open(path, "rb").read()
        inside = path[len(root):]
        sums = listed.pop(inside, None)
        if sums and sums != {"SHA-256": hashlib.sha256(content).hexdigest(), "SHA-1": hashlib.sha1(content).hexdigest()}:
            print(inside, "has other digests")
        if not sums and hashlib.sha256(content).hexdigest() not in known:
            print(inside, "is not listed")
print(*(f"{path} is not there" for path in listed), sep="\n", end="\n" if listed else "")
if seen < 1000:
    print("only", seen, "files in the image")
END
run_ok "files of the image are compared" python3 files.py root "$cache/packages/$key/layer.tar" $folder/$name.cdx.json
is "$out" "" "our files are listed, with their digests"
is "$(jq -r '.components[] | select(.name == "/etc/one.conf") | .properties[] | select(.name == "ingot:from").value' $folder/$name.cdx.json)" \
    "overlay one" "an overlay's"
is "$(jq -r '[.components[] | select(.type == "file").name] | map(select(. == "/etc/two.conf" or . == "/usr/bin/ingot-agent" or . == "/usr/lib/os-release")) | join(" ")' $folder/$name.cdx.json)" \
    "/usr/bin/ingot-agent /etc/two.conf /usr/lib/os-release" "the agent, the profile's, and a package's that was changed"

# ---- provenance ----------------------------------------------------------------------------------
statement=$folder/$name.provenance.json
is "$(jq -r '.subject[] | "\(.digest.sha256)  \(.name)"' $statement)" "$(cd $folder && sha256sum ./*.qcow2 ./*.raw | sed 's|\./||')" \
    "the subjects are the images"
is "$(jq -c '.predicate.buildDefinition.externalParameters | [.profile, .version, .formats, .profileSha256]' $statement)" \
    "$(jq -c '["one", "1.2.3", ["qcow2", "raw"], .profile]' $folder/manifest.json)" "the parameters"
is "$(jq -c '.predicate.buildDefinition.externalParameters.set[0]' $statement)" '{"key":"rootfs.level","value":"2"}' "--set is named"
is "$(jq -c '.predicate.buildDefinition.externalParameters.set[1]' $statement)" \
    "{\"key\":\"users\",\"valueSha256\":\"$(printf '[{name: me, password: %s}]' "$secret" | sha256sum | cut -d' ' -f1)\"}" \
    "what may be secret only by its digest"
is "$(jq -Sc '.predicate.buildDefinition.internalParameters.steps' $statement)" \
    "$(jq -Sc .keys $folder/manifest.json)" "the keys of the steps"
for input in "overlay base" "overlay one" ingot-agent firmware/loader profile; do
    is "$(jq -r --arg n "$input" '[.predicate.buildDefinition.resolvedDependencies[] | select(.name == $n) | .digest.sha256 | length] | join(" ")' $statement)" \
        64 "$input went into it"
done
hosts=$(jq -r '.inputs[]? // empty | select(.name | startswith("source ")) | .value' <<<"$(ingot --json plan --offline -o out "$tmp/one.yaml" | jq -c '.steps[]? | select(.step == "packages")')" |
    grep -o '://[^/ ]*' | sort -u | sed 's|://||')
[ -n "$hosts" ] && ok "the plan knows the repositories' hosts" || not_ok "the plan knows the repositories' hosts"
for text in "$tmp" "$top" "$secret" $hosts; do
    run grep -rlF -- "$text" $folder/$name.spdx.json $folder/$name.cdx.json $statement
    is "$out" "" "nothing says $text"
done

# ---- only the papers change ----------------------------------------------------------------------
image=$(stat -c '%i %y' $folder/$name.raw)
sbom=$(sha256sum <$folder/$name.cdx.json)
before=$(jq -r .predicate.buildDefinition.externalParameters.profileSha256 $statement)
sed -i 's/name: first/name: second/' one.yaml
build "build with another test"
is "$(stat -c '%i %y' $folder/$name.raw)" "$image" "the image stays"
papers_are_valid "made anew"
isnt "$(jq -r .predicate.buildDefinition.externalParameters.profileSha256 $statement)" "$before" "the profile is another one"
isnt "$(sha256sum <$folder/$name.cdx.json)" "$sbom" "for the SBOM too"
run_ok "the sums are right" sh -c "cd $folder && sha256sum --quiet -c SHA256SUMS"

# ---- a damaged record ----------------------------------------------------------------------------
for record in "$cache"/root/*/files.json; do
    size=$(stat -c %s "$record")
    chmod u+w "$record"
    { printf '[{'; head -c $((size - 2)) /dev/zero | tr '\0' ' '; } >"$record.new"
    mv "$record.new" "$record"
done
rm -r out
build "build with a damaged record of files"
like "$err" "making again what was damaged" "says so"
papers_are_valid "made again"

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# SBOMs and provenance against their schemas, offline; and that the check sees what is wrong.
# shellcheck source=tests/lib.sh
. "${0%/*}/../lib.sh"
requires jq python3
check=$top/tests/cli/check-papers

for test in attest_sbom attest_provenance build_papers; do
    run_ok "$test leaves documents" env INGOT_PAPERS="$tmp" "$INGOT_BUILD/tests/$test.t" leaves_documents
done

for file in *.spdx.json; do run_ok "$file is valid SPDX 2.3" "$check" spdx "$file"; done
for file in *.cdx.json; do run_ok "$file is valid CycloneDX 1.6" "$check" cyclonedx "$file"; done
for file in *.provenance.json; do run_ok "$file is a valid statement" "$check" provenance "$file"; done
run_ok 'the same documents have hostile names' grep -q 'a/\.\./b' hostile.spdx.json hostile.cdx.json

# refuses KIND FILE FILTER TEXT: the document changed by the filter of jq is wrong for this reason.
refuses() {
    jq "$3" "$2" >changed.json
    cmp -s <(jq . "$2") changed.json && { not_ok "$1: $3" 'the filter changes nothing'; return; }
    run_status 1 "$1: $3" "$check" "$1" changed.json
    like "$out" "$4" "$1: $3: the reason"
}

s=sample.spdx.json
refuses spdx $s 'del(.documentNamespace)' "'documentNamespace' is a required property"
refuses spdx $s '.spdxVersion = "SPDX-2.2"' "^/spdxVersion: 'SPDX-2.3' was expected"
refuses spdx $s '.creationInfo.created = "2023-11-14"' '^/creationInfo/created: '
refuses spdx $s '.packages[3].SPDXID = "SPDXRef-a_b"' '^/packages/3/SPDXID: '
refuses spdx $s '.packages[3].unknown = 1' "^/packages/3: .*'unknown' was unexpected"
refuses spdx $s '.packages[3].SPDXID = .packages[4].SPDXID' "^SPDXID '.*' twice"
refuses spdx $s '.packages[0].checksums = [{algorithm: "SHA1", checksumValue: "00"}]' '^/packages/0/checksums/0/checksumValue: '
refuses spdx $s '.packages[1].supplier = "Debian"' '^/packages/1/supplier: '
refuses spdx $s '.packages[1].externalRefs[0].referenceLocator |= sub("@"; " ")' '^/packages/1/externalRefs/0/referenceLocator: '
refuses spdx $s '(.. | .referenceLocator? | select(. and test("bash@.*amd64"))) |= sub("%2B"; "%2b")' 'is not encoded as it must be'
refuses spdx $s '.files[0].checksums |= .[1:]' '^/files/0/checksums: '
refuses spdx $s '.files[0].checksums[0].checksumValue |= sub("^."; "b")' "^the verification code of '"
refuses spdx $s '.relationships[0].relationshipType = "KNOWS"' '^/relationships/0/relationshipType: '
refuses spdx $s '.relationships[3].relatedSpdxElement += "x"' "^no element '"
refuses spdx $s '.relationships |= map(select(.relationshipType != "GENERATED_FROM"))' 'hangs in the air'
refuses spdx $s '.relationships += [.relationships[0]]' '^relationship .* twice'

c=sample.cdx.json
refuses cyclonedx $c '.specVersion = 1.6' '^/specVersion: '
refuses cyclonedx $c '.serialNumber |= sub("urn:"; "")' '^/serialNumber: .* does not match'
refuses cyclonedx $c '.components[0].type = "deb"' '^/components/0/type: '
refuses cyclonedx $c 'del(.components[0].name)' "^/components/0: 'name' is a required property"
refuses cyclonedx $c '.components[0].hashes = [{alg: "SHA-256", content: "xyz"}]' '^/components/0/hashes/0/content: '
refuses cyclonedx $c '.components[0].licenses = [{license: {id: "No-Licence"}}]' '^/components/0/licenses: '
refuses cyclonedx $c '.components[0].colour = "red"' "'colour' was unexpected"
refuses cyclonedx $c '.components += [.components[0]]' '^/components: .*'
refuses cyclonedx $c '.components[1]."bom-ref" = .components[2]."bom-ref"' "^bom-ref '.*' twice"
refuses cyclonedx $c '.dependencies[1].dependsOn = ["nobody"]' "^no component 'nobody'"
refuses cyclonedx $c '.dependencies[0].dependsOn |= .[1:]' 'hangs in the air'
refuses cyclonedx $c '.signature = {algorithm: "HS0", value: 3}' '^/signature: '

p=sample.provenance.json
refuses provenance $p '._type |= sub("v1"; "v0.1")' '^/_type: '
refuses provenance $p '.predicateType = "https://slsa.dev/provenance/v0.2"' '^/predicateType: '
refuses provenance $p '.subject = []' '^/subject: '
refuses provenance $p 'del(.subject[0].digest)' '^/subject/0: '
refuses provenance $p '.subject[0].digest.sha256 |= ascii_upcase' '^/subject/0/digest/sha256: '
refuses provenance $p 'del(.predicate.buildDefinition.buildType)' "'buildType' is a required property"
refuses provenance $p '.predicate.buildDefinition.externalParameters.host = "x"' "'host' was unexpected"
refuses provenance $p '.predicate.buildDefinition.resolvedDependencies[0] |= del(.uri, .digest)' 'resolvedDependencies/0: '
refuses provenance $p '.predicate.buildDefinition.resolvedDependencies[0].name = "/home/me/x"' "'/home/' is of a machine"
refuses provenance $p '.predicate.runDetails.metadata.startedOn = "2026-01-01T00:00:00Z"' "'startedOn' was unexpected"
refuses provenance $p 'del(.predicate.runDetails.builder.id)' "'id' is a required property"

printf '{"a": 1, "a": 2}' >twice.json
run_status 1 'a member twice is no document' "$check" spdx twice.json
like "$out" '^not JSON: a member twice' 'and it says so'
run_status 2 'a check without its schema is no check' "$check" spdx sample.spdx.json nowhere.json

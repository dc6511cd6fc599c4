#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The README's tables are those of the program, the schema is a schema, and our own profiles fit it.
. "${0%/*}/../lib.sh"
requires jq python3

cd "$top"
run_ok 'the tables of the README are up to date' scripts/readme-tables --check
cd "$tmp"
"$INGOT" schema >schema.json
run_ok 'the schema is valid JSON Schema' python3 -c '
import json, jsonschema
jsonschema.Draft202012Validator.check_schema(json.load(open("schema.json")))'
is "$(jq -r '."$schema"' schema.json)" 'https://json-schema.org/draft/2020-12/schema' 'the draft is named'
for profile in "$top"/profiles/*.yaml; do
    run_ok "the schema takes ${profile##*/}" python3 - "$profile" <<'PY'
import json, sys, jsonschema
try:
    import yaml
except ImportError:
    print("python3-yaml is missing", file=sys.stderr)
    sys.exit(1)
jsonschema.Draft202012Validator(json.load(open("schema.json"))).validate(yaml.safe_load(open(sys.argv[1])))
PY
done
run_ok 'our profiles are valid' "$INGOT" validate "$top"/profiles/swarm-{manager,worker}.yaml
for target in demo test check bench fuzz install clean help test-full test-cluster; do
    run_ok "make $target exists" grep -q "^$target:" "$top/Makefile"
done

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# ingot-agent check-user-data, and the examples in cloud-init/user-data: our own parser takes them, and so does
# cloud-init's schema.
. "${0%/*}/../lib.sh"
agent=${INGOT%/*}/ingot-agent
[ -x "$agent" ] || bail "$agent is not built"
requires gzip base64

# ---- the verb ------------------------------------------------------------------------------------
printf '#cloud-config\nhostname: a\n' >good.yaml
run_ok 'good user-data' "$agent" check-user-data good.yaml
is "$out$err" '' 'says nothing'
cp "$top/tests/bad-userdata/role.yaml" .
run_status 3 'bad user-data' "$agent" check-user-data role.yaml
is "$err" "$(cat "$top/tests/bad-userdata/role.yaml.err")
ingot-agent: 1 error in 'role.yaml'" 'says what is wrong as a compiler does'
printf '#cloud-config\nhostnam: a\npackages: [nginx]\ngrowpart: {mode: auto}\n' >keys.yaml
run_status 3 'keys that the agent does not know' "$agent" check-user-data keys.yaml
like "$err" "^keys.yaml:2:1: error: unknown key 'hostnam'" 'unknown'
like "$err" "^keys.yaml:3:1: error: .*packages" 'not supported'
unlike "$err" '^keys.yaml:4' 'not needed'
printf '#include https://127.0.0.1:1/x\n' >include.txt
run_ok 'nothing is fetched' "$agent" check-user-data include.txt
like "$out" 'include.txt: 1 included part' 'but that is said'
run_status 2 'no file' "$agent" check-user-data
like "$err" 'needs an argument: FILE' 'says so'
run_status 1 'a file that is not there' "$agent" check-user-data nothing.yaml
head -c 1100000 /dev/zero >large
run_status 1 'a file that is too large' "$agent" check-user-data large
like "$err" 'larger than 1048576 bytes' 'says so'
run_ok 'the table of keys' "$agent" check-user-data --keys
like "$out" '^\| `cluster.rendezvous` \| one of seeds, etcd, s3, static \|' 'has the choices'
is "$(grep -cv '^| `' <<<"$out")" 2 'and is a table'

# ---- examples --------------------------------------------------------------------------------------
for role in single-host swarm-manager swarm-worker load-balancer database storage k8s-control-plane k8s-node; do
    exists "$top/cloud-init/user-data/$role.yaml" "there is an example for $role"
done

# Without our own key: newer schemas allow only those that they know.
without_ingot() { awk '/^[^ #]/ { ours = /^ingot:/ } !ours' "$1"; }

for example in "$top"/cloud-init/user-data/*; do
    name=${example##*/}
    run_ok "$name is good" "$agent" check-user-data "$example"
    is "$out$err" '' "$name has nothing to say about"
    gzip -c "$example" | base64 >packed
    run_ok "$name is good when it is packed" "$agent" check-user-data packed
    unlike "$(cat "$example")" '(secret|password|token|key): *["'\'']?[A-Za-z0-9+/]{32}' "$name holds no secret"
    command -v cloud-init >/dev/null || {
        skip "cloud-init takes $name" 'cloud-init is not installed'
        continue
    }
    without_ingot "$example" >schema.yaml
    unlike "$(cat schema.yaml)" '^ingot:' "$name without our key"
    run_ok "cloud-init takes $name" cloud-init schema --config-file schema.yaml
done

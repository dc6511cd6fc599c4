#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Nothing secret of a cluster gets where it does not belong: secrets are planted, three machines join, and then logs,
# files, command lines, environments, packets and the memory of the agent are searched for them.
set -eu

. "${0%/*}/../dockerlib.sh"
enter_namespaces "$0" 300
. "${0%/*}/../lib.sh"
. "$top/tests/clusterlib.sh"
. "$top/tests/cluster/scenarios.sh"
cluster_requires
requires tcpdump python3

# Known only here: nothing that is searched can hold them by itself.
cluster_secret=$(openssl rand -hex 32)
password=$(openssl rand -hex 16)
static_token=$(openssl rand -hex 16)

cluster_new
machines m1 m2 w1
# One reads it from a credential, the others have it in the clear in user-data.
mkdir -p "$nodes/w1/credentials"
printf '%s\n' "$cluster_secret" >"$nodes/w1/credentials/cluster-secret"
settings w1 '.cluster.secret = "credential:cluster-secret"'
for name in m1 m2; do
    # What other backends would need; it is kept, and not used.
    settings "$name" ".cluster.etcd = {endpoints: [\"https://192.0.2.1\"], user: \"u\", password: \"$password\"} |
        .cluster.static = {managers: [\"192.0.2.1\"], worker_token: \"$static_token\"}"
    jq --arg data "#cloud-config
ingot: {cluster: {secret: $cluster_secret, etcd: {password: $password}}}
" '.user_data = ($data | @base64)' "$nodes/$name/root/var/lib/ingot/agent/instance.json" >instance.json
    install -m 600 instance.json "$nodes/$name/root/var/lib/ingot/agent/instance.json"
done

# ---- what goes by is kept ----------------------------------------------------------------------
watch="" capture=""
stop_watching() {
    [ -n "$capture" ] || return 0
    # shellcheck disable=SC2086  # one of them may not run yet
    { kill $watch $capture && wait $watch $capture 2>/dev/null; } || true
    watch="" capture=""
}
tcpdump -i br0 -w "$tmp/packets" -U -Z root --immediate-mode 2>"$tmp/tcpdump.log" &
capture=$!
on_exit stop_watching
wait_for 20 grep -q 'listening on' "$tmp/tcpdump.log" || bail 'packets are captured'
# Command lines and environments of all processes, again and again.
while :; do
    # Some are gone before they are read.
    { cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null || true; } | tr '\0' '\n' | sort -u >>"$tmp/processes"
    sleep 0.05
done &
watch=$!

boot m1 m2 w1
is_one_swarm 'three machines join' m1 m2 w1
first_tokens=$(tokens m1)
rotate m1
machine w2 worker
settings w2
boot w2
is_one_swarm 'one more with the next token' m1 m2 w1 w2
last_tokens=$(tokens m1)
isnt "$first_tokens" "$last_tokens" 'which is another one'
for name in m1 m2 w1 w2; do
    for verb in status query; do
        on "$name" "$agent" "$verb" --json --root="$(root_of "$name")" >>"$tmp/answers" 2>&1 || true
        on "$name" "$agent" "$verb" --root="$(root_of "$name")" >>"$tmp/answers" 2>&1 || true
    done
done
like "$(cat "$tmp/answers")" 'joined' 'status says something'

# Somebody without the secret learns nothing, and leaves no trace of what he sent.
wrong=$(openssl rand -hex 32)
for name in m1 m2; do
    timeout 5 openssl s_client -connect "$(address "$name"):2378" -tls1_3 -psk_identity demo -psk "$wrong" \
        </dev/null >>"$tmp/stranger" 2>&1 || true
    timeout 5 curl --silent --max-time 5 "http://$(address "$name"):2378/" >>"$tmp/stranger" 2>&1 || true
done
unlike "$(cat "$tmp/stranger")" 'SWMTKN|BEGIN' 'who does not know the secret gets nothing'

# The search itself must find: this packet and this process hold a word like the others.
canary=$(openssl rand -hex 16)
on w1 bash -c "echo $canary >/dev/udp/$(address m1)/9; sleep 2"
stop_watching

# ---- the search --------------------------------------------------------------------------------
{
    printf '%s\n' "$cluster_secret" "$password" "$static_token" "$first_tokens" "$last_tokens"
    for word in "$cluster_secret" "$password" $first_tokens $last_tokens; do
        printf '%s' "$word" | base64 -w0 | tr -d '='
        echo
    done
    python3 -c 'import base64, sys; print(base64.b64encode(bytes.fromhex(sys.argv[1])).decode().rstrip("="))' \
        "$cluster_secret"
} | sort -u >"$tmp/secrets"
is "$(grep -cE '^SWMTKN-1-[a-z0-9]{50}-[a-z0-9]{25}$' "$tmp/secrets")" 4 'the tokens are known'

# holds FILE...: which of the files hold a secret.
holds() { grep -l -a -F -f "$tmp/secrets" -- "$@" 2>/dev/null || true; }
is "$(grep -l -a -F "$canary" "$tmp/packets")" "$tmp/packets" 'what is sent in the clear is among the packets'
is "$(grep -l -a -F "$canary" "$tmp/processes")" "$tmp/processes" 'what is in a command line was seen'
tcpdump -nr "$tmp/packets" 'tcp port 2378' >"$tmp/rendezvous" 2>/dev/null
like "$(head -n 1 "$tmp/rendezvous")" '[.]2378' 'and so is the rendezvous'
is "$(holds "$tmp/packets")" '' 'no secret goes over the network in the clear'
is "$(holds "$tmp/processes")" '' 'none is in a command line or in an environment'
is "$(holds "$tmp/answers")" '' 'none is in what status and query say'
is "$(holds "$nodes"/*/log "$nodes"/*/agent.log "$nodes"/*/dockerd.log)" '' 'none is in a log'
unlike "$(cat "$nodes"/*/agent.log)" "$wrong|SWMTKN" 'nor what a stranger sent, nor any token'

# Where user-data is kept, and the settings made of it, is for root alone. The engine's own store is encrypted.
kept='/(run/ingot/settings.json|var/lib/ingot/agent/instance.json|run/credentials/@system/cluster-secret)$'
for name in m1 m2 w1 w2; do
    root=$nodes/$name/root
    find "$root" "$root/run" -xdev -type f ! -path '*/docker/swarm/*' -print0 >"$tmp/files"
    xargs -0 grep -l -a -F -f "$tmp/secrets" -- <"$tmp/files" >"$tmp/found" 2>/dev/null || true
    unlike "$(grep -Ev "$kept" "$tmp/found" || true)" . "$name: no file holds a secret but those for it"
    is "$(grep -E "$kept" "$tmp/found" | sort -u | xargs -r stat -c '%a %u' | sort -u)" \
        "$([ "$name" = w1 ] && echo '400 0' || echo '600 0')" "$name: those are for root alone"
    xargs -0 grep -l -a 'SWMTKN-1-' -- <"$tmp/files" >"$tmp/found" 2>/dev/null || true
    is "$(cat "$tmp/found")" '' "$name: no file holds any token"
done

# ---- memory ------------------------------------------------------------------------------------
# memory_holds PID WORD: how often the word is in what the process can write.
memory_holds() {
    python3 - "$1" "$2" <<'PY'
import re, sys
word, count = sys.argv[2].encode(), 0
with open(f"/proc/{sys.argv[1]}/mem", "rb", 0) as memory:
    for line in open(f"/proc/{sys.argv[1]}/maps"):
        start, end, mode = re.match(r"(\w+)-(\w+) (\S+)", line).groups()
        if mode[1] != "w":
            continue
        memory.seek(int(start, 16))
        try:
            count += memory.read(int(end, 16) - int(start, 16)).count(word)
        except OSError:
            pass
print(count)
PY
}
# process_of NAME: the agent that serves there, by its number here.
process_of() { pgrep -f -x "$agent serve --root=$(root_of "$1")"; }
for name in m1 m2; do
    process=$(process_of "$name")
    like "$(memory_holds "$process" "$(root_of "$name")")" '^[1-9]' "$name: the memory of the one that serves can be searched"
    for token in $first_tokens $last_tokens; do
        is "$(memory_holds "$process" "$token")" 0 "$name: it holds no token that it has handed out or seen"
    done
    is "$(memory_holds "$process" "$password")" 0 "$name: and no password that it does not need"
    note "$name: the cluster's secret is $(memory_holds "$process" "$cluster_secret") times in memory"
done

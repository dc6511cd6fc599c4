# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# shellcheck disable=SC2154  # what lib.sh and clusterlib.sh set
# Clusters whose machines meet in a store, a real etcd or the S3 store of the tests; for tests/build/cluster-stores.t
# and `make test-cluster`.

store_pid="" store_number=0
store_host=10.98.0.1
store_keys='access_key: "AKINGOT", secret_key: "s3-secret-key-of-the-test"'

store_stop() {
    [ -n "$store_pid" ] || return 0
    kill -9 "$store_pid" 2>/dev/null || true
    wait "$store_pid" 2>/dev/null || true
    store_pid=""
}
on_exit store_stop

# store_start: the store of $backend with what it had before.
store_start() {
    local dir=$tmp/store.$store_number
    case $backend in
    etcd)
        etcd --data-dir "$dir" --listen-client-urls "http://$store_host:2379" \
            --advertise-client-urls "http://$store_host:2379" --listen-peer-urls http://127.0.0.1:2380 \
            --initial-advertise-peer-urls http://127.0.0.1:2380 --initial-cluster default=http://127.0.0.1:2380 \
            >>"$dir.log" 2>&1 &
        ;;
    s3)
        python3 "$top/tests/fake/s3" --host "$store_host" --port 2379 --data "$dir" AKINGOT \
            s3-secret-key-of-the-test bucket eu-1 >>"$dir.log" 2>&1 &
        ;;
    esac
    store_pid=$!
}
store_answers() { curl -s --max-time 2 "http://$store_host:2379/health" >"$tmp/health"; }

# store_cluster BACKEND NAME...: a new cluster of these machines (m* are managers) and an empty store of this kind.
store_cluster() {
    local name
    backend=$1
    shift
    cluster_new
    store_stop
    store_number=$((store_number + 1))
    store_start
    wait_for 60 store_answers || bail "$backend starts"
    seeds_are
    for name; do
        case $name in
        m*) machine "$name" manager ;;
        *) machine "$name" worker ;;
        esac
        store_settings "$name"
    done
}
store_settings() {
    local own="{endpoints: [\"http://$store_host:2379\"]}"
    [ "$backend" = etcd ] ||
        own="{endpoint: \"http://$store_host:2379\", region: \"eu-1\", bucket: \"bucket\", $store_keys}"
    settings "$1" "del(.cluster.seeds) | .cluster.rendezvous = \"$backend\" | .cluster.$backend = $own"
}

# store_all_at_once BACKEND: three managers and five workers are switched on together.
# shellcheck disable=SC2086  # words on purpose
store_all_at_once() {
    local begin last all="m1 m2 m3 w1 w2 w3 w4 w5"
    store_cluster "$1" $all
    begin=$EPOCHREALTIME
    boot $all
    is_one_swarm "$1: three managers and five workers form one swarm" $all
    last=$(for name in $all; do when "$name"; done | sort -n | tail -n 1)
    note "$1: all eight have joined $(seconds_between "$begin" "$last") s after they were switched on"
}

# What the store says: EMPTY, BUSY ... or READY ....
store_look() {
    jq .cluster "$nodes/m2/settings.json" >"$tmp/look.json"
    "$INGOT_BUILD/helper/agent_rendezvous" "$tmp" "$tmp/look.json" test manager look | cut -d' ' -f1
}

# at_point NAME SYSCALL N | at_point NAME step STEP: see store_killed. It is dead when this returns; false when it does
# not come so far.
at_point() {
    if [ "$2" = step ]; then
        boot "$1"
        wait_for 60 has_step "$1" "$3" || return 1
        touch "$nodes/$1/hold"
        kill_unit "$1" join
        return 0
    fi
    die_at "$1" "$2" "$3"
    boot "$1"
    wait_for 60 died_or_joined "$1" || true
    died "$1"
}
has_step() { grep -qi "\"step\": *\"$2\"" "$(record_of "$1")" 2>/dev/null; }

# store_killed BACKEND SYSCALL N [machine]: the only manager so far is killed in front of its N-th such call (or with
# `step STEP` when its record says so), and with the last word its plug is pulled; another manager and a worker are
# switched on at that moment. They form a swarm without it, unless it had published its own, and it joins them when it
# comes back. False when it does not come so far.
store_killed() {
    local kind=$1 plug=${4:-} begin state
    local what="$kind: ${plug:+plug pulled }at $2 $3"
    store_cluster "$kind" m1 m2 w1
    at_point m1 "$2" "$3" || return 1
    begin=$EPOCHREALTIME
    [ -z "$plug" ] || unplug m1
    state=$(store_look)
    boot m2 w1
    if [ "$state" != READY ]; then
        is_one_swarm "$what ($state): the others form a swarm" m2 w1
        note "$what: $(seconds_between "$begin" "$(when m2)") s from there until the next manager is ready"
    fi
    go_on m1
    [ -z "$plug" ] || boot m1
    is_one_swarm "$what ($state): when it is back all are one swarm" m1 m2 w1
}

# store_down BACKEND: the store is not there when all are switched on, and again later.
store_down() {
    store_cluster "$1" m1 m2 w1
    store_stop
    boot m1 m2 w1
    sleep 8
    is "$(swarm m1 .LocalNodeState)$(swarm m2 .LocalNodeState)" inactiveinactive \
        "$1: without the store nobody makes a swarm"
    like "$(waits_for m1)" "$store_host" 'and the agent says what it waits for'
    store_start
    is_one_swarm "$1: when it comes they form one" m1 m2 w1
    store_stop
    kill_unit m2 docker
    sleep 3
    is_one_swarm "$1: members need no store" m1 m2 w1
}

# store_secrets BACKEND: tokens are replaced; the store gets the new ones, and neither it nor a machine's log or state has
# one, or the cluster's secret, in clear.
store_secrets() {
    local before after all
    store_cluster "$1" m1 m2 w1
    boot m1
    is_one_swarm "$1: a swarm" m1
    before=$(tokens m1)
    rotate m1
    after=$(tokens m1)
    isnt "$after" "$before" 'its tokens are replaced'
    wait_for 30 store_has_token || not_ok 'the store gets the new ones'
    boot m2 w1
    is_one_swarm "$1: others join with the new ones" m1 m2 w1
    # Both parts of a token are secret enough to look for the last one alone.
    all=$(printf '%s\n' "$before" "$after" | sed 's/.*-//')
    if [ "$1" = etcd ]; then
        cat "$tmp/store.$store_number"/member/wal/* "$tmp/store.$store_number"/member/snap/db
    else
        jq -r '.[]' "$tmp/store.$store_number" | base64 -d
    fi >"$tmp/stored"
    cat "$nodes"/m?/agent.log "$nodes"/w?/agent.log "$nodes"/*/root/var/lib/ingot/agent/*.json \
        "$nodes"/*/root/run/ingot/join.json >"$tmp/said"
    is "$(grep -acF "$cluster_secret"$'\n'"$all" "$tmp/stored")" 0 "$1: no secret in the store"
    isnt "$(grep -ac '"clusterID"' "$tmp/stored")" 0 'which has the record'
    is "$(grep -acF "$cluster_secret"$'\n'"$all" "$tmp/said")" 0 "$1: no secret in logs and state of the machines"
}
store_has_token() {
    jq .cluster "$nodes/w1/settings.json" >"$tmp/look.json"
    "$INGOT_BUILD/helper/agent_rendezvous" "$tmp" "$tmp/look.json" test worker look |
        grep -qF "$(api m1 /swarm | jq -r .JoinTokens.Worker)"
}

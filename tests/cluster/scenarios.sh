# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# shellcheck disable=SC2154  # what lib.sh and clusterlib.sh set
# What can happen to a cluster while it forms, one function each, for tests/build/cluster.t (some of it) and
# `make test-cluster` (all of it).

managers="m1 m2 m3"
workers="w1 w2 w3 w4 w5"

# machines NAME...: their files and settings; m* are managers and the seeds of all of them.
machines() {
    local name
    for name; do
        case $name in
        m*) machine "$name" manager ;;
        *) machine "$name" worker ;;
        esac
    done
    # shellcheck disable=SC2046  # words on purpose
    seeds_are $(tr ' ' '\n' <<<"$*" | grep '^m')
    for name; do settings "$name"; done
}

# all_at_once RUN: three managers and five workers are switched on together.
# shellcheck disable=SC2086  # words on purpose
all_at_once() {
    local begin=$EPOCHREALTIME last
    cluster_new
    machines $managers $workers
    boot $managers $workers
    is_one_swarm "run $1: three managers and five workers form one swarm" $managers $workers
    last=$(for name in $managers $workers; do when "$name"; done | sort -n | tail -n 1)
    note "run $1: all eight have joined $(seconds_between "$begin" "$last") s after they were switched on"
}

# killed SYSCALL N [engine]: the one that initialises is killed there (with its engine) and started again. False when
# it does not come so far.
killed() {
    cluster_new
    machines m1 m2 w1
    die_at m1 "$1" "$2"
    boot m1 m2 w1
    wait_for 60 died_or_joined m1 || true
    if ! died m1; then return 1; fi
    [ -z "${3:-}" ] || kill_unit m1 docker
    go_on m1
    is_one_swarm "initialiser ${3:+and engine }killed in front of its ${1} number $2: one swarm" m1 m2 w1
}

# replaced SYSCALL N: the one that initialises is killed there and its machine does not come back; the others say that
# they wait, until somebody says that another one initialises. Then the first one comes back after all.
replaced() {
    local text
    cluster_new
    machines m1 m2 w1
    die_at m1 "$1" "$2"
    boot m1
    wait_for 60 died_or_joined m1 || true
    if ! died m1; then return 1; fi
    unplug m1
    boot m2 w1
    wait_for 30 waits_like m2 "$(address m1)" || true
    text=$(waits_for m2)
    like "$text" "waits .*$(address m1)" "killed in front of $1 number $2 for ever: another seed says whom it waits for"
    is "$(swarm m2 .LocalNodeState)" inactive 'and makes no swarm of its own'
    run_ok 'somebody tells it to initialise' on m2 "$agent" join --initialise --root="$(root_of m2)" --timeout=60
    is_one_swarm 'and the rest joins' m2 w1
    go_on m1
    boot m1
    returns m1 m2 w1
}

# returns FIRST OTHER...: the machine either becomes a member of the others' swarm or says why it does not.
returns() {
    local first=$1
    shift
    if wait_for 90 together "$first" "$@"; then
        ok 'the first one joins them when it comes back'
    else
        like "$(waits_for "$first")" "swarm" 'the first one says why it does not join them when it comes back'
        note "it says: $(waits_for "$first")"
        [ "$(cluster_id "$first")" != "$(cluster_id "$1")" ] || not_ok 'although its record names the same swarm'
        same_swarm "$@" || not_ok 'and the others go on without it' "$difference"
    fi
}
together() { joined "$1" && same_swarm "${@:2}" "$1"; }

# rebooted DELAY NAME...: these are switched off so long after all were switched on, and on again. The engine counts the
# second of two managers before that one has what it needs to come back: then there is no majority without somebody.
rebooted() {
    local delay=$1
    shift
    cluster_new
    machines m1 m2 w1
    boot m1 m2 w1
    sleep "$delay"
    unplug "$@"
    boot "$@"
    if [ $# = 3 ] && ! wait_for 60 same_swarm m1 m2 w1 && waits_like m1 'join --initialise'; then
        note "no majority after $delay s: somebody says join --initialise"
        run_ok 'somebody does' on m1 "$agent" join --initialise --root="$(root_of m1)" --timeout=60
    fi
    is_one_swarm "plug of $* pulled after $delay s: one swarm" m1 m2 w1
}

# engine_killed DELAY NAME: the engine dies while the cluster forms; it is started again a second later.
engine_killed() {
    cluster_new
    machines m1 m2 w1
    boot m1 m2 w1
    wait_for 30 engine_is_up "$2" || true
    sleep "$1"
    kill_unit "$2" docker
    is_one_swarm "engine of $2 killed $1 s after it was up: one swarm" m1 m2 w1
}

# A worker that has waited for long is there soon after the first manager.
late_worker() {
    cluster_new
    machines m1 w1
    boot w1
    sleep "$1"
    boot m1
    is_one_swarm "a worker that waited $1 s for the first manager joins" m1 w1
    note "a late worker joins $(seconds_between "$(when m1)" "$(when w1)") s after the first manager is ready (aim: 3 s)"
}

# Two of three seeds do not answer, one of them not even with a refusal.
dead_seeds() {
    local all_good two_dead
    cluster_new
    machines m1 w1 w2
    ip address add 10.98.0.251/32 dev br0
    nft add table inet test
    nft add chain inet test input '{ type filter hook input priority 0; }'
    nft add rule inet test input ip daddr 10.98.0.251 drop
    settings w2 '.cluster.seeds = ["10.98.0.250", "10.98.0.251"] + .cluster.seeds'
    boot m1
    wait_for 60 joined m1 || bail 'the first manager is ready'
    time_to_join w1
    all_good=$took
    time_to_join w2
    two_dead=$took
    is_one_swarm 'a worker joins although two of three seeds are dead' m1 w1 w2
    note "from the power switch to joined: $all_good s, with two dead seeds of three $two_dead s (aim: 2 s more)"
    nft delete table inet test
    ip address delete 10.98.0.251/32 dev br0
}
took=""
time_to_join() {
    local begin=$EPOCHREALTIME
    boot "$1"
    wait_for 60 joined "$1" || true
    took=$(seconds_between "$begin" "$(when "$1")")
}

# Tokens change all the time while others join.
rotated() {
    local before count=0
    cluster_new
    machines m1 m2 w1 w2
    boot m1
    wait_for 60 joined m1 || bail 'the first manager is ready'
    before=$(tokens m1)
    boot m2 w1 w2
    # With the second manager the first one needs its agreement, and may not be able to for a moment.
    while ! joined m2 w1 w2 && [ "$count" -lt 200 ]; do
        if rotate m1 2>/dev/null; then count=$((count + 1)); fi
        sleep 0.2
    done
    isnt "$(tokens m1)" "$before" "the tokens were replaced ($count times)"
    is_one_swarm 'and all have joined' m1 m2 w1 w2
}

# Two machines that were cloned with their instance-id.
same_instance() {
    cluster_new
    machines m1 m2 w1 w2
    instance m2 i-m1
    instance w2 i-w1
    boot m1 m2 w1 w2
    is_one_swarm 'machines with the same instance-id are different members' m1 m2 w1 w2
}

# A member of one swarm is given the settings of another one.
other_swarm() {
    local text
    cluster_new
    machines m1 w1
    boot m1 w1
    is_one_swarm 'a swarm' m1 w1
    machine m9 manager
    seeds_are m9
    settings m9 '.cluster.name = "other"'
    boot m9
    is_one_swarm 'another one' m9
    isnt "$(cluster_id m1)" "$(cluster_id m9)" 'they are two'
    unplug w1
    settings w1 '.cluster.name = "other"'
    boot w1
    wait_for 60 refuses w1 || true
    text=$(waits_for w1)
    like "$text" 'swarm' 'a member of one swarm does not join another one, and says so'
    note "it says: $text"
    is "$(api m9 /nodes | jq length)" 1 'the other one has no new member'
    if wait_for 30 same_swarm m1 w1; then ok 'it stays in its own'; else not_ok 'it stays in its own' "$difference"; fi
}
refuses() { engine_is_up "$1" && [[ $(waits_for "$1") == *swarm* ]]; }

# A manager whose disk died is replaced by a new machine with its name and address.
# shellcheck disable=SC2086  # words on purpose
new_disk() {
    local old
    old=$(swarm m3 .NodeID)
    unplug m3
    machine m3 manager
    settings m3
    boot m3
    patience=180 is_one_swarm 'a manager with a new disk takes the place of the old one' "$@"
    isnt "$(swarm m3 .NodeID)" "$old" 'it is a new node'
    is "$(api m1 /nodes | jq '[.[] | select(.Spec.Role == "manager")] | length')" 3 'there are three managers'
    is "$(api m1 /nodes | jq '[.[] | select(.Status.State != "ready")] | length')" 0 'and no dead entry'
}

has_nodes() { [ "$(api "$1" /nodes | jq length)" = "$2" ]; }

# Two managers, and the disk of one is gone: no majority is left, until somebody says that the other goes on alone.
lost_majority() {
    local id text
    cluster_new
    machines m1 m2 w1
    boot m1 m2 w1
    is_one_swarm 'two managers and a worker' m1 m2 w1
    id=$(swarm m1 .Cluster.ID)
    wait_for 30 labels_copied m1 3 || true
    unplug m1 m2 w1
    machine m2 manager
    settings m2
    boot m1 m2 w1
    wait_for 60 waits_like m1 'join --initialise' || true
    text=$(waits_for m1)
    like "$text" 'needs the other managers, or, if they are lost for good: join --initialise' 'a manager without a majority says what to do'
    run_ok 'somebody does it' on m1 "$agent" join --initialise --root="$(root_of m1)" --timeout=60
    patience=180 is_one_swarm 'the swarm goes on, and the new disk joins it' m1 m2 w1
    is "$(swarm m1 .Cluster.ID)" "$id" 'it is the same swarm'
    wait_for 60 has_nodes m1 3 || true
    is "$(api m1 /nodes | jq length)" 3 'without the dead entry'
}

# A new disk for a machine that asks nobody: it has a token in its settings.
# shellcheck disable=SC2086  # words on purpose
new_disk_with_token() {
    local token
    token=$(api m1 /swarm | jq -r .JoinTokens.Manager)
    unplug m2
    machine m2 manager
    settings m2 ".cluster.rendezvous = \"static\" | .cluster.static = {manager_token: \"$token\",
        managers: [\"$(address m1):2377\", \"$(address m3):2377\"]}"
    boot m2
    is_one_swarm 'so does one that has a token and asks nobody' "$@"
    is "$(api m1 /nodes | jq '[.[] | select(.Spec.Role == "manager")] | length')" 3 'there are three managers'
}

# A clock that is two hours slow cannot have seen its own image being made. (What is real here is the image that comes
# from the future: nothing sets the clock of a Go program without setting that of the machine.)
slow_clock() {
    cluster_new
    machines m1 w1
    touch -d '+2 hours' "$(root_of w1)/usr/lib/ingot/image.json"
    boot m1 w1
    wait_for 60 joined m1 || bail 'the first manager is ready'
    wait_for 30 waits_like w1 'clock' || true
    like "$(waits_for w1)" 'the clock is before the making of this image' 'a machine with a slow clock waits'
    is "$(swarm w1 .LocalNodeState)" inactive 'and does not join'
    touch "$(root_of w1)/usr/lib/ingot/image.json"
    is_one_swarm 'it joins when it has the time' m1 w1
}

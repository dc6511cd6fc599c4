# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# shellcheck disable=SC2154  # what lib.sh sets
# A cluster of machines without machines: each is a set of namespaces (network, mounts, processes, host name) on one
# bridge, with files of its own, a real engine and the agent's units, which tests/cluster/node runs as systemd would.
#
#     . "${0%/*}/../dockerlib.sh"
#     enter_namespaces "$0" SECONDS
#     . "${0%/*}/../lib.sh"
#     . "$top/tests/clusterlib.sh"
#     cluster_new                              # the bridge and an empty place for the machines
#     machine m1 manager && machine w1 worker  # their files; nothing runs
#     boot m1 w1                               # switch on
#     wait_for 60 joined m1
#     unplug m1                                   # pull the plug: `boot m1` again finds its disk, not its /run
#
# Machines are called by their names. Their addresses count from 10.98.0.11 in the order in which they were made.
# Unless a test says `backend=...`, seeds is the rendezvous and the managers that were made first are the seeds.

agent=${INGOT%/*}/ingot-agent
cluster_secret=0123456789abcdef-not-a-secret-0123456789abcdef
nodes=""                   # the folder of all machines
declare -A machine_number  # name -> number
declare -A machine_pid     # name -> process of unshare that holds it; unset when it is off

cluster_requires() {
    [ -x "$agent" ] || bail "$agent is not built"
    PATH=$PATH:/usr/sbin:/sbin
    requires dockerd containerd jq curl ip unshare nsenter
}

# cluster_new: an empty cluster. What was there is switched off and forgotten.
cluster_new() {
    local name
    if [ -n "$nodes" ]; then
        for name in "${!machine_pid[@]}"; do unplug "$name"; done
        umount -l "$nodes"
    else
        mount -t cgroup2 cgroup2 /sys/fs/cgroup || bail "cgroup2 can be mounted"
        mount -t tmpfs tmpfs /run
        ip link set lo up
        ip link add br0 type bridge
        ip address add 10.98.0.1/24 dev br0
        ip link set br0 up
        nodes=$tmp/nodes
        mkdir "$nodes"
        on_exit cluster_gone
    fi
    # Memory, not a disk: raft syncs each entry, and all machines share one disk.
    mount -t tmpfs -o mode=755 tmpfs "$nodes"
    machine_number=()
    machine_pid=()
    seeds=""
}

cluster_gone() {
    local name
    for name in "${!machine_pid[@]}"; do unplug "$name"; done
    umount -l "$nodes"
}

address() { echo "10.98.0.$((10 + machine_number[$1]))"; }
root_of() { echo "$nodes/$1/root"; }
record_of() { echo "$nodes/$1/root/var/lib/ingot/agent/join.json"; }

# machine NAME ROLE [LABEL=VALUE...]: a machine with an empty disk.
machine() {
    local name=$1 role=$2 labels
    shift 2
    machine_number[$name]=${machine_number[$name]:-$((${#machine_number[@]} + 1))}
    rm -rf --one-file-system "${nodes:?}/$name"
    mkdir -p "$nodes/$name/root"/{run,etc/docker,usr/lib/ingot,var/lib/ingot/agent,var/lib/docker}
    ln -s /proc "$nodes/$name/root/proc"
    ln -s /sys "$nodes/$name/root/sys"
    jq -n --arg role "$role" '{schema: 1, name: "demo", version: "1", architecture: "x86-64",
        join: {kind: "swarm", role: $role, node_labels: ["role", "zone"]}}' \
        >"$nodes/$name/root/usr/lib/ingot/image.json"
    # What labels_apply writes before the engine starts; its own tests are in tests/unit/agent_labels.c.
    labels=$(printf '%s\n' "role=$role" "zone=z$((machine_number[$name] % 3))" "$@" | jq -Rn '[inputs]')
    jq -n --argjson labels "$labels" '{labels: $labels}' >"$nodes/$name/root/etc/docker/daemon.json"
    instance "$name" "i-$name"
    echo "$name" >"$nodes/$name/name"
    echo "$role" >"$nodes/$name/role"
    address "$name" >"$nodes/$name/address"
}

# instance NAME ID: which instance-id the machine has.
instance() {
    jq -n --arg id "$2" --arg hostname "$1" '{source: "nocloud", id: $id, hostname: $hostname}' \
        >"$nodes/$1/root/var/lib/ingot/agent/instance.json"
    chmod 600 "$nodes/$1/root/var/lib/ingot/agent/instance.json"
}

# settings NAME [JQ-FILTER]: its settings from the next boot on, `provision` having read them from user-data.
settings() {
    # The secret in no command line: a test looks.
    jq -R --argjson seeds "$seeds" --arg role "$(cat "$nodes/$1/role")" \
        "{cluster: {name: \"demo\", role: \$role, rendezvous: \"seeds\", secret: ., seeds: \$seeds}} | ${2:-.}" \
        >"$nodes/$1/settings.json" <<<"$cluster_secret"
}

# seeds_are NAME...: the seeds in the settings that are made after this.
seeds=""
seeds_are() {
    local name
    seeds=$(for name; do address "$name"; done | jq -Rn '[inputs]')
}

# boot NAME...: switch on, all of them before any of them gets far.
boot() {
    local name child
    for name; do
        mount -t tmpfs -o mode=755 tmpfs "$nodes/$name/root/run"
        rm -f "$nodes/$name/joined"
        unshare --net --mount --pid --uts --fork --kill-child --mount-proc --propagation private \
            "$top/tests/cluster/node" "$agent" "$nodes/$name" >>"$nodes/$name/log" 2>&1 &
        machine_pid[$name]=$!
    done
    for name; do
        wait_for 20 has_child "$name" || bail "machine $name starts"
        child=$(child_of "$name")
        ip link add "v${machine_number[$name]}" type veth peer name eth0 netns "$child"
        ip link set "v${machine_number[$name]}" master br0 up
    done
}

child_of() { tr -d ' \n' <"/proc/${machine_pid[$1]}/task/${machine_pid[$1]}/children"; }
# It is in namespaces of its own only after the call that makes them.
has_child() {
    local child
    child=$(child_of "$1") && [ -n "$child" ] &&
        [ "$(readlink "/proc/$child/ns/net")" != "$(readlink /proc/self/ns/net)" ]
}

# unplug NAME...: the plug is pulled. Processes, mounts and the network card are gone when it returns.
unplug() {
    local name
    for name; do
        [ -n "${machine_pid[$name]:-}" ] || continue
        kill -9 "${machine_pid[$name]}" 2>/dev/null || true
        wait "${machine_pid[$name]}" 2>/dev/null || true
        unset "machine_pid[$name]"
        umount -l "$nodes/$name/root/run"
        ip link delete "v${machine_number[$name]}" 2>/dev/null || true
    done
}

# on NAME COMMAND...: run a command there.
on() {
    local name=$1
    shift
    nsenter --target "$(child_of "$name")" --mount --net --pid --uts -- "$@"
}

# kill_unit NAME UNIT: kill -9 of the main process of docker, join or serve; it is started again a second later.
kill_unit() { on "$1" sh -c 'kill -9 "$(cat "$1")"' sh "$nodes/$1/$2.pid"; }

# die_at NAME SYSCALL N: at its next boot the agent's first join is killed in front of its N-th SYSCALL (rename: the
# record or what it waits for is being written; connect: the engine or somebody else is asked). It is not started
# again before `go_on NAME`.
die_at() {
    echo "strace -f -qq -o /dev/null -e trace=$2 -e inject=$2:signal=KILL:when=$3" >"$nodes/$1/under"
    : >"$nodes/$1/hold"
}
died() { grep -q 'join ended with status 137' "$nodes/$1/agent.log" 2>/dev/null; }
died_or_joined() { died "$1" || joined "$1"; }
go_on() { rm -f "$nodes/$1/hold"; }

# ---- what the engines say, by another hand than the agent's -------------------------------------
api() {
    local name=$1 path=$2
    shift 2
    curl --silent --fail --max-time 30 --unix-socket "$nodes/$name/root/run/docker.sock" "http://docker$path" "$@"
}
swarm() { api "$1" /info | jq -r ".Swarm$2"; }
cluster_id() { jq -r '.cluster_id // ""' "$(record_of "$1")" 2>/dev/null; }
waits_for() { jq -r '.waits_for // ""' "$nodes/$1/root/run/ingot/join.json" 2>/dev/null; }
waits_like() { [[ $(waits_for "$1") == *$2* ]]; }
engine_is_up() { api "$1" /_ping >/dev/null; }
# rotate NAME: new tokens, by way of that manager.
rotate() {
    local swarm
    swarm=$(api "$1" /swarm)
    api "$1" "/swarm/update?version=$(jq .Version.Index <<<"$swarm")&rotateWorkerToken=true&rotateManagerToken=true" \
        --json "$(jq -c .Spec <<<"$swarm")" >/dev/null
}
tokens() { api "$1" /swarm | jq -r '.JoinTokens[]'; }
# joined NAME...: all agents have ended their join of this boot, and the engines are active members.
joined() {
    local name
    for name; do
        [ -e "$nodes/$name/joined" ] && [ "$(swarm "$name" .LocalNodeState)" = active ] || return 1
    done
}

# same_swarm NAME...: what the first one, a manager, says: these and no others are members, all are ready, each has its
# role, all managers are reached. Leaves in $difference what is not so. An entry without a name is a place that was made
# for somebody who was killed before he got his certificate: he is not a member.
same_swarm() {
    local list name want="" got
    list=$(api "$1" /nodes) || return 1
    for name; do want+="$(swarm "$name" .NodeID) $name $(cat "$nodes/$name/role") ready"$'\n'; done
    got=$(jq -r '.[] | select(.Description.Hostname != null) | "\(.ID) \(.Description.Hostname) \(.Spec.Role) \(.Status.State)" +
        (if .Spec.Role == "manager" and .ManagerStatus.Reachability != "reachable" then " unreachable" else "" end)' \
        <<<"$list")
    difference=$(diff <(sort <<<"${want%$'\n'}") <(sort <<<"$got"))
}
# labels_copied NAME COUNT: the manager NAME has COUNT nodes, whose labels role and zone are those of their engines.
labels_copied() {
    api "$1" /nodes | jq -e --argjson count "$2" 'length == $count and all(.[];
        . as $node | [.Description.Engine.Labels | .role, .zone] as $engine |
        [$node.Spec.Labels | .role, .zone] == $engine and ($engine | all(. != null)))' >/dev/null
}
# is_one_swarm NAME-OF-TEST MACHINE...: within a time; tells what is wrong.
difference=""
is_one_swarm() {
    local name=$1
    shift
    if wait_for "${patience:-90}" joined "$@" && wait_for 60 same_swarm "$@"; then
        ok "$name"
    else
        not_ok "$name" "$difference"
        tell "$@"
    fi
}
# when NAME: at which second of the clock the machine had joined.
when() { stat -c %.3Y "$nodes/$1/joined"; }
seconds_between() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.1f", b - a }'; }

# tell NAME...: what is known of machines, for whoever looks for the reason of a failure.
tell() {
    local name
    for name; do
        note "$name: engine $(swarm "$name" .LocalNodeState 2>/dev/null || echo down), waits for: $(waits_for "$name")"
        tail -n 8 "$nodes/$name/agent.log" 2>/dev/null | cut -c 1-160 | sed "s/^/# $name: /" >&2
    done
}

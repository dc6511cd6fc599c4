#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# ingot-agent against a real Docker Engine, in namespaces of its own: the swarm is made once, whatever is
# killed on the way. All processes end and all mounts vanish with the namespaces.
set -eu

. "${0%/*}/../dockerlib.sh"
enter_namespaces "$0" 400
. "${0%/*}/../lib.sh"
requires dockerd jq python3 ip
agent=${INGOT%/*}/ingot-agent
[ -x "$agent" ] || bail "$agent is not built"
PATH=$PATH:/usr/sbin:/sbin

mount -t cgroup2 cgroup2 /sys/fs/cgroup || bail "cgroup2 can be mounted"
mount -t tmpfs tmpfs /run
ip link set lo up
ip link add eth0 type veth peer name peer0
ip link set peer0 up
ip link set eth0 up

root=$tmp/root
record=$root/var/lib/ingot/agent/join.json
mkdir -p "$root/run" "$root/usr/lib/ingot" "$root/var/lib"
ln -s /proc "$root/proc"
ln -s /sys "$root/sys"
image() {
    printf '{"schema":1,"name":"demo","version":"1","architecture":"x86-64","join":%s}\n' "$1" \
        >"$root/usr/lib/ingot/image.json"
}
image '{"kind":"swarm","role":"manager"}'

# api METHOD PATH: one request to the engine, by another hand than the agent's.
api() {
    python3 - "$root/run/docker.sock" "$1" "$2" <<'PY'
import http.client, socket, sys
class Connection(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(sys.argv[1])
c = Connection("docker")
c.request(sys.argv[2], sys.argv[3])
print(c.getresponse().read().decode())
PY
}
swarm() { api GET /info | jq -r ".Swarm$1"; }
state() { swarm .LocalNodeState; }
is_active() { [ "$(state 2>/dev/null)" = active ]; }
answers() { api GET /_ping >/dev/null 2>&1; }

dockerd=""
start_dockerd() {
    rm -f "$root/run/docker.sock" "$tmp/docker.pid"
    dockerd --data-root "$tmp/data" --exec-root "$tmp/exec" --pidfile "$tmp/docker.pid" \
        --host "unix://$root/run/docker.sock" --storage-driver vfs --bridge none \
        --iptables=false --ip6tables=false >>"$tmp/dockerd.log" 2>&1 &
    dockerd=$!
}
kill_dockerd() {
    kill -9 "$dockerd"
    wait "$dockerd" 2>/dev/null || true
}
stop_dockerd() {
    kill "$dockerd" 2>/dev/null || return 0
    wait "$dockerd" 2>/dev/null || true
}
# The engine leaves its own folder mounted on itself.
on_exit sh -c 'umount -l "$1" 2>/dev/null' sh "$tmp/data"
on_exit stop_dockerd

join=""
start_join() {
    "$agent" join --root="$root" --timeout=120 >>"$tmp/join.log" 2>&1 &
    join=$!
}
end_of_join() {
    status=0
    wait "$join" 2>/dev/null || status=$?
}
waits() { jq -r '.waits_for // ""' "$root/run/ingot/join.json" 2>/dev/null; }
waits_for() { [[ $(waits) == *$1* ]]; }
leave() {
    api POST '/swarm/leave?force=1' >/dev/null
    wait_for 30 swarm_is inactive
}
swarm_is() { [ "$(state)" = "$1" ]; }

# ---- in whatever order things come up ----------------------------------------------------------
start_join
wait_for 20 waits_for 'waits for the engine' || true
like "$(waits)" 'waits for the engine' "without an engine the agent waits for it"
start_dockerd
wait_for 60 waits_for 'IPv4 address' || true
like "$(waits)" 'waits for an IPv4 address' "without an address it waits for one"
is "$(state)" inactive "and the engine is left alone"
peak=$(awk '/^VmHWM/ { print $2 }' "/proc/$join/status")
note "join: peak RSS $peak kB"
if [ "$peak" -lt 32768 ]; then ok "join needs less than 32 MiB"; else not_ok "join needs $peak kB"; fi
ip address add 10.9.8.7/24 dev eth0
ip route add default via 10.9.8.1
end_of_join
is "$status" 0 "then it joins"
is "$(state)" active "the engine is in a swarm"
is "$(swarm .ControlAvailable)" true "as a manager"
is "$(swarm .NodeAddr)" 10.9.8.7 "with the address of the default route"
cluster=$(swarm .Cluster.ID)
is "$(jq -r .cluster_id "$record")" "$cluster" "the record names the cluster"
is "$(jq -r .node_id "$record")" "$(swarm .NodeID)" "and the node"

# ---- when it is done ---------------------------------------------------------------------------
run_ok "a second join is quick and happy" "$agent" join --root="$root" --timeout=20
is "$(swarm .Cluster.ID)" "$cluster" "and changes nothing"
run_ok "health agrees" "$agent" health --root="$root" --timeout=30
run_ok "status works" "$agent" status --root="$root" --json
is "$(jq -r '.engine.swarm, .engine.manager, .join.joined, .health.now' <<<"$out" | xargs)" \
    "active true true ok" "status knows the swarm"
is "$(jq -r .engine.cluster_id <<<"$out")" "$cluster" "and its ID"
is "$(jq -r .engine.version <<<"$out")" "$(api GET /version | jq -r .Version)" "and the engine"
run_ok "status as text" "$agent" status --root="$root"
like "$out" "^join +joined $cluster" "says that it is joined"

# An ordinary user gets an answer, too, and is told what is missing in it.
chmod 755 "$TMPDIR" "$tmp"
cp "$agent" "$tmp/agent"
run_ok "status as nobody" setpriv --reuid=65534 --regid=65534 --clear-groups "$tmp/agent" status \
    --root="$root" --json
is "$(jq -r .join.cluster_id <<<"$out")" "$cluster" "knows the cluster from the record"
like "$(jq -r .unreadable.cluster <<<"$out")" 'Permission denied' "and that it may not ask the engine"

# ---- the engine dies ---------------------------------------------------------------------------
kill_dockerd
run_status 8 "health without an engine is not healthy" "$agent" health --root="$root" --timeout=1
start_dockerd
run_ok "join after a restart of the engine" "$agent" join --root="$root" --timeout=60
is "$(swarm .Cluster.ID)" "$cluster" "is still in the same swarm"
run_ok "and healthy" "$agent" health --root="$root" --timeout=60

# ---- the swarm is lost -------------------------------------------------------------------------
leave || not_ok "the engine leaves"
run_status 1 "a lost swarm is not replaced" "$agent" join --root="$root" --timeout=2
like "$err" "was a member of swarm $cluster" "and the agent says which one it was"
is "$(state)" inactive "the engine is left alone"
run_status 8 "health says so" "$agent" health --root="$root" --timeout=20

# ---- the agent is killed on the way --------------------------------------------------------------
for delay in 0.01 0.03 0.1 0.2 0.4 0.8; do
    rm -f "$record"
    start_join
    sleep "$delay"
    kill -9 "$join" 2>/dev/null || true
    end_of_join
    killed=$status
    run "$agent" join --root="$root" --timeout=60
    is "$status $(state) $(jq -r .cluster_id "$record")" "0 active $(swarm .Cluster.ID)" \
        "killed after $delay s (status $killed): the next run ends in one swarm"
    leave || not_ok "the engine leaves"
done

# ---- the engine is killed while it initialises ---------------------------------------------------
for delay in 0.02 0.1 0.3; do
    rm -f "$record"
    start_join
    wait_for 20 test -e "$record" || true
    sleep "$delay"
    kill_dockerd
    sleep 0.3
    start_dockerd
    end_of_join
    wait_for 60 answers || true
    # The agent may have seen the swarm just before the engine died; then it ended.
    wait_for 60 is_active || true
    run "$agent" join --root="$root" --timeout=60
    is "$status $(state) $(jq -r .cluster_id "$record")" "0 active $(swarm .Cluster.ID)" \
        "engine killed $delay s after the intent: one swarm in the end"
    leave || not_ok "the engine leaves"
done

# ---- a worker does not invent a swarm ------------------------------------------------------------
rm -f "$record"
image '{"kind":"swarm","role":"worker"}'
run_status 1 "a worker without settings waits" "$agent" join --root="$root" --timeout=1
like "$err" 'waits for join settings: a worker needs' "and says for what"
is "$(state)" inactive "and makes no swarm"

unlike "$(cat "$tmp/join.log" "$err_file" "$root"/run/ingot/*.json)" 'SWMTKN|SWMKEY' \
    "no token got into a log or a file"

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# ingot cluster with a fake QEMU: bad files, machines that come up, fail, reboot and are taken down, and that nothing
# is ever left behind, nor a secret shown. tests/boot/cluster.t runs real machines.
. "${0%/*}/../lib.sh"
requires jq python3 qemu-img pgrep

mkdir bin cache tmp
ln -s "$top/tests/fake/qemu" bin/qemu-system-x86_64
export PATH=$tmp/bin:$PATH TMPDIR=$tmp/tmp INGOT_CACHE=$tmp/cache
orphans() { pgrep -f "(fake/qemu|cluster up).*$tmp" || true; }
none_left() { [ -z "$(orphans)" ]; }
# Machines and supervisors, which are nobody's children.
all_gone() {
    if wait_for 60 none_left; then ok "$1"; else not_ok "$1" "$(pgrep -af "$tmp" || true)"; fi
}
for file in demo a b; do on_exit "$INGOT" -q cluster down "$tmp/$file.yaml"; done

truncate -s 8M x.raw
cat >manifest.json <<'E2'
{"name": "x", "join": {"kind": "swarm", "role": "manager"}, "artifacts": [{"file": "x.raw", "format": "raw"}]}
E2
mkdir plain
truncate -s 8M plain/y.raw
printf '#cloud-config\nruncmd: [echo-of-the-user]\n' >user-data
cat >demo.yaml <<'E2'
cluster: {name: demo, network: 10.9.8.0/24}
machines:
  - {name: m, image: x.raw, memory: 256M, user-data: user-data, forward: ["tcp:18080:80"]}
  - {name: w, image: plain/y.raw, memory: 256M, cpus: 1, count: 2}
E2

# ---- usage -------------------------------------------------------------------------------------------------
run_status 2 'no action' "$INGOT" cluster
run_status 2 'an unknown action' "$INGOT" cluster upp demo.yaml
is "$err" "ingot: 'ingot cluster' cannot 'upp'
hint: did you mean 'up'?" 'says what there is'
run_status 2 'run without a command' "$INGOT" cluster run demo.yaml m
run_status 2 'up with too much' "$INGOT" cluster up demo.yaml m
run_status 2 'run without a cluster' "$INGOT" cluster run demo.yaml m true
like "$err" '^hint: start it: ingot cluster up ' 'says how to start it'
run_status 3 'no such folder' "$INGOT" cluster up none/demo.yaml
run_status 3 'no such file' "$INGOT" cluster up none.yaml
run_ok 'status of what never was' "$INGOT" cluster status demo.yaml
is "$out" down 'it is down'

# ---- files that are wrong ----------------------------------------------------------------------------------
# bad NAME LINE:COLUMN MESSAGE NOTE <FILE
bad() {
    cat >bad.yaml
    run_status 3 "$1" "$INGOT" cluster up --kvm off bad.yaml
    like "$err" "/bad\.yaml:$2: error: $3" '  with its place'
    [ -z "${4:-}" ] || like "$err" "note: $4" '  and what to do'
    is "$out" '' '  and nothing else'
}
bad 'an unknown key' 3:29 "unknown key 'memroy'" "did you mean 'memory'\?" <<'E2'
cluster: {name: a}
machines:
  - {name: m, image: x.raw, memroy: 1G}
E2
bad 'an unknown section' 3:1 "unknown key 'machine'" "did you mean 'machines'\?" <<'E2'
cluster: {name: a}
machines: [{name: m, image: x.raw}]
machine: []
E2
bad 'no cluster' 1:1 "'cluster' must be a map" <<<'machines: [{name: m, image: x.raw}]'
bad 'no machines' 1:1 "'machines' must be a list" <<<'cluster: {name: a}'
bad 'no name' 1:10 "the cluster has no 'name'" '' <<'E2'
cluster: {network: 10.0.0.0/24}
machines: [{name: m, image: x.raw}]
E2
bad 'a bad name' 1:17 "bad value 'A_B' for 'name'" 'expected 1 to 63 of a-z, 0-9 and -' <<'E2'
cluster: {name: A_B}
machines: [{name: m, image: x.raw}]
E2
bad 'a network with host bits' 1:29 "bad value '10.0.0.1/24'" 'expected a network' <<'E2'
cluster: {name: a, network: 10.0.0.1/24}
machines: [{name: m, image: x.raw}]
E2
bad 'a network that is too small' 1:29 "bad value '10.0.0.0/30'" '' <<'E2'
cluster: {name: a, network: 10.0.0.0/30}
machines: [{name: m, image: x.raw}]
E2
bad 'the network of the other card' 1:29 "the network '198.18.0.0/15' overlaps" '' <<'E2'
cluster: {name: a, network: 198.18.0.0/15}
machines: [{name: m, image: x.raw}]
E2
bad 'image and profile' 2:12 "the machine needs either 'profile' or 'image'" '' <<'E2'
cluster: {name: a}
machines: [{name: m, image: x.raw, profile: base}]
E2
bad 'neither of them' 2:12 "the machine needs either 'profile' or 'image'" '' <<'E2'
cluster: {name: a}
machines: [{name: m}]
E2
bad 'two of one name' 4:5 "two machines are called 'm-2'" '' <<'E2'
cluster: {name: a}
machines:
  - {name: m-2, image: x.raw}
  - {name: m, image: x.raw, count: 2}
E2
bad 'a bad count' 2:43 "bad value '0' for 'count'" 'expected a number from 1 to 32' <<'E2'
cluster: {name: a}
machines: [{name: m, image: x.raw, count: 0}]
E2
bad 'too many' 4:5 'too many machines: at most 32' '' <<'E2'
cluster: {name: a}
machines:
  - {name: m, image: x.raw, count: 32}
  - {name: n, image: x.raw}
E2
bad 'more than addresses' 2:12 'too many machines' '' <<'E2'
cluster: {name: a, network: 10.0.0.0/27}
machines: [{name: m, image: x.raw, count: 30}]
E2
bad 'too little memory' 2:44 "bad value '64M' for 'memory'" 'expected a size in whole MiB from 256M on' <<'E2'
cluster: {name: a}
machines: [{name: m, image: x.raw, memory: 64M}]
E2
bad 'a bad forward' 2:45 "bad value for 'forward'" 'expected entries such as tcp:8080:80' <<'E2'
cluster: {name: a}
machines: [{name: m, image: x.raw, forward: [80:80]}]
E2
bad 'a port for several' 2:12 "'forward' and 'count'" '' <<'E2'
cluster: {name: a}
machines: [{name: m, image: x.raw, count: 2, forward: ["tcp:8080:80"]}]
E2
bad 'user-data that is not there' 2:47 "cannot read '.*/none'" '' <<'E2'
cluster: {name: a}
machines: [{name: m, image: x.raw, user-data: none}]
E2
bad 'a machine that is none' 2:12 'a machine is a map, this is ' '' <<'E2'
cluster: {name: a}
machines: [m]
E2
bad 'a duplicate key' 1:20 "duplicate key 'name'" '' <<'E2'
cluster: {name: a, name: b}
machines: [{name: m, image: x.raw}]
E2
for i in $(seq 32); do echo "  - {name: m$i, image: x.raw, memory: 1024G}"; done >many
{ printf 'cluster: {name: a}\nmachines:\n' && cat many; } >bad.yaml
run_status 7 'more memory than there is' "$INGOT" cluster up --kvm off bad.yaml
like "$err" '^ingot: 32 machines need [0-9.]+ TiB of memory, .* are available$' 'says how much'
printf 'cluster: {name: a}\nmachines: [{name: m, image: none.raw}]\n' >bad.yaml
run_status 3 'an image that is not there' "$INGOT" cluster up --kvm off bad.yaml

# ---- up, status, run, down -------------------------------------------------------------------------------------
schema='
import json, sys, jsonschema
check = jsonschema.Draft202012Validator(json.load(open("schema.json")))
for line in sys.stdin:
    check.validate(json.loads(line))'
"$INGOT" schema events >schema.json
run_ok 'it comes up' "$INGOT" --json cluster up --kvm off demo.yaml
events=$out
run_ok 'its events are those of the schema' python3 -c "$schema" <<<"$events"
is "$(jq -r 'select(.event == "machine" and .state == "healthy").name' <<<"$events" | sort | xargs)" 'm w-1 w-2' \
    'every machine is healthy'
is "$(jq -r 'select(.event == "machine" and .state == "joined").name' <<<"$events")" m 'who joins has joined'
is "$(jq -r 'select(.event == "cluster") | .name + " " + .state' <<<"$events")" 'demo up' 'the cluster is up'
is "$(jq -r 'select(.event == "cluster").machines[] | .name + " " + .address + " " + (.role // "-")' <<<"$events" | xargs)" \
    'm 10.9.8.11 manager w-1 10.9.8.12 - w-2 10.9.8.13 -' 'with addresses and roles'
pids=$(jq -r 'select(.event == "cluster").machines[].pid' <<<"$events")
consoles=$(jq -r 'select(.event == "cluster").consoles' <<<"$events")
like "$(cat "$consoles/w-2.console")" 'Linux version' 'its consoles are kept'
is "$(stat -c %a "$consoles")" 700 'for nobody else'
run_ok 'a second up' "$INGOT" cluster up --kvm off demo.yaml
like "$out" '^demo: up, consoles in ' 'finds it'
like "$out" '^  m +10\.9\.8\.11 +manager +healthy .* joined [0-9.]+ s .* tcp:18080:80$' 'and shows it'
is "$err" "$(grep -E '^(m|w-1|w-2): ' <<<"$err")" 'and says nothing else'
run_ok 'status' "$INGOT" --json cluster status demo.yaml
events=$out
is "$(jq -r 'select(.event == "cluster").machines[].pid' <<<"$events")" "$pids" 'has the same machines'
run_ok 'and is of the schema' python3 -c "$schema" <<<"$events"
run_ok 'a command' "$INGOT" cluster run demo.yaml w-2 latin-1
is "$out" $'na\uFFFDve' 'its output, clean'
run_status 8 'a command that fails' "$INGOT" --json cluster run demo.yaml m 'exit 3'
is "$(jq -r 'select(.event == "command").exit' <<<"$out")" 3 'with its exit code'
run_ok 'an output of 64 KiB' "$INGOT" cluster run demo.yaml m big
is "${#out}" 65536 'comes whole'
run_status 2 'a command for nobody' "$INGOT" cluster run demo.yaml x true
like "$err" 'there is no such machine' 'says so'

run_ok 'the seed of a machine' "$INGOT" cluster run demo.yaml m seed
seed=$out
like "$seed" 'echo-of-the-user' 'has the user-data of the file'
like "$seed" '"hostname": ?"m"' 'its name'
like "$seed" '"addresses": ?\["10\.9\.8\.11/24"\]' 'its address'
like "$seed" '"seeds": ?\["10\.9\.8\.11"\]' 'the managers'
secret=$(grep -oE '"secret": ?"[0-9a-f]{64}"' <<<"$seed" | grep -oE '[0-9a-f]{64}')
is "${#secret}" 64 'and a secret'
unlike "$events" "$secret" 'that nobody printed'
for pid in $pids; do tr '\0' ' ' <"/proc/$pid/cmdline"; done >cmdlines
unlike "$(cat cmdlines)" "$secret|$(printf %s "$secret" | base64 -w 0 | head -c 60)" 'it is not on a command line'
is "$(grep -rl "$secret" "$tmp/cache" "$tmp/tmp" || true)" '' 'nor in a file'
run_ok 'the seed of one that joins nothing' "$INGOT" cluster run demo.yaml w-1 seed
unlike "$out" "$secret" 'has no secret'

echo '# changed' >>demo.yaml
run_ok 'status of a changed file' "$INGOT" cluster status demo.yaml
like "$err" "warning: '.*/demo.yaml' was changed since the cluster came up" 'tells that'
run_status 8 'a reboot' "$INGOT" cluster run demo.yaml w-1 'reboot now'
boots() { [ "$("$INGOT" --json cluster status demo.yaml | jq '.machines[]? | select(.name == "w-1").boots')" = 2 ]; }
if wait_for 60 boots; then ok 'is counted'; else not_ok 'is counted'; fi
run_ok 'up waits until it is back' "$INGOT" cluster up demo.yaml
like "$err" '^w-1: healthy after .* \(boot 2\)$' 'and says that it has rebooted'
echo 'not: [even yaml' >demo.yaml
run_status 3 'up of a broken file' "$INGOT" cluster up demo.yaml
run_ok 'down works all the same' "$INGOT" cluster down demo.yaml
is "$out" down 'says so'
is "$(orphans)" '' 'no process is left'
run_ok 'down twice' "$INGOT" cluster down demo.yaml
run_ok 'status of what is down' "$INGOT" --json cluster status demo.yaml
is "$(jq -r .state <<<"$out")" down 'it is down'
is "$(ls tmp)" '' 'no temporary file is left'

# ---- what goes wrong ----------------------------------------------------------------------------------------
one() { printf 'cluster: {name: %s}\nmachines: [{name: m, image: x.raw, memory: 256M, forward: [%s]}]\n' "$1" "${2:-}" >"$1.yaml"; }
one a && one b
FAKE_GUEST=unhealthy run_status 8 'a machine that is not healthy' "$INGOT" cluster up --kvm off a.yaml
like "$err" "^ingot: machine 'm': the role is not healthy:" 'is named'
like "$err" 'its disk is full' 'with the reason'
all_gone 'everything is taken down'
run_ok 'status' "$INGOT" cluster status a.yaml
is "$out" down 'it is down'

for signal in INT TERM KILL; do
    FAKE_GUEST=never-healthy "$INGOT" cluster up --kvm off a.yaml >/dev/null 2>up.log &
    up=$!
    joined() { grep -qs "^m: joined" up.log; }
    wait_for 60 joined || not_ok 'it starts' "$(cat up.log)"
    kill -"$signal" "$up"
    wait "$up" 2>/dev/null || true
    all_gone "SIG$signal takes everything down"
done

run_ok 'one cluster' "$INGOT" -q cluster up --kvm off a.yaml
exec 9>held
flock -n 9
run_ok 'and another one' "$INGOT" -q cluster up --kvm off b.yaml
exec 9>&-
run_ok 'that keeps nothing of its caller open' flock -n held true
run_ok 'the first goes' "$INGOT" cluster down a.yaml
run_ok 'the second stays' "$INGOT" cluster run b.yaml m true
supervisor=$(pgrep -o -f "cluster up .*b.yaml")
kill -KILL "$supervisor"
all_gone 'without its supervisor no machine goes on'
run_ok 'what was killed is down' "$INGOT" cluster status b.yaml
is "$out" down 'indeed'
# One that dies between our call and its answer.
ending=$(find "$tmp" -name socket -type s)
python3 - "$ending" <<'E2' &
import os, socket, sys
os.chdir(os.path.dirname(sys.argv[1]))
os.unlink("socket")
listener = socket.socket(socket.AF_UNIX)
listener.bind("socket")
listener.listen()
open("listens", "w").close()
listener.accept()[0].close()
E2
wait_for 20 test -e "${ending%/*}/listens" || bail 'a stand-in listens'
rm "${ending%/*}/listens"
run_ok 'what hangs up and holds no lock is down' "$INGOT" cluster status b.yaml
is "$out" down 'too'
wait "$!"
run_ok 'it comes up again' "$INGOT" -q cluster up --kvm off b.yaml
run_status 8 'a machine that dies' "$INGOT" cluster run b.yaml m die
run_ok 'is told' "$INGOT" --json cluster status b.yaml
is "$(jq -r 'select(.event == "cluster") | .state + " " + .machines[0].state' <<<"$out")" 'failed failed' 'as failed'
like "$(jq -r 'select(.event == "cluster").machines[0].why' <<<"$out")" 'Kernel panic' 'with its console'
run_status 8 'up does not pass over it' "$INGOT" cluster up b.yaml
supervisor=$(pgrep -o -f "cluster up .*b.yaml")
kill -STOP "$supervisor"
on_exit sh -c 'kill -KILL "$1" 2>/dev/null || true' sh "$supervisor"
"$INGOT" cluster down b.yaml >/dev/null 2>down.log &
down=$!
if wait "$down"; then ok 'a supervisor that hangs is ended'; else not_ok 'a supervisor that hangs is ended' "$(cat down.log)"; fi
like "$(cat down.log)" 'warning: the cluster does not answer: killing it' 'and that is told'
all_gone 'nothing is left of it'

# ---- our examples -------------------------------------------------------------------------------------------
# They are read, and fail at the first image: nothing can be built from an empty cache.
for file in "$top"/profiles/clusters/*.yaml; do
    run "$INGOT" cluster up --offline --kvm off -o out "$file"
    unlike "$err" "^.*/clusters/.*: (error|note): " "${file##*/} is right"
    isnt "$status" 3 '  and its profiles are found'
done

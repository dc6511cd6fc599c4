#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The rendezvous backends of stores against a real etcd and a S3 store that checks signatures and conditions: one
# machine wins a claim, somebody takes over when it is gone and not before, nobody who lost it can publish, and what
# goes wrong is said.
set -eu

. "${0%/*}/../lib.sh"
requires etcd python3 openssl jq curl ip
rendezvous=$INGOT_BUILD/helper/agent_rendezvous
[ -x "$rendezvous" ] || bail "$rendezvous is not built"
unset http_proxy https_proxy HTTPS_PROXY all_proxy ALL_PROXY no_proxy NO_PROXY
secret=a-secret-of-the-cluster-0123456789
lease=10

# ---- servers -----------------------------------------------------------------------------------
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
stop() {
    kill -9 "$1" 2>/dev/null || return 0
    wait "$1" 2>/dev/null || true
}

# run_etcd NAME DIR URL PEER-URL CLUSTER [ARGUMENT...]: sets etcd_pid.
run_etcd() {
    ETCD_UNSUPPORTED_ARCH=arm64 etcd --name "$1" --data-dir "$tmp/$2" --listen-client-urls "$3" \
        --advertise-client-urls "$3" --listen-peer-urls "$4" --initial-advertise-peer-urls "$4" \
        --initial-cluster "$5" "${@:6}" >>"$tmp/$2.log" 2>&1 &
    etcd_pid=$!
    on_exit stop "$etcd_pid"
}
# start_etcd DIR PORT SCHEME [ARGUMENT...]: alone; sets etcd_pid.
start_etcd() {
    local dir=$1 url=$3://127.0.0.1:$2 peer
    shift 3
    peer=http://127.0.0.1:$(free_port)
    run_etcd default "$dir" "$url" "$peer" "default=$peer" "$@"
    wait_for 60 curl -sf --cacert "$tmp/ca.pem" "$url/health" >"$tmp/health" ||
        bail "etcd starts: $(tail -5 "$tmp/$dir.log")"
}
# start_server PROGRAM ARGUMENT...: sets server_pid and server_port.
start_server() {
    local out=$tmp/server.$RANDOM.$SECONDS.$#
    python3 "$top/tests/fake/$1" "${@:2}" >"$out" 2>>"$tmp/server.log" &
    server_pid=$!
    on_exit stop "$server_pid"
    wait_for 60 test -s "$out" || bail "$1 starts: $(tail -5 "$tmp/server.log")"
    server_port=$(cat "$out")
}
control() { curl -sSf "$1/_control/$2"; }

openssl req -x509 -newkey rsa:2048 -nodes -days 2 -keyout ca.key -out ca.pem -subj '/CN=test authority' 2>/dev/null
openssl req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=localhost 2>/dev/null
openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
    -extfile <(echo subjectAltName=DNS:localhost,IP:127.0.0.1) -out server.pem 2>/dev/null

port=$(free_port)
start_etcd plain "$port" http
etcd=$etcd_pid etcd_port=$port
start_server front "http://127.0.0.1:$etcd_port"
front=http://127.0.0.1:$server_port
start_server s3 --data "$tmp/objects" AKINGOT s3-secret-key-of-the-test bucket eu-1
s3=$server_pid s3_port=$server_port
store=http://127.0.0.1:$s3_port

# settings FILE JQ-FILTER [BASE]: settings that differ from those of a backend.
jq -n --arg secret "$secret" --arg url "$front" '{name: "prod", rendezvous: "etcd", secret: $secret,
    etcd: {endpoints: [$url], prefix: "/test"}}' >etcd.json
jq -n --arg secret "$secret" --arg url "$store" '{name: "prod", rendezvous: "s3", secret: $secret,
    s3: {endpoint: $url, region: "eu-1", bucket: "bucket", prefix: "a/b c", access_key: "AKINGOT",
         secret_key: "s3-secret-key-of-the-test"}}' >s3.json
settings() { jq "$2" "$3.json" >"$1.json"; }

# r SETTINGS SELF COMMAND...: as a manager.
r() { "$rendezvous" "$tmp" "$tmp/$1.json" "$2" manager "${@:3}"; }

# ---- one wins, somebody takes over -------------------------------------------------------------
# These need the time of two leases: all backends at once, what came of it in files.
race() {
    local i
    for i in $(seq 16); do r "$1" "m$i" claim >"race.$1.$i" 2>&1 & done
    wait
}
# Holds for longer than a lease while another one tries, dies, and is followed.
takeover() {
    local holder start tries=0
    "$rendezvous" "$tmp" "$tmp/$1.json" first manager claim hold=60 >"takeover.$1.first" 2>&1 &
    holder=$!
    wait_for 20 grep -qs won "takeover.$1.first" || return 0
    start=$SECONDS
    while [ $((SECONDS - start)) -lt $((lease + 4)) ]; do
        r "$1" second claim >>"takeover.$1.before" 2>&1
        sleep 1
    done
    kill -9 "$holder"
    wait "$holder" 2>/dev/null || true
    start=$(date +%s%N)
    until r "$1" second claim >"takeover.$1.second" 2>&1 && grep -qs won "takeover.$1.second"; do
        tries=$((tries + 1))
        [ "$tries" -lt 300 ] || return 0
        sleep 0.2
    done
    echo $((($(date +%s%N) - start) / 1000000)) >"takeover.$1.ms"
    r "$1" first publish=one >"takeover.$1.fenced" 2>&1
    r "$1" second publish=two >"takeover.$1.published" 2>&1
    r "$1" first publish=one look >"takeover.$1.late" 2>&1
}
# The lease is over, but nobody took over.
alone() {
    r "$1" only claim >"alone.$1" 2>&1
    sleep $((lease + 4))
    r "$1" only look publish=mine look >>"alone.$1" 2>&1
}
for backend in etcd s3; do
    for part in race takeover alone; do
        settings "$part-$backend" ".name = \"$part\"" "$backend"
        "$part" "$part-$backend" &
        parts+=("$!")
    done
done
wait "${parts[@]}"

for b in etcd s3; do
    is "$(cat race.race-$b.* | sort | uniq -c | awk '{ print $2, $1 }' | sed 's/^won.*/won 1/' | sort)" \
        $'lost 15\nwon 1' "$b: of 16 that claim at once one wins"
    t=takeover.takeover-$b
    is "$(sort -u $t.before)" lost "$b: renewing keeps the claim for longer than a lease"
    like "$(cat $t.second)" '^won [0-9]+$' "$b: when the holder was killed somebody takes over"
    before=$(awk '/won/ { print $2 }' $t.first) after=$(awk '{ print $2 }' $t.second)
    [ "$after" -gt "$before" ] && ok "$b: with a later epoch" || not_ok "$b: with a later epoch" "$before $after"
    ms=$(cat $t.ms)
    note "$b: taken over $ms ms after the holder was killed"
    # The holder renewed at most a third of the lease before it was killed.
    [ "$ms" -ge $((lease * 600)) ] && ok "$b: not before the lease was over" || not_ok "$b: not before the lease was over" "$ms"
    [ "$ms" -le $((lease * 1000 + 10000)) ] && ok "$b: within the lease and 10 s" || not_ok "$b: within the lease and 10 s" "$ms"
    is "$(cat $t.fenced)" lost "$b: who lost the claim cannot publish"
    is "$(cat $t.published)" held "$b: the one who has it can"
    like "$(cat $t.late)" "^READY two $after " "$b: and nobody changes that afterwards"
    is "$(sed -n '2,3p' "alone.alone-$b")" $'EMPTY\nheld' "$b: a claim that ran out and was taken by nobody can still publish"
    like "$(sed -n 4p "alone.alone-$b")" '^READY mine ' "$b: as all see"
done

# ---- answers that are lost, stores that are down -----------------------------------------------
# fault BACKEND KIND METHOD-OR-PATH [COUNT]: the next requests for the record fail.
fault() {
    if [ "$1" = s3 ]; then
        control "$store" "fault?kind=$2&method=$3&path=.json&count=${4:-1}"
    else
        control "$front" "fault?kind=$2&path=$3&count=${4:-1}"
    fi
}
for b in etcd s3; do
    write=PUT read=GET
    [ $b = s3 ] || write=/kv/txn read=/kv/range
    settings lost ".name = \"lost-$b\"" $b
    is "$(fault $b drop-before $write; r lost m1 try=claim claim | tail -1 | cut -d' ' -f1)" won \
        "$b: a write that was not done is done at the next try"
    is "$(fault $b drop-after $write; r lost m1 publish=one)" held "$b: a write whose answer is lost is known as ours"
    settings lost ".name = \"lost-3-$b\"" $b
    [ $b = etcd ] || fault $b conflict PUT
    fault $b drop-after $write
    like "$(r lost m1 claim)" '^won ' "$b: also a claim"
    is "$(r lost m2 claim)" lost "$b: and nobody else wins it"
    is "$(fault $b drop-before $read; r lost m1 try=renew renew)" $'error 4\nheld' "$b: one failure to renew loses nothing"
    garbage=$(fault $b garbage $read; r lost m1 look 2>&1) && status=0 || status=$?
    isnt "$status" 0 "$b: an answer that is garbage is an error"
    like "$garbage" "cannot use (etcd|the record)" "$b: that says so"
    unlike "$garbage" "$secret|s3-secret|SWMTKN" "$b: without a secret"
done
settings late '.name = "late"' s3
fault s3 late-2 PUT
is "$(r late m1 try=claim)" "error 4" "s3: a write that hangs is an error"
sleep 3
like "$(r late m1 claim look)" '^won ' "s3: when it was done later it is known as ours"

stop "$s3"; stop "$etcd"
for b in etcd s3; do
    run_status 4 "$b: a store that is down is an error" r takeover-$b m1 look
done
start_etcd plain "$etcd_port" http
start_server s3 --port "$s3_port" --data "$tmp/objects" AKINGOT s3-secret-key-of-the-test bucket eu-1
for b in etcd s3; do
    like "$(r takeover-$b m1 look)" '^READY two ' "$b: when it is back it knows everything"
done

settings many ".name = \"takeover\" | .etcd.endpoints = [\"http://127.0.0.1:1\", \"$front\", \"http://127.0.0.1:$etcd_port/\"]" etcd
fault etcd silent /kv/range
start=$SECONDS
like "$(r many m1 look)" '^READY two ' "etcd: a dead endpoint and a silent one do not matter"
[ $((SECONDS - start)) -le 10 ] && ok "etcd: for long" || not_ok "etcd: for long" "$((SECONDS - start)) s"
fault etcd 503 /kv/range
like "$(r many m1 look)" '^READY two ' "etcd: nor does one without a leader"

# ---- etcd of three members ---------------------------------------------------------------------
members=() member=() peer=() trio=
for i in 0 1 2; do
    member[i]=http://127.0.0.1:$(free_port) peer[i]=http://127.0.0.1:$(free_port)
    trio=$trio${trio:+,}n$i=${peer[i]}
done
start_member() {
    run_etcd "n$1" "member$1" "${member[$1]}" "${peer[$1]}" "$trio"
    members[$1]=$etcd_pid
}
healthy() { curl -sf -m 2 "${member[$1]}/health" >"$tmp/health"; }
# leads MEMBER: is it the leader, by its own word?
leads() {
    curl -sf -m 2 "${member[$1]}/v3/maintenance/status" -d '{}' 2>/dev/null |
        jq -e '.leader == .header.member_id' >/dev/null
}
# find_leader [NOT]: sets leader, to another member than NOT.
find_leader() {
    local i
    for i in 0 1 2; do
        [ "$i" = "${1:-}" ] || ! leads "$i" || { leader=$i; return 0; }
    done
    return 1
}
for i in 0 1 2; do start_member $i; done
for i in 0 1 2; do wait_for 60 healthy $i || bail "etcd of three starts: $(tail -5 "$tmp/member$i.log")"; done
wait_for 20 find_leader || bail "etcd of three has a leader"

# by FILE NAME MEMBER...: settings with these members as endpoints, in this order.
by() {
    local urls=() i
    for i in "${@:3}"; do urls+=("${member[i % 3]}"); done
    settings "$1" ".name = \"$2\" | .etcd.endpoints = $(jq -nc '$ARGS.positional' --args "${urls[@]}")" etcd
}
# trio FILE NAME FIRST: with all of them, that one first.
trio() { by "$1" "$2" "$3" $(($3 + 1)) $(($3 + 2)); }

for i in 0 1 2; do trio "trio$i" race3 $i; done
racers=()
for i in $(seq 12); do
    r "trio$((i % 3))" "m$i" claim >"race3.$i" 2>&1 &
    racers+=("$!")
done
wait "${racers[@]}"
is "$(cat race3.* | sed 's/^won.*/won/' | sort | uniq -c | awk '{ print $2, $1 }')" $'lost 11\nwon 1' \
    "etcd of three: of 12 that claim at once by all members one wins"

# The leader falls silent (its connections stay open) while somebody holds the claim.
trio kept kept "$leader"
"$rendezvous" "$tmp" "$tmp/kept.json" first manager claim hold=60 >kept.first 2>&1 &
holder=$!
wait_for 20 grep -qs won kept.first || bail "etcd of three: somebody wins: $(cat kept.first)"
silent=$leader
kill -STOP "${members[silent]}"
start=$SECONDS
wait_for 20 find_leader "$silent" || not_ok "etcd of three: another member leads"
trio others kept $(((silent + 1) % 3))
while [ $((SECONDS - start)) -lt $((lease + 4)) ]; do
    r others second try=claim >>kept.tries 2>&1
    sleep 1
done
# While they elect there may be no answer.
is "$(grep -vx 'error 4' kept.tries | sort -u)" lost "etcd of three: a silent leader does not cost the holder its claim"
# What was written meanwhile is what the one that was silent tells first.
trio meanwhile meanwhile $(((silent + 1) % 3))
is "$(r meanwhile m1 claim publish=c1 | awk '{ print $1 }' | xargs)" "won held" "etcd of three: two are enough"
by stale meanwhile "$silent"
kill -CONT "${members[silent]}"
# It answers when it has found the new leader.
answers() { r stale m2 try=claim >stale.claim 2>&1 && ! grep -qx 'error 4' stale.claim; }
wait_for 20 answers || not_ok "etcd of three: it answers again"
is "$(cat stale.claim)" lost "etcd of three: nobody wins by the one that comes back"
wait_for 20 healthy "$silent" || not_ok "etcd of three: it comes back" "$(tail -3 "member$silent.log")"
like "$(r stale m2 look)" '^READY c1 ' "etcd of three: which knows what it missed"
kill -9 "$holder"
wait "$holder" 2>/dev/null || true

# Without a majority nobody wins, and nothing is made up.
wait_for 20 find_leader || bail "etcd of three has a leader again"
dead=$leader
stop "${members[dead]}"
wait_for 20 find_leader "$dead" || not_ok "etcd of three: another member leads when one was killed"
like "$(r "trio$dead" m1 look)" '^BUSY|^EMPTY' "etcd of three: one of them dead, the others answer"
stop "${members[leader]}"
for command in look claim; do
    start=$SECONDS
    run_status 4 "etcd of three: $command without a majority is an error" r "trio$dead" m1 $command
    [ $((SECONDS - start)) -le 10 ] && ok "etcd of three: which takes not long" || not_ok "etcd of three: which takes not long" "$((SECONDS - start)) s"
done
start_member "$dead"
wait_for 60 healthy "$dead" || not_ok "etcd of three: two of them again" "$(tail -3 "member$dead.log")"
like "$(r meanwhile m3 look)" '^READY c1 ' "etcd of three: two of them again know everything"
for i in 0 1 2; do stop "${members[i]}"; done

# ---- clocks, and stores that cannot do it ------------------------------------------------------
for skew in 7200 -7200; do
    control "$store" "skew?seconds=$skew"
    settings skew ".name = \"skew$skew\"" s3
    is "$(r skew m1 claim renew publish=c1 look | awk '{ print $1 }' | xargs)" "won held held READY" \
        "s3: a clock that is $skew s off does not matter"
done
settings back '.name = "back"' s3
r back m1 claim >/dev/null
control "$store" "skew?seconds=-14400"
like "$(r back m2 claim)" '^won ' "s3: a claim from before the store's clock was set back does not last for hours"
control "$store" "skew?seconds=0"
for ignored in 1 if-match; do
    control "$store" "ignore?on=$ignored"
    settings old ".name = \"old-$ignored\"" s3
    run_status 3 "s3: a store that ignores conditions ($ignored) is refused" r old m1 claim
    like "$err" "it ignores 'If-" "s3: with the reason"
    like "$err" "hint: .*rendezvous: seeds" "s3: and the way out"
    is "$(r old m1 look)" EMPTY "s3: before anything was written"
done
control "$store" "ignore?on=0"

# ---- who may not -------------------------------------------------------------------------------
# refused SETTINGS STATUS PATTERN NAME: look fails with this and tells no secret.
refused() {
    run_status "$2" "$4" r "$1" m1 look
    like "$err" "$3" "$4: said so"
    unlike "$err" "$secret|another-secret|s3-secret|wrong-|pass-word" "$4: without a secret"
}
for b in etcd s3; do
    settings other ".name = \"takeover\" | .secret = \"another-secret-of-another-cluster-\"" $b
    refused other 5 'same secret' "$b: a machine with another secret gets no token"
    settings short '.secret = "pass-word"' $b
    refused short 3 'ingot.cluster.secret is too short' "$b: a short secret"
done
settings bad '.s3.secret_key = "wrong-wrong-wrong"' s3
refused bad 3 'secret_key is not that of access key' "s3: a wrong key"
settings bad '.s3.access_key = "AKOTHER"' s3
refused bad 3 "does not know ingot.cluster.s3.access_key 'AKOTHER'" "s3: an unknown key"
settings bad '.s3.region = "us-9"' s3
refused bad 3 'ingot.cluster.s3.region' "s3: a wrong region"
settings bad '.s3.bucket = "nothing"' s3
refused bad 3 'make the bucket' "s3: a bucket that is not there"
start_server s3 --tls server.pem server.key AKINGOT s3-secret-key-of-the-test bucket eu-1
jq --rawfile ca ca.pem --arg url "https://127.0.0.1:$server_port" '.s3.endpoint = $url | .s3.ca = $ca' s3.json >tls.json
like "$(r tls m1 claim)" '^won ' "s3: TLS with an authority of its own"
settings bad 'del(.s3.ca)' tls
refused bad 4 '[Cc]ertificate' "s3: a certificate of an unknown authority"

# In a network of its own there can be the address of EC2's metadata service.
cat >role.sh <<'SH'
ip link set lo up
ip address add 169.254.169.254/32 dev lo
python3 "$1/tests/fake/s3" --role --host 169.254.169.254 --port 80 ASIAROLE role-secret bucket eu-1 >role.port &
trap 'kill -9 $!' EXIT
until [ -s role.port ]; do sleep 0.1; done
"${@:2}"
curl -sSf http://169.254.169.254/_control/log >role.log
SH
jq 'del(.s3.access_key, .s3.secret_key) | .s3.endpoint = "http://169.254.169.254"' s3.json >role.json
if unshare --net true 2>/dev/null; then
    run_ok "s3: the keys of an EC2 role are taken" unshare --net bash role.sh "$top" \
        "$rendezvous" "$tmp" "$tmp/role.json" m1 manager claim renew publish=c1 look
    is "$(awk '{ print $1 }' <<<"$out" | xargs)" "won held held READY" "s3: and do"
    is "$(grep -c metadata role.log)" 3 "s3: they are asked for once"
    run_status 4 "s3: no keys and no role" unshare --net "$rendezvous" "$tmp" "$tmp/role.json" m1 manager look
    like "$err" 'outside of EC2 set ingot.cluster.s3.access_key' "s3: says what is missing"
else
    skip "s3: the keys of an EC2 role" "no network namespaces here"
fi

port=$(free_port)
start_etcd secure "$port" https --cert-file server.pem --key-file server.key
secure=https://127.0.0.1:$port
v3() { curl -sSf --cacert ca.pem -H "Authorization: ${token:-}" "$secure/v3/$1" -d "$2" >answer.json; }
text() { printf %s "$1" | base64 -w0; }
for user in root:pass-word ingot:pass-word-2 other:pass-word-3; do
    v3 auth/user/add "{\"name\":\"${user%:*}\",\"password\":\"${user#*:}\"}"
done
v3 auth/role/add '{"name":"root"}'
v3 auth/role/add '{"name":"ingot"}'
v3 auth/role/grant "{\"name\":\"ingot\",\"perm\":{\"permType\":\"READWRITE\",\"key\":\"$(text /test/)\",\"range_end\":\"$(text /test0)\"}}"
v3 auth/user/grant '{"user":"root","role":"root"}'
v3 auth/user/grant '{"user":"ingot","role":"ingot"}'
jq --rawfile ca ca.pem --arg url "$secure" '.etcd = {endpoints: [$url], prefix: "/test/", ca: $ca, user: "ingot",
    password: "pass-word-2"}' etcd.json >secure.json
like "$(r secure m1 look)" EMPTY "etcd: a user for an etcd that asks for none"
v3 auth/enable '{}'
is "$(r secure m1 look claim renew publish=c1 look | awk '{ print $1 }' | xargs)" "EMPTY won held held READY" \
    "etcd: TLS with an authority of its own, user and password"
# A password that is set anew ends the tokens of its user; another user's changes make them old.
v3 auth/authenticate '{"name":"root","password":"pass-word"}'
token=$(jq -r .token answer.json)
r secure m1 look sleep=4 look sleep=4 look >tokens 2>&1 &
looker=$!
wait_for 20 test -s tokens || true
v3 auth/user/changepw '{"name":"ingot","password":"pass-word-2"}'
wait_for 20 grep -qz 'READY.*READY' tokens || true
v3 auth/authenticate '{"name":"root","password":"pass-word"}'
token=$(jq -r .token answer.json)
v3 auth/user/add '{"name":"more","password":"pass-word-4"}'
wait "$looker" || true
is "$(awk '{ print $1 }' tokens | xargs)" "READY READY READY" "etcd: tokens that are over or old are replaced"
settings bad '.etcd.password = "wrong-password"' secure
refused bad 3 "etcd.user \\('ingot'\\)" "etcd: a wrong password"
settings bad 'del(.etcd.user, .etcd.password)' secure
refused bad 3 'wants a user' "etcd: no user"
settings bad '.etcd.user = "other" | .etcd.password = "pass-word-3"' secure
refused bad 3 "readwrite on '/test/prod'" "etcd: a user who may not"
settings bad 'del(.etcd.ca)' secure
refused bad 4 '[Cc]ertificate' "etcd: a certificate of an unknown authority"

# ---- nothing in clear --------------------------------------------------------------------------
unlike "$(jq -r '.[]' objects | base64 -d | cat -v)" "SWMTKN|mmmmmmmm|wwwwwwww|$secret" "s3: no token in the store"
like "$(jq -r '.[]' objects | base64 -d | cat -v)" '"state":"ready"' "s3: which has the records"
stop "$etcd_pid"
cat plain/member/wal/* plain/member/snap/db secure/member/wal/* >everything
unlike "$(grep -ac 'SWMTKN\|mmmmmmmm\|wwwwwwww' everything || true)" '[1-9]' "etcd: no token in the store"
like "$(grep -ac '"state":"ready"' everything)" '[1-9]' "etcd: which has the records"

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a user sees of registries that are good, faulty, or want credentials: exit codes, messages, hints, and never a
# secret.
# shellcheck source=tests/lib.sh
. "${0%/*}/../lib.sh"
requires python3 openssl

# What this machine uses for the world, and for registries, is not for the test.
unset http_proxy https_proxy HTTPS_PROXY all_proxy ALL_PROXY no_proxy NO_PROXY
unset DOCKER_AUTH_CONFIG REGISTRY_AUTH_FILE DOCKER_CONFIG XDG_RUNTIME_DIR
export HOME=$tmp
secret=s3cret:x

# serve NAME [ARGUMENT...]: starts the fault server; its port in $port.
serve() {
    local name=$1
    shift
    "$top/tests/fake/registry" "$@" >"$name.port" 2>"$name.log" &
    on_exit kill $!
    wait_for 20 test -s "$name.port" || bail "the fault server did not start: $(cat "$name.log")"
    read -r port <"$name.port"
}

pull() { "$INGOT" --cache "$tmp/cache" images pull --platform amd64 "$@"; }

serve plain
host=127.0.0.1:$port

run_ok "a good image comes" pull --insecure "$host/good:1"
run_ok "and is in the cache" "$INGOT" --cache "$tmp/cache" images list
like "$out" "$host/good" "list names it"
run_ok "--offline has it" pull --insecure --offline "$host/good:1"

# Each with a cache of its own: what one has brought, another would not ask for.
# fault EXIT-CODE NAME REGEX [HINT-REGEX]
fault() {
    rm -rf cache
    run_status "$1" "$2" pull --insecure "$host/fault/$2:1"
    like "$err" "$3" "$2: the message"
    [ -z "${4:-}" ] || like "$err" "$4" "$2: the hint"
    unlike "$out$err" "$secret" "$2: no secret"
    run_ok "$2: the list" "$INGOT" --cache "$tmp/cache" images list
    unlike "$(grep -v incomplete <<<"$out")" "fault/$2" "$2: it is not there, or incomplete"
}
fault 4 words "answers 404: not.*here" "check registry, name and tag"
fault 4 forbidden "answers 403: requested access" 'DOCKER_AUTH_CONFIG'
fault 4 private "wants credentials for 'fault/private'" 'docker login'
fault 4 redirect-loop "redirects"
fault 5 flipped "sends bytes with the digest sha256:"
fault 5 short "sends 3145727 bytes, 3145728 were expected"
fault 5 other-manifest "was asked for"
fault 4 huge "larger than 4194304 bytes"

rm -rf cache
run_ok "an interrupted transfer goes on" pull --insecure "$host/fault/cut:1"

export DOCKER_AUTH_CONFIG='{"auths": {"'$host'": {"auth": "am9lOnMzY3JldDp4"}}}'
run_ok "with credentials of docker" pull -v --insecure "$host/fault/private:1"
unlike "$out$err" "$secret|am9lOnMzY3JldDp4|private-[0-9]" "no secret with -v"
rm -rf cache
run_ok "events" pull --json --insecure "$host/fault/private:1"
unlike "$out$err" "$secret|am9lOnMzY3JldDp4|private-[0-9]" "no secret in the events"
if grep -rqE "$secret|am9lOnMzY3JldDp4|private-[0-9]" cache; then
    not_ok "no secret in the cache" "$(grep -rlE "$secret|am9lOnMzY3JldDp4|private-[0-9]" cache)"
else
    ok "no secret in the cache"
fi
export DOCKER_AUTH_CONFIG='{"auths": {"'$host'": {"username": "joe", "password": "'$secret'-"}}}'
fault 4 private "refuses the credentials for 'fault/private'" 'docker login'
export DOCKER_AUTH_CONFIG='{"auths": {"'$host'": {"auth": "'$secret'"}}}'
fault 1 private "cannot read credentials from '.DOCKER_AUTH_CONFIG': the entry '$host' is damaged"
export DOCKER_AUTH_CONFIG='{"auths": {'$secret
fault 1 private "DOCKER_AUTH_CONFIG': line 1 is not JSON"
unset DOCKER_AUTH_CONFIG

# TLS.
run_status 4 "TLS is expected" pull "$host/good:1"
like "$err" 'insecure: true' "the hint names insecure"
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -keyout key.pem -out cert.pem -subj /CN=localhost \
    -addext 'subjectAltName=DNS:localhost,IP:127.0.0.1' 2>/dev/null
serve tls --tls cert.pem key.pem --other "$port"
host=127.0.0.1:$port
run_status 4 "a certificate that nobody knows" pull "$host/good:1"
like "$err" '`ca:` under containers.registries' "the hint names ca"
rm -rf cache
run_ok "--ca" pull --ca cert.pem "$host/good:1"
rm -rf cache
run_status 4 "from https to http" pull --ca cert.pem "$host/fault/downgrade:1"
like "$err" 'redirects from https to another protocol' "the message says so"

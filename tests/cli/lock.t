#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a lock is refused for before anything is asked or installed. tests/build/lock.t has the rest.
. "${0%/*}/../lib.sh"
requires jq

export INGOT_CACHE=$tmp/cache
cat >web.yaml <<'EOF2'
name: web
version: 1.0.0
base: {distribution: debian, release: trixie, mirror: "http://127.0.0.1:1"}
kernel: {package: linux}
packages: [nginx, curl]
EOF2
jq -n '{lock: 1, profile: "web", base: {distribution: "debian", release: "trixie", architecture: "amd64", image: null},
    repositories: [{suite: "other", date: "2026-09-12T07:55:41Z", inrelease: ("a" * 64)}],
    requested: ["curl", "linux", "nginx"], packages: [], build_packages: [], containers: []}' >good.lock

# refuses NAME FILTER PATTERN: a build by this lock fails with code 5 and such a message.
refuses() {
    jq "$2" good.lock >web.lock
    run_status 5 "$1" "$INGOT" build --locked web.yaml
    like "$err" "$3" "$1: the message"
    run_status 5 "$1: plan" "$INGOT" plan --locked web.yaml
    run_status 5 "$1: another file" "$INGOT" build --lock web.lock web.yaml
}
run_status 5 'no lock' "$INGOT" build --locked web.yaml
like "$err" "^ingot: profile 'web': there is no lock 'web.lock'$" 'the message'
like "$err" "^hint: 'ingot lock' makes it$" 'the hint'
refuses 'another profile' '.profile = "db"' "lock 'web.lock' is of profile 'db'"
refuses 'another release' '.base.release = "sid"' \
    "lock 'web.lock' is for debian sid amd64, and the profile for debian trixie amd64"
refuses 'an image that the profile does not have' '.base.image = ("b" * 64)' 'is for another base.image'
refuses 'one package less' '.requested = ["linux", "nginx"]' '^    curl: the profile wants it, and the lock was made without$'
refuses 'one package more' '.requested += ["zip"]' '^    zip: the profile does not want it any more$'
like "$err" "^hint: 'ingot lock --update -o web.lock web.yaml' takes what the repositories have now$" 'the hint'
refuses 'a later version of the format' '.lock = 2' "^ingot: profile 'web': web.lock:2: 'lock' must be 1"
refuses 'an unknown member' '.packages = [{nam: "x"}]' "web.lock:[0-9]+: unknown member 'nam'"
echo '{"lock": 1,' >web.lock
run_status 5 'half a lock' "$INGOT" build --locked web.yaml
like "$err" 'web.lock:[0-9]+:[0-9]+: not valid JSON' 'the message'
if [ -n "$(command -v mmdebstrap)" ]; then
    refuses 'other suites' . "lock 'web.lock': the profile uses other suites than the lock"
fi
missing out 'no output'
missing cache/packages 'nothing is installed'

run_status 2 'one lock for two profiles' "$INGOT" build --lock web.lock web.yaml "$top/profiles/base.yaml"
run_status 2 'one file for two locks' "$INGOT" lock -o x.lock web.yaml "$top/profiles/base.yaml"
run_status 2 'check and update' "$INGOT" lock --check --update web.yaml
run_status 4 'lock without a network and a cache' "$INGOT" lock --offline web.yaml
missing x.lock 'no lock is written'

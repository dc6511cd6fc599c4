#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What may go wrong during a build: it is killed, the disk is full, another build runs, the cache is damaged.
# Nothing has a final name that is not complete, and the next build goes on and gives the same bytes.
. "${0%/*}/../lib.sh"
. "$top/tests/build/lib.sh"
requires unshare mount

take_layer "$top/profiles/base.yaml"
rm -rf "$tmp/shared"
make_profile one
profile=$tmp/one.yaml

# The build that nothing disturbed.
run_ok "an undisturbed build" ingot build --offline -o "$tmp/want" "$profile"
want=$tmp/want/one

# fresh: an empty cache but for the layer, and no output.
fresh() {
    rm -rf "$cache/root" "$cache/initrd" "$cache/content" out
    mkdir -p out/one
}
# is_as_wanted FOLDER NAME: all files, equal bytes, nothing besides.
is_as_wanted() {
    local file same=yes
    for file in "$want"/*; do cmp -s "$file" "$1/${file##*/}" || same="${file##*/} differs"; done
    is "$same$(find "$1" -mindepth 1 ! -name .stamp.json -printf '%f\n' | sort | tr '\n' ' ')" \
        "yes$(find "$want" -mindepth 1 ! -name .stamp.json -printf '%f\n' | sort | tr '\n' ' ')" "$2"
}

# ---- signals -------------------------------------------------------------------------------------
# start EVENTS OPTION...: a build in the background; its number in $pid.
start() {
    : >"$1"
    # Not by way of a function: $! has to be the program.
    "$INGOT" --cache "$cache" --json build --offline "${@:2}" "$profile" >"$1" 2>"$1.err" &
    pid=$!
}
started() { grep -q "step-started.*\"step\":\"$2\"" "$1"; }
# die_at SIGNAL STEP SECONDS: kill a build so long after the step began. Sets $status.
die_at() {
    start events -o out
    until started events "$2" || ! kill -0 "$pid" 2>/dev/null; do sleep 0.02; done
    sleep "$3"
    kill -"$1" "$pid" 2>/dev/null || true
    status=0
    wait "$pid" 2>/dev/null || status=$?
}

for signal in INT TERM KILL; do
    fresh
    expected=10
    case $signal in
    INT) points=('initrd 0' 'root 0.4' 'images 0.1') ;;
    TERM) points=('initrd 0.3' 'root 0' 'images 0' 'images 0.2') ;;
    KILL) points=('initrd 0' 'initrd 0.3' 'root 0' 'root 0.5' 'images 0' 'images 0.1' 'images 0.2') expected=137 ;;
    esac
    for at in "${points[@]}"; do
        read -r step seconds <<<"$at"
        die_at $signal "$step" "$seconds"
        # On a fast machine it may be ready by then: the next build shall have work all the same.
        if [ "$status" = 0 ]; then
            ok "$signal $at: too late, the build was ready"
            rm -rf out
            mkdir -p out/one
            continue
        fi
        is "$status" $expected "$signal $at: exit status"
        is "$(find out/one -mindepth 1 ! -name '*.tmp')" "" "$signal $at: nothing has a final name"
        [ $signal = KILL ] || is "$(leftovers out)" "" "$signal $at: nothing is left in the output"
    done
    [ $signal != KILL ] || note "left after SIGKILL: $(leftovers out "$cache" | tr '\n' ' ')"
    run_ok "$signal: the next build" ingot build --offline -o out "$profile"
    is_as_wanted out/one "$signal: gives the same"
    is "$(leftovers out "$cache")" "" "$signal: nothing is left"
done
fresh
: >events
# nohup asks for that; a lost terminal then stops neither us nor what we run.
nohup "$INGOT" --cache "$cache" --json build --offline -o out "$profile" >events 2>events.err &
pid=$!
wait_for 60 started events root || bail "the build does not come to its root"
kill -HUP "$pid"
wait "$pid" && ok "SIGHUP does nothing to a build under nohup" || not_ok "SIGHUP does nothing to a build under nohup"
is_as_wanted out/one "which ends well"
# What was there stays whole when the build that would replace it is killed.
echo second >overlays/one/etc/one.conf
die_at TERM root 0
is "$status" 10 "killed while it makes another image"
is_as_wanted out/one "the images of before are still there"
echo first >overlays/one/etc/one.conf

# ---- two at once -----------------------------------------------------------------------------------
# two_builds FOLDER FOLDER NAME: start both, wait for both.
two_builds() {
    fresh
    start a -o "$1"
    first=$pid
    start b -o "$2"
    second=$pid
    wait "$first" && ok "first of two $3" || not_ok "first of two $3" "$(cat a a.err)"
    wait "$second" && ok "second of two $3" || not_ok "second of two $3" "$(cat b b.err)"
}
two_builds out out2 "builds at once"
is_as_wanted out/one "the first gives the same"
is_as_wanted out2/one "the second gives the same"
is "$( (outcomes a; outcomes b) | sort | uniq -c | awk '{print $1, $3, $4}')" "2 images done
1 initrd cached
1 initrd done
2 packages cached
1 root cached
1 root done" "initrd and root were made once"
rm -rf out2

two_builds out out "into one folder"
is_as_wanted out/one "they give the same"
is "$( (outcomes a; outcomes b) | grep -c 'images done')" 1 "the images were written once"

fresh
start a -o out
first=$pid
wait_for 60 started a root || bail "the build does not come to its root"
start b -o out2
second=$pid
wait_for 60 grep -q "waiting for another build that makes the same root" b || not_ok "the second says that it waits"
kill -KILL "$first"
wait "$first" 2>/dev/null || true
wait "$second" && ok "the one that waits goes on when the other is killed" || not_ok "the one that waits goes on" "$(cat b b.err)"
like "$(outcomes b)" '^one root done$' "and makes the root itself"
is_as_wanted out2/one "the same"
rm -rf out2

# ---- no space --------------------------------------------------------------------------------------
export INGOT cache profile tmp
mkdir -p small
run_ok "builds on full disks" in_namespace --mount -- bash -euc '
    build() { # NAME CACHE
        status=0
        "$INGOT" --cache "$2" --json build --offline -o out "$profile" >"$tmp/$1.json" 2>"$tmp/$1.err" || status=$?
        echo $status >"$tmp/$1.status"
        (cd out && find . -type f) >"$tmp/$1.out"
        (cd "$2" && find tmp lock -type f) >"$tmp/$1.cache"
    }
    rm -rf out
    mkdir out
    mount -t tmpfs -o size=60M tmpfs out
    build full-output "$cache"
    umount out

    # The layer is as it is, all else has to go where there is little room.
    mount -t tmpfs -o size=250M tmpfs small
    mkdir small/packages
    mount --bind "$cache/packages" small/packages
    cp -r "$cache/remember" small/
    head -c 220M /dev/zero >small/filler
    build full-cache small
    rm small/filler
    build roomy-cache small
'
is "$(cat full-output.status)" 7 "no space for the output: exit status"
is "$(jq -r 'select(.event == "error").kind' full-output.json)" space "the error"
like "$(cat full-output.err)" "cannot write 'out/one/one_1\.2\.3\.(raw|qcow2)': No space left on device" "the message"
is "$(cat full-output.out full-output.cache)" "" "nothing is left"
is "$(cat full-cache.status)" 7 "no space for the cache: exit status"
like "$(cat full-cache.err)" "No space left on device" "the message"
is "$(cat full-cache.out full-cache.cache)" "" "nothing is left"
is "$(cat roomy-cache.status)" 0 "with more space it works"
is_as_wanted out/one "and gives the same"

if [ "$(id -u)" = 0 ]; then
    # Nothing is cached: now it is the package manager that finds the disk full.
    run_status 7 "no space for installing packages: exit status" in_namespace --mount -- bash -euc '
        mount -t tmpfs -o size=80M tmpfs small
        status=0
        "$INGOT" --cache small build -o none "$profile" || status=$?
        (cd small && find tmp lock sandbox -mindepth 1) >small.left
        exit $status'
    like "$err" "No space left on device" "the message"
    is "$(cat small.left)" "" "nothing is left"
    missing none "and no output"
else
    skip "no space for installing packages" "needs root for a file system that is full"
fi

# ---- an output that cannot be written ----------------------------------------------------------------
run_status 1 "a read-only output folder" in_namespace --mount -- bash -euc '
    rm -rf out
    mkdir -p out/one
    mount --bind out out
    mount -o remount,bind,ro out
    exec "$INGOT" --cache "$cache" build --offline -o out "$profile"'
like "$err" "cannot create 'out/one/one_1\.2\.3\.(raw|qcow2)': Read-only file system" "says what is wrong"
: >file
run_status 1 "a file where the output should go" ingot build --offline -o file "$profile"
like "$err" "'file" "says what is wrong"

# ---- a damaged cache ---------------------------------------------------------------------------------
# entry KIND: its folder.
entry() { echo "$cache/$1/$(jq -r ".keys.$1" "$want/manifest.json")"; }
# again NAME STEP...: the build works, and exactly these steps run.
again() {
    local name=$1
    shift
    rm -rf out
    run_ok "$name" ingot --json build --offline -o out "$profile"
    is "$(outcomes "$out_file" | grep ' done$' | awk '{print $2}' | tr '\n' ' ')" "$* " "$name: what ran"
    is_as_wanted out/one "$name: the same"
}
again "a whole cache" images
truncate -s -1 "$(entry root)/root.squashfs"
again "a root that lost its end" root images
like "$(jq -r 'select(.event == "message").text' "$out_file")" "cache entry '.*/root/.*' is damaged and is made again" "and it is said"
rm "$(entry initrd)/initrd.zst"
again "an initrd that is gone" initrd images
: >"$(entry initrd)/complete"
again "an entry whose list of files is gone" initrd images
# Of the right length, but nonsense.
dd if=/dev/zero of="$(entry root)/root.json" bs="$(stat -c %s "$(entry root)/root.json")" count=1 conv=notrunc status=none
rm -rf out
run_ok "a record of nonsense" ingot --json build --offline -o out "$profile"
is_as_wanted out/one "the same"
like "$(jq -r 'select(.event == "message").text' "$out_file")" 'making again what was damaged' "and it is said"
# The layer is the one thing that needs a network. A copy: its files are the shared cache's.
layer=$(entry packages)
cp -r "$layer" copy
rm -r "$layer"
mv copy "$layer"
truncate -s -1 "$layer/layer.index"
rm -rf out "$cache/root"
run_status 4 "a damaged layer and no network" ingot build --offline -o out "$profile"
like "$err" "cache entry '.*/packages/.*' is damaged" "says what is wrong"
like "$err" "cannot work offline" "and why it cannot help itself"
is "$(cd out 2>/dev/null && find . -type f)" "" "no output"

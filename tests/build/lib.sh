# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# shellcheck disable=SC2154  # what ../lib.sh sets
# For tests of the whole pipeline: a cache of their own that has the package layer of the user's, and
# small profiles that use it. Source it behind ../lib.sh.
requires jq

cache=$tmp/cache # of this test
key="" # of the package layer in it

# step_of PLAN STEP FIELD [PROFILE]: from the output of `ingot --json plan`.
step_of() {
    jq -r --arg step "$2" --arg field "$3" --arg profile "${4:-}" \
        '.steps[] | select(.step == $step and ($profile == "" or .profile == $profile)) | .[$field]' <<<"$1"
}

# copy_layer FROM TO: put the package layer and what is known of the repositories into another cache.
copy_layer() {
    mkdir -p "$2/packages" "$2/remember"
    cp -al "$1/packages/$key" "$2/packages/" 2>/dev/null || cp -a "$1/packages/$key" "$2/packages/"
    cp "$1"/remember/repositories.*.json "$2/remember/"
}

# take_layer PROFILE [FORMATS]: build it with the user's cache, as `make demo` does, so that its package layer is
# made once for all tests, then share this layer with $cache. Everything after it is --offline: a
# repository that changes meanwhile changes no test. The images stay in $tmp/shared.
take_layer() {
    run_ok "build ${1##*/} with the shared cache" "$INGOT" build --format "${2:-raw}" -o "$tmp/shared" "$1"
    [ "$tap_failed" = 0 ] || bail "nothing to test with"
    run "$INGOT" --json plan --offline -o "$tmp/none" "$1"
    key=$(step_of "$(grep '"plan"' "$out_file")" packages key)
    copy_layer "$("$INGOT" cache path)" "$cache"
}

# make_profile NAME [LINE...]: $tmp/NAME.yaml, a child of base.yaml (or $profile_base.yaml) whose image is small
# and quickly made, with an overlay folder $tmp/overlays/NAME. Its package layer is that of its parent.
make_profile() {
    local name=$1
    shift
    mkdir -p "$tmp/overlays/$name/etc"
    echo "first" >"$tmp/overlays/$name/etc/$name.conf"
    {
        printf 'extends: [%s]\nname: %s\nversion: 1.2.3\noverlays: [%s]\n' "$top/profiles/${profile_base:-base}.yaml" "$name" "$name"
        printf 'disk: {esp: 256M, align: 1M}\nrootfs: {level: 1}\n'
        [ $# = 0 ] || printf '%s\n' "$@"
    } >"$tmp/$name.yaml"
}

# ingot ARGUMENT...: with our cache.
ingot() { "$INGOT" --cache "$cache" "$@"; }

# in_namespace OPTION... -- COMMAND...: with namespaces of its own, such as --mount or --net.
in_namespace() {
    local options=()
    [ "$(id -u)" = 0 ] || options=(--user --map-root-user)
    while [ "$1" != -- ]; do
        options+=("$1")
        shift
    done
    shift
    unshare "${options[@]}" "$@"
}

# outcomes FILE: "PROFILE STEP OUTCOME" of each finished step in the events of a build.
outcomes() { jq -r 'select(.event == "step-finished") | "\(.profile) \(.step) \(.outcome)"' "$1"; }

# looks FOLDER: how its files look, for telling whether one was touched.
looks() { (cd "$1" && stat -c '%n %i %s %y %z' .stamp.json ./*); }

# leftovers FOLDER...: files in them that are no results: unfinished ones, locks, sandboxes.
leftovers() {
    local folder
    for folder; do
        [ ! -d "$folder" ] || (cd "$folder" && find . -name '*.tmp' -o -path './tmp/*' -o -path './lock/*' -o -path './sandbox/*')
    done
}

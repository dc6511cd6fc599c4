# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# TAP for tests in shell. A test file is
#
#     #!/bin/bash
#     . "${0%/*}/../lib.sh"
#     requires jq                                    # skip the file, with the reason, without it
#     run_ok "help answers" "$INGOT" --help          # exit status 0; output in $out and $err
#     like "$out" '^usage: ' "help starts with usage"
#     run_status 2 "unknown verb" "$INGOT" frobnicate
#     is "$(cat "$err_file")" "" "nothing on stderr"
#
# It starts in an empty directory of its own ($tmp) which is removed at the end. The plan is printed
# at the end; the exit status is 1 if a test failed or the file ended early. Commands that fail
# outside of these helpers end the file (set -e is on).
#
# Set by make (or here): INGOT, the program; INGOT_BUILD, the directory with the built tests;
# top, the source tree. $profiles_path and such are left to the test.
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
INGOT=${INGOT:-$top/build/ingot}
INGOT_BUILD=${INGOT_BUILD:-$top/build/release}
export LC_ALL=C.UTF-8 TZ=UTC INGOT
unset TERM SOURCE_DATE_EPOCH

tap_count=0
tap_failed=0
tap_done=""
tmp=$(mktemp -d "${TMPDIR:-/tmp}/ingot-test.XXXXXX")
tap_cleanup=()

# on_exit COMMAND [ARGUMENT...]: run it at the end, last one first, before $tmp is removed.
on_exit() { tap_cleanup+=("$(printf '%q ' "$@")"); }

tap_end() {
    local status=$? i
    trap '' INT TERM
    set +e
    for ((i = ${#tap_cleanup[@]} - 1; i >= 0; i--)); do eval "${tap_cleanup[i]}"; done
    cd /
    if [ -n "${TAP_KEEP:-}" ]; then note "kept $tmp"; else rm -rf --one-file-system "$tmp"; fi
    if [ -z "$tap_done" ] && [ "$status" != 0 ]; then
        note "ended early with status $status"
        # No plan: prove takes that for a failure too.
        exit 1
    fi
    [ "$tap_done" = skipped ] || echo "1..$tap_count"
    [ "$tap_failed" = 0 ] || exit 1
    exit "$status"
}
trap tap_end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
cd "$tmp"

# note TEXT: '#' lines on stderr, which prove shows.
note() { printf '%s\n' "$*" | sed 's/^/# /' >&2; }

ok() {
    tap_count=$((tap_count + 1))
    echo "ok $tap_count - $1"
}

# not_ok NAME [DETAIL...]
not_ok() {
    tap_count=$((tap_count + 1))
    tap_failed=$((tap_failed + 1))
    echo "not ok $tap_count - $1"
    local at=0
    while [ "${BASH_SOURCE[at]}" = "${BASH_SOURCE[0]}" ] && [ "$at" -lt $((${#BASH_SOURCE[@]} - 1)) ]; do
        at=$((at + 1))
    done
    note "${BASH_SOURCE[at]}:${BASH_LINENO[at - 1]}: failed: $1"
    shift
    local detail
    for detail; do note "$detail"; done
}

# skip NAME REASON: one test that cannot run here.
skip() {
    tap_count=$((tap_count + 1))
    echo "ok $tap_count - $1 # SKIP $2"
}

# skip_all REASON: end the file without a test.
skip_all() {
    echo "1..0 # SKIP $1"
    tap_done=skipped
    exit 0
}

# bail REASON: something that the tests stand on is broken; fails the file.
bail() {
    not_ok "$1"
    exit 1
}

# requires COMMAND...: skip the file unless all exist. With INGOT_NO_SKIP (CI) a lack is a failure.
requires() {
    local command
    for command; do
        command -v "$command" >/dev/null || [ -x "/usr/sbin/$command" ] || [ -x "/sbin/$command" ] || {
            [ -z "${INGOT_NO_SKIP:-}" ] || bail "$command is missing"
            skip_all "$command is missing"
        }
    done
}

# is GOT WANT NAME: equal strings.
is() {
    if [ "$1" = "$2" ]; then ok "$3"; else not_ok "$3" " got: $1" "want: $2"; fi
}

isnt() {
    if [ "$1" != "$2" ]; then ok "$3"; else not_ok "$3" "got what must differ: $1"; fi
}

# like GOT EXTENDED-REGEX NAME: a line of GOT matches.
like() {
    if grep -Eq -e "$2" <<<"$1"; then ok "$3"; else not_ok "$3" " got: $1" "want a line like: $2"; fi
}

unlike() {
    if grep -Eq -e "$2" <<<"$1"; then not_ok "$3" "   got: $1" "want no line like: $2"; else ok "$3"; fi
}

# same_file FILE FILE NAME: equal bytes.
same_file() {
    local difference
    if difference=$(cmp -- "$1" "$2" 2>&1); then ok "$3"; else not_ok "$3" "$difference"; fi
}

# exists PATH NAME; missing PATH NAME
exists() { if [ -e "$1" ]; then ok "$2"; else not_ok "$2" "'$1' does not exist"; fi; }
missing() { if [ ! -e "$1" ] && [ ! -L "$1" ]; then ok "$2"; else not_ok "$2" "'$1' exists"; fi; }

# The output of the last run_ok or run_status: the texts, and the files with them byte for byte.
out="" err="" status=0
out_file=$tmp/.out err_file=$tmp/.err
run() {
    status=0
    "$@" >"$out_file" 2>"$err_file" || status=$?
    out=$(tr -d '\0' <"$out_file") err=$(tr -d '\0' <"$err_file")
}

# run_status STATUS NAME COMMAND [ARGUMENT...]
run_status() {
    local want=$1 name=$2
    shift 2
    run "$@"
    if [ "$status" = "$want" ]; then
        ok "$name"
    else
        not_ok "$name" "command: $*" "exit status $status, want $want" "stdout: $(head -c 2000 <<<"$out")" \
            "stderr: $(tail -c 4000 <<<"$err")"
    fi
}

# run_ok NAME COMMAND [ARGUMENT...]
run_ok() { run_status 0 "$@"; }

# wait_for SECONDS COMMAND [ARGUMENT...]: until it succeeds; false at the end of the time.
wait_for() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.1
    done
}

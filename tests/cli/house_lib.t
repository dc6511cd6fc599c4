#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# tests/lib.sh itself: a check that fails, a file that ends early and a missing tool are reported.
# shellcheck source=tests/lib.sh
. "${0%/*}/../lib.sh"

# inner NAME: run stdin as a test file.
inner() {
    { printf '. %q/tests/lib.sh\n' "$top"; cat; } >"$1.t"
    run env -u INGOT_NO_SKIP bash "$1.t"
}

inner good <<'END'
is a a "equal"
isnt a b "different"
like $'one\ntwo' '^tw' "matches"
unlike one two "does not"
run_ok "true" true
run_status 3 "three" sh -c 'echo text; echo why >&2; exit 3'
is "$out/$err" "text/why" "its output"
exists . "here"
missing nowhere "not there"
END
is "$status/$(tail -n 1 "$out_file")" "0/1..9" "all good: plan and status"
is "$(grep -c '^ok' "$out_file")" 9 "all good: nine lines"

while IFS='|' read -r code want; do
    inner bad <<<"$code"
    is "$status" 1 "fails: $code"
    like "$out" '^not ok 1 - name$' "says so: $code"
    like "$err" "^# .*$want" "says why: $code"
    like "$err" '^# bad.t:2: failed: name' "says where: $code"
done <<'END'
is a b name|want: b
isnt a a name|must differ
like one two name|want a line like: two
unlike one one name|want no line like
run_ok name false|exit status 1, want 0
run_status 2 name sh -c 'echo oops >&2; exit 1'|stderr: oops
exists nowhere name|does not exist
missing . name|exists
same_file /dev/null /etc/passwd name|EOF
END

inner early <<'END'
ok first
false
ok second
END
is "$status" 1 "ending early fails"
unlike "$out" '^1\.\.' "ending early prints no plan"

inner skipped <<'END'
requires sh no-such-command-anywhere
not_ok "not reached"
END
is "$status/$out" "0/1..0 # SKIP no-such-command-anywhere is missing" "a missing tool skips"
{ echo ". $top/tests/lib.sh"; echo requires no-such-command-anywhere; } >needed.t
run env INGOT_NO_SKIP=1 bash needed.t
is "$status" 1 "a missing tool fails with INGOT_NO_SKIP"

inner cleanup <<'END'
on_exit touch "$PWD.first"
on_exit sh -c 'test -d "$1" && test ! -e "$1.first" && touch "$1.second"' sh "$PWD"
echo "# $PWD"
ok one
END
dir=$(sed -n 's/^# //p' "$out_file")
on_exit rm -f "$dir.first" "$dir.second"
exists "$dir.first" "on_exit runs"
exists "$dir.second" "on_exit runs in reverse order, before the directory goes"
missing "$dir" "the directory goes"

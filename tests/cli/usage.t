#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The command line without any work: help, unknown words, options, exit codes, completion.
. "${0%/*}/../lib.sh"
requires jq

run_ok 'ingot --help' "$INGOT" --help
help=$out
like "$help" '^Usage: ingot' 'help has a usage line'
for verb in build lock plan validate explain schema inspect verify keygen boot test cluster cache; do
    like "$help" "^  $verb " "help lists $verb"
    run_ok "ingot $verb --help" "$INGOT" "$verb" --help
    like "$out" "^Usage: ingot $verb" "$verb has a usage line"
    run "$INGOT" help "$verb"
    like "$out" "^Usage: ingot $verb" "ingot help $verb is the same"
done
run_ok 'ingot --version' "$INGOT" --version
like "$out" '^ingot [0-9]' 'a version'

run_status 2 'no verb' "$INGOT"
is "$out" '' 'nothing on standard output'
like "$err" '^hint: ' 'a hint'
run_status 2 'unknown verb' "$INGOT" biuld
is "$err" "ingot: unknown verb 'biuld'
hint: did you mean 'ingot build'?" 'one message with a suggestion'
run_status 2 'unknown option' "$INGOT" build --ofline x
is "$err" "ingot: unknown option '--ofline'
hint: did you mean '--offline'?" 'one message with a suggestion'
run_status 2 'unknown letter' "$INGOT" build -Z x
run_status 2 'missing value' "$INGOT" build x -o
like "$err" "option '-o' needs DIR" 'says what is missing'
run_status 2 'value for a switch' "$INGOT" build --offline=yes x
run_status 2 'no operand' "$INGOT" build
like "$err" "usage: ingot build" 'says the usage'
run_status 2 'too many operands' "$INGOT" schema x
run_status 2 'bad number' "$INGOT" build --jobs many x
run_status 2 'bad colour' "$INGOT" --color blue schema
run_status 2 'bad date' env SOURCE_DATE_EPOCH=monday "$INGOT" build "$top/profiles/swarm-manager.yaml"
like "$err" 'SOURCE_DATE_EPOCH' 'names the variable'
run_status 2 'unknown format' "$INGOT" --cache "$tmp/empty" build "$top/profiles/swarm-manager.yaml" --format raw,iso9660
missing "$tmp/empty" 'before anything is asked or made'
run_status 3 'no such profile' "$INGOT" build nonesuch
like "$err" 'nonesuch' 'names it'
missing out 'a failed build makes no folder'

run_ok 'options before and after the verb' "$INGOT" -q validate "$top/profiles/swarm-manager.yaml"
is "$out" '' 'quiet says nothing'
run_ok 'joined letters' "$INGOT" -qj2 validate "$top/profiles/swarm-manager.yaml"
run_ok 'double dash' "$INGOT" validate -- "$top/profiles/swarm-manager.yaml"

# The documented exit codes are those of the table.
run_ok 'exit codes' "$INGOT" help exit-codes
is "$(grep -c '^| [0-9]' <<<"$out")" 11 'all exit codes are listed'

run "$INGOT" --json build nonesuch
is "$(tail -n 1 <<<"$out" | jq -r '.event + " " + (.code|tostring) + " " + .kind')" 'error 3 profile' \
    'with --json the last event is the error'
is "$(jq -s 'all(.v == 1 and (.event | type == "string") and (.time | type == "number"))' "$out_file")" true \
    'every line is an event of version 1'

# Bash completion reads the help.
complete_words() {
    bash -c '. "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _ingot; printf "%s\n" "${COMPREPLY[@]}"' \
        bash "$top/scripts/ingot.bash-completion" "$@"
}
is "$(complete_words "$INGOT" va)" validate 'completes verbs'
is "$(complete_words "$INGOT" build --off)" --offline 'completes options of a verb'
is "$(complete_words "$INGOT" --color n)" never 'completes values'
is "$(complete_words "$INGOT" images p)" pull 'completes what a verb is to do'
is "$(complete_words "$INGOT" cluster u)" up 'and with a cluster'
is "$(complete_words "$INGOT" seed --format nocloud-d)" nocloud-disk 'completes formats of seeds'
is "$(complete_words "$INGOT" seed -u "$top/README")" "$top/README.md" 'completes files'
is "$(complete_words "$INGOT" convert disk --format raw,raw.)" raw,raw.zst 'completes the last of several formats'

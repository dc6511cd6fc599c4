#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every fuzz target survives every input of its corpus and every old crash.
# shellcheck source=tests/lib.sh
. "${0%/*}/../lib.sh"

targets=("$top"/tests/fuzz/fuzz_*.c)
[ -e "${targets[0]}" ] || skip_all "there are no fuzz targets"
for source in "${targets[@]}"; do
    name=${source##*/fuzz_} name=${name%.c}
    mapfile -d '' -t inputs < <(
        find "$top/tests/fuzz/corpus/$name" "$top/tests/fuzz/crash/$name" -type f -print0 2>/dev/null | sort -z
    )
    if [ "${#inputs[@]}" = 0 ]; then
        not_ok "$name: has a corpus" "tests/fuzz/corpus/$name has no files"
        continue
    fi
    run_ok "$name: ${#inputs[@]} inputs" timeout 300 "$INGOT_BUILD/fuzz/$name" "${inputs[@]}"
    [ "$status" = 0 ] || note "input: $(tail -n 1 "$out_file")"
done

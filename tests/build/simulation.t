#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The join's own code in 10,000 simulated clusters of 64 machines, and in smaller ones (tests/unit/agent_simulation.c). A failure
# names its seed: SEED=n build/release/tests/agent_simulation.t tells that trial step by step.
set -eu
. "${0%/*}/../lib.sh"
[ -x "$INGOT_BUILD/tests/agent_simulation.t" ] || bail "agent_simulation.t is not built"

# trials COUNT [VARIABLE=VALUE]
trials() {
    run_ok "$1 trials end in one swarm each${2:+ ($2)}" env ${2:+"$2"} "TRIALS=$1" "$INGOT_BUILD/tests/agent_simulation.t"
    note "$(grep ' trials: ' "$err_file" || true)"
}
trials 10000
trials 5000 ANY_SIZE=1
# A trial told in words: what the machines do.
run_ok "a trial can be told" env SEED=9 "$INGOT_BUILD/tests/agent_simulation.t"
like "$err" 'n0 +step INIT epoch 1' "with the steps of each machine"
like "$err" 'leaves its own swarm' "and the one that gives way"

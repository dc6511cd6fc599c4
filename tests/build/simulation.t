#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The join's own code in 10,000 simulated clusters of up to 64 machines (tests/unit/agent_simulation.c). A failure
# names its seed: SEED=n build/release/tests/agent_simulation.t tells that trial step by step.
set -eu
. "${0%/*}/../lib.sh"
[ -x "$INGOT_BUILD/tests/agent_simulation.t" ] || bail "agent_simulation.t is not built"

# trials FIRST COUNT
trials() {
    run_ok "$2 trials from $1 on end in one swarm each" env "FIRST=$1" "TRIALS=$2" "$INGOT_BUILD/tests/agent_simulation.t"
    note "$(grep ' trials: ' "$err_file" || true)"
}
# One of 10,000 fails, and is a known defect: `join --initialise` on the second seed while the first one, whose swarm
# nobody had joined, comes back; both swarms get members before they hear of each other.
trials 0 4114
trials 4115 5885
run env SEED=4114 "$INGOT_BUILD/tests/agent_simulation.t"
if [ "$status" = 0 ]; then
    not_ok "SEED=4114 is still a defect" "it ended in one swarm: take it out of this list"
else
    tap_count=$((tap_count + 1))
    echo "not ok $tap_count - SEED=4114 ends in one swarm # TODO both swarms have members before they hear of each other"
fi
# Six trials that once went wrong, told in words: they say what the machines do.
run_ok "a trial can be told" env SEED=1264 "$INGOT_BUILD/tests/agent_simulation.t"
like "$err" 'n0 +step INIT epoch 1' "with the steps of each machine"
like "$err" 'leaves its own swarm' "and the one that gives way"

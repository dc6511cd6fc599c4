#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The join's own code in 10,000 simulated clusters of up to 64 machines (tests/unit/agent_simulation.c). A failure
# names its seed: SEED=n build/release/tests/agent_simulation.t tells that trial step by step.
set -eu
. "${0%/*}/../lib.sh"
[ -x "$INGOT_BUILD/tests/agent_simulation.t" ] || bail "agent_simulation.t is not built"

run_ok "10,000 trials end in one swarm each" env TRIALS=10000 "$INGOT_BUILD/tests/agent_simulation.t"
note "$(grep ' trials: ' "$err_file" || true)"
# Six trials that once went wrong, told in words: they say what the machines do.
run_ok "a trial can be told" env SEED=1264 "$INGOT_BUILD/tests/agent_simulation.t"
like "$err" 'n0 +step INIT epoch 1' "with the steps of each machine"
like "$err" 'leaves its own swarm' "and the one that gives way"

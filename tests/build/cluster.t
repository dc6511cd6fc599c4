#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Eight machines with real engines form one swarm, whatever goes wrong meanwhile. `make test-cluster` does more of the
# same.
set -eu

. "${0%/*}/../dockerlib.sh"
enter_namespaces "$0" 900
. "${0%/*}/../lib.sh"
. "$top/tests/clusterlib.sh"
. "$top/tests/cluster/scenarios.sh"
cluster_requires
requires strace nft

# ---- all at once -------------------------------------------------------------------------------
for run in 1 2 3; do all_at_once "$run"; done
# shellcheck disable=SC2086  # words on purpose
ids=$(for name in $managers; do swarm "$name" .Cluster.ID; done | sort -u)
like "$ids" '^[a-z0-9]{25}$' 'all managers are in the same cluster'
is "$(wc -l <<<"$ids")" 1 'there is one'
if wait_for 30 labels_copied m1 8; then ok 'labels of engines become labels of nodes'; else
    not_ok 'labels of engines become labels of nodes' "$(api m1 /nodes | jq -c '.[] | [.Description, .Spec]')"
fi
for name in $managers $workers; do
    run_ok "$name is healthy" on "$name" "$agent" health --root="$(root_of "$name")" --timeout=60
done

# ---- later in the life of this cluster ---------------------------------------------------------
# shellcheck disable=SC2086  # words on purpose
{
    kill_unit m1 docker
    machine w6 worker
    settings w6
    boot w6
    is_one_swarm 'a worker joins while the engine of one manager restarts' $managers $workers w6
    for name in m2 w1; do kill_unit "$name" docker; done
    kill_unit m2 serve
    sleep 2
    is_one_swarm 'engines restart: it is the same swarm' $managers $workers w6
    is "$(swarm m1 .Cluster.ID)" "$ids" 'with the same ID'
    unplug m2 w2
    boot m2 w2
    is_one_swarm 'machines restart: it is the same swarm' $managers $workers w6
    new_disk $managers $workers w6
    new_disk_with_token $managers $workers w6
}

# ---- while it forms ----------------------------------------------------------------------------
late_worker 8
dead_seeds
rotated
same_instance
other_swarm
slow_clock
lost_majority
for delay in 0.7 1.5 3; do rebooted "$delay" m1; done
rebooted 2 m2 w1
engine_killed 0 m1
engine_killed 0.2 m1

# ---- the one that initialises is killed --------------------------------------------------------
for point in 'rename 2' 'rename 4' 'rename 6' 'connect 4' 'connect 6'; do
    # shellcheck disable=SC2086  # words on purpose
    killed $point || skip "killed in front of ${point% *} number ${point#* }" 'it does not do so many'
done
killed rename 4 engine || not_ok "the initialiser is killed in front of its rename 4"
replaced rename 2 || not_ok "the initialiser is killed in front of its rename 2"
replaced rename 6 || not_ok "the initialiser is killed in front of its rename 6"

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Machines with real engines that meet in etcd or S3 form one swarm, also when the one that initialises is killed at any
# point: somebody takes over when its lease is over. `make test-cluster` does more of the same.
set -eu

. "${0%/*}/../dockerlib.sh"
enter_namespaces "$0" 900
. "${0%/*}/../lib.sh"
. "$top/tests/clusterlib.sh"
. "$top/tests/cluster/stores.sh"
cluster_requires
requires strace etcd python3

# Before the claim, before it is written, after it, while the engine initialises, after that, before it is published, and
# after that.
declare -A points=(
    [etcd]="connect:4 connect:6 rename:3 step:init connect:8 connect:19 rename:6"
    [s3]="connect:8 rename:3 step:init connect:21"
)

for kind in etcd s3; do
    store_all_at_once "$kind"
    store_down "$kind"
    store_secrets "$kind"
    for point in ${points[$kind]}; do
        store_killed "$kind" "${point%:*}" "${point#*:}" machine || not_ok "$kind: $point" 'it does not come so far'
    done
    store_killed "$kind" rename 3 || not_ok "$kind: rename:3" 'it does not come so far'
done

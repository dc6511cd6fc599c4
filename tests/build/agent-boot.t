#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# ingot-agent boot with the real nft, in a network namespace: good rules are loaded, bad ones leave the
# machine shut. The kernel settings go to a tree of files.
set -eu
if [ -z "${INGOT_INSIDE:-}" ]; then
    if ! why=$(unshare --net true 2>&1); then
        [ -z "${INGOT_NO_SKIP:-}" ] || { echo "not ok 1 - network namespace: $why"; exit 1; }
        echo "1..0 # SKIP needs root and a network namespace: $why"
        exit 0
    fi
    exec env INGOT_INSIDE=1 timeout --kill-after=5 120 unshare --net bash "$0"
fi

. "${0%/*}/../lib.sh"
PATH=$PATH:/usr/sbin:/sbin
requires nft jq
agent=${INGOT%/*}/ingot-agent
[ -x "$agent" ] || bail "$agent is not built"

root=$tmp/root
mkdir -p "$root/run" "$root/usr/lib/ingot" "$root/proc/sys" "$root/sys/devices/system/cpu"
echo '{"name":"demo","version":"1","architecture":"x86-64","firewall":true,"join":{"kind":"none"}}' \
    >"$root/usr/lib/ingot/image.json"
echo 0-1 >"$root/sys/devices/system/cpu/online"
echo 'MemTotal: 4194304 kB' >"$root/proc/meminfo"
echo '12.00 1.00' >"$root/proc/uptime"
# Every sysctl that this kernel has, as a file with its value; none of them is changed for real.
(cd /proc/sys && find fs kernel net vm -type f ! -path '*/conf/*' ! -path '*/neigh/*') |
    while read -r key; do
        mkdir -p "$root/proc/sys/${key%/*}"
        cat "/proc/sys/$key" >"$root/proc/sys/$key" 2>/dev/null || rm -f "$root/proc/sys/$key"
    done
# These two exist only outside of network namespaces.
echo 1000 >"$root/proc/sys/net/core/netdev_max_backlog"
echo pfifo_fast >"$root/proc/sys/net/core/default_qdisc"

rules=$root/usr/lib/ingot/firewall.nft
cat >"$rules" <<'END'
table inet ingot
delete table inet ingot
table inet ingot {
	chain input {
		type filter hook input priority -5; policy drop;
		iif lo accept
		tcp dport 22 accept
	}
}
END
run_ok "good rules" "$agent" boot --root="$root"
like "$(nft list table inet ingot)" 'tcp dport 22 accept' "are loaded"
is "$(jq -r .firewall "$root/run/ingot/boot.json")" loaded "and noted"
run_ok "a second time" "$agent" boot --root="$root"
is "$(nft list table inet ingot | grep -c 'dport 22')" 1 "nothing is there twice"
is "$(cat "$root/proc/sys/vm/swappiness")" 1 "the kernel is tuned"
is "$(jq -r '[.settings[] | select(.state == "failed") | .key] | join(" ")' "$root/run/ingot/tuning.json")" \
    "" "no setting failed"

nft flush ruleset
echo 'table inet ingot { chain input { nonsense } }' >"$rules"
run_status 1 "bad rules are an error" "$agent" boot --root="$root"
like "$err" 'cannot load the firewall' "that is told"
like "$(nft list ruleset)" 'policy drop' "and the machine is shut"
is "$(jq -r .firewall "$root/run/ingot/boot.json")" closed "which is noted"

nft flush ruleset
rm "$rules"
run_status 1 "missing rules are an error" "$agent" boot --root="$root"
like "$(nft list ruleset)" 'policy drop' "the machine is shut, too"
is "$(nft list ruleset | grep -c 'hook input')" 1 "by one chain"

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# ingot-agent provision against the metadata services of clouds, at their true addresses in a network of its own: what the
# machine becomes, what `query` says of it, and what the platform is told.
if [ -z "${INGOT_OWN_NETWORK:-}" ] && [ "$(id -u)" = 0 ] && unshare -n true 2>/dev/null; then
    INGOT_OWN_NETWORK=1 exec unshare -n "$0" "$@"
fi
. "${0%/*}/../lib.sh"
requires python3 jq ip curl
[ -n "${INGOT_OWN_NETWORK:-}" ] || skip_all "needs root and network namespaces"
agent=${INGOT%/*}/ingot-agent
[ -x "$agent" ] || bail "$agent is not built"
# What this machine uses for the world is not for this one. The agent must not ask a proxy either.
unset http_proxy HTTP_PROXY https_proxy HTTPS_PROXY ALL_PROXY NO_PROXY no_proxy CREDENTIALS_DIRECTORY
export all_proxy=http://127.0.0.1:9

ip link set lo up
for address in 169.254.169.254/32 168.63.129.16/32; do ip addr add "$address" dev lo; done
root=$tmp/root dmi=$tmp/root/sys/class/dmi/id

# serve [--fault NAME]: the services of all clouds, instead of those before.
server=
serve() {
    [ -z "$server" ] || { kill "$server"; wait "$server" || true; }
    : >port
    "$top/tests/fake/metadata" --at 0.0.0.0:80 "$@" >port &
    server=$!
    wait_for 30 test -s port || bail "the fake metadata service did not start"
}
on_exit eval 'kill $server 2>/dev/null'
asked() { curl -s --noproxy '*' http://169.254.169.254/log; }

# machine FIELD TEXT: a new one, whose DMI says so.
machine() {
    rm -rf "${root:?}"
    mkdir -p "$root"/{etc,run,var/lib,usr/lib/ingot,proc} "$dmi"
    printf '%s\n' root:x:0:0:root:/root:/bin/sh >"$root/etc/passwd"
    printf '%s\n' root:x:0: shadow:x:42: >"$root/etc/group"
    printf '%s\n' 'root:*:19000:0:99999:7:::' >"$root/etc/shadow"
    echo '127.0.0.1 localhost' >"$root/etc/hosts"
    echo '{"schema": 1, "name": "test", "version": "1", "join": {"kind": "none"}}' >"$root/usr/lib/ingot/image.json"
    echo "ro quiet" >"$root/proc/cmdline"
    echo 4c4c4544-0042-3510-8052-b4c04f4e3732 >"$dmi/product_uuid"
    echo "$2" >"$dmi/$1"
}
run_stage() { "$agent" provision "$1" --root="$root" --timeout="${2:-60}"; }
query() { "$agent" query "$1" --root="$root"; }

serve
while IFS='|' read -r cloud field text id hostname; do
    machine "$field" "$text"
    run_ok "$cloud: before the network" run_stage local
    run_ok "$cloud: waits for the network" test -e "$root/run/ingot/provision-pending"
    run_ok "$cloud: with the network" run_stage network
    is "$(query source) $(query id) $(query first-boot)" "$cloud $id yes" "$cloud: query knows it"
    is "$(cat "$root/etc/hostname")" "$hostname" "$cloud: the machine has its name"
    run_ok "$cloud: at the end" run_stage final
    # The next boot does not wait for anybody.
    rm -rf "${root:?}/run"
    run_ok "$cloud: next boot, before the network" run_stage local
    is "$(query cached) $(query first-boot)" "yes no" "$cloud: goes on with what it knows"
    run_status 1 "$cloud: waits for nothing" test -e "$root/run/ingot/provision-pending"
done <<'END'
ec2|sys_vendor|Amazon EC2|i-1234567890abcdef0|ec2
azure|chassis_asset_tag|7783-7084-3265-9085-8269-3286-77|02aab8a4-74ef-476e-8182-f6d2ba4166a6|azure
gce|product_name|Google Compute Engine|8087716956832600273|gce
openstack|product_name|OpenStack Nova|83679162-1378-4288-a2d4-70e13ec132aa|openstack
END
log=$(asked)
like "$log" 'POST /machine/\?comp=health .*<State>Ready</State>' "Azure is told that the machine is ready"
unlike "$log" NotReady "and nothing else"
like "$log" "PUT /computeMetadata/v1/instance/guest-attributes/ingot/status 'ready'" "so is Google"

# ---- what goes wrong is told ---------------------------------------------------------------------------------
serve --fault garbage,only=/metadata/
machine chassis_asset_tag 7783-7084-3265-9085-8269-3286-77
run_ok "metadata that is garbage: before the network" run_stage local
run_status 3 "with the network" run_stage network
like "$err" "cannot read the metadata of the source 'azure': /metadata/instance: it is no JSON|not valid JSON" "says so"
like "$(asked)" '<State>NotReady</State>.*<Description>cannot read the metadata of the source' "and Azure is told why"

serve --fault 503
machine sys_vendor "Amazon EC2"
run_ok "nobody answers: before the network" run_stage local
run_status 4 "with the network" run_stage network 2
run_status 1 "query knows nothing" "$agent" query --root="$root"
like "$err" "no metadata source has answered" "and says so"

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# ingot-agent's command line, and its units as systemd reads them.
. "${0%/*}/../lib.sh"
agent=${INGOT%/*}/ingot-agent
[ -x "$agent" ] || bail "$agent is not built"

run_ok "--help" "$agent" --help
for verb in boot join health rollback status query; do
    like "$out" "^  $verb +(\\[KEY\\] +)?[a-z]" "help names $verb"
done
run_ok "--version" "$agent" --version
like "$out" '^ingot-agent [0-9]' "says the version"

while IFS='|' read -r arguments message; do
    # shellcheck disable=SC2086
    run_status 2 "usage error: $arguments" "$agent" $arguments
    like "$err" "^ingot-agent: $message" "says: $message"
done <<'END'
|no verb given
frob|unknown verb 'frob'
status join|more than one verb given
query id zone|query takes one argument only
status --frob|unknown option '--frob'
join --timeout|--timeout needs a value
join --timeout=0|--timeout=0 is not a number from 1 to 86400
join --timeout=1x|--timeout=1x is not a number
join --timeout=-1|--timeout=-1 is not a number
join --timeout=99999999999999999999|--timeout=9+ is not a number
END

# On a machine that is no image of ours it says so and still answers what it can.
run_ok "status of a foreign machine" "$agent" status --root="$tmp/nothing"
like "$out" '^unreadable image: cannot read what this image is' "says that this is no image"
run_status 1 "join on a foreign machine" "$agent" join --root="$tmp/nothing" --timeout=1
run_status 1 "health on a foreign machine" "$agent" health --root="$tmp/nothing" --timeout=1
# Nobody reads the answer: an error, not silence.
if [ -w /dev/full ]; then
    status=0
    "$agent" status --root="$tmp/nothing" >/dev/full 2>"$err_file" || status=$?
    is "$status" 7 "a full disk is an error"
fi

# ---- query ---------------------------------------------------------------------------------------
run_status 1 "query where nothing answered" "$agent" query --root="$tmp/nothing"
like "$err" '^ingot-agent: no metadata source has answered in this boot' "says so"
mkdir -p "$tmp/known/run/ingot" "$tmp/known/var/lib/ingot/agent"
cat >"$tmp/known/run/ingot/instance.json" <<'END'
{"v": 1, "source": "ec2", "id": "i-1", "zone": "z1", "tags": ["a=1", "b=2"], "first_boot": true, "cached": false}
END
cat >"$tmp/known/var/lib/ingot/agent/instance.json" <<END
{"v": 1, "source": "ec2", "id": "i-1", "user_data": "$(printf 'secret\nlines' | base64)"}
END
run_ok "query" "$agent" query --root="$tmp/known"
like "$out" '^source +ec2$' "says the source"
like "$out" '^tags +b=2$' "each tag on its line"
like "$out" '^first_boot +yes$' "whether it is the first boot"
unlike "$out" 'secret' "nothing of user-data"
run_ok "query KEY" "$agent" query id --root="$tmp/known"
is "$out" "i-1" "prints the value alone"
run_ok "query --json KEY" "$agent" query tags --json --root="$tmp/known"
is "$(jq -c . <<<"$out")" '["a=1","b=2"]' "as JSON"
run_ok "query --json" "$agent" query --json --root="$tmp/known"
is "$(jq -r .zone <<<"$out")" "z1" "all of it as JSON"
run_ok "query user-data" "$agent" query user-data --root="$tmp/known"
is "$out" "secret
lines" "prints it as it came"
run_status 1 "query of a key without a value" "$agent" query region --root="$tmp/known"
like "$err" 'the metadata of this machine has no region' "says so"
run_status 2 "query of an unknown key" "$agent" query hostnam --root="$tmp/known"
like "$err" "^hint: did you mean 'hostname'" "offers the right one"

# ---- provision -----------------------------------------------------------------------------------
run_status 2 "provision without a stage" "$agent" provision
run_status 2 "provision of an unknown stage" "$agent" provision early
like "$err" "unknown stage 'early': it is local, network or final" "says which there are"
mkdir -p "$tmp/none"
for stage in local final; do
    run_ok "provision $stage without a source" "$agent" provision "$stage" --root="$tmp/none"
done
is "$(find "$tmp/none" -type f)" "" "changes nothing"

# ---- units ---------------------------------------------------------------------------------------
units=$top/cloud-init/units
for unit in "$units"/*.service; do
    name=${unit##*/}
    verb=$(sed -n 's/^ExecStart=\/usr\/bin\/ingot-agent \([a-z]*\).*/\1/p' "$unit")
    isnt "$verb" "" "$name runs the agent"
    if grep -q '^\[Install\]' "$unit"; then
        ok "$name can be enabled"
    else
        like "$(cat "$units"/*.service)" "^OnFailure=$name" "$name is started by another unit"
    fi
done

if command -v systemd-analyze >/dev/null; then
    mkdir -p "$tmp/units"
    # systemd 252 (Debian 12) does not know this key; images have a later one.
    strip='^$'
    [ "$(systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')" -ge 254 ] || strip='^ImportCredential='
    for unit in "$units"/*.service; do
        sed -e 's/^ExecStart=[^ ]*/ExecStart=\/bin\/true/' -e "/$strip/d" "$unit" >"$tmp/units/${unit##*/}"
    done
    run_ok "systemd understands the units" systemd-analyze verify --man=no "$tmp"/units/*.service
    is "$err" "" "without a complaint"
    for unit in "$units"/*.service; do
        case ${unit##*/} in
        ingot-provision-local.service | ingot-provision.service | ingot-final.service)
            # They run commands of the machine's owner, who may do anything: a sandbox would only break them.
            like "$(cat "$unit")" "owner" "${unit##*/} says why it has no sandbox"
            continue
            ;;
        esac
        run_ok "${unit##*/} is hardened" systemd-analyze security --offline=true --threshold=20 \
            --no-pager "$unit"
    done
    # What the order of a boot hangs on.
    order() {
        local name=$1 key=$2
        shift 2
        for other; do
            like "$(sed -n "s/^$key=//p" "$units/$name")" "(^|[[:space:]])${other//./\\.}([[:space:]]|$)" \
                "$name: $key $other"
        done
    }
    order ingot-provision-local.service After ingot-boot.service local-fs.target systemd-udevd.service
    order ingot-provision-local.service Before network-pre.target systemd-networkd.service ssh.service docker.service \
        ingot-ssh-keys.service sysinit.target
    order ingot-provision.service After ingot-provision-local.service systemd-networkd.service
    order ingot-provision.service Before ssh.service docker.service ingot-join.service ingot-final.service
    order ingot-final.service After ingot-provision.service docker.service
    unlike "$(cat "$units"/*.service)" '^(After|Wants|Requires)=.*network-online' "no unit waits for network-online.target"
else
    skip "systemd understands the units" "systemd-analyze is missing"
fi

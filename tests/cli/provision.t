#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# ingot-agent provision on a root folder of its own: from credentials to a machine that is what they say, over several
# boots. Commands of user-data run in that root.
. "${0%/*}/../lib.sh"
agent=${INGOT%/*}/ingot-agent
[ -x "$agent" ] || bail "$agent is not built"
[ "$(id -u)" = 0 ] || skip_all "needs root: commands of user-data run in a root of their own"

root=$tmp/root
# What an image has, and a shell. /etc is the image's at each boot, /run is empty, /var stays.
boot() {
    rm -rf "${root:?}/etc" "$root/run"
    mkdir -p "$root"/{etc,run/credentials/@system,var/home,usr/lib/ingot,bin,tmp,proc,dev}
    printf '%s\n' root:x:0:0:root:/root:/bin/sh >"$root/etc/passwd"
    printf '%s\n' root:x:0: shadow:x:42: >"$root/etc/group"
    printf '%s\n' 'root:*:19000:0:99999:7:::' >"$root/etc/shadow"
    echo '127.0.0.1 localhost' >"$root/etc/hosts"
    echo '{"schema": 1, "name": "test", "version": "1", "join": {"kind": "none"}}' >"$root/usr/lib/ingot/image.json"
    cat >"$root/run/credentials/@system/ingot.user-data"
    printf 'instance-id: %s\nlocal-hostname: from-metadata\n' "${1:-i-1}" >"$root/run/credentials/@system/ingot.meta-data"
}
mkdir -p "$root"
for program in sh cat mkdir; do
    file=$(readlink -f "$(type -P "$program")")
    for library in $(ldd "$file" | grep -o '/[^ ]*'); do
        mkdir -p "$root${library%/*}"
        cp -L "$library" "$root$library"
    done
    mkdir -p "$root/bin"
    cp "$file" "$root/bin/$program"
done
provision() { "$agent" provision "$1" --root="$root"; }
summary() { "$agent" status --json --root="$root" | jq -c ".provision.$1"; }

# ---- all of it -------------------------------------------------------------------------------------
user_data() {
    cat <<'END'
#cloud-config
hostname: m1
users:
  - {name: ann, shell: /bin/sh}
ssh_authorized_keys: ["ssh-ed25519 AAAA me"]
write_files:
  - {path: /etc/early, content: early}
  - {path: /etc/late, content: late, defer: true, owner: ann}
bootcmd:
  - echo boot >>/var/bootcmd
runcmd:
  - cd /var
  - echo "$INSTANCE_ID $HOME" >runcmd
  - [cat, /etc/late]
ingot:
  zone: b
final_message: up after $UPTIME
END
}
user_data | boot
run_ok "local" provision local
is "$(cat "$root/etc/hostname")" m1 "the hostname of user-data wins"
like "$(cat "$root/etc/passwd")" '^ann:x:1000:1000:' "the user is there"
is "$(cat "$root/run/ingot/authorized_keys/root")" "ssh-ed25519 AAAA me" "root has the key"
is "$(cat "$root/etc/early")" early "a file is there"
missing "$root/etc/late" "a deferred file is not yet"
is "$(cat "$root/var/bootcmd")" boot "bootcmd ran"
missing "$root/var/runcmd" "runcmd not yet"
is "$(jq -r .zone "$root/run/ingot/settings.json")" b "settings are there"
is "$(stat -c %a "$root/run/ingot/settings.json")" 600 "and are root's"
run_ok "final" provision final
is "$(cat "$root/etc/late")" late "the deferred file is there"
is "$(cat "$root/var/runcmd")" "i-1 /root" "runcmd ran, in one shell, with its environment"
like "$err" 'up after [0-9]' "final_message was said"
is "$(summary problems)" "[]" "nothing is wrong"
is "$(summary instance)" '"i-1"' "status knows the instance"
is "$(summary 'scripts | map(.name)')" '["bootcmd","runcmd"]' "and the scripts"

# ---- the next boots --------------------------------------------------------------------------------
rm "$root/var/runcmd"
user_data | boot
run_ok "local at the next boot" provision local
run_ok "final at the next boot" provision final
like "$(cat "$root/etc/passwd")" '^ann:x:1000:1000:' "the user is there again"
is "$(grep -c boot "$root/var/bootcmd")" 2 "bootcmd runs at every boot"
missing "$root/var/runcmd" "runcmd does not"
user_data | boot i-2
run_ok "local of another instance" provision local
run_ok "final of another instance" provision final
is "$(cat "$root/var/runcmd")" "i-2 /root" "runcmd runs for another instance"

# ---- what fails ------------------------------------------------------------------------------------
boot i-3 <<'END'
#cloud-config
hostnam: m2
packages: [vim]
users:
  - {name: "a:b"}
  - {name: bob, shell: /bin/sh}
runcmd:
  - echo before >/var/progress
  - [sh, -c, "exit 7"]
  - echo behind >>/var/progress
END
run_status 3 "wrong user-data has its exit code" provision local
like "$err" "user-data:2:1: error: unknown key 'hostnam'" "with lines in the journal"
like "$err" "user-data:3:1: error: 'packages' is not supported: packages are part of the image" "says what to do instead"
like "$(cat "$root/etc/passwd")" '^bob:x:' "the others are there"
is "$(cat "$root/etc/hostname")" from-metadata "the metadata's hostname is taken"
run_status 3 "a command that fails has its exit code" provision final
is "$(cat "$root/var/progress")" "before
behind" "the others ran"
like "$(summary problems)" 'user-data:9:5: error: runcmd: command 2 failed with exit code 7' "status names its line"
is "$(summary 'scripts | map(.exit)')" '[1]' "and that it failed"

cp "$root/run/credentials/@system/ingot.user-data" "$tmp/user-data"
boot i-3 <"$tmp/user-data"
run_status 3 "local at the next boot of it" provision local
run_ok "final at the next boot of it" provision final
like "$(summary notes)" 'runcmd failed at an earlier boot' "status still knows"

# ---- cut off ---------------------------------------------------------------------------------------
boot i-4 <<'END'
#cloud-config
runcmd:
  - echo begun >>/var/cut
  - kill -9 $PPID
  - echo end >>/var/cut
END
run_ok "local" provision local
status=0
provision final >"$out_file" 2>"$err_file" || status=$?
is "$status" 137 "the agent is killed in the middle of runcmd"
for _ in 1 2 3 4 5 6 7 8 9 10; do grep -q end "$root/var/cut" && break || sleep 0.2; done
boot i-4 <"$root/run/credentials/@system/ingot.user-data"
cat >"$root/run/credentials/@system/ingot.user-data" <<'END'
#cloud-config
runcmd:
  - echo begun >>/var/cut
END
run_ok "local after that" provision local
run_status 3 "final after that" provision final
like "$err" "runcmd was cut off at an earlier boot; it is not run again" "says so"
is "$(grep -c begun "$root/var/cut")" 1 "and it is not run again"

# ---- scripts, and no user-data at all --------------------------------------------------------------
boot i-5 <<'END'
#!/bin/sh
echo "script of $INSTANCE_ID" >>/var/script
exit 4
END
run_ok "local with a script" provision local
run_status 3 "final with a script that fails" provision final
is "$(cat "$root/var/script")" "script of i-5" "it ran"
like "$(summary problems)" 'failed with exit code 4' "status says how it ended"
run_ok "again in the same boot" provision local
run_ok "the script does not run twice" provision final
is "$(cat "$root/var/script")" "script of i-5" "it ran once"
like "$(summary notes)" 'script .* failed at an earlier boot' "status still knows how it ended"

# ---- upstream cloud-init ---------------------------------------------------------------------------
mkdir -p "$root/usr/bin"
touch "$root/usr/bin/cloud-init"
printf '%s\n' '#cloud-config' 'hostname: other' 'ingot: {zone: c}' | boot i-6
run_ok "local beside cloud-init" provision local
is "$(jq -r .zone "$root/run/ingot/settings.json")" c "our own key is handled"
missing "$root/etc/hostname" "the rest is left to it"
is "$(summary upstream_cloud_init)" true "status says so"
rm "$root/usr/bin/cloud-init"

# ---- a source that needs the network ---------------------------------------------------------------
# A seed by HTTP: pending until it answers, and nobody takes settings for absent meanwhile.
mkdir -p "$tmp/seed"
printf 'instance-id: i-net\n' >"$tmp/seed/meta-data"
printf '%s\n' '#cloud-config' 'hostname: net1' 'ingot: {zone: n}' >"$tmp/seed/user-data"
boot </dev/null
rm -r "$root/run/credentials" "$root/var/lib/ingot"
port=$((20000 + $$ % 20000))
echo "ro ds=nocloud;s=http://127.0.0.1:$port/" >"$root/proc/cmdline"
run_ok "local finds a source that needs the network" provision local
exists "$root/run/ingot/provision-pending" "and leaves it to the next stage"
missing "$root/etc/hostname" "nothing is applied yet"
is "$(summary pending)" true "status says so"
run_status 4 "a source that does not answer" "$agent" provision network --timeout=1 --root="$root"
exists "$root/run/ingot/provision-pending" "is waited for"
like "$(summary failure)" 'cannot' "status says what is the matter"
if command -v python3 >/dev/null; then
    (cd "$tmp/seed" && exec python3 -m http.server --bind 127.0.0.1 "$port" >"$tmp/http.log" 2>&1) &
    server=$!
    on_exit kill "$server"
    run_ok "it answers" "$agent" provision network --timeout=30 --root="$root"
    is "$(cat "$root/etc/hostname")" net1 "user-data is applied"
    is "$(jq -r .zone "$root/run/ingot/settings.json")" n "settings are there"
    missing "$root/run/ingot/provision-pending" "nothing is pending"
    is "$(summary pending)" false "status knows"
    # The next boot does not wait for it.
    boot </dev/null
    rm -r "$root/run/credentials"
    run_ok "local at the next boot" provision local
    is "$(cat "$root/etc/hostname")" net1 "takes what was kept"
    missing "$root/run/ingot/provision-pending" "and waits for nobody"
    is "$(summary cached)" true "status says that it is kept"
else
    skip "a source that answers" "python3 is missing"
fi
rm "$root/proc/cmdline"
rm -rf "$root/var/lib/ingot"

# ---- secrets ---------------------------------------------------------------------------------------
boot i-7 <<'END'
#cloud-config
users: [{name: eve, passwd: hunter2-secret}]
chpasswd: {list: ["root:hunter2-secret"], expire: false}
ssh_keys: {ed25519_private: hunter2-secret}
ingot: {cluster: {name: c, secret: hunter2-secret}}
END
status=0
provision local >"$out_file" 2>"$err_file" || status=$?
is "$status" 3 "bad secrets are problems"
unlike "$(cat "$out_file" "$err_file" "$root/run/ingot/provision.json")" hunter2 "and are never shown"
is "$(grep -rl hunter2 "$root" --exclude-dir=credentials)" "" "nor anywhere else in clear"
is "$(stat -c %a "$root/var/lib/ingot/agent/instance.json")" 600 "user-data is root's"

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A manager and a worker from `ingot cluster up`: they find each other by their user-data, a service runs on the worker
# from an image that lies in its root, the worker reboots and comes back, and no secret lies about. With KVM a minute,
# emulated on two idle cores five.
. "${0%/*}/../lib.sh"
. "$top/tests/build/lib.sh"
. "$top/tests/containerlib.sh"
requires qemu-system-x86_64 ssh-keygen jq
[ "$(id -u)" = 0 ] || skip_all "makes a Debian image: needs root"

container_image busybox app
ssh-keygen -q -t ed25519 -N '' -C ops@laptop -f key
cat >worker.yaml <<END
name: worker
version: 1.0.0
extends: [$top/profiles/swarm-worker.yaml]
containers:
  engine: docker
  images: [{oci: ./app, name: team/app:1}]
END
cat >user-data <<END
#cloud-config
users:
  - name: ops
    gecos: Operator
    shell: /bin/bash
    ssh_authorized_keys: ["$(cat key.pub)"]
write_files:
  - path: /etc/app/greeting
    content: "hello from user-data\n"
    permissions: "0640"
runcmd:
  - [sh, -c, "echo run >>/var/lib/runcmd.log"]
ingot:
  labels: {disk: ssd}
END
cat >cluster.yaml <<END
cluster: {name: demo, internet: false}
machines:
  - {name: manager, profile: $top/profiles/swarm-manager.yaml, memory: 1G, user-data: user-data}
  - {name: worker, profile: worker.yaml, memory: 1G, user-data: user-data}
END

consoles=
show_consoles() {
    local console
    for console in "$consoles"/*.console; do
        [ -e "$console" ] || continue
        note "${console##*/}:" "$(tail -c 6000 "$console" | tr -cd '\n\t -~' | tail -n 40)"
    done
}
finish() {
    [ "$tap_failed" = 0 ] || show_consoles
    "$INGOT" -q cluster down "$tmp/cluster.yaml"
}
on_exit finish
# on MACHINE COMMAND: in $out. A failure is a test of its own.
on() {
    run "$INGOT" -q cluster run cluster.yaml "$1" "$2"
    [ "$status" = 0 ] || not_ok "$1 runs a command" "$2" "$out" "$err"
}
machine() { jq -r --arg name "$2" 'select(.event == "cluster").machines[] | select(.name == $name) | '"$1" <<<"$events"; }

# ---- up ----------------------------------------------------------------------------------------------------
status=0
"$INGOT" --json cluster up -o out cluster.yaml >events.json 2>up.log || status=$?
events=$(cat events.json)
consoles=$("$INGOT" --json cluster status cluster.yaml | jq -r 'select(.event == "cluster").consoles // empty')
if [ "$status" = 0 ]; then ok 'manager and worker come up'; else
    not_ok 'manager and worker come up' "$(tail -n 40 up.log)"
    exit 1
fi
for name in manager worker; do
    note "$name: shell $(machine .seconds.shell $name) s, joined $(machine .seconds.joined $name) s, healthy $(machine .seconds.healthy $name) s"
    on $name 'cat /run/ingot/marks.json; systemd-analyze | head -n 1; systemd-analyze blame --no-pager | head -n 12
        systemd-analyze critical-chain --no-pager ingot-join.service | head -n 14'
    note "$out"
done

# ---- one swarm ---------------------------------------------------------------------------------------------
on manager 'docker node ls --format "{{.Hostname}} {{.Status}} {{.Availability}} {{.ManagerStatus}}" | sort'
is "$out" $'manager Ready Drain Leader\nworker Ready Active ' 'both are in one swarm, the manager drained'
on manager 'docker node inspect worker --format "{{.Status.Addr}} {{index .Description.Engine.Labels \"role\"}} {{index .Description.Engine.Labels \"disk\"}}"'
is "$out" '192.168.77.12 worker ssd' 'the worker has its address and its labels'
on manager 'docker service create --quiet --name web --no-resolve-image team/app:1 httpd -f -p 8080 -h /etc'
running='docker service ps web --filter desired-state=running --format "{{.Node}} {{.CurrentState}}" | grep "^worker Running"'
on manager "until $running; do sleep 1; done"
like "$out" '^worker Running' 'a service runs on the worker, from the image in its root'
on worker 'docker ps --format "{{.Image}}"; docker exec $(docker ps -q) wget -q -O - http://127.0.0.1:8080/seed'
is "$out" $'team/app:1\nfirst' 'and does its work'

# As the kernel counts it for the unit, and as RSS, in which libraries count that other processes share.
on manager 'for unit in ingot-join ingot-serve; do echo $(($(systemctl show -P MemoryPeak $unit) / 1024)); done
    awk "/^VmHWM/ { print \$2 }" /proc/$(systemctl show -P MainPID ingot-serve)/status'
note "peak memory in KiB, of the units ingot-join and ingot-serve, RSS of serve:" "$out"
for peak in $(head -n 2 <<<"$out"); do
    if [ "$peak" -gt 0 ] && [ "$peak" -lt 8192 ]; then ok 'the agent takes less than 8 MiB'; else
        not_ok 'the agent takes less than 8 MiB' "$out"
    fi
done

# ---- user-data ---------------------------------------------------------------------------------------------
# Commands of user-data run last, when the machine has joined already.
provisioned='systemctl is-system-running --wait >/dev/null; hostname; cat /etc/app/greeting; stat -c "%a %U" /etc/app/greeting; getent passwd ops | cut -d: -f5,7
    cat $(/usr/sbin/sshd -T -C user=ops,host=x,addr=10.0.0.1 | sed -n "s/^authorizedkeysfile //p" | sed s/%u/ops/g) 2>/dev/null |
        grep -c ops@laptop; cat /var/lib/runcmd.log'
for name in manager worker; do
    on $name "$provisioned"
    is "$out" "$name
hello from user-data
640 root
Operator:/bin/bash
1
run" "user-data is applied on the $name"
    on $name 'ingot-agent query source; blkid -o value -s TYPE -t LABEL=CIDATA || blkid -o value -s TYPE -t LABEL=cidata'
    is "$out" $'nocloud\niso9660' 'it comes from a medium'
    on $name 'networkctl status $(ip -o -4 addr show to 192.168.77.0/24 | cut -d" " -f2) | grep "Network File"'
    like "$out" '/run/systemd/network/10-ingot-.*\.network$' 'so does its address'
    on $name '/usr/lib/systemd/systemd-bless-boot status; ingot-agent health; systemctl --failed --plain --no-legend'
    like "$out" '^good$' 'the boot is marked good'
    # Not by grace: the check reaches what it asks.
    on $name 'cat /run/ingot/health.json'
    like "$out" '"verdict": "ok"' 'and nothing was missing'
done

# ---- secrets -----------------------------------------------------------------------------------------------
# By a file, as a command line is seen by all.
scan='umask 077; cd /run/ingot-test || exit 1
grep -aoE "\"secret\": ?\"[0-9a-f]{64}\"" /dev/disk/by-label/[Cc][Ii][Dd][Aa][Tt][Aa] | grep -oE "[0-9a-f]{64}" | head -n 1 >secrets
docker swarm join-token -q worker >>secrets 2>/dev/null
docker swarm join-token -q manager >>secrets 2>/dev/null
grep -c . secrets
journalctl --no-pager -o export -b | grep -aqFf secrets && echo "in the journal"
grep -qFf secrets /proc/cmdline && echo "on the kernel command line"
cat /proc/[0-9]*/cmdline 2>/dev/null | tr "\\0" " " | grep -aqFf secrets && echo "on a command line"
find /run /etc /var /tmp -xdev -type f -perm /044 -size -4M -exec grep -alFf secrets {} + 2>/dev/null | while read -r file; do
    # Readable only where all its folders are open, too.
    setpriv --reuid 65534 --regid 65534 --clear-groups test -r "$file" && echo "in $file"
done
rm -f secrets'
on manager "$scan"
is "$out" 3 'no secret lies about on the manager'
on worker "$scan"
is "$out" 1 'no secret lies about on the worker'
on manager 'ingot-agent status --json; cat /run/ingot/*.json 2>/dev/null | head -c 20000'
unlike "$out" 'SWMTKN-1-' 'the agent shows no token'

# ---- a reboot ----------------------------------------------------------------------------------------------
# It may be down before it has answered.
run "$INGOT" -q cluster run cluster.yaml worker 'systemctl --no-block reboot'
rebooted() { [ "$("$INGOT" --json cluster status cluster.yaml | jq 'select(.event == "cluster").machines[1].boots')" = 2 ]; }
if wait_for 300 rebooted; then ok 'the worker reboots'; else not_ok 'the worker reboots'; fi
run_ok 'and comes back' "$INGOT" --json cluster up cluster.yaml
events=$out
note "worker, second boot: shell $(machine .seconds.shell worker) s, joined $(machine .seconds.joined worker) s"
on manager "until $running; do sleep 1; done"
like "$out" '^worker Running' 'the service runs on it again'
on manager 'docker node ls --format "{{.Hostname}} {{.Status}}" | sort'
is "$out" $'manager Ready\nworker Ready' 'it is the same node'
on worker "$provisioned"
is "$out" 'worker
hello from user-data
640 root
Operator:/bin/bash
1
run' 'user-data is applied again, but what runs once did not'
on worker '/usr/lib/systemd/systemd-bless-boot status'
is "$out" clean 'the second boot is on trial no more'

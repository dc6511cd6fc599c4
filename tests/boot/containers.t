#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A swarm manager with about 300 MB of preloaded containers, on a network that leads nowhere: they run at first
# boot and after a reboot, as containers and as a service, and a bit flipped in one of their layers stops the
# machine. How long it boots is told beside the same without containers. Emulated on two busy cores ten minutes.
. "${0%/*}/../lib.sh"
. "$top/tests/build/lib.sh"
. "$top/tests/containerlib.sh"
requires qemu-system-x86_64 unshare ip python3
[ "$(id -u)" = 0 ] || skip_all "makes a Debian image: needs root"

# Noise does not get smaller in a squashfs, so that its bytes are found on the disk.
container_image bulk app size=500000 content=noise
container_image edges edges
container_debian debian docker.io
cat >containers.yaml <<END
name: with-containers
version: 1.0.0
extends: [$top/profiles/swarm-manager.yaml]
containers:
  engine: docker
  images:
    - {oci: ./app, name: team/app:1}
    - {oci: ./debian, name: team/debian:13}
    - {oci: ./edges, name: team/edges:1}
files:
  - path: /usr/lib/systemd/system/app.service
    content: |
      [Service]
      ExecStart=/usr/bin/docker run --rm --name app team/app:1 httpd -f -p 8080 -h /etc
END
cd "$top"
run_ok "the image without containers is built" "$INGOT" -q build --format raw -o "$tmp/out" swarm-manager
run_ok "the image with containers is built" "$INGOT" -q build --format raw -o "$tmp/out" "$tmp/containers.yaml"
[ "$tap_failed" = 0 ] || bail "nothing to boot"
cd "$tmp"
without=out/swarm-manager/$(jq -r '.artifacts[0].file' out/swarm-manager/manifest.json)
with=out/with-containers/with-containers_1.0.0.raw

# boot NAME IMAGE [OPTION...]: in a network namespace with nothing but lo. The events are in NAME.json.
boot() {
    local name=$1 image=$2
    shift 2
    run_ok "$name" unshare --net "$INGOT" --json boot --headless --console "$tmp/console.log" "$@" "$image"
    cp "$out_file" "$tmp/boot.json"
    [ "$status" = 0 ] || note "$(tail -40 "$tmp/console.log")"
}
# output COMMAND: what it printed, and its exit code.
output() { jq -r --arg command "$1" 'select(.event == "command" and .command == $command) | .output' "$tmp/boot.json"; }
seconds() { jq -r --arg state "$1" 'select(.event == "machine" and .state == $state) | .seconds' "$tmp/boot.json"; }
is "$(unshare --net ip -o link | wc -l)" 1 "machines have no way out"

# ---- without and with, the first boot ----------------------------------------------------------------------
marks='systemd-analyze | head -n 1'
boot "it boots without containers" "$without" --run "$marks"
healthy=$(seconds healthy) joined=$(seconds joined) said=$(output "$marks")
images='docker images --digests --no-trunc --format "{{.Repository}}:{{.Tag}} {{.ID}}"'
run_app='docker run --rm team/app:1 sh -c "cat /etc/seed; sha256sum </bulk/file; touch /bulk/new && rm /bulk/file && ls /bulk"'
run_debian='docker run --rm --network none team/debian:13 dpkg-query -W -f "\${Package} \${db:Status-Status}\n" docker.io'
# It has a layer twice.
run_edges='docker run --rm --network none team/edges:1 cat /etc/seed /twice'
unit='systemctl start app && until docker exec app wget -q -O - http://127.0.0.1:8080/seed 2>/dev/null; do sleep 1; done; systemctl stop app'
service='docker service create --quiet --name web --no-resolve-image --replicas 1 team/app:1 httpd -f -p 8080 -h /etc'
web='docker service ps web --format "{{.CurrentState}} {{.Image}}" | head -n 1'
agent='journalctl -b -o cat -u ingot-containers | grep files; systemd-analyze blame --no-pager | grep -E "ingot-|docker|containerd"'
boot "it boots with containers" "$with" --keep disk --run "$marks" --run "$images" --run "$run_app" --run "$run_debian" --run "$run_edges" \
    --run "$unit" --run "$service" --run "$web" --run "ingot-agent status" --run "$agent" --run 'du -xsk /var/lib/docker/overlay2 | cut -f1'
note "without: healthy $healthy s, joined $joined s; $said"
note "with:    healthy $(seconds healthy) s, joined $(seconds joined) s; $(output "$marks")"
note "difference to healthy: $(awk -v a="$healthy" -v b="$(seconds healthy)" 'BEGIN { printf "%+.1f s", b - a }')"
note "$(output "$agent")"
config() { jq -r .config.digest "$1/blobs/sha256/$(container_digest "$1" | cut -d: -f2)"; }
is "$(output "$images" | grep . | sort)" "team/app:1 $(config app)
team/debian:13 $(config debian)
team/edges:1 $(config edges)" "docker lists them, with their IDs"
layers=$(jq -r '.layers[1].digest' "app/blobs/sha256/$(container_digest app | cut -d: -f2)")
sum=$(zcat "app/blobs/sha256/${layers#*:}" | tar -xO bulk/file | sha256sum | cut -d' ' -f1)
is "$(output "$run_app")" "first
$sum  -
new" "a container runs, has its files and may change them"
is "$(output "$run_debian")" "docker.io installed" "so does one of Debian"
is "$(output "$run_edges")" "first again
beside its own whiteout" "one of odd layers, too"
is "$(output "$unit")" "first" "a unit runs one"
like "$(output "$web")" '^Running .* team/app:1$' "and a service of the swarm"
like "$(output 'ingot-agent status')" '^containers +docker: 3 images, 0 missing' "the agent knows them"
size=$(output 'du -xsk /var/lib/docker/overlay2 | cut -f1')
if [ "$size" -lt 5000 ]; then ok "nothing was copied"; else not_ok "nothing was copied" "$size kB below /var/lib/docker/overlay2"; fi

# ---- the second boot -------------------------------------------------------------------------------------
boot "it boots again" "$with" --keep disk --run "$images" --run "$run_app" --run "until $web | grep Running; do sleep 1; done" \
    --run "ingot-agent status" --run "$agent"
note "again:   healthy $(seconds healthy) s, joined $(seconds joined) s"
is "$(output "$images" | grep -c .)" 3 "the images are there"
is "$(output "$run_app" | sed -n 2p)" "$sum  -" "as they were"
like "$(output "until $web | grep Running; do sleep 1; done")" '^Running .* team/app:1$' "the service runs again"
rm -rf disk

# ---- a flipped bit -----------------------------------------------------------------------------------------
cp --sparse=always "$with" damaged.raw
zcat "app/blobs/sha256/${layers#*:}" | tar -xO bulk/file >noise
flip='
import mmap, sys
wanted = open(sys.argv[2], "rb").read()[8192:12288]
with open(sys.argv[1], "r+b") as file, mmap.mmap(file.fileno(), 0) as disk:
    at = disk.find(wanted)
    if at < 0 or disk.find(wanted, at + 1) >= 0:
        sys.exit("the bytes are not there, or twice")
    disk[at + 100] ^= 4
print(at)'
run_ok "bytes of a layer are on the disk, once" python3 -c "$flip" damaged.raw noise
unshare --net "$INGOT" -q boot --headless --console console.log --run "$run_app" damaged.raw >damaged.log 2>&1 &
machine=$!
on_exit sh -c 'kill "$1" 2>/dev/null' sh "$machine"
refused() { grep -aq 'device-mapper: verity.*corrupted' console.log; }
restarted() { [ "$(grep -ac 'Linux version' console.log)" -gt 1 ]; }
if wait_for 400 refused; then ok "a flipped bit in it is refused"; else not_ok "a flipped bit in it is refused" "$(tail -5 damaged.log console.log)"; fi
if wait_for 120 restarted; then ok "and the machine restarts"; else not_ok "and the machine restarts" "$(tail -20 console.log)"; fi
unlike "$(cat damaged.log)" "$sum" "nobody got the wrong bytes"
kill -INT "$machine"
wait "$machine" || true

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The store that the agent writes for containerd, read by the real one: the host's, and that of Debian trixie. All of it in
# namespaces of its own. Needs root.
# shellcheck source=tests/lib.sh
if [ -z "${CONTAINERD_STORE_INSIDE:-}" ]; then
    [ "$(id -u)" = 0 ] || { echo "1..0 # SKIP needs root"; exit 0; }
    exec unshare --mount --pid --net --ipc --uts --fork --kill-child --mount-proc \
        env CONTAINERD_STORE_INSIDE=1 "$0" "$@"
fi
. "${0%/*}/../lib.sh"
requires containerd ctr runc skopeo umoci busybox getfattr jq docker-registry
/usr/bin/python3 -c 'import grpc' 2>/dev/null || bail "python3-grpcio is missing"
. "$top/tests/containerlib.sh"
agent=$top/build/ingot-agent
images=registry.example.com/team
ip link set lo up

# ---- a machine: /usr/share/ingot/containers, /var/lib/containerd, /var/lib/ingot, /run ---------------------------
mount --make-rprivate /
if mountpoint -q /sys/fs/cgroup; then umount -R -l /sys/fs/cgroup; fi
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs tmpfs /run
mkdir -p "$tmp"/{share/up,share/work,containers} /run/user
mount -t tmpfs tmpfs "$tmp/share"
mkdir -p "$tmp"/share/{up,work}
mount -t overlay -o "lowerdir=/usr/share,upperdir=$tmp/share/up,workdir=$tmp/share/work" overlay /usr/share
mkdir -p /usr/share/ingot/containers /var/lib/containerd /var/lib/ingot /etc/containerd

# root_has FOLDER: this is what the image has now, read-only.
root_has() {
    umount /usr/share/ingot/containers 2>/dev/null || true
    mount --bind "$1" /usr/share/ingot/containers
    mount -o remount,bind,ro /usr/share/ingot/containers
}

# machine_new NAME: nothing was ever started on it.
machine_new() {
    local folder
    for folder in lib/containerd lib/ingot; do
        umount "/var/$folder" 2>/dev/null || true
        mkdir -p "$tmp/$1/$folder"
        mount --bind "$tmp/$1/$folder" "/var/$folder"
    done
    umount /etc/containerd 2>/dev/null || true
    mount -t tmpfs tmpfs /etc/containerd
    cat >/etc/containerd/config.toml <<EOF
version = 2
[debug]
  level = "debug"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "$images/pause:1"
  [plugins."io.containerd.grpc.v1.cri".cni]
    conf_dir = "/etc/containerd/none"
EOF
}

# ---- the two engines ---------------------------------------------------------------------------------------------
# trixie_root: a tree with containerd of Debian trixie, from the cache of packages or by mmdebstrap.
trixie_root() {
    local kept layer
    kept=$(container_kept containerd-trixie)
    if [ ! -e "$kept/complete" ]; then
        rm -rf "$kept/root"
        mkdir -p "$kept/root"
        for layer in "${INGOT_CACHE:-/var/cache/ingot}"/packages/*/layer.tar; do
            grep -qs '/usr/bin/containerd"\|usr/bin/containerd ' "${layer%.tar}.index" || continue
            tar -xf "$layer" -C "$kept/root" --wildcards ./lib ./lib64 './usr/lib64*' './usr/lib/*-linux-gnu/*' \
                './usr/bin/containerd*' ./usr/bin/ctr './usr/*bin/runc' 2>/dev/null || continue
            [ ! -x "$kept/root/usr/bin/containerd" ] || break
        done
        if [ ! -x "$kept/root/usr/bin/containerd" ]; then
            requires mmdebstrap
            rm -rf "$kept/root"
            mmdebstrap --quiet --variant=extract --include=containerd,runc,libc6 trixie "$kept/root" || bail "get containerd of trixie"
        fi
        touch "$kept/complete"
    fi
    echo "$kept/root"
}

in_engine() { "$@"; } # runs a program of the engine under test
engine_use() {
    local folder
    engine=$1
    [ "$engine" = trixie ] || return 0
    trixie=$(trixie_root)
    mkdir -p "$trixie"/{proc,sys,dev,run,tmp,etc/containerd,var/lib/containerd,usr/share/ingot/containers,usr/sbin}
    [ -e "$trixie/usr/sbin/runc" ] || ln -s ../bin/runc "$trixie/usr/sbin/runc"
    for folder in proc sys dev; do mount --rbind "/$folder" "$trixie/$folder"; done
    in_engine() { PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot "$trixie" "$@"; }
}
engine_mounts() {
    local folder
    [ "$engine" = trixie ] || return 0
    for folder in run tmp etc/containerd var/lib/containerd usr/share/ingot/containers; do
        umount -R "$trixie/$folder" 2>/dev/null || true
        mount --rbind "/$folder" "$trixie/$folder"
    done
}

# shellcheck disable=SC2317
ctr() { timeout 60 env -- PATH="$PATH" bash -c 'exec "$@"' - "${chroot[@]}" ctr -n k8s.io "$@"; }
cri() { timeout 120 "$top/tests/build/cri" /run/containerd/containerd.sock "$@"; }
containerd_pid=""
start() {
    engine_mounts
    chroot=()
    [ "$engine" != trixie ] || chroot=(chroot "$trixie")
    : >"$tmp/containerd.log"
    in_engine containerd >"$tmp/containerd.log" 2>&1 &
    containerd_pid=$!
    for _ in $(seq 100); do
        if [ -S /run/containerd/containerd.sock ] && ctr version >/dev/null 2>&1; then return 0; fi
        kill -0 "$containerd_pid" 2>/dev/null || break
        sleep 0.1
    done
    note "$(tail -n 20 "$tmp/containerd.log")"
    bail "containerd of $engine starts"
}
stop() {
    [ -n "$containerd_pid" ] || return 0
    kill "$containerd_pid"
    wait "$containerd_pid" 2>/dev/null || true
    containerd_pid=""
}
on_exit stop
# The collector runs once, a moment after the start.
collected() {
    for _ in $(seq 100); do
        ! grep -q 'garbage collect' "$tmp/containerd.log" || { sleep 0.3; return 0; }
        sleep 0.1
    done
    return 1
}
snapshots() { find /var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots -mindepth 1 -maxdepth 1 | wc -l; }
databases() { sha256sum /var/lib/containerd/io.containerd.metadata.v1.bolt/meta.db /var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/metadata.db; }
told() { jq -r ".engines.containerd.$1" /run/ingot/containers.json; }

# tree FOLDER: all that can be seen of it, without times of folders (an overlay's are those of its layers).
tree() {
    (
        cd "$1"
        find . -printf '%P %y %m %U %G %l %n\n' | sort
        find . -type f -print0 | sort -z | xargs -0 -r sha256sum
        find . ! -type l -print0 | sort -z | xargs -0 -r getfattr --absolute-names -h -d -m '^(security|user)\.' 2>/dev/null
    )
}

# ---- images ------------------------------------------------------------------------------------------------------
container_image busybox pause cmd='sleep 1000'
container_image edges edges
container_image deep deep layers=40
container_image bulk bulk size=100000 content=noise seed=bulk
container_image busybox multi platforms=yes media=docker seed=multi
layouts=(pause edges deep multi)
export INGOT INGOT_CACHE=${INGOT_CACHE:-/var/cache/ingot}
"$top/tests/preload" "$tmp/first" "$tmp/pause=$images/pause:1" "$tmp/edges=$images/edges:2" "$tmp/deep=$images/deep:3" "$tmp/multi=docker.io/library/multi:latest" || bail "lay images out"
cp -a "$tmp/first.cache" "$tmp/second.cache"
"$top/tests/preload" "$tmp/second" "$tmp/pause=$images/pause:1" "$tmp/bulk=$images/bulk:5" || bail "lay other images out"
layer_count=$(find "$tmp/first/layers" -mindepth 1 -maxdepth 1 | wc -l)
for layout in "${layouts[@]}"; do
    skopeo copy -q "oci:$tmp/$layout" "oci:$tmp/flat:$layout" || bail "copy $layout"
    umoci --log=error unpack --image "$tmp/flat:$layout" "$tmp/unpacked-$layout" >/dev/null || bail "unpack $layout"
    tree "$tmp/unpacked-$layout/rootfs" >"$tmp/$layout.want"
done
reference() {
    case $1 in
    pause) echo "$images/pause:1" ;;
    edges) echo "$images/edges:2" ;;
    deep) echo "$images/deep:3" ;;
    multi) echo "docker.io/library/multi:latest" ;;
    esac
}
tree "$tmp/first" >"$tmp/first.before"

suite() {
    local layout ref before id pinned
    engine_use "$1"
    root_has "$tmp/first"
    machine_new "machine-$engine"

    run_ok "$engine: the agent writes the store" "$agent" containers
    is "$(told 'images, .engines.containerd.fallback')" $'4\nfalse' "$engine: with all images"
    before=$(databases)
    run_ok "$engine: once more" "$agent" containers
    is "$(told written)" 0 "$engine: and nothing was to be written"
    is "$(databases)" "$before" "$engine: the databases are the same"

    start
    run_ok "$engine: images are listed" ctr images ls -q
    for layout in "${layouts[@]}"; do like "$out" "^$(reference "$layout")\$" "$engine: $layout is there"; done
    id=$(jq -r .config.digest "$tmp/pause/blobs/$(container_digest "$tmp/pause" | tr : /)")
    like "$out" "^$id\$" "$engine: an image by its ID"
    like "$out" "^$images/pause@$(container_digest "$tmp/pause")\$" "$engine: an image by its digest"
    run_ok "$engine: images are checked" ctr images check
    is "$(grep -c 'incomplete (2/.*true' <<<"$out")" "$(grep -vc '^REF' <<<"$out")" "$engine: unpacked, all of them, and only layers are not content"
    collected || not_ok "$engine: the collector ran"
    run_ok "$engine: after the collector ran" ctr images check
    is "$(grep -c 'true *$' <<<"$out")" 12 "$engine: all images are still there"
    is "$(snapshots)" "$(jq '[.images[].layers | length] | add' "$tmp/first/images.json" | cat)" "$engine: and their snapshots" || true

    for layout in "${layouts[@]}"; do
        ref=$(reference "$layout")
        mkdir -p "$tmp/mounted"
        run_ok "$engine: $layout is mounted" ctr images mount "$ref" "$tmp/mounted"
        tree "$tmp/mounted" >"$tmp/$layout.got" || true
        is "$(diff "$tmp/$layout.want" "$tmp/$layout.got" | head -n 20)" "" "$engine: $layout is what umoci unpacks"
        ctr images unmount --rm "$tmp/mounted" >/dev/null || not_ok "$engine: $layout is unmounted"
        run_ok "$engine: $layout runs, and writes" ctr run --rm --cgroup "" "$ref" "run-$layout" /bin/sh -c 'echo hello >/new && rm -rf /etc && ls /'
        like "$out" '^new$' "$engine: $layout wrote"
    done
    tree "$tmp/first" >"$tmp/first.after"
    is "$(diff "$tmp/first.before" "$tmp/first.after")" "" "$engine: no layer has changed"

    cri_suite
    user_suite
    update_suite
    stop
}

cri_suite() {
    run_ok "$engine: CRI lists images" cri images
    is "$(jq -rs 'length' <<<"$out")" 4 "$engine: four of them"
    like "$out" "\"tags\": \[\"$images/deep:3\"\]" "$engine: with their tags"
    like "$out" "\"digests\": \[\"$images/deep@sha256:" "$engine: and digests"
    # CRI reports pinned images from 1.7 on.
    pinned=$([ "$engine" = trixie ] && echo 4 || echo 0)
    is "$(jq -rs 'map(select(.pinned)) | length' <<<"$out")" "$pinned" "$engine: $pinned of them pinned"
    run_ok "$engine: CRI finds an image by tag" cri status "$images/edges:2"
    run_ok "$engine: by ID" cri status "$(jq -r .id <<<"$out")"
    run_ok "$engine: by digest" cri status "$(jq -r '.digests[0]' <<<"$out")"
    run_ok "$engine: a pod runs, sandbox and container from preloaded images" cri pod "pod-$engine" "$images/deep:3" sh -c 'echo out; touch /written; ls /deep | wc -l'
    like "$out" '^out$' "$engine: its command runs"
}

# The user pulls an image that stands on layers of ours.
user_suite() {
    local before
    registry_start plain none
    skopeo copy -q "oci:$tmp/deep" "oci:$tmp/mine:latest"
    umoci --log=error unpack --image "$tmp/mine:latest" "$tmp/mine-$engine" >/dev/null
    echo mine >"$tmp/mine-$engine/rootfs/mine"
    umoci --log=error repack --image "$tmp/mine:latest" "$tmp/mine-$engine" || bail "make an image on top of ours"
    skopeo copy -q --dest-tls-verify=false "oci:$tmp/mine:latest" "docker://${registry[plain]}/user/mine:1" || bail "push it"
    user=${registry[plain]}/user/mine:1
    before=$(snapshots)
    run_ok "$engine: the user pulls an image on top of ours" ctr images pull --plain-http "$user"
    is "$(snapshots)" $((before + 1)) "$engine: only its own layer is unpacked"
    run_ok "$engine: it runs" ctr run --rm --cgroup "" "$user" mine /bin/cat /mine
    is "$out" mine "$engine: with its own file"
    run_ok "$engine: the user tags one of ours" ctr images tag "$images/pause:1" example.com/tagged:1
    stop
    before=$(databases)
    run_ok "$engine: the agent runs again" "$agent" containers
    is "$(told written)" 0 "$engine: and has nothing to do"
    is "$(databases)" "$before" "$engine: the databases are the user's, untouched"

    start
    run_ok "$engine: an image of ours is removed" ctr images rm --sync "$images/edges:2" "$images/edges@$(container_digest "$tmp/edges")" "$(jq -r .config.digest "$tmp/edges/blobs/$(container_digest "$tmp/edges" | tr : /)")"
    tree "$tmp/first" >"$tmp/first.after"
    is "$(diff "$tmp/first.before" "$tmp/first.after")" "" "$engine: its layers stay in the root"
    like "$(ctr snapshots ls | wc -l)" '^[0-9]+$' "$engine: snapshots are listed"
    stop
    run_ok "$engine: the next boot" "$agent" containers
    start
    run_ok "$engine: brings it back" ctr run --rm --cgroup "" "$images/edges:2" back /bin/true
    stop
}

# A new image of the machine: pause stays, bulk is new, the others are gone; and with deep what the user's stands on.
update_suite() {
    root_has "$tmp/second"
    start
    ctr run -d --cgroup "" "$user" left /bin/sleep 1000 || not_ok "$engine: a container of the user runs" # its layers are gone already: it cannot
    stop
    run_ok "$engine: the agent after an update" "$agent" containers
    is "$(told 'images')" 2 "$engine: has the new images"
    like "$(told 'removed[]')" "^$images/deep:3\$" "$engine: an old one is gone"
    like "$(told 'missing[]')" "^$user: " "$engine: what stood on it is told"
    start
    collected || not_ok "$engine: the collector ran"
    run_ok "$engine: images after the update" ctr images ls -q
    is "$(grep -v '@\|^sha256:' <<<"$out" | sort | tr '\n' ' ')" "example.com/tagged:1 $images/bulk:5 $images/pause:1 " "$engine: the new ones, and the user's tag"
    run_ok "$engine: the new one runs" ctr run --rm --cgroup "" "$images/bulk:5" bulk /bin/true
    is "$(find -L /var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots -maxdepth 2 -name fs -type l)" "" "$engine: no snapshot leads nowhere"
    run_ok "$engine: the user pulls the lost image again" ctr images pull --plain-http "$user"
    run_ok "$engine: and it runs" ctr run --rm --cgroup "" "$user" again /bin/cat /mine
    registry_stop plain
}

suite host
suite trixie
tap_done=1

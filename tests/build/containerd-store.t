#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The store that the agent writes for containerd, read by the real one: the host's, and that of Debian trixie. All of it in
# namespaces of its own. Needs root.
# shellcheck source=tests/lib.sh disable=SC2154  # what containerlib.sh sets
# Debian trixie's engine: taken out of the cache of packages, or by mmdebstrap; kept for the next run.
fetch_trixie() {
    local kept=$1 layer
    [ ! -e "$kept/complete" ] || return 0
    for layer in "${INGOT_CACHE:-/var/cache/ingot}"/packages/*/layer.tar; do
        grep -qs '^f [0-9]* 755 .* containerd-shim-runc-v2 ' "${layer%.tar}.index" || continue
        rm -rf "$kept/root" && mkdir -p "$kept/root"
        tar -xf "$layer" -C "$kept/root" --wildcards ./lib ./lib64 './usr/lib64*' './usr/lib/*-linux-gnu/*' \
            './usr/bin/containerd*' ./usr/bin/ctr './usr/*bin/runc' 2>/dev/null || continue
        case $(chroot "$kept/root" /usr/bin/containerd --version 2>/dev/null) in
        *' 1.7.'*) touch "$kept/complete" && return 0 ;;
        esac
    done
    # The links of merged /usr are made by scripts of packages, which are not run here.
    rm -rf "$kept/root" && mkdir -p "$kept"
    mmdebstrap --quiet --variant=extract --include=containerd,runc,libc6 \
        --setup-hook='mkdir -p "$1/usr/lib" "$1/usr/lib64" && ln -s usr/lib usr/lib64 "$1/"' trixie "$kept/root" >&2 &&
        chroot "$kept/root" /usr/bin/containerd --version >&2 && touch "$kept/complete"
}

if [ -z "${CONTAINERD_STORE_INSIDE:-}" ]; then
    [ "$(id -u)" = 0 ] || { echo "1..0 # SKIP needs root"; exit 0; }
    CONTAINERD_TRIXIE=$(cd "${0%/*}/../.." && pwd)/build/containers/containerd-trixie
    fetch_trixie "$CONTAINERD_TRIXIE" || { echo "Bail out! cannot get containerd of Debian trixie"; exit 1; }
    export CONTAINERD_TRIXIE CONTAINERD_STORE_INSIDE=1
    exec unshare --mount --pid --net --ipc --uts --fork --kill-child --mount-proc "$0" "$@"
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
on_exit unmount_all
unmount_all() {
    local folder
    # shellcheck disable=SC2317
    grep -o " $tmp/[^ ]*\\| $top/build/containers/[^ ]*" /proc/self/mounts | sort -r | while read -r folder; do umount -l "$folder"; done
}
mountpoint -q /sys/fs/cgroup || mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs tmpfs /run
mkdir -p "$tmp"/{share,containers} /run/user
mount -t tmpfs tmpfs "$tmp/share"
mkdir -p "$tmp"/share/{up,work}
mount -t overlay -o "lowerdir=/usr/share,upperdir=$tmp/share/up,workdir=$tmp/share/work" overlay /usr/share
mount -t tmpfs tmpfs "$tmp/containers"
# The machine's own folders are not seen from here, and not made.
mkdir -p "$tmp"/containers/{up,work}
mount -t overlay -o "lowerdir=/var/lib,upperdir=$tmp/containers/up,workdir=$tmp/containers/work" overlay /var/lib
mkdir -p /usr/share/ingot/containers /var/lib/containerd /var/lib/ingot

# root_has FOLDER: this is what the image has now, read-only.
root_has() {
    umount /usr/share/ingot/containers 2>/dev/null || true
    mount --bind "$1" /usr/share/ingot/containers
    mount -o remount,bind,ro /usr/share/ingot/containers
}

# machine_new NAME: nothing was ever started on it.
machine_new() {
    local folder
    for folder in lib/containerd lib/ingot lib/docker; do
        umount "/var/$folder" 2>/dev/null || true
        mkdir -p "$tmp/$1/$folder"
        mkdir -p "/var/$folder"
        mount --bind "$tmp/$1/$folder" "/var/$folder"
    done
    umount /etc/containerd 2>/dev/null || true
    mount -t tmpfs tmpfs /etc/containerd
    cat >/etc/containerd/config.toml <<EOF
version = 2
[debug]
  level = "trace"
[plugins."io.containerd.grpc.v1.cri"]
  restrict_oom_score_adj = true
  sandbox_image = "$images/pause:1"
  [plugins."io.containerd.grpc.v1.cri".cni]
    conf_dir = "/etc/containerd/none"
EOF
}

# ---- the two engines ---------------------------------------------------------------------------------------------
enter=(env) view="" # how programs of the engine under test run, and where its mounts are seen
engine_use() {
    local folder
    engine=$1
    enter=(env) view=""
    [ "$engine" = trixie ] || return 0
    trixie=$CONTAINERD_TRIXIE/root
    mkdir -p "$trixie"/{proc,sys,dev,run,tmp,etc/containerd,var/lib/containerd,usr/share/ingot/containers,usr/sbin}
    [ -e "$trixie/usr/sbin/runc" ] || ln -s ../bin/runc "$trixie/usr/sbin/runc"
    : >"$trixie/etc/resolv.conf"
    cp /etc/hosts /etc/passwd /etc/group "$trixie/etc/"
    mount --bind "$trixie" "$trixie"
    for folder in proc sys dev; do mount --rbind "/$folder" "$trixie/$folder"; done
    mkdir -p "$trixie/outside"
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
ctr() { timeout 60 "${enter[@]}" ctr -n k8s.io "$@"; }
cri() { timeout 120 "$top/tests/build/cri" /run/containerd/containerd.sock "$@"; }
containerd_pid=""
start() {
    engine_mounts
    : >"$tmp/containerd.log"
    if [ "$engine" = trixie ]; then
        # A root of its own, not chroot: runc enters namespaces, whose root that must be.
        unshare --mount --propagation private sh -c 'cd "$1" && pivot_root . outside && cd / && exec containerd' \
            - "$trixie" >"$tmp/containerd.log" 2>&1 &
        containerd_pid=$!
        enter=(nsenter "--mount=/proc/$containerd_pid/ns/mnt" --wd=/)
        view=/proc/$containerd_pid/root
    else
        containerd >"$tmp/containerd.log" 2>&1 &
        containerd_pid=$!
    fi
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
        find . -printf '%P %y %m %U %G %l\n' | sort
        # Hard links: each file with the first of its names.
        find . -type f -printf '%i %P\n' | sort -k 2 | awk '{ i = $1; sub(/^[^ ]* /, ""); if (i in first) print first[i] " = " $0; else first[i] = $0 }'
        find . -type f -print0 | sort -z | xargs -0 -r sha256sum
        find . ! -type l -print0 | sort -z | xargs -0 -r getfattr --absolute-names -h -d -m '^(security|user)\.' 2>/dev/null
    )
}

# ---- images ------------------------------------------------------------------------------------------------------
container_image busybox pause cmd='sleep 1000'
container_image features features
container_image deep deep layers=127
container_image edges edges # has a layer twice; umoci cannot unpack it
container_image bulk bulk size=100000 content=noise seed=bulk
container_image busybox multi platforms=yes media=docker seed=multi
layouts=(pause features deep multi)
export INGOT INGOT_CACHE=${INGOT_CACHE:-/var/cache/ingot}
"$top/tests/preload" "$tmp/first" "$tmp/pause=$images/pause:1" "$tmp/features=$images/features:2" "$tmp/deep=$images/deep:3" "$tmp/multi=docker.io/library/multi:latest" "$tmp/edges=$images/edges:4" || bail "lay images out"
cp -a "$tmp/first.cache" "$tmp/second.cache"
"$top/tests/preload" "$tmp/second" "$tmp/pause=$images/pause:1" "$tmp/bulk=$images/bulk:5" || bail "lay other images out"
for layout in "${layouts[@]}"; do
    skopeo copy -q "oci:$tmp/$layout" "oci:$tmp/flat:$layout" || bail "copy $layout"
    umoci --log=error unpack --image "$tmp/flat:$layout" "$tmp/unpacked-$layout" >/dev/null || bail "unpack $layout"
    tree "$tmp/unpacked-$layout/rootfs" >"$tmp/$layout.want"
done
reference() {
    case $1 in
    pause) echo "$images/pause:1" ;;
    features) echo "$images/features:2" ;;
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
    is "$(told 'images, .engines.containerd.fallback')" $'5\nfalse' "$engine: with all images"
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
    is "$(grep -c 'incomplete (1/.*true *$' <<<"$out")" "$(grep -vc '^REF' <<<"$out")" "$engine: unpacked, all of them, and only layers are not content"
    collected || not_ok "$engine: the collector ran"
    run_ok "$engine: after the collector ran" ctr images check
    is "$(grep -c 'true *$' <<<"$out")" 15 "$engine: all images are still there"
    is "$(snapshots)" "$(jq '[.images[].layers as $l | range(1; ($l | length) + 1) | $l[:.]] | unique | length' "$tmp/first/images.json")" "$engine: and their snapshots"

    for layout in "${layouts[@]}"; do
        ref=$(reference "$layout")
        mkdir -p "$tmp/mounted"
        run_ok "$engine: $layout is mounted" ctr images mount "$ref" "$tmp/mounted"
        tree "$view$tmp/mounted" >"$tmp/$layout.got" || true
        is "$(diff "$tmp/$layout.want" "$tmp/$layout.got" | head -n 20)" "" "$engine: $layout is what umoci unpacks"
        ctr images unmount --rm "$tmp/mounted" >/dev/null || not_ok "$engine: $layout is unmounted"
        run_ok "$engine: $layout runs, and writes" ctr run --rm "$ref" "run-$layout" /bin/sh -c 'echo hello >/new && rm -rf /etc && ls /'
        like "$out" '^new$' "$engine: $layout wrote"
    done
    run_ok "$engine: an image that has a layer twice runs" ctr run --rm "$images/edges:4" run-edges /bin/true
    tree "$tmp/first" >"$tmp/first.after"
    is "$(diff "$tmp/first.before" "$tmp/first.after")" "" "$engine: no layer has changed"

    cri_suite
    user_suite
    update_suite
    stop
}

cri_suite() {
    run_ok "$engine: CRI lists images" cri images
    is "$(jq -rs 'length' <<<"$out")" 5 "$engine: five of them"
    like "$out" "\"tags\": \[\"$images/deep:3\"\]" "$engine: with their tags"
    like "$out" "\"digests\": \[\"$images/deep@sha256:" "$engine: and digests"
    # CRI reports pinned images from 1.7 on.
    pinned=$([ "$engine" = trixie ] && echo 5 || echo 0)
    is "$(jq -rs 'map(select(.pinned)) | length' <<<"$out")" "$pinned" "$engine: $pinned of them pinned"
    run_ok "$engine: CRI finds an image by tag" cri status "$images/features:2"
    run_ok "$engine: by ID" cri status "$(jq -r .id <<<"$out")"
    run_ok "$engine: by digest" cri status "$(jq -r '.digests[0]' <<<"$out")"
    run_ok "$engine: a pod runs, sandbox and container from preloaded images" cri pod "pod-$engine" "$images/deep:3" sh -c 'echo out; touch /written; ls /deep | wc -l'
    like "$out" '^out$' "$engine: its command runs"
}

# user_image BASE FOLDER NAME: an image on top of one of ours, in the registry.
user_image() {
    skopeo copy -q "oci:$tmp/$1" "oci:$tmp/$2:latest"
    umoci --log=error unpack --image "$tmp/$2:latest" "$tmp/$2.d" >/dev/null
    echo mine >"$tmp/$2.d/rootfs/mine"
    umoci --log=error repack --image "$tmp/$2:latest" "$tmp/$2.d" || bail "make an image on top of ours"
    skopeo copy -q --dest-tls-verify=false "oci:$tmp/$2:latest" "docker://$3" || bail "push it"
}

# The user pulls an image that stands on layers of ours.
user_suite() {
    local before
    registry_start plain none
    user=${registry[plain]}/user/mine:1 pulled=${registry[plain]}/user/pulled:1
    user_image deep "mine-$engine" "$user"
    user_image features "pulled-$engine" "$pulled"
    before=$(snapshots)
    run_ok "$engine: the user pulls an image on top of ours" ctr images pull --plain-http "$user"
    is "$(snapshots)" $((before + 1)) "$engine: only its own layer is unpacked"
    run_ok "$engine: it runs" ctr run --rm "$user" mine /bin/cat /mine
    is "$out" mine "$engine: with its own file"
    run_ok "$engine: the kubelet pulls another" cri pull "$pulled"
    run_ok "$engine: the user tags one of ours" ctr images tag "$images/pause:1" example.com/tagged:1
    stop
    before=$(databases)
    run_ok "$engine: the agent runs again" "$agent" containers
    is "$(told written)" 0 "$engine: and has nothing to do"
    is "$(databases)" "$before" "$engine: the databases are the user's, untouched"

    start
    run_ok "$engine: an image of ours is removed" ctr images rm --sync "$images/features:2" "$images/features@$(container_digest "$tmp/features")" "$(jq -r .config.digest "$tmp/features/blobs/$(container_digest "$tmp/features" | tr : /)")"
    tree "$tmp/first" >"$tmp/first.after"
    is "$(diff "$tmp/first.before" "$tmp/first.after")" "" "$engine: its layers stay in the root"
    like "$(ctr snapshots ls | wc -l)" '^[0-9]+$' "$engine: snapshots are listed"
    stop
    run_ok "$engine: the next boot" "$agent" containers
    start
    run_ok "$engine: brings it back" ctr run --rm "$images/features:2" back /bin/true
    run_ok "$engine: a container of the user's image" ctr run -d "$user" left /bin/sleep 1000
    ctr tasks kill -s KILL left || not_ok "$engine: it ends"
    stop
}

# A new image of the machine: pause stays, bulk is new, the others are gone; and with deep what the user's stands on.
update_suite() {
    root_has "$tmp/second"
    run_ok "$engine: the agent after an update" "$agent" containers
    is "$(told 'images')" 2 "$engine: has the new images"
    like "$(told 'removed[]')" "^$images/deep:3\$" "$engine: an old one is gone"
    like "$(told 'missing[]')" "^$pulled: " "$engine: what stood on it is told"
    is "$(told 'missing | length')" 2 "$engine: also by digest, and no other"
    start
    collected || not_ok "$engine: the collector ran"
    run_ok "$engine: images after the update" ctr images ls -q
    is "$(grep -v '@\|^sha256:' <<<"$out" | sort | tr '\n' ' ')" "example.com/tagged:1 $user $images/bulk:5 $images/pause:1 " "$engine: the new ones, the user's tag, and the user's image that is complete"
    run_ok "$engine: the new one runs" ctr run --rm "$images/bulk:5" bulk /bin/true
    run_ok "$engine: CRI unpacks the complete one anew" cri pod "again-$engine" "$user" cat /mine
    is "$out" mine "$engine: and runs it"
    run_ok "$engine: the kubelet pulls the other one again" cri pull "$pulled"
    run_ok "$engine: and it runs" cri pod "pulled-$engine" "$pulled" cat /mine
    run_ok "$engine: the dead container is removed" ctr containers rm left
    run_ok "$engine: the collector runs" ctr images rm --sync example.com/tagged:1
    is "$(find -L /var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots -maxdepth 2 -name fs -type l)" "" "$engine: no snapshot leads nowhere"
    registry_stop plain
}

# What a crash, a power cut or an administrator leaves.
repair_suite() {
    local store=/var/lib/containerd meta overlay count damaged
    engine_use host
    meta=$store/io.containerd.metadata.v1.bolt/meta.db overlay=$store/io.containerd.snapshotter.v1.overlayfs
    root_has "$tmp/first"
    machine_new repair
    run_ok "repair: a store" "$agent" containers
    count=$(snapshots)
    rm "$meta"
    run_ok "repair: the agent was killed between the two databases" "$agent" containers
    is "$(snapshots)" "$count" "repair: it goes on where it was"
    rm -r "$overlay"/snapshots/[1-5]
    ln -sfn /usr/share/ingot/containers/layers/none "$overlay/snapshots/6/fs"
    for damaged in "$store"/io.containerd.content.v1.content/blobs/sha256/*; do : >"$damaged"; done
    run_ok "repair: files are lost" "$agent" containers
    start
    run_ok "repair: images are checked" ctr images check
    is "$(grep -c 'true *$' <<<"$out")" 15 "repair: all are there"
    run_ok "repair: one runs" ctr run --rm "$images/deep:3" one /bin/true
    # containerd may write at any time, but the files are its own.
    before=$(stat -c %i "$meta" "$overlay/metadata.db")
    run_status 1 "repair: the agent while containerd runs" "$agent" containers
    like "$err" 'containerd runs' "repair: says that it does"
    is "$(stat -c %i "$meta" "$overlay/metadata.db")" "$before" "repair: and replaces nothing"
    stop
    for damaged in meta overlay; do
        [ "$damaged" = meta ] || meta=$overlay/metadata.db
        cp "$meta" "$tmp/whole.db"
        printf 'no database at all' | dd of="$meta" conv=notrunc bs=4096 seek=3 status=none
        dd if=/dev/zero of="$meta" conv=notrunc bs=4096 count=2 status=none
        before=$(databases)
        run_ok "repair: a damaged database ($damaged)" "$agent" containers
        is "$(told fallback)" true "repair: is for others to repair"
        is "$(databases)" "$before" "repair: and is not touched"
        cp "$tmp/whole.db" "$meta"
    done
}

# A containerd that keeps its images in another way gets them when it runs.
fallback_suite() {
    engine_use host
    root_has "$tmp/first"
    machine_new fallback
    cat >>/etc/containerd/config.toml <<EOF
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "native"
EOF
    run_ok "fallback: another snapshotter" "$agent" containers
    is "$(told fallback)" true "fallback: images are to be loaded"
    like "$(told why)" "sets snapshotter to 'native'" "fallback: and why"
    is "$(find /var/lib/containerd -mindepth 1)" "" "fallback: nothing is written"
    start
    run_ok "fallback: they are" "$agent" containers --load
    is "$(told 'images, .engines.containerd.written')" $'5\n5' "fallback: all of them"
    run_ok "fallback: one runs" ctr run --rm "$images/features:2" one /bin/true
    like "$(ctr images ls)" "^$images/deep:3 .*io.cri-containerd.pinned=pinned" "fallback: they are pinned"
    run_ok "fallback: once more" "$agent" containers --load
    is "$(told 'images, .engines.containerd.written')" $'5\n0' "fallback: and nothing was to be loaded"
    stop
}

case ${1:-all} in
all) suite host && suite trixie && repair_suite && fallback_suite ;;
host | trixie) suite "$1" ;;
*) "$1_suite" ;;
esac
tap_done=1

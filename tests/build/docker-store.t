#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Preloaded containers in real Docker Engines: this machine's and Debian trixie's. What the builder puts into an image
# is made here by another hand (tests/fake/containers); the agent writes the store, the engine must be happy with it.
. "${0%/*}/../dockerlib.sh"
enter_namespaces "$0" 1200 trixie
. "${0%/*}/../lib.sh"
. "$top/tests/containerlib.sh"
requires dockerd jq python3 ip
agent=${INGOT%/*}/ingot-agent
[ -x "$agent" ] || bail "$agent is not built"
PATH=$PATH:/usr/sbin:/sbin
ip link set lo up
registry_start plain none
hub=${registry[plain]}
app=$hub/team/app:1.4
far=registry.example.com/far

docker() { engine_docker "$@"; }
in_image() { docker run --rm --network none "$@"; }
field() { docker inspect --format "$2" "$1"; }
# Everything that can be said about the read-only layers, contents too.
layers_sum() {
    (cd "$root/usr/share/ingot/containers" &&
        find . -printf '%p %y %m %U %G %T@ %n %l %s\n' | sort && find . -type f -exec sha256sum {} + | sort) | sha256sum
}
# boot: what happens before the engine starts.
boot() { "$agent" containers --root="$root"; }
# containers ARGUMENT...: what the image has.
containers() {
    rm -rf "$root/usr/share/ingot/containers" "$tmp/layout"
    "$top/tests/fake/containers" "$root/usr/share/ingot/containers" --layout "$tmp/layout" "$@"
}

# ---- layers of an image --------------------------------------------------------------------------
mkdir -p "$tmp/one/bin" "$tmp/one/etc/old" "$tmp/one/tmp" "$tmp/one/data" "$tmp/two/etc/old" "$tmp/two/opt" \
    "$tmp/three/srv" "$tmp/four/etc"
cp "$(command -v busybox)" "$tmp/one/bin/"
for applet in sh ls cat echo sleep touch id stat sha256sum find rm true; do ln -s busybox "$tmp/one/bin/$applet"; done
echo one >"$tmp/one/etc/one"
echo gone >"$tmp/one/etc/gone"
echo old >"$tmp/one/etc/old/file"
ln "$tmp/one/etc/one" "$tmp/one/tmp/hard"
chmod 1777 "$tmp/one/tmp"
head -c 300000 /dev/urandom >"$tmp/one/data/noise"
: >"$tmp/one/data/empty"
mknod "$tmp/one/data/null" c 1 3
mkfifo "$tmp/one/data/fifo"
touch "$tmp/two/etc/.wh.gone" "$tmp/two/etc/old/.wh..wh..opq"
echo new >"$tmp/two/etc/old/new"
cp "$tmp/one/bin/busybox" "$tmp/two/opt/tool"
chown 1234:4321 "$tmp/two/etc/old/new"
chmod 4755 "$tmp/two/opt/tool"
python3 -c 'import os, sys; os.setxattr(sys.argv[1], "security.capability", bytes.fromhex("0100000200040000000000000000000000000000"))' "$tmp/two/opt/tool"
long=$(printf 'n%.0s' {1..120})
echo long >"$tmp/two/opt/$long"
echo three >"$tmp/three/srv/file"
echo four >"$tmp/four/etc/four"

try_engine() { # LABEL
    local label=$1 version id base_id sum digest
    engine_root "$label"
    version=$(chroot "$root" /usr/sbin/dockerd --version | sed 's/^Docker version \([^,]*\),.*/\1/')
    note "$label: Docker $version"
    containers --docker "$version" "$app=$tmp/one,$tmp/two" "base:1=$tmp/one" "deep:1=$tmp/one,many:124"
    id=$(jq -r '.images[0].config.digest' "$root/usr/share/ingot/containers/images.json")
    base_id=$(jq -r '.images[1].config.digest' "$root/usr/share/ingot/containers/images.json")
    digest=$(jq -r '.images[0].target.digest' "$root/usr/share/ingot/containers/images.json")

    # ---- an engine that starts for the first time ----------------------------------------------------
    run_ok "$label: the agent writes the store" boot
    run_ok "$label: and a second time" boot
    is "$(jq .engines.docker.written "$root/run/ingot/containers.json")" 0 "$label: which writes nothing"
    sum=$(layers_sum)
    engine_start
    is "$(docker images --format '{{.Repository}}:{{.Tag}}' | sort | xargs)" "base:1 deep:1 $app" "$label: the engine lists the images"
    is "$(docker images --digests --format '{{.Digest}}' "${app%:*}")" "$digest" "$label: with the digest"
    is "$(field "$app" '{{.Id}} {{json .RepoDigests}}')" "$id [\"${app%:*}@$digest\"]" "$label: inspect knows ID and digest"
    is "$(field "${app%:*}@$digest" '{{.Id}}')" "$id" "$label: the image is found by its digest"
    run_ok "$label: status says so" "$agent" status --root="$root"
    like "$out" '^containers docker: 3 images, 0 missing, 0 kept' "$label: in one line"

    # ---- containers ------------------------------------------------------------------------------------
    run_ok "$label: a container runs" in_image "$app" sh -c 'cat /etc/old/* /etc/one; ls /etc; stat -c "%a %u %h" /opt/tool /etc/old/new /tmp/hard /tmp'
    is "$(grep -v '^host\|mtab\|resolv' <<<"$out" | xargs)" "new one old one 4755 0 1 644 1234 1 644 0 2 1777 0 2" \
        "$label: whiteouts, opaque folders, modes, owners, hard links are as in the image"
    run_ok "$label: contents are the image's" in_image "$app" sha256sum /data/noise "/opt/$long"
    is "$(cut -d' ' -f1 <<<"$out" | xargs)" "$(sha256sum "$tmp/one/data/noise" "$tmp/two/opt/$long" | cut -d' ' -f1 | xargs)" "$label: byte for byte"
    run_ok "$label: a container writes" docker run --name writer --network none "$app" sh -c \
        'echo mine >/etc/one; rm -rf /data; touch /etc/old/x; echo more >>/etc/old/new; cat /etc/one /etc/old/new'
    is "$(xargs <<<"$out")" "mine new more" "$label: and sees it"
    like "$(docker diff writer)" '^D /data$' "$label: docker diff works"
    run_ok "$label: commit" docker commit writer committed:1
    run_ok "$label: what was committed runs" in_image committed:1 sh -c 'cat /etc/one; ls /data || true'
    is "$out" mine "$label: with the changes"
    # The folder of the layers is for root alone; containers of other users see theirs all the same.
    is "$(in_image --user 1234 "$app" cat /etc/one /etc/old/new | xargs)" "one new" "$label: a container of an ordinary user reads"
    run_ok "$label: an image of 125 layers runs" in_image deep:1 cat /data/123
    is "$(layers_sum)" "$sum" "$label: the read-only layers are what they were"

    # ---- building on top, copies -----------------------------------------------------------------------
    mkdir -p "$root/tmp/build"
    printf 'FROM %s\nRUN echo built >/etc/built && rm /etc/one\nCOPY file /etc/file\n' "$app" >"$root/tmp/build/Dockerfile"
    echo copied >"$root/tmp/build/file"
    run_ok "$label: build on top" env DOCKER_BUILDKIT=0 chroot "$root" /usr/bin/docker build --network none -q -t built:1 /tmp/build
    run_ok "$label: what was built runs" in_image built:1 sh -c 'cat /etc/built /etc/file; ls /etc/one 2>&1 || true'
    is "$(head -n 2 <<<"$out" | xargs)" "built copied" "$label: with what was put on top"
    printf 'FROM %s\nCOPY file /etc/file\n' "$app" >"$root/tmp/build/Dockerfile"
    if env DOCKER_BUILDKIT=1 chroot "$root" /usr/bin/docker build --help >/dev/null 2>&1 && [[ $version == 20.* ]]; then
        run_ok "$label: BuildKit builds on top, too" env DOCKER_BUILDKIT=1 chroot "$root" /usr/bin/docker build --network none -t kit:1 /tmp/build
        is "$(in_image kit:1 cat /etc/file /etc/old/new | xargs)" "copied new" "$label: and that runs"
    fi
    run_ok "$label: tag" docker tag "$app" mine:1
    run_ok "$label: save" docker save -o /tmp/saved.tar "$app"
    mkdir "$tmp/saved-$label"
    tar -xf "$root/tmp/saved.tar" -C "$tmp/saved-$label"
    is "$(cd "$tmp/saved-$label" && jq -r '.[0].Layers[]' manifest.json | xargs sha256sum | sed 's/ .*//; s/^/sha256:/' | xargs)" \
        "$(field "$app" '{{range .RootFS.Layers}}{{.}} {{end}}' | xargs)" "$label: the layers that are saved have the image's diff_ids"

    # ---- a registry ------------------------------------------------------------------------------------
    run_ok "$label: push to an empty registry" docker push "$app"
    run_ok "$label: what was pushed can be read" skopeo inspect --config --tls-verify=false "docker://$app"
    is "$(jq -c .rootfs.diff_ids <<<"$out")" "$(jq -c '.images[0].layers' "$root/usr/share/ingot/containers/images.json")" \
        "$label: and has the same layers"
    run_ok "$label: the registry gets the image as it was made" skopeo copy --quiet --dest-tls-verify=false \
        "dir:$tmp/layout/0" "docker://$app"
    run_ok "$label: push of what the registry has" docker push "$app"
    is "$(grep -c 'Layer already exists' <<<"$out")" 2 "$label: sends no layer"
    run_ok "$label: pull of a preloaded image" docker pull "${app%:*}@$digest"
    like "$out" 'Image is up to date' "$label: fetches nothing"
    "$top/tests/fake/containers" "$tmp/other-$label" --layout "$tmp/layout2-$label" "$hub/team/shared:1=$tmp/one,$tmp/three"
    run_ok "$label: the registry gets an image that shares a layer" skopeo copy --quiet --dest-tls-verify=false \
        "dir:$tmp/layout2-$label/0" "docker://$hub/team/shared:1"
    run_ok "$label: pull of that image" docker pull "$hub/team/shared:1"
    like "$out" 'Already exists' "$label: takes the preloaded layer"
    is "$(in_image "$hub/team/shared:1" cat /etc/one /srv/file | xargs)" "one three" "$label: and runs"

    # ---- removal, restart ------------------------------------------------------------------------------
    docker rm writer >/dev/null
    docker rmi -f mine:1 "$app" >/dev/null
    docker images -q --no-trunc "${app%:*}" | grep -q "$id" && docker rmi -f "$id" >/dev/null
    docker rmi -f base:1 >/dev/null
    is "$(docker images --format '{{.Repository}}:{{.Tag}}' base | xargs)" "" "$label: a preloaded image can be removed"
    is "$(layers_sum)" "$sum" "$label: its layers stay in the root"
    engine_stop
    run_ok "$label: the next boot" boot
    engine_start
    is "$(field base:1 '{{.Id}}') $(field "$app" '{{.Id}}')" "$base_id $id" "$label: brings it back"
    is "$(in_image built:1 cat /etc/built) $(in_image committed:1 cat /etc/one)" "built mine" "$label: images of the user are still there"
    kill -9 "$engine_pid"
    wait "$engine_pid" 2>/dev/null || true
    for pid in $(pgrep -f "^containerd.*$root" || true) $(cat "$root/run/docker/containerd/containerd.pid" 2>/dev/null); do kill "$pid" 2>/dev/null || true; done
    run_ok "$label: the agent after a crash of the engine" boot
    engine_start
    is "$(in_image "$app" cat /etc/one)" one "$label: and all is well"

    # ---- a swarm, without a registry -------------------------------------------------------------------
    registry_stop plain
    run_ok "$label: swarm init" docker swarm init --advertise-addr 127.0.0.1
    swarm_service "$label" tag "$app"
    swarm_service "$label" digest "${app%:*}@$digest"
    docker swarm leave --force >/dev/null
    engine_stop
    DOCKER_SERVICE_PREFER_OFFLINE_IMAGE=1 engine_start
    docker swarm init --advertise-addr 127.0.0.1 >/dev/null
    swarm_service "$label" "tag, offline preferred" "$app"
    docker swarm leave --force >/dev/null
    cut_off "$label"
    registry_start plain

    # ---- an update to a system with other containers ---------------------------------------------------
    docker create --name holds --network none base:1 true >/dev/null
    engine_stop
    containers --docker "$version" "$app=$tmp/three,$tmp/four" "tools:2=$tmp/one,$tmp/four"
    run_ok "$label: the agent after an update" boot
    engine_start
    is "$(in_image tools:2 cat /etc/four)" four "$label: the new images are there"
    like "$(field "$app" '{{.Id}}')" "$(jq -r '.images[0].config.digest' "$root/usr/share/ingot/containers/images.json")" "$label: names move on"
    is "$(docker images -q deep:1)" "" "$label: what nobody uses is gone"
    is "$(in_image base:1 cat /etc/one)" one "$label: what a container uses is kept, and works while its layers are here"
    run_ok "$label: that container starts" docker start -a holds
    run_ok "$label: status" "$agent" status --root="$root"
    like "$out" 'kept base:1: container' "$label: says that it is kept"
    engine_stop
    containers --docker "$version" "other:3=$tmp/four"
    run_ok "$label: the agent after the next update" boot
    engine_start
    is "$(docker images --format '{{.Repository}}:{{.Tag}}' | grep -c '^base:1$\|^tools:2$' || true)" 0 "$label: images without layers are not shown"
    run_ok "$label: a pull of an image whose layer is gone" docker pull "$hub/team/shared:1"
    engine_stop
    containers --docker "$version" "$app=$tmp/one,$tmp/two" "base:1=$tmp/one" "deep:1=$tmp/one,many:124"
    run_ok "$label: the agent after a rollback" boot
    engine_start
    is "$(field "$app" '{{.Id}}') $(field base:1 '{{.Id}}')" "$id $base_id" "$label: all is as it was"
    run_ok "$label: the container starts again" docker start -a holds
    is "$(in_image built:1 cat /etc/built)" built "$label: what the user built works again"
    run_status 1 "$label: the agent leaves a store alone that is in use" boot
    like "$err" 'docker runs' "$label: and says why"
    engine_stop

    real_layers "$label"
    [ "$label" != host ] || no_space "$label"
    other_setup "$label" vfs '{"storage-driver":"vfs"}'
    [ "$label" = host ] || other_setup "$label" "containerd's store" '{"features":{"containerd-snapshotter":true}}'
}

# A disk that is full while the store is written: the engine starts without it, and the next boot mends it.
no_space() {
    local inodes
    containers --docker 26.1.5 "$app=$tmp/one,$tmp/two" "deep:1=$tmp/one,many:124"
    for inodes in 12 40 100 300; do
        umount "$root/var/lib/docker"
        mount -t tmpfs -o "mode=755,nr_inodes=$inodes" tmpfs "$root/var/lib/docker"
        run_status 7 "$1: the agent on a full disk ($inodes inodes)" boot
        is "$(cat "$root/run/ingot/containers-load")" docker "$1: asks for another try when the engine runs"
    done
    mount -o remount,nr_inodes=20000 "$root/var/lib/docker"
    engine_start
    docker images -q >/dev/null
    engine_stop
    run_ok "$1: with room the next boot writes all" boot
    missing "$root/run/ingot/containers-load" "$1: and asks for nothing"
    engine_start
    is "$(in_image "$app" cat /etc/old/new)$(in_image deep:1 cat /data/99)" "new00000099" "$1: and the images run"
    engine_stop
}

# other_setup LABEL WHAT DAEMON-JSON: an engine whose store is not written gets the same images by its API.
other_setup() {
    local label="$1, $2" id
    umount "$root/var/lib/docker" "$root/var/lib/ingot"
    mount -t tmpfs -o mode=755 tmpfs "$root/var/lib/docker"
    mount -t tmpfs -o mode=755 tmpfs "$root/var/lib/ingot"
    echo "$3" >"$root/etc/docker/daemon.json"
    containers --docker 26.1.5 "$app=$tmp/one,$tmp/two" "base:1=$tmp/one" "mine:1=$tmp/three"
    run_ok "$label: the agent does not write a store" boot
    is "$(ls "$root/var/lib/docker")" "" "$label: which stays empty"
    is "$(cat "$root/run/ingot/containers-load")" docker "$label: but asks for loading"
    engine_start
    # The user is there first.
    printf 'FROM scratch\nCOPY file /\n' >"$root/tmp/build/Dockerfile"
    env DOCKER_BUILDKIT=0 chroot "$root" /usr/bin/docker build -q -t mine:1 /tmp/build >/dev/null 2>&1
    id=$(field mine:1 '{{.Id}}')
    run_ok "$label: the agent loads" load
    is "$(in_image "$app" cat /etc/old/new) $(in_image base:1 cat /etc/one)" "new one" "$label: and the images run"
    is "$(field mine:1 '{{.Id}}')" "$id" "$label: a name that the user had given stays"
    run_ok "$label: loading again" load
    is "$(jq .engines.docker.written "$root/run/ingot/containers.json")" 0 "$label: has nothing to do"
    docker tag mine:1 base:1
    containers --docker 26.1.5 "base:1=$tmp/two" "$app=$tmp/one,$tmp/four"
    run_ok "$label: loading after an update" load
    is "$(field base:1 '{{.Id}}')" "$id" "$label: a name that the user moved stays"
    is "$(in_image "$app" cat /etc/four)" four "$label: the others move on"
    containers --docker 26.1.5 "other:1=$tmp/one"
    run_ok "$label: loading when an image is gone" load
    is "$(docker images -q "$app")" "" "$label: takes it out"
    # A layer that is damaged in the root must not get in.
    containers --docker 26.1.5 "bad:1=$tmp/one,$tmp/four"
    echo evil >"$(find "$root/usr/share/ingot/containers/layers" -name four)"
    run_status 5 "$label: a damaged layer" load
    like "$err" "layer '[0-9a-f]*' is damaged|is not what was packed" "$label: is told"
    is "$(docker images -q bad:1)" "" "$label: and not loaded"
    engine_stop
    rm "$root/etc/docker/daemon.json"
}
load() { "$agent" containers --load --root="$root"; }

# real_layers LABEL: images with everything that layers can say, unpacked by ingot itself.
container_image features features compression=mixed
container_image edges edges
container_image deep deep layers=125
# Their times are those of tests/preload, which links into them; tests/build/containers.t compares these, too.
no_time=(--ignore .:mtime --ignore bin:mtime --ignore etc:mtime --ignore links/a:mtime --ignore links/b/deep:mtime)
real_layers() {
    local name lower of=registry.example.com/real
    rm -rf "$root/usr/share/ingot/containers"
    run_ok "$1: ingot unpacks images" "$top/tests/preload" "$root/usr/share/ingot/containers" \
        "$tmp/features=$of/features:1" "$tmp/edges=$of/edges:1" "$tmp/deep=$of/deep:1"
    run_ok "$1: the agent writes the store for them" boot
    engine_start
    is "$(docker images --format '{{.Repository}}' "$of/*" | sort | xargs)" "$of/deep $of/edges $of/features" "$1: all are there"
    for name in features edges deep; do
        # Docker checks what it assembles from tree and split data; the digest says the rest.
        run_ok "$1: save of $name" docker save -o /tmp/saved.tar "$of/$name:1"
        rm -rf "$tmp/saved"
        mkdir "$tmp/saved"
        tar -xf "$root/tmp/saved.tar" -C "$tmp/saved"
        is "$(cd "$tmp/saved" && jq -r '.[0].Layers[]' manifest.json | xargs sha256sum | sed 's/ .*//; s/^/sha256:/' | xargs)" \
            "$(field "$of/$name:1" '{{range .RootFS.Layers}}{{.}} {{end}}' | xargs)" "$1: has the diff_ids of $name"
        run_ok "$1: the engine mounts $name" docker create --name "$name" --network none "$of/$name:1" /bin/true
        run_ok "$1: export of $name" docker export -o /tmp/exported.tar "$name"
        docker rm "$name" >/dev/null
    done
    is "$(in_image "$of/deep:1" sh -c 'echo runs')" runs "$1: 125 layers run"
    # What the engine stacks is what skopeo and umoci make of the image.
    lower=$(field "$of/features:1" '{{.GraphDriver.Data.UpperDir}}:{{.GraphDriver.Data.LowerDir}}')
    mkdir -p "$root/tmp/merged"
    # The new way to mount takes 255 bytes of an option.
    LIBMOUNT_FORCE_MOUNT2=always chroot "$root" /bin/mount -t overlay -o "ro,lowerdir=$lower" overlay /tmp/merged
    [ -e "$tmp/unpacked/rootfs" ] || container_rootfs "oci:$tmp/features" unpacked || bail "umoci unpacks an image"
    run_ok "$1: layers, one above the other, are what umoci unpacks" "$top/tests/sametree" "${no_time[@]}" \
        "$root/tmp/merged" "$tmp/unpacked/rootfs"
    umount "$root/tmp/merged"
    engine_stop
}

# A network that answers nothing at all: a pinned digest needs no pull, so it does not wait for one.
cut_off() {
    ip link add far type veth peer name nowhere
    ip link set nowhere up
    ip address add 10.9.8.7/24 dev far
    ip link set far up
    ip neighbour add 10.9.8.1 lladdr 02:00:00:00:00:01 dev far
    ip route add default via 10.9.8.1
    echo "nameserver 10.9.8.1" >"$root/etc/resolv.conf"
    engine_stop
    containers --docker "$version" "$far/app:1=$tmp/one" "$app=$tmp/one,$tmp/two" "base:1=$tmp/one" "deep:1=$tmp/one,many:124"
    run_ok "$1: the agent, on a machine whose network is cut off" boot
    engine_start
    docker swarm init --advertise-addr 127.0.0.1 >/dev/null
    local begin=$SECONDS far_digest
    far_digest=$(jq -r '.images[0].target.digest' "$root/usr/share/ingot/containers/images.json")
    swarm_service "$1" "digest, network cut off" "$far/app@$far_digest"
    if [ $((SECONDS - begin)) -lt 12 ]; then ok "$1: and does not wait for the network"; else not_ok "$1: waits for the network" "$((SECONDS - begin)) s"; fi
    [ -z "${INGOT_TEST_FULL:-}" ] || swarm_service "$1" "tag, network cut off" "$far/app:1"
    docker swarm leave --force >/dev/null
    engine_stop
    DOCKER_SERVICE_PREFER_OFFLINE_IMAGE=1 engine_start
    docker swarm init --advertise-addr 127.0.0.1 >/dev/null
    begin=$SECONDS
    swarm_service "$1" "tag, network cut off, offline preferred" "$far/app:1"
    if [ $((SECONDS - begin)) -lt 12 ]; then ok "$1: and does not wait, either"; else not_ok "$1: waits for the network" "$((SECONDS - begin)) s"; fi
    docker swarm leave --force >/dev/null
    ip link del far
    : >"$root/etc/resolv.conf"
}

# swarm_service LABEL HOW IMAGE: how long a service takes to run.
swarm_service() {
    local start=$SECONDS name=s$RANDOM
    run_ok "$1: a service by $2 is created" docker service create --detach --name "$name" --no-resolve-image "$3" sleep 1000
    if wait_for 120 service_runs "$name"; then ok "$1: a service by $2 runs without a registry"; else
        not_ok "$1: a service by $2 runs without a registry" "$(docker service ps --no-trunc "$name" 2>&1)"
    fi
    note "$1: service by $2: $((SECONDS - start)) s"
    docker service rm "$name" >/dev/null
}
service_runs() { docker service ps --format '{{.CurrentState}}' "$1" | grep -q '^Running'; }

for engine in ${ENGINES:-host trixie}; do try_engine "$engine"; done

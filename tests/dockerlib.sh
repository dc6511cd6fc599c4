# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# shellcheck disable=SC2154  # what lib.sh sets
# Real container engines in namespaces of their own. A test begins with
#
#     . "${0%/*}/../dockerlib.sh"
#     enter_namespaces "$0" SECONDS     # comes back only inside: --net --mount --pid, as process 1
#     . "${0%/*}/../lib.sh"
#     engine_root trixie 26 && engine_start
#
# All processes end and all mounts vanish with the namespaces.

# engine_fetch FOLDER: what of Debian trixie an engine needs. From a package layer in the user's cache of images; when
# there is none by mmdebstrap, which needs the network.
engine_fetch() {
    local top layer
    top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
    mkdir "$1"
    for layer in "$("${INGOT:-$top/build/ingot}" cache path)"/packages/*/layer.tar; do
        if grep -qs '"name": "docker.io"' "${layer%/*}/packages.json"; then
            # Kernels are not needed.
            tar -xf "$layer" -C "$1" --exclude=./usr/lib/modules --exclude=./usr/lib/firmware --exclude=./boot \
                --exclude=./usr/share/doc --exclude=./usr/share/locale
            [ ! -x "$1/usr/sbin/dockerd" ] || return 0
        fi
    done
    rm -rf "$1"
    SOURCE_DATE_EPOCH=1700000000 mmdebstrap --mode=root --variant=essential --quiet --skip=output/mknod \
        --aptopt='APT::Install-Recommends "false"' --dpkgopt=force-unsafe-io \
        --include=docker.io,docker-cli,iptables,ca-certificates trixie "$1" >&2
}

# enter_namespaces FILE SECONDS [trixie]: run the file again inside; with the word, Debian trixie's engine is at hand.
enter_namespaces() {
    local why
    if [ -n "${INGOT_INSIDE:-}" ]; then return 0; fi
    if ! why=$(unshare --net --mount --pid --fork true 2>&1); then
        [ -z "${INGOT_NO_SKIP:-}" ] || { echo "not ok 1 - namespaces: $why"; exit 1; }
        echo "1..0 # SKIP needs root and namespaces: $why"
        exit 0
    fi
    TMPDIR=$(mktemp -d "${TMPDIR:-/tmp}/ingot-engine.XXXXXX")
    export TMPDIR INGOT_INSIDE=1
    trap 'rm -rf --one-file-system "$TMPDIR"' EXIT
    if [ "${3:-}" = trixie ] && ! engine_fetch "$TMPDIR/trixie"; then
        echo "not ok 1 - packages of an engine"
        exit 1
    fi
    # --kill-child: when the time is over, everything inside goes with process 1.
    local status=0
    timeout --kill-after=5 "$2" unshare --net --mount --pid --fork --kill-child --mount-proc \
        --propagation private bash "$1" || status=$?
    [ "$status" != 124 ] || echo "not ok 9999 - the time is over"
    exit "$status"
}

# engine_root KIND: a root folder with an engine in it, at $root. host: this machine's files, with a layer of their own
# above. trixie: Debian's next.
engine_root() {
    root=$tmp/root-$1
    mkdir -p "$root" "$tmp/upper-$1"
    on_exit engine_gone "$root" "$tmp/upper-$1"
    case $1 in
    host)
        mount -t tmpfs tmpfs "$tmp/upper-$1"
        mkdir "$tmp/upper-$1/up" "$tmp/upper-$1/work"
        mount -t overlay -o "lowerdir=/,upperdir=$tmp/upper-$1/up,workdir=$tmp/upper-$1/work" overlay "$root"
        ;;
    trixie)
        mount --bind "${tmp%/*}/trixie" "$root"
        ;;
    esac
    mkdir -p "$root/proc" "$root/sys" "$root/dev"
    mount -t proc proc "$root/proc"
    mount -t sysfs sysfs "$root/sys"
    mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup" || bail "cgroup2 can be mounted"
    # Devices of our own, so that nothing here can reach those of the machine.
    mount -t tmpfs -o mode=755 tmpfs "$root/dev"
    mkdir "$root/dev/shm" "$root/dev/pts"
    mknod -m 666 "$root/dev/null" c 1 3
    mknod -m 666 "$root/dev/zero" c 1 5
    mknod -m 666 "$root/dev/full" c 1 7
    mknod -m 666 "$root/dev/random" c 1 8
    mknod -m 666 "$root/dev/urandom" c 1 9
    ln -s /proc/self/fd "$root/dev/fd"
    for folder in run tmp var/lib/docker var/lib/containerd var/lib/ingot etc/docker usr/share/ingot; do
        mkdir -p "$root/$folder"
        mount -t tmpfs -o mode=755 tmpfs "$root/$folder"
    done
    mkdir -p "$root/usr/lib/ingot"
    printf '{"schema":1,"name":"demo","version":"1","architecture":"x86-64","join":{"kind":"none"}}\n' \
        >"$root/usr/lib/ingot/image.json"
    rm -f "$root/etc/resolv.conf"
    : >"$root/etc/resolv.conf"
}

# Nothing may be mounted where the test's folder is removed.
engine_gone() {
    engine_stop
    umount -R -l "$1" "$2" 2>/dev/null || true
}

engine_pid=""
engine_docker() { env -u TMPDIR chroot "$root" /usr/bin/docker "$@"; }
engine_answers() { engine_docker version >/dev/null 2>&1; }

# engine_start: dockerd in $root; its own containerd is its child. Environment variables pass through.
engine_start() {
    rm -f "$root/run/docker.pid" "$root/run/docker.sock"
    env -u TMPDIR chroot "$root" /usr/sbin/dockerd --bridge none --iptables=false --ip6tables=false >>"$tmp/dockerd.log" 2>&1 &
    engine_pid=$!
    wait_for 60 engine_answers || {
        tail -n 20 "$tmp/dockerd.log" | sed 's/^/# /' >&2
        bail "the engine starts"
    }
}

engine_stop() {
    [ -z "$engine_pid" ] || kill "$engine_pid" 2>/dev/null || true
    [ -z "$engine_pid" ] || wait "$engine_pid" 2>/dev/null || true
    engine_pid=""
}

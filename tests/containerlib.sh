# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# shellcheck disable=SC2154  # what lib.sh sets
# Container images and registries for tests. Source it behind lib.sh.
#
#     container_image busybox app                     # the OCI layout $tmp/app; kinds: tests/makeoci
#     registry_start plain none                       # a real registry on loopback, named 'plain'
#     registry_push plain app team/app:1.4            # filled by skopeo
#     registry_digest plain team/app:1.4              # sha256:... of what it stands for there
#     echo "${registry[plain]}/team/app:1.4"          # its reference: localhost:PORT/team/app:1.4
#     registry_stop plain
#
# What registry_start started is stopped at the end of the test.
requires docker-registry skopeo openssl htpasswd jq zstd busybox curl
# Not what a user of this machine has configured.
export REGISTRY_AUTH_FILE=$tmp/no-auth.json DOCKER_CONFIG=$tmp/no-docker

declare -A registry registry_pid registry_mode registry_port
registry_user=tester registry_password='pass:w0rd with space' # of registries with auth
registry_ca=$tmp/registry-ca/ca.crt                            # of registries with tls

# container_image KIND NAME [OPTION=VALUE...]: make the OCI layout $tmp/NAME.
container_image() {
    local kind=$1 name=$2
    shift 2
    "$top/tests/makeoci" "$tmp/$name" "$kind" "$@" || bail "make the image $name"
}

# container_digest FOLDER: digest of the manifest or index in a layout.
container_digest() { jq -r '.manifests[0].digest' "$1/index.json"; }

# container_kept NAME: a folder that stays for the next run.
container_kept() {
    local kept=$top/build/containers
    mkdir -p "$kept/$1"
    echo "$kept/$1"
}

# container_debian NAME PACKAGE...: an image of Debian trixie with these packages, as the OCI layout $tmp/NAME. Two
# layers: the essential packages, and what comes on top. Made once by mmdebstrap, then kept in build/containers. Needs root.
container_debian() {
    local name=$1 key folder debs
    shift
    requires mmdebstrap rsync tar
    key=$(printf '%s\n' "trixie 2" "$@" | cat - "$top/tests/makeoci" | sha256sum | cut -c1-16)
    folder=$(container_kept "debian-$key")
    if [ ! -e "$folder/image/index.json" ]; then
        # Those that builds have fetched.
        debs=$("$INGOT" cache path)/debs/debian-trixie-$(dpkg --print-architecture)
        mkdir -p "$debs"
        container_bootstrap "$debs" "$folder/base.tar"
        container_bootstrap "$debs" "$folder/all.tar" "$@"
        container_on_top "$folder" || bail "put packages on a Debian image"
        "$top/tests/makeoci" "$folder/new" tar "layers=$folder/base.tar,$folder/top.tar" level=1 || bail "make a Debian image"
        rm -f "$folder"/*.tar
        mv "$folder/new" "$folder/image"
    fi
    cp -al "$folder/image" "$tmp/$name" 2>/dev/null || cp -a "$folder/image" "$tmp/$name"
}

# container_bootstrap DEBS TAR [PACKAGE...]
container_bootstrap() {
    local debs=$1 tar=$2
    shift 2
    SOURCE_DATE_EPOCH=1700000000 mmdebstrap --mode=root --variant=essential --format=tar --quiet \
        --skip=download/empty --skip=essential/unlink --aptopt='APT::Install-Recommends "false"' \
        --dpkgopt=force-unsafe-io ${1:+"--include=$(IFS=,; echo "$*")"} \
        --setup-hook='mkdir -p "$1"/var/cache/apt/archives' --setup-hook="sync-in $debs /var/cache/apt/archives" \
        --customize-hook="sync-out /var/cache/apt/archives $debs" \
        --customize-hook='rm -rf "$1"/var/cache/apt/archives/*.deb "$1"/var/lib/apt/lists/* "$1"/var/log/*.log "$1"/etc/resolv.conf "$1"/etc/hostname' \
        trixie "$tar" || bail "packages for a Debian image"
}

# container_on_top FOLDER: FOLDER/top.tar, a layer: how FOLDER/all.tar differs from FOLDER/base.tar, with all parent
# folders, as an overlay takes it.
container_on_top() (
    set -e
    cd "$1"
    mkdir base all upper work merged
    tar -C base -xpf base.tar --numeric-owner --xattrs --xattrs-include='*'
    tar -C all -xpf all.tar --numeric-owner --xattrs --xattrs-include='*'
    mount -t overlay overlay -o lowerdir=base,upperdir=upper,workdir=work merged
    rsync -aHAX --delete all/ merged/ || { umount merged && false; }
    umount merged
    find upper -type c | while read -r path; do
        if [ "$(stat -c %t:%T "$path")" = 0:0 ]; then
            rm "$path"
            : >"${path%/*}/.wh.${path##*/}"
        fi
    done
    tar -C upper --sort=name --numeric-owner --format=pax --pax-option=delete=atime,delete=ctime --xattrs \
        --xattrs-include='*' --xattrs-exclude='trusted.*' -cf top.tar .
    rm -rf base all upper work merged
)

# container_rootfs REFERENCE FOLDER [SKOPEO-OPTION...]: what other programs unpack of an image: FOLDER/rootfs, by
# skopeo and umoci. A reference as skopeo has it (docker://..., oci:...).
container_rootfs() {
    local reference=$1 folder=$2
    shift 2
    requires umoci
    rm -rf "$folder" "$folder.oci"
    # umoci knows no zstd.
    skopeo copy -q --insecure-policy --dest-compress --dest-compress-format gzip "$@" "$reference" \
        "oci:$folder.oci:image" || return 1
    umoci unpack --image "$folder.oci:image" "$folder" >/dev/null || return 1
    rm -rf "$folder.oci"
}

# ---- registries ------------------------------------------------------------------------------------
# An authority of our own, and a certificate for the names of this machine.
registry_certificates() {
    local folder=${registry_ca%/*} quiet=$tmp/openssl.log
    [ ! -e "$registry_ca" ] || return 0
    mkdir -p "$folder"
    {
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj '/CN=test authority' \
            -keyout "$folder/ca.key" -out "$folder/ca.new" &&
            openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost \
                -keyout "$folder/server.key" -out "$folder/server.csr" &&
            printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n' >"$folder/server.ext" &&
            openssl x509 -req -days 2 -in "$folder/server.csr" -CA "$folder/ca.new" -CAkey "$folder/ca.key" \
                -CAcreateserial -extfile "$folder/server.ext" -out "$folder/server.crt"
    } >"$quiet" 2>&1 || bail "certificates: $(tail -1 "$quiet")"
    mv "$folder/ca.new" "$registry_ca"
}

# registry_start NAME [MODE]: a docker-registry on a free port of loopback. MODE: none, or auth (basic, by htpasswd)
# and tls (own authority), with a comma. Sets ${registry[NAME]} to localhost:PORT. Started again after registry_stop it
# has what it had, and its port.
registry_start() {
    local name=$1 mode=${2:-${registry_mode[$1]:-none}} folder=$tmp/registry-$1
    mkdir -p "$folder/data"
    {
        printf 'version: 0.1\nlog: {level: info}\nstorage: {filesystem: {rootdirectory: "%s/data"}, delete: {enabled: true}}\n' "$folder"
        printf 'http:\n  addr: localhost:%s\n' "${registry_port[$name]:-0}"
        if [[ $mode == *tls* ]]; then
            registry_certificates
            printf '  tls: {certificate: "%s/server.crt", key: "%s/server.key"}\n' "${registry_ca%/*}" "${registry_ca%/*}"
        fi
        if [[ $mode == *auth* ]]; then
            htpasswd -Bbn -C 4 "$registry_user" "$registry_password" >"$folder/htpasswd"
            printf 'auth: {htpasswd: {realm: test, path: "%s/htpasswd"}}\n' "$folder"
        fi
    } >"$folder/config.yml"
    # What an earlier start has logged says nothing about this one.
    : >"$folder/log"
    # To it, every variable REGISTRY_* is a setting of its own.
    env -u REGISTRY_AUTH_FILE docker-registry serve "$folder/config.yml" >"$folder/log" 2>&1 &
    registry_pid[$name]=$!
    registry_mode[$name]=$mode
    on_exit registry_stop "$name"
    wait_for 20 grep -Eq 'listening on|error' "$folder/log" && grep -q 'listening on' "$folder/log" || bail "the registry $name does not start: $(tail -3 "$folder/log")"
    registry_port[$name]=$(sed -n 's/.*listening on [^ ]*:\([0-9][0-9]*\).*/\1/p' "$folder/log" | head -n 1)
    registry[$name]=localhost:${registry_port[$name]}
}

# registry_stop NAME: nobody listens any more; nothing happens when it is stopped already.
registry_stop() {
    local pid=${registry_pid[$1]:-}
    [ -n "$pid" ] || return 0
    registry_pid[$1]=""
    kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
}

# registry_slow NAME OF BYTES: the registry OF under the name NAME, at so many bytes a second and connection.
registry_slow() {
    local name=$1 folder=$tmp/registry-$1
    mkdir -p "$folder"
    "$top/tests/fake/slow" "${registry_port[$2]}" "$3" >"$folder/port" 2>"$folder/log" &
    registry_pid[$name]=$!
    registry_mode[$name]=${registry_mode[$2]}
    on_exit registry_stop "$name"
    wait_for 20 test -s "$folder/port" || bail "the slow registry does not start: $(tail -1 "$folder/log")"
    registry_port[$name]=$(cat "$folder/port")
    registry[$name]=localhost:${registry_port[$name]}
}

# registry_options NAME SIDE: what skopeo needs to reach it, in the array registry_skopeo; SIDE: src, dest, or nothing
# for inspect and delete.
registry_options() {
    local side=${2:+$2-}
    registry_skopeo=("--${side}tls-verify=false")
    [[ ${registry_mode[$1]} != *tls* ]] || registry_skopeo=("--${side}cert-dir" "${registry_ca%/*}/skopeo")
    [[ ${registry_mode[$1]} != *auth* ]] || registry_skopeo+=("--${side}creds" "$registry_user:$registry_password")
    # Only the authority: skopeo takes keys beside certificates for its own.
    [ ! -e "$registry_ca" ] || { mkdir -p "${registry_ca%/*}/skopeo" && cp "$registry_ca" "${registry_ca%/*}/skopeo/"; }
}

# registry_push NAME LAYOUT REPOSITORY:TAG [SKOPEO-OPTION...]: put the image of a layout there as it is: all platforms,
# and the digests that the layout has.
registry_push() {
    local name=$1 layout=$2 target=$3
    shift 3
    registry_options "$name" dest
    [ $# != 0 ] || set -- --all --preserve-digests
    skopeo copy -q --insecure-policy "${registry_skopeo[@]}" "$@" "oci:$layout" "docker://${registry[$name]}/$target" \
        >"$tmp/skopeo.log" 2>&1 || bail "push $target to the registry $name: $(tail -3 "$tmp/skopeo.log")"
}

# registry_curl NAME PATH [CURL-OPTION...]: ask its API: registry_curl plain team/app/tags/list
registry_curl() {
    local name=$1 path=$2 scheme=http
    shift 2
    local options=(-sS --fail --noproxy '*')
    [[ ${registry_mode[$name]} != *tls* ]] || { scheme=https options+=(--cacert "$registry_ca"); }
    [[ ${registry_mode[$name]} != *auth* ]] || options+=(-u "$registry_user:$registry_password")
    curl "${options[@]}" "$@" "$scheme://${registry[$name]}/v2/$path"
}

# registry_digest NAME REPOSITORY:TAG: the digest of the manifest or index that it stands for, as the registry says.
registry_digest() {
    registry_curl "$1" "${2%:*}/manifests/${2##*:}" --head \
        -H 'Accept: application/vnd.oci.image.index.v1+json' -H 'Accept: application/vnd.oci.image.manifest.v1+json' \
        -H 'Accept: application/vnd.docker.distribution.manifest.list.v2+json' \
        -H 'Accept: application/vnd.docker.distribution.manifest.v2+json' |
        tr -d '\r' | sed -n 's/^[Dd]ocker-[Cc]ontent-[Dd]igest: //p'
}

# registry_login NAME FOLDER: FOLDER/config.json as `docker login` leaves it.
registry_login() {
    mkdir -p "$2"
    jq -n --arg host "${registry[$1]}" --arg auth "$(printf '%s:%s' "$registry_user" "$registry_password" | base64 -w 0)" \
        '{auths: {($host): {auth: $auth}}}' >"$2/config.json"
}

# ---- what a build made of them -----------------------------------------------------------------------
container_in_root=usr/share/ingot/containers

# container_mount_root IMAGE.raw FOLDER: mount its root at FOLDER; without a loop device, unpack it there. Needs root.
container_mount_root() {
    local raw=$1 folder=$2 offset size
    offset=$(sfdisk -J "$raw" | jq '.partitiontable.partitions[] | select(.type | ascii_downcase | startswith("4f68bce3")) | .start * 512')
    size=$(sfdisk -J "$raw" | jq '.partitiontable.partitions[] | select(.type | ascii_downcase | startswith("4f68bce3")) | .size * 512')
    mkdir -p "$folder"
    if mount -t squashfs -o "ro,loop,offset=$offset,sizelimit=$size" "$raw" "$folder" 2>"$tmp/mount.log"; then
        on_exit container_umount "$folder"
        return 0
    fi
    note "no loop device, unpacked instead: $(tail -1 "$tmp/mount.log")"
    rmdir "$folder"
    unsquashfs -q -no-progress -d "$folder" -o "$offset" "$raw" $container_in_root >/dev/null || bail "unpack the root of $raw"
}

# container_built ROOT NAME FIELD: a field of an image in images.json, by its name: container_built root app:1 '.layers[]'
container_built() {
    jq -r --arg name "$2" ".images[] | select(.names | index(\$name)) | $3" "$1/$container_in_root/images.json"
}

# container_merge ROOT NAME FOLDER: mount the layers of a built image over each other at FOLDER, as an engine does.
# Needs root.
container_merge() {
    local root=$1 name=$2 folder=$3 number=0 lower="" layer
    local -A uses=()
    mkdir -p "$folder" "$folder.l"
    folder=$(realpath "$folder")
    # Short names, relative: the options of a mount are at most a page.
    while read -r layer; do
        uses[$layer]=$((${uses[$layer]:-0} + 1))
        # A layer that is there again has another folder.
        [ "${uses[$layer]}" = 1 ] || layer=$layer.${uses[$layer]}
        ln -sfn "$(realpath "$root")/$container_in_root/layers/${layer#sha256:}" "$folder.l/$number"
        lower="$number${lower:+:$lower}"
        number=$((number + 1))
    done < <(container_built "$root" "$name" '.layers[]')
    [ "$number" != 0 ] || { note "no image $name"; return 1; }
    # One folder alone is no overlay.
    if [ "$number" = 1 ]; then
        mkdir -p "$folder.l/none"
        lower=$lower:none
    fi
    (cd "$folder.l" && mount -t overlay overlay -o "ro,lowerdir=$lower" "$folder") || return 1
    on_exit container_umount "$folder"
}

# container_umount FOLDER...: of what the functions above mounted; nothing happens when it is not mounted.
container_umount() {
    local folder
    for folder; do
        ! mountpoint -q "$folder" || umount "$folder"
    done
}

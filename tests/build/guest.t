#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Disks that ingot did not make: a vendor's cloud image, made here of Debian packages, is inspected, built upon
# and compared with what it became, by a real appliance of libguestfs.
. "${0%/*}/../lib.sh"
. "$top/tests/build/lib.sh"
requires mmdebstrap jq unshare setpriv tar qemu-img sfdisk mke2fs python3
[ "$(id -u)" = 0 ] || skip_all "makes a disk with the files of root: needs root"
library=$(ldconfig -p | sed -n 's/.*libguestfs\.so\.0 .*=> //p' | head -n 1)
[ -n "$library" ] || {
    [ -z "${INGOT_NO_SKIP:-}" ] || bail "libguestfs is missing"
    skip_all "libguestfs is missing"
}

# What is downloaded here is kept for the next time, as by a build.
debs=$("$INGOT" cache path)/debs/debian-trixie-amd64
mkdir -p "$debs" "$cache/debs"
left() { find /tmp /var/tmp -maxdepth 1 \( -name 'libguestfs*' -o -name 'guestfs*' \) | sort; }
left_before=$(left)

# ---- the vendor's image --------------------------------------------------------------------------
cat >"$tmp/dirt" <<'EOS'
#!/bin/sh
set -eu
root=$1
echo 0123456789abcdef0123456789abcdef >"$root/etc/machine-id"
printf 'PARTUUID=0000 / ext4 defaults 0 1\nLABEL=EFI /boot/efi vfat umask=0077 0 1\n' >"$root/etc/fstab"
echo vendor >"$root/etc/hostname"
echo 'nameserver 192.0.2.1' >"$root/etc/resolv.conf"
mkdir -p "$root/boot/grub" "$root/boot/efi" "$root/var/lib/cloud/instance" "$root/etc/cloud" "$root/etc/apt/sources.list.d"
echo 'set default=0' >"$root/boot/grub/grub.cfg"
echo 'deb https://packages.example/ stable main' >"$root/etc/apt/sources.list.d/vendor.list"
echo nocloud >"$root/var/lib/cloud/instance/datasource"
echo 'something happened' >"$root/var/log/syslog"
echo 'by the vendor' >"$root/etc/vendor-release"
chroot "$root" useradd --create-home --shell /bin/bash --uid 1000 vendor
ls "$root"/etc/ssh/ssh_host_*_key >/dev/null
rm -f "$root"/var/cache/apt/archives/*.deb
EOS
chmod 755 "$tmp/dirt"
chmod 755 "$tmp"
run_ok "packages of a vendor's image" mmdebstrap --mode=root --variant=essential --format=tar --quiet \
    --skip=download/empty --skip=essential/unlink --aptopt='APT::Install-Recommends "false"' --dpkgopt=force-unsafe-io \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/lib/modules/*/kernel/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt=path-exclude=/etc/kernel/postinst.d/initramfs-tools \
    --include=systemd-sysv,udev,openssh-server,linux-image-cloud-amd64,initramfs-tools,grub2-common \
    --setup-hook='mkdir -p "$1"/var/cache/apt/archives' --setup-hook="sync-in $debs /var/cache/apt/archives" \
    --customize-hook="sync-out /var/cache/apt/archives $debs" --customize-hook="$tmp/dirt" trixie "$tmp/root.tar"
[ "$tap_failed" = 0 ] || bail "nothing to test with"
cp -al "$debs" "$cache/debs/" 2>/dev/null || cp -a "$debs" "$cache/debs/"
mkdir "$tmp/root"
tar -C "$tmp/root" -xpf "$tmp/root.tar" --numeric-owner --xattrs --xattrs-include='*' --exclude='./dev/*'
rm "$tmp/root.tar"
truncate -s 1536M "$tmp/disk.raw"
sfdisk -q "$tmp/disk.raw" <<'EOS'
label: gpt
start=2048, size=1M, type=21686148-6449-6E6F-744E-656564454649, name=bios
type=L, name=cloudroot
EOS
start=$(sfdisk -J "$tmp/disk.raw" | jq '.partitiontable.partitions[1].start * 512')
size=$(sfdisk -J "$tmp/disk.raw" | jq '.partitiontable.partitions[1].size / 2')
mke2fs -q -t ext4 -L cloudroot -d "$tmp/root" -E "offset=$start" "$tmp/disk.raw" "${size}k"
rm -rf "$tmp/root"
qemu-img convert -O qcow2 "$tmp/disk.raw" "$tmp/vendor.qcow2"
rm "$tmp/disk.raw"
chmod 644 "$tmp/vendor.qcow2"
sha256=$(sha256sum "$tmp/vendor.qcow2" | cut -d' ' -f1)

# ---- inspect, as an ordinary user ----------------------------------------------------------------
mkdir "$tmp/user"
cp "$INGOT" "$tmp/ingot"
chown 64123:64123 "$tmp/user"
on_exit rm -rf /var/tmp/.guestfs-64123
as_user() { setpriv --reuid 64123 --regid 64123 --clear-groups env -i PATH=/usr/bin:/bin HOME="$tmp/user" "$@"; }
run_ok "inspect it as an ordinary user" as_user "$tmp/ingot" --json inspect "$tmp/vendor.qcow2"
found=$(grep '"event":"image"' "$out_file" || true)
cp "$out_file" events
run_ok "the events fit their schema" /usr/bin/python3 "$top/tests/check-events" <events
field() { jq -r "$1" <<<"$found"; }
is "$(field .guest.system.distribution)" debian "the distribution"
is "$(field .os_release.VERSION_CODENAME)" trixie "its os-release"
is "$(field .guest.system.architecture)" x86_64 "the architecture"
is "$(field '.guest.filesystems[] | "\(.type) \(.label) \(.mount)"')" "ext4 cloudroot /" "the file system"
is "$(field '.guest.partitions | length')" "$(field '.table.partitions | length')" "as many partitions as the table has"
like "$(field .kernel)" '^6\.[0-9.]+\+deb13-cloud-amd64$' "the kernel"
like "$(field .packages)" '^1[0-9][0-9]$' "how many packages"
is "$(left)" "$left_before" "nothing is left"
[ -z "$(pgrep -u 64123 || true)" ] && ok "no process is left" || not_ok "no process is left" "$(pgrep -lu 64123)"

# ---- build on it ---------------------------------------------------------------------------------
# profile NAME IMAGE SHA256 [LINE...]
profile() {
    local name=$1 image=$2 digest=$3
    shift 3
    make_profile "$name" "base: {image: $image, sha256: $digest}" "$@"
}
profile web vendor.qcow2 "$sha256"

profile other vendor.qcow2 "$(printf '0%.0s' {1..64})"
run_status 5 "another image than the profile says" ingot build --format raw -o "$tmp/out" other.yaml
like "$err" "the SHA-256 of .*vendor.qcow2' is $sha256, the profile says 0000" "both digests are told"

cp /etc/hostname "$tmp/secret" 2>/dev/null || echo secret >"$tmp/secret"
qemu-img create -q -f qcow2 -b "$tmp/secret" -F raw "$tmp/backed.qcow2" 64M
profile backed backed.qcow2 "$(sha256sum "$tmp/backed.qcow2" | cut -d' ' -f1)"
run_status 5 "an image that names another file" ingot build --format raw -o "$tmp/out" backed.yaml
like "$err" "backed.qcow2': it has a backing file" "is refused"

# A library that cannot be loaded is what a machine without it looks like.
without() { in_namespace --mount -- bash -c 'mount --bind /dev/null "$1" && shift && exec "$@"' - "$library" "$@"; }
run_status 6 "without libguestfs" without "$INGOT" --cache "$cache" build --format raw -o "$tmp/out" web.yaml
like "$err" '^hint: install the package libguestfs0$' "the hint"
run_ok "inspect without libguestfs" without "$INGOT" --cache "$cache" inspect vendor.qcow2
like "$out" ' linux-generic +cloudroot ' "shows the partitions"
like "$err" '^warning: .*install the package libguestfs0' "and says what is missing"
run_status 6 "without its appliance" env LIBGUESTFS_PATH="$tmp/nothing" "$INGOT" --cache "$cache" build --format raw -o "$tmp/out" web.yaml
like "$err" '^hint: install the package libguestfs0, or unset LIBGUESTFS_PATH' "the hint"
missing "$tmp/out" "no output"

# Interrupted while the appliance runs: it goes, and all its files.
descendants() {
    local child
    for child in $(pgrep -P "$1" || true); do
        echo "$child"
        descendants "$child"
    done
}
has_qemu() {
    local pid
    for pid in $(descendants "$1"); do
        grep -q qemu-system "/proc/$pid/comm" 2>/dev/null && return 0
    done
    return 1
}
all_gone() {
    local pid
    for pid; do [ ! -d "/proc/$pid" ] || return 1; done
}
"$INGOT" --cache "$cache" build --format raw -o "$tmp/out" web.yaml >"$tmp/log" 2>&1 &
build=$!
if wait_for 60 has_qemu "$build"; then ok "the appliance runs"; else not_ok "the appliance runs" "$(cat "$tmp/log")"; fi
mapfile -t pids < <(descendants "$build")
kill -INT "$build"
status=0
wait "$build" || status=$?
is "$status" 10 "the build is interrupted"
if wait_for 10 all_gone "${pids[@]}"; then ok "its processes are gone"; else not_ok "its processes are gone" "$(ps -o pid,args -p "${pids[*]}")"; fi
is "$(left)" "$left_before" "its temporary files as well"

run_ok "build on the image" ingot build --format raw -o "$tmp/out" web.yaml
like "$err" 'starting the libguestfs appliance' "the appliance is announced"
like "$err" '^packages that were taken out of the image: .*grub2-common.*linux-image-cloud-amd64' "what is taken out is told"
like "$err" '^files that were taken out of the image: .*/etc/fstab .*/etc/ssh/ssh_host_.*/var/lib/cloud' "files, too"
like "$err" '^users of the image, .*: vendor' "and the users that stay"
cp -aln "$cache"/debs/debian-trixie-amd64/*.deb "$debs/" 2>/dev/null || true
run_ok "the image is verified" ingot inspect --verify out/web/web_1.2.3.raw
unlike "$err" 'appliance' "without an appliance"

layer=("$cache"/packages/*/)
tar --numeric-owner -tvf "${layer[0]}layer.tar" >"$tmp/list"
has() { is "$(grep -Ec -- "$1" "$tmp/list")" "$2" "$3"; }
has ' \./etc/vendor-release$' 1 "files of the vendor are there"
has '^drwx------ 1000/1000 .* \./home/vendor/$' 1 "with their owners"
has '^-rwsr-xr-x 0/0 .* \./usr/bin/passwd$' 1 "and modes"
has ' \./boot/vmlinuz-' 1 "one kernel"
has ' \./boot/vmlinuz-.*cloud' 0 "which is not the vendor's"
has ' \./usr/lib/modules/[^/]*/$' 1 "with its modules"
for pattern in '\./boot/grub' '\./boot/efi' '\./etc/fstab$' '\./etc/hostname$' 'ssh_host_' '\./var/lib/cloud' '\./etc/cloud' \
    '\./etc/apt/' '\./var/log/.*[^/]$' '\./etc/resolv\.conf$' '\./dev/.'; do
    is "$(grep -E -- "$pattern" "$tmp/list" | grep -v ' -> ' | head -3)" "" "nothing like $pattern"
done
packages() { jq -r "$1" "${layer[0]}packages.json"; }
is "$(packages '[.packages[].name] | map(select(test("^(grub|initramfs-tools|linux-image-.*cloud)"))) | length')" 0 "no boot chain of the vendor"
is "$(packages '.packages[] | select(.name == "libc6") | "\(.sha256) \(.origin)"')" "null null" "what the image brought has no .deb"
like "$(packages '.packages[] | select(.name == "nftables") | "\(.sha256) \(.origin) \(.suite)"')" \
    '^[0-9a-f]{64} Debian trixie' "what was installed has"

# ---- once more: the appliance is not needed again ------------------------------------------------
profile more vendor.qcow2 "$sha256" "packages: [nosuch-package]"
run_status 3 "another list of packages" ingot build --format raw -o "$tmp/out" more.yaml
like "$err" 'E: Unable to locate package nosuch-package' "comes as far as apt"
unlike "$err" 'appliance' "without an appliance"
run_status 3 "an image of another release" ingot build --format raw -o "$tmp/out" --set base.release=bookworm more.yaml
like "$err" "its release is 'trixie', not 'bookworm'" "is told"

# ---- diff ----------------------------------------------------------------------------------------
run_ok "compare the disk with what it became" ingot --json diff vendor.qcow2 out/web/web_1.2.3.raw
diff=$(grep '"event":"diff"' "$out_file" || true)
cp "$out_file" events
run_ok "the events fit their schema" /usr/bin/python3 "$top/tests/check-events" <events
is "$(jq -r '.a.kind, .b.kind' <<<"$diff" | paste -sd' ')" "disk image" "a disk and an image"
is "$(jq -r '[.packages.removed[].name] | index("grub2-common") != null' <<<"$diff")" true "packages that are gone"
is "$(jq -r '[.packages.added[].name] | index("nftables") != null' <<<"$diff")" true "packages that came"
is "$(jq -r '.files.removed[] | select(.path == "/etc/fstab") | "\(.mode) \(.uid):\(.gid)"' <<<"$diff")" "0644 0:0" "files that are gone"
is "$(jq -r '[.files.removed, .files.added | .[].path] | index("/etc/vendor-release")' <<<"$diff")" null "files that stay"
is "$(jq .files.content_unknown <<<"$diff")" 0 "every content is compared"
is "$(left)" "$left_before" "nothing is left"

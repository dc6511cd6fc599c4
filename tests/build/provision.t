#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Provisioning in the root of a real image: its own su, sshd, openssl and systemd judge what was made.
. "${0%/*}/../lib.sh"
. "$top/tests/build/lib.sh"
requires unsquashfs sfdisk ssh-keygen openssl
[ "$(id -u)" = 0 ] || skip_all "needs root: chroot"
agent=${INGOT%/*}/ingot-agent

run_ok "build base" "$INGOT" build --format raw -o "$tmp/shared" "$top/profiles/base.yaml"
[ "$tap_failed" = 0 ] || bail "nothing to test with"
image=$(echo "$tmp"/shared/base/*.raw)
offset=$(sfdisk -J "$image" | jq '[.partitiontable.partitions[] | select(.type == "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709")][0].start * 512')
root=$tmp/root
run_ok "unpack its root" unsquashfs -q -n -o "$offset" -d "$root" "$image"
# Programs in it want this one; /dev is empty in an image.
mknod -m 666 "$root/dev/null" c 1 3
in_root() { chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"; }

# ---- units -----------------------------------------------------------------------------------------
for unit in ingot-provision-local ingot-provision ingot-final; do
    run_ok "$unit is enabled" systemctl --root="$root" is-enabled "$unit.service"
done
# The image's systemd knows every key, and finds no cycle from the target that everything hangs on.
run_ok "its systemd takes the units" in_root systemd-analyze verify --man=no ingot-provision-local.service \
    ingot-provision.service ingot-final.service default.target
unlike "$err" 'ingot-(provision|final)|[Oo]rdering cycle' "without a complaint of ours"

# ---- user-data -------------------------------------------------------------------------------------
ssh-keygen -q -t ed25519 -N '' -C '' -f "$tmp/host"
ssh-keygen -q -t ed25519 -N '' -C ann -f "$tmp/ann"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=test-ca -days 2 \
    -keyout "$tmp/ca.key" -out "$tmp/ca.pem" 2>"$tmp/openssl.log"
hash=$(openssl passwd -6 -salt abcdefgh secret)
mkdir -p "$root/run/credentials/@system"
printf 'instance-id: i-1\n' >"$root/run/credentials/@system/ingot.meta-data"
cat >"$root/run/credentials/@system/ingot.user-data" <<END
#cloud-config
hostname: m1
fqdn: m1.example.com
timezone: Europe/Rome
users:
  - {name: ann, groups: [adm, ops], lock_passwd: false, passwd: "$hash", ssh_authorized_keys: ["$(cat "$tmp/ann.pub")"]}
  - {name: svc, system: true}
disable_root: true
ssh_pwauth: false
ssh_keys:
  ed25519_private: |
$(sed 's/^/    /' "$tmp/host")
write_files:
  - {path: /etc/app/conf, content: "x=1\n", owner: "ann:ops", permissions: "0640"}
ca_certs:
  trusted:
    - |
$(sed 's/^/      /' "$tmp/ca.pem")
runcmd:
  - [sh, -c, 'id -un >/var/whoami']
END
run_ok "provision local" "$agent" provision local --root="$root"
run_ok "provision final" "$agent" provision final --root="$root"

run_ok "su to the user" in_root su - ann -c 'id -nG; pwd; stat -c %U .'
is "$out" "ann adm ops
/var/home/ann
ann" "who has groups and a home"
is "$(in_root getent passwd svc | cut -d: -f7)" /usr/sbin/nologin "a system user cannot log in"
run_ok "pwck finds nothing wrong" in_root pwck -r -q
run_ok "grpck finds nothing wrong" in_root grpck -r
mkdir -p "$root/run/sshd"
run_ok "sshd takes its settings" in_root sshd -T -C user=ann,host=h,addr=10.0.0.1
like "$out" '^authorizedkeysfile .*/run/ingot/authorized_keys/%u' "and reads the keys of user-data"
like "$out" '^permitrootlogin no$' "root is shut out, because another one has a key"
like "$out" '^passwordauthentication no$' "so are passwords"
like "$out" '^hostkey /var/lib/ingot/etc/ssh/ssh_host_ed25519_key$' "the given host key is one of its"
is "$(in_root ssh-keygen -l -f /var/lib/ingot/etc/ssh/ssh_host_ed25519_key.pub | cut -d' ' -f2)" \
    "$(ssh-keygen -l -f "$tmp/host.pub" | cut -d' ' -f2)" "its public half fits"
is "$(in_root stat -c %U:%G:%a /etc/app/conf)" ann:ops:640 "a file belongs to the new user"
is "$(in_root date -d @0 +%H)" 01 "the time zone is taken"
cp "$tmp/ca.pem" "$root/var/test-ca.pem"
run_ok "openssl trusts the certificate" in_root openssl verify -CApath /etc/ssl/certs /var/test-ca.pem
run_ok "the bundle has it" grep -qF "$(sed -n 2p "$tmp/ca.pem")" "$root/etc/ssl/certs/ca-certificates.crt"
is "$(cat "$root/var/whoami")" root "runcmd ran"

# ---- the same again --------------------------------------------------------------------------------
before=$(cd "$root" && find etc var/home -type f ! -path '*/lib/ingot/*' -exec sha256sum {} + | sort)
run_ok "provision local again in this boot" "$agent" provision local --root="$root"
is "$(cd "$root" && find etc var/home -type f ! -path '*/lib/ingot/*' -exec sha256sum {} + | sort)" "$before" \
    "changes nothing"

# ---- nobody is locked out --------------------------------------------------------------------------
cat >"$root/run/credentials/@system/ingot.user-data" <<'END'
#cloud-config
write_files:
  - {path: /etc/ssh/sshd_config.d/50-right.conf, content: "MaxAuthTries 3\n"}
  - {path: /etc/ssh/sshd_config.d/60-wrong.conf, content: "MaxAuthTires 3\n"}
END
run_status 3 "settings that sshd does not take" "$agent" provision local --root="$root"
like "$err" "user-data:4:12: error: '/etc/ssh/sshd_config.d/60-wrong.conf' is not written: sshd would not start" "are told"
exists "$root/etc/ssh/sshd_config.d/50-right.conf" "the others are there"
missing "$root/etc/ssh/sshd_config.d/60-wrong.conf" "and they are not"
run_ok "sshd starts" in_root sshd -T

# ---- what it calls is there ------------------------------------------------------------------------
for program in sfdisk blkid mkfs.ext4 mkfs.vfat mkswap swapon mount udevadm networkctl systemctl shutdown ssh-keygen openssl; do
    run_ok "the image has $program" in_root sh -c "command -v $program"
done

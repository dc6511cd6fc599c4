#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The package layer from real repositories: what it holds, that an ordinary user gets the same bytes as
# root, that --offline needs no network. Uses the default cache; downloads and layers stay there.
. "${0%/*}/../lib.sh"
requires mmdebstrap jq unshare setpriv tar
[ "$(id -u)" = 0 ] || skip_all "compares root's build with a user's: needs root"

profile=$top/profiles/base.yaml
cache=$("$INGOT" cache path)

# step_json STEP FIELD [OPTION...]: from the plan of the profile.
step_field() {
    local step=$1 field=$2
    shift 2
    "$INGOT" --json plan "$@" "$profile" | jq -r --arg step "$step" ".steps[] | select(.step == \$step) | .$field"
}

run_ok "build the base profile" "$INGOT" build --format raw -o "$tmp/out" "$profile"
key=$(step_field packages key)
layer=$cache/packages/$key
exists "$layer/layer.tar" "the layer is in the cache"
is "$(step_field packages cached)" true "plan knows that it is cached"
is "$(step_field packages why)" "" "and that nothing changed"

# ---- what is in it, by another reader ------------------------------------------------------------
list=$tmp/list
tar --numeric-owner -tvf "$layer/layer.tar" >"$list"
has() { is "$(grep -Eq -- "$1" "$list" && echo yes)" yes "$2"; }
is "$(sha256sum <"$layer/layer.tar" | cut -d' ' -f1)" "$(jq -r .digest "$layer/packages.json")" "its digest"
has '^-rwsr-xr-x 0/0 .* \./usr/bin/passwd$' "setuid bits are kept"
has '^-rw-r----- 0/42 .* \./etc/shadow$' "owners and modes are kept"
has '^h.* link to ' "hard links are kept"
has '^-.* \./boot/vmlinuz-[0-9.]+' "a kernel"
has '^-.* \./boot/initrd.img$' "an initrd"
has '^-r--r--r-- .* 0 .* \./etc/machine-id$' "an empty machine-id"
for pattern in '\./var/lib/apt/' '\./var/cache/.' '\./var/log/.*[^/]$' 'ssh_host_' '\.dpkg-' 'policy-rc\.d' \
    '\./etc/(hostname|resolv\.conf)$' '(passwd|shadow|group)-$' '\./dev/.' '/systemd/random-seed$'; do
    is "$(grep -E -- "$pattern" "$list" | head -3)" "" "nothing like $pattern"
done
tar -C "$tmp" -xf "$layer/layer.tar" ./var/lib/dpkg/status
# shellcheck disable=SC2016
is "$(jq -r '.packages[] | "\(.name) \(.version) \(.architecture)"' "$layer/packages.json" | sort)" \
    "$(dpkg-query --admindir="$tmp/var/lib/dpkg" -W -f '${Package} ${Version} ${Architecture}\n' | sort)" \
    "packages.json lists what dpkg-query does"
is "$(dpkg-query --admindir="$tmp/var/lib/dpkg" -W -f '${db:Status-Abbrev}\n' | sort -u)" "ii " \
    "every package is installed completely"
newest=$(jq '[.suites[].date] | max' "$layer/packages.json")
is "$(jq .epoch "$layer/packages.json")" "$newest" "its date is that of the newest suite"
like "$(jq -r '.suites[].suite' "$layer/packages.json" | tr '\n' ' ')" '^trixie trixie-updates trixie-security $' \
    "release, updates and security"
is "$(find "$cache/sandbox" "$cache/tmp" -mindepth 1)" "" "no sandbox is left"

# ---- offline -------------------------------------------------------------------------------------
run_ok "--offline builds without a network" unshare --net "$INGOT" build --offline --format raw -o "$tmp/out2" "$profile"
like "$err" 'offline: the repositories were asked [0-9.]+ (hours|days) ago' "and says how old its knowledge is"
run_status 4 "without it that is a network error" unshare --net "$INGOT" build --format raw -o "$tmp/out3" "$profile"
like "$err" '^hint: .*--offline' "with a hint"
missing "$tmp/out3" "and no output"

# ---- a package that does not exist ---------------------------------------------------------------
cat >"$tmp/wrong.yaml" <<EOF
extends: [$profile]
name: wrong
version: 1.0.0
packages: [nosuch-package]
EOF
run_status 3 "an unknown package" "$INGOT" build --format raw -o "$tmp/out4" "$tmp/wrong.yaml"
like "$err" 'E: Unable to locate package nosuch-package' "is named"
missing "$tmp/out4" "and no output"

# ---- the same as an ordinary user ----------------------------------------------------------------
# A user with subordinate ids exists only in the mount namespace of this test, and so does a copy of the
# programs that he may read. Other umask, other folders, other cache.
if ! unshare --user --map-root-user true 2>"$tmp/why"; then
    [ -z "${INGOT_NO_SKIP:-}" ] || bail "user namespaces work: $(cat "$tmp/why")"
    skip "an ordinary user gets the same bytes" "no user namespaces: $(cat "$tmp/why")"
    exit 0
fi
chmod 755 "$tmp"
mkdir -p "$tmp/prefix/bin" "$tmp/prefix/lib/ingot" "$tmp/prefix/share/ingot" "$tmp/user/cache/debs"
cp "$INGOT" "$tmp/prefix/bin/ingot"
cp "${INGOT%/*}/ingot-agent" "${INGOT%/*}/ingot-initrd" "$tmp/prefix/lib/ingot/"
for folder in profiles overlays firmware cloud-init; do cp -r "$top/$folder" "$tmp/prefix/share/ingot/"; done
chmod -R go+rX "$tmp/prefix"
cp -r "$cache/debs/." "$tmp/user/cache/debs/"
chown -R 64123:64123 "$tmp/user"
for file in passwd group subuid subgid; do
    [ ! -e "/etc/$file" ] || cp "/etc/$file" "$tmp/etc-$file"
    chmod 644 "$tmp/etc-$file" 2>/dev/null || install -m 644 /dev/null "$tmp/etc-$file"
done
echo "ingot-test:x:64123:64123::$tmp/user:/bin/sh" >>"$tmp/etc-passwd"
echo "ingot-test:x:64123:" >>"$tmp/etc-group"
echo "ingot-test:700000000:65536" | tee -a "$tmp/etc-subuid" >>"$tmp/etc-subgid"
cat >"$tmp/as-user" <<'EOF'
set -e
cd "$1"
for file in passwd group subuid subgid; do
    [ -e /etc/$file ] || touch /etc/$file
    mount --bind "$1/etc-$file" /etc/$file
done
cd user
umask 077
exec setpriv --reuid 64123 --regid 64123 --clear-groups env -i PATH=/usr/bin:/bin HOME="$1/user" TZ=Asia/Tokyo \
    "$1/prefix/bin/ingot" "${@:2}"
EOF
as_user() { unshare --mount bash "$tmp/as-user" "$tmp" "$@"; }

run_ok "build as an ordinary user" as_user build --cache "$tmp/user/cache" --format raw -o "$tmp/user/out" base
mapfile -t layers < <(ls "$tmp/user/cache/packages")
is "${layers[*]}" "$key" "same key"
same_file "$layer/layer.tar" "$tmp/user/cache/packages/$key/layer.tar" "same bytes as root's"
same_file "$layer/packages.json" "$tmp/user/cache/packages/$key/packages.json" "same list of packages"
is "$(find "$tmp/user/cache/sandbox" "$tmp/user/cache/tmp" -mindepth 1)" "" "no sandbox is left"
is "$(find "$tmp/user" ! -user 64123 | head)" "" "no file of a subordinate id is left"

# Without subordinate ids the message says what to do.
sed -i /ingot-test/d "$tmp/etc-subuid"
run_status 6 "without subordinate ids" as_user build --cache "$tmp/user/cache2" --format raw -o "$tmp/user/out2" base
like "$err" "'/etc/subuid' gives user ingot-test no subordinate ids" "the message"
like "$err" '^hint: run as root: usermod --add-subuids' "the hint"

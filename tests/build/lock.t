#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Locks: a repository on loopback whose packages change. Each way in which it may differ from what was locked
# fails a locked build, before anything is cached; and what did not change builds from the cache alone.
. "${0%/*}/../lib.sh"
. "$top/tests/build/lib.sh"
requires mmdebstrap dpkg-deb gpg python3 unshare setpriv

# ---- a small distribution ----------------------------------------------------------------------------
# The essential packages are real: those that the cache has from building base.yaml. "thing" and
# "thing-lib" are ours. Nothing boots, so the hooks that build an initrd are left out.
take_layer "$top/profiles/base.yaml"
is "$(jq '[.packages[], .build_packages[] | select(.sha256 == null or .size == null or .origin == null or .suite == null
    or .component == null or .path == null)] | length' "$cache/packages/$key/packages.json")" 0 \
    "every package of a real layer has digest, size and origin"
is "$(jq -r '[.packages[], .build_packages[] | .path | select(test("^pool/[^:]*[.]deb$") | not)] | length' \
    "$cache/packages/$key/packages.json")" 0 "paths are relative and name no host"
is "$(jq -r '[.build_packages[].name] | join(" ")' "$cache/packages/$key/packages.json")" "cpio dracut dracut-core" \
    "packages that only the build needs are apart"
real=$("$INGOT" cache path)
mkdir -p "$tmp/prefix/bin" "$tmp/prefix/lib/ingot" "$tmp/prefix/share/ingot"
cp "$INGOT" "$tmp/prefix/bin/ingot"
cp "${INGOT%/*}/ingot-agent" "${INGOT%/*}/ingot-initrd" "$tmp/prefix/lib/ingot/"
for folder in profiles overlays firmware cloud-init; do cp -r "$top/$folder" "$tmp/prefix/share/ingot/"; done
hooks=$tmp/prefix/share/ingot/firmware/packages
cat >"$hooks/customize" <<'END'
set -e
cd "$1"
chroot . dpkg --purge --force-depends thing-build
rm -rf etc/apt var/lib/apt
find var/cache var/log run tmp -mindepth 1 -delete
END
echo true >"$hooks/essential"
small() { "$tmp/prefix/bin/ingot" --cache "$tmp/small" "$@"; }

chmod 755 "$tmp"
mkdir -m 755 "$tmp/repo" "$tmp/repo/pool" "$tmp/gpg" "$tmp/work"
chmod 700 "$tmp/gpg"
gpg --homedir "$tmp/gpg" --batch --quiet --passphrase '' --quick-gen-key test@example.org ed25519 sign never 2>gpg.log ||
    bail "cannot make a key: $(cat gpg.log)"
gpg --homedir "$tmp/gpg" --batch --export test@example.org >"$tmp/key.gpg"
on_exit gpgconf --homedir "$tmp/gpg" --kill all
# The names as in a repository: without the epoch of the version.
for deb in "$real"/debs/debian-trixie-amd64/*.deb; do
    name=${deb##*/}
    case $name in linux-image-* | docker* | containerd* | runc*) continue ;; esac
    # shellcheck disable=SC2001
    cp "$deb" "repo/pool/$(sed 's/_[0-9]*%3a/_/' <<<"$name")"
done

# make_deb NAME VERSION DEPENDS TEXT: a package with one file.
make_deb() {
    rm -rf work/deb
    mkdir -p work/deb/DEBIAN "work/deb/usr/share/$1"
    echo "$4" >"work/deb/usr/share/$1/text"
    printf 'Package: %s\nVersion: %s\nArchitecture: all\nMaintainer: Test <test@example.org>\nDepends: %s\nDescription: test\n' \
        "$1" "$2" "$3" | sed '/^Depends: $/d' >work/deb/DEBIAN/control
    dpkg-deb --root-owner-group -Znone --build work/deb "repo/pool/$1_${2#*:}_all.deb" >/dev/null
}
# publish: index and sign what is in the pool.
stamp=1700000000
publish() {
    local deb date
    mkdir -p repo/dists/sid/main/binary-amd64
    for deb in repo/pool/*.deb; do
        # The control files of the real ones do not change.
        [ -e "work/${deb##*/}.control" ] && [ "work/${deb##*/}.control" -nt "$deb" ] ||
            { dpkg-deb -f "$deb" && printf 'Filename: pool/%s\nSize: %s\nSHA256: %s\n\n' "${deb##*/}" "$(stat -c %s "$deb")" "$(sha256sum <"$deb" | cut -d' ' -f1)"; } >"work/${deb##*/}.control"
        cat "work/${deb##*/}.control"
    done >repo/dists/sid/main/binary-amd64/Packages
    stamp=$((stamp + 1000))
    date=$(date -u -d "@$stamp" '+%a, %d %b %Y %H:%M:%S UTC')
    {
        printf 'Origin: Test\nLabel: Test\nSuite: unstable\nCodename: sid\nDate: %s\nArchitectures: amd64\nComponents: main\nSHA256:\n' "$date"
        (cd repo/dists/sid && sha256sum main/binary-amd64/Packages | while read -r sum file; do
            echo " $sum $(stat -c %s "$file") $file"
        done)
    } >work/Release
    gpg --homedir "$tmp/gpg" --batch --quiet --yes --clearsign -o repo/dists/sid/InRelease work/Release
}
make_deb thing 1.0 "thing-lib (>= 1:1)" one
make_deb thing-lib 1:1.0 "" lib
make_deb thing-build 1.0 "" build
make_deb unwanted 1.0 "" no
publish

cat >server.py <<'END'
import http.server
import functools
class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *ignored):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory="repo"))
print(server.server_address[1], flush=True)
server.serve_forever()
END
python3 server.py >port &
server=$!
on_exit kill "$server"
wait_for 20 test -s port || bail "the server does not start"
port=$(cat port)

write_profile() { # PACKAGE...
    {
        printf 'name: small\nversion: 1.0.0\nbase: {distribution: debian, release: sid, mirror: "http://127.0.0.1:%s", ' "$port"
        printf 'keyring: %s}\nkernel: {package: thing-lib}\npackages:\n' "$tmp/key.gpg"
        printf '  - %s\n' "$@"
    } >small.yaml
}
write_profile thing thing-build
lock=$tmp/small.lock

# ---- making a lock ---------------------------------------------------------------------------------------
run_status 5 "a locked build without a lock" small build --locked small.yaml
like "$err" "there is no lock 'small.lock'" "says so"
like "$err" "^hint: 'ingot lock' makes it" "with a hint"
missing "$tmp/small/packages" "before anything is installed"
run_status 5 "lock --check without a lock" small lock --check small.yaml
missing "$lock" "writes none"
run_ok "lock" small lock small.yaml
like "$out" '^small.lock: [0-9]+ packages, 1 for the build, new$' "says what it has written"
run_ok "it is JSON" jq . small.lock
row() { jq -cS --arg name "$1" '.packages[], .build_packages[] | select(.name == $name)' small.lock; }
sum() { sha256sum <"repo/pool/$1" | cut -d' ' -f1; }
is "$(row thing | jq -r '"\(.version) \(.architecture) \(.sha256) \(.size) \(.origin) \(.suite) \(.component) \(.path)"')" \
    "1.0 all $(sum thing_1.0_all.deb) $(stat -c %s repo/pool/thing_1.0_all.deb) Test sid main pool/thing_1.0_all.deb" "a package in it"
is "$(row thing-lib | jq -r .version)" 1:1.0 "a version with an epoch"
is "$(jq -c '.build_packages | map(.name)' small.lock)" '["thing-build"]' "what only the build needs"
is "$(jq -c .requested small.lock)" '["thing","thing-build","thing-lib"]' "what the profile asks for"
is "$(jq -r '.repositories[] | "\(.suite) \(.inrelease)"' small.lock)" \
    "sid $(sha256sum <repo/dists/sid/InRelease | cut -d' ' -f1)" "the state of the repositories"
unlike "$(cat small.lock)" "127\.0\.0\.1|://|$tmp" "no host and no path of this machine"
is "$(grep -c '^    {"name"' small.lock)" "$(jq '(.packages + .build_packages) | length' small.lock)" "a line for each package"
cp small.lock first.lock
run_ok "again" small lock small.yaml
like "$out" '^small.lock: current$' "it is current"
same_file small.lock first.lock "the same bytes"
run_ok "lock --check" small lock --check small.yaml
run_ok "plan --locked" small plan --locked small.yaml
like "$out" '^small +packages +cached ' "the lock's layer is in the cache"

# packages_step EVENTS: how the step ended. That this image has no kernel comes later.
packages_step() { jq -r 'select(.event == "step-finished" and .step == "packages").outcome' "$1"; }
# locked CACHE [OPTION...]: a locked build as far as its packages.
locked() {
    "$tmp/prefix/bin/ingot" --cache "$1" --json build --locked "${@:2}" -o none small.yaml >events.json 2>events.err || status=$?
}
status=0
locked small
is "$(packages_step events.json)" cached "a locked build takes the layer from the cache"
unlike "$(cat events.err)" "lock" "and has nothing to say about the lock"

# ---- the repositories move on ------------------------------------------------------------------------------
# A newer version beside the old one.
make_deb thing 1.1 "thing-lib (>= 1:1)" two
publish
run_status 5 "lock --check" small --json lock --check small.yaml
is "$(jq -c 'select(.event == "lock-changes") | [.current, .written, (.changes | map([.change, .name, .was, .version, .suite, .security]))]' "$out_file")" \
    '[false,false,[["changed","thing","1.0","1.1","sid",false]]]' "the event says what changes"
like "$err" "lock 'small.lock' is not current: 1 packages differ:" "the message counts"
like "$err" '^    ~ thing 1.0 -> 1.1 \(sid\)$' "and names them"
like "$err" "^hint: 'ingot lock --update small.yaml' writes it" "the hint"
run_status 5 "lock without --update" small lock small.yaml
same_file small.lock first.lock "leaves it alone"
locked small
is "$(packages_step events.json)" cached "a locked build has its layer still"
run_ok "locked and without a network" unshare --net "$tmp/prefix/bin/ingot" --cache "$tmp/small" plan --locked --offline small.yaml
like "$out" '^small +packages +cached ' "finds it"
locked "$tmp/small3"
is "$(packages_step events.json)" "done" "with an empty cache the locked version is installed"
layer() { echo "$1"/packages/"$("$tmp/prefix/bin/ingot" --cache "$1" --json plan --locked small.yaml | jq -r '.steps[] | select(.step == "packages").key')"; }
same_file "$(layer small)/layer.tar" "$(layer small3)/layer.tar" "the same layer"
same_file "$(layer small)/packages.json" "$(layer small3)/packages.json" "the same list"
rm -rf small3

# fails_locked NAME PATTERN: a locked build with an empty cache fails with 5 and this line; nothing is cached.
fails_locked() {
    rm -rf small3
    run_status 5 "$1" "$tmp/prefix/bin/ingot" --cache "$tmp/small3" build --locked -o none small.yaml
    like "$err" "$2" "$1: the message"
    like "$err" "^hint: 'ingot lock --update small.yaml' takes what the repositories have now" "$1: the hint"
    is "$(find small3/packages small3/tmp small3/sandbox -mindepth 1 2>/dev/null)" "" "$1: nothing is cached"
    missing none/small "$1: no output"
}
# The old one is gone.
mv repo/pool/thing_1.0_all.deb work/
publish
SECONDS=0
fails_locked "a version that is gone" "^    thing 1.0: the repositories have 1.1 \(sid\)$"
note "which took $SECONDS s"
like "$err" "lock 'small.lock': the repositories do not offer what the lock says:" "the lock is named"
# No version at all.
mv repo/pool/thing_1.1_all.deb work/
publish
fails_locked "a package that is gone" "^    thing 1.0: the repositories do not have the package any more$"
# The version is there with other bytes.
make_deb thing 1.0 "thing-lib (>= 1:1)" changed
publish
fails_locked "other bytes under the same version" "^    thing 1.0: the repositories have other bytes under this version$"
# What the index says is true, what is downloaded is not: apt sees that.
cp work/thing_1.0_all.deb repo/pool/
publish
make_deb thing 1.0 "thing-lib (>= 1:1)" forged!
rm -rf small3
run "$tmp/prefix/bin/ingot" --cache "$tmp/small3" build --locked -o none small.yaml
isnt "$status" 0 "a download that is not what the index says"
is "$(find small3/packages -mindepth 1)" "" "nothing is cached"
# A kept download of the right size: apt takes it as it is, and we do not.
make_deb thing 1.0 "thing-lib (>= 1:1)" onf
cp repo/pool/thing_1.0_all.deb work/forged.deb
cp work/thing_1.0_all.deb repo/pool/
publish
is "$(stat -c %s work/forged.deb)" "$(stat -c %s repo/pool/thing_1.0_all.deb)" "a forged download of the same size"
rm -rf small3
mkdir -p small3/debs/debian-sid-amd64
cp work/forged.deb small3/debs/debian-sid-amd64/thing_1.0_all.deb
run_ok "a forged download among those kept" "$tmp/prefix/bin/ingot" --cache "$tmp/small3" lock -o x.lock small.yaml
like "$err" "^warning: the .deb of package 'thing' is not the one that the repository has: .*fetched again" "is found"
is "$(jq -cS '[.packages, .build_packages]' x.lock | sha256sum)" "$(jq -cS '[.packages, .build_packages]' first.lock | sha256sum)" \
    "and the right one taken"
same_file small3/debs/debian-sid-amd64/thing_1.0_all.deb work/thing_1.0_all.deb "and kept"
rm -rf small3 x.lock

# ---- the lock and the profile ------------------------------------------------------------------------------
# edit FILTER: the lock by jq.
edit() { jq "$1" first.lock >small.lock; }
edit '(.packages[] | select(.name == "thing")).sha256 = ("0" * 64)'
run_status 5 "an edited digest and a layer in the cache" small build --locked -o none small.yaml
like "$err" "1 packages of 'small' are not as lock 'small.lock' says:" "is refused"
like "$err" '^    ~ thing 1.0 with other bytes' "and named"
run_status 5 "by plan too" small plan --locked small.yaml
fails_locked "an edited digest and an empty cache" "^    thing 1.0: the repositories have other bytes under this version$"
edit 'del(.packages[] | select(.name == "thing-lib"))'
fails_locked "a row that is missing" "^    thing-lib 1:1.0: it is needed, and the lock does not have it$"
edit '.packages |= sort_by(.name) | .packages += [.packages[-1] | .name = "zz"]'
fails_locked "a row too many" "^    zz [0-9.a-z:+-]*: the repositories do not have the package any more$"
unwanted="{name: \"unwanted\", version: \"1.0\", architecture: \"all\", sha256: \"$(sum unwanted_1.0_all.deb)\",
    size: $(stat -c %s repo/pool/unwanted_1.0_all.deb), origin: \"Test\", suite: \"sid\", component: \"main\", path: \"pool/x.deb\"}"
edit ".packages |= (. + [$unwanted] | sort_by(.name))"
fails_locked "a row that nobody needs" '^    - unwanted 1.0$'
edit '.profile = "else"'
run_status 5 "a lock of another profile" small build --locked small.yaml
like "$err" "lock 'small.lock' is of profile 'else'" "the message"
edit '.base.release = "trixie"'
run_status 5 "a lock for another base" small build --locked small.yaml
like "$err" "lock 'small.lock' is for debian trixie amd64, and the profile for debian sid amd64" "the message"
edit '.repositories[0].suite = "other"'
run_status 5 "a lock of other suites" small build --locked small.yaml
like "$err" "the profile uses other suites than the lock" "the message"
edit '.surprise = 1'
run_status 5 "a lock with an unknown member" small build --locked small.yaml
like "$err" "small.lock:[0-9]+: unknown member 'surprise'" "the message"
sed '/"thing"/s/^/<<<<<<< ours\n/' first.lock >small.lock
run_status 5 "a lock with the marks of a merge" small build --locked small.yaml
like "$err" 'small.lock:[0-9]+:[0-9]+: not valid JSON' "the message"
run_ok "lock --update repairs it" small lock --update small.yaml
like "$err" 'warning: small.lock:.* it is made anew' "and says so"

cp first.lock small.lock
write_profile thing thing-build unwanted
run_status 5 "a profile with one more package" small build --locked small.yaml
like "$err" '^    unwanted: the profile wants it, and the lock was made without$' "the message"
write_profile thing
run_status 5 "a profile with one package less" small build --locked small.yaml
like "$err" '^    thing-build: the profile does not want it any more$' "the message"
write_profile thing thing-build
run_ok "the profile as it was" small plan --locked small.yaml
cp small.yaml second.yaml
sed -i s/small/second/ second.yaml
run_status 2 "one lock for two profiles" small build --lock small.lock small.yaml second.yaml

# ---- updating ------------------------------------------------------------------------------------------------
rm repo/pool/thing-build_1.0_all.deb
make_deb thing 2.0 "thing-lib (>= 1:1), thing-more" two
make_deb thing-more 0.1 "" more
make_deb thing-build 1.0 "" other
publish
run_ok "lock --update" small lock --update small.yaml
is "$(sed '$d' "$out_file")" "~ thing 1.0 -> 2.0 (sid)
~ thing-build 1.0 with other bytes (sid)
+ thing-more 0.1 (sid)" "says what changes"
run_ok "and once more" small lock --update small.yaml
like "$out" ': current$' "changes nothing"
diff first.lock small.lock >lock.diff || true
is "$(grep -c '^[<>]' lock.diff)" 7 "a small difference for version control: a line for each package and one for the suite"
is "$(jq -c .containers small.lock)" '[]' "the list of containers"
run_ok "plan --locked" small plan --locked small.yaml
# Nothing but the state of the repositories changes.
cp small.lock second.lock
publish
run_ok "lock, when the repositories have changed and no package" small lock small.yaml
like "$out" ': current; the repositories have changed, these packages have not$' "is current"
same_file small.lock second.lock "and stays as it is"
run_ok "--update" small lock --update small.yaml
isnt "$(jq -r '.repositories[0].inrelease' small.lock)" "$(jq -r '.repositories[0].inrelease' second.lock)" "notes the new state"
run_status 2 "--check and --update at once" small lock --check --update small.yaml
run_status 1 "a lock that cannot be written" small lock -o nowhere/x.lock small.yaml
like "$err" "cannot .*'nowhere/x.lock" "names the file"

# ---- a root that is refused ----------------------------------------------------------------------------------
# mmdebstrap, whose reader has gone, sends SIGHUP to its process group: that is not the one of who called us.
cp "$hooks/customize" work/customize
echo 'touch -d @-5 aaa' >>"$hooks/customize"
# shellcheck disable=SC2016
run setsid --wait bash -c '"$@"; echo "status $?"' - "$tmp/prefix/bin/ingot" --cache "$tmp/small" build -o none small.yaml
is "$status" 0 "a file that no image may have: the caller lives on"
like "$out" '^status 5$' "with the exit status of bad content"
like "$err" "cannot make the package layer: cannot read packages: entry 'aaa': bad time" "and the reason"
is "$(find small/sandbox small/tmp -mindepth 1)" "" "nothing is left"
cp work/customize "$hooks/customize"

# ---- a real image by a lock ------------------------------------------------------------------------------------
make_profile role
run_ok "lock a real role" ingot lock --offline role.yaml
run_ok "build it without the lock" ingot build --offline --format raw -o a role.yaml
is "$(jq -c .lock a/role/manifest.json)" null "its manifest names none"
run_ok "build it by the lock" ingot --json build --offline --locked --format raw -o b role.yaml
same_file a/role/role_1.2.3.raw b/role/role_1.2.3.raw "the same image"
is "$(jq -r .lock b/role/manifest.json)" "$(sha256sum <role.lock | cut -d' ' -f1)" "its manifest names the lock"
cp role.lock b.lock
run_ok "the image that is there, by a lock" ingot --json build --offline --lock b.lock --format raw -o a role.yaml
is "$(outcomes "$out_file" | grep -c ' cached$')" 3 "no step is run again but the last"
is "$(jq -r .lock a/role/manifest.json)" "$(sha256sum <role.lock | cut -d' ' -f1)" "its manifest names it now"
run_ok "once more" ingot --json build --offline --lock b.lock --format raw -o a role.yaml
is "$(outcomes "$out_file")" "role images cached" "there is nothing to do"
sed -i '0,/"version": "/s//&9/' b.lock
run_status 5 "an image that is there, by a lock that it does not fit" ingot build --offline --lock b.lock --format raw -o a role.yaml
like "$err" "1 packages of 'role' are not as lock 'b.lock' says:" "is refused"

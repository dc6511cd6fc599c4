#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# ingot diff on two small disks that other tools made, against what rsync, systemctl,
# systemd-analyze and find say of the same trees; on manifests and locks; on hostile names.
# shellcheck source=tests/lib.sh
. "${0%/*}/../lib.sh"
# shellcheck source=tests/disklib.sh
. "$top/tests/disklib.sh"
requires jq qemu-img sfdisk mkfs.fat mcopy mmd mksquashfs rsync systemctl systemd-analyze
PATH=$PATH:/usr/sbin:/sbin

put() { # FILE: standard input becomes it
    mkdir -p "$(dirname "$1")"
    cat >"$1"
}
link() { # TARGET FILE
    mkdir -p "$(dirname "$2")"
    ln -s "$1" "$2"
}
unit() { # TREE NAME [LINE...]: a service
    printf '%s\n' '[Service]' 'ExecStart=/bin/true' "${@:3}" | put "$1/usr/lib/systemd/system/$2"
}

# The system that both trees begin with.
make_tree() { # TREE
    local units=$1/usr/lib/systemd/system
    mkdir -p "$1"/{dev,proc,var/lib,usr/bin,efi}
    printf 'IMAGE_ID=demo\nIMAGE_VERSION=1\nPRETTY_NAME="Demo"\n' | put "$1/usr/lib/os-release"
    link ../usr/lib/os-release "$1/etc/os-release"
    put "$1/usr/lib/sysimage/dpkg/status" <<-'EOF'
		Package: dpkg
		Status: install ok installed
		Architecture: amd64
		Version: 1.22

		Package: openssl
		Status: install ok installed
		Architecture: amd64
		Version: 3.5.1-1

		Package: gone
		Status: install ok installed
		Architecture: all
		Version: 1
		EOF
    link /usr/lib/sysimage/dpkg "$1/var/lib/dpkg"
    printf 'root:x:0:0::/root:/bin/bash\n' | put "$1/etc/passwd"
    printf 'root:*:::::::\n' | put "$1/etc/shadow"
    printf 'root:x:0:\nadm:x:4:\n' | put "$1/etc/group"
    unit "$1" a.service '[Install]' 'WantedBy=multi-user.target'
    unit "$1" b.service '[Install]' 'WantedBy=multi-user.target'
    unit "$1" c.service '[Install]' 'WantedBy=multi-user.target'
    unit "$1" plain.service
    unit "$1" also.service '[Install]' 'Also=a.service'
    put "$units/web.socket" <<<$'[Socket]\nListenStream=8080\nListenStream=/run/web\n[Install]\nWantedBy=sockets.target'
    put "$units/multi-user.target" <<<'[Unit]'
    link /usr/lib/systemd/system/a.service "$1/etc/systemd/system/multi-user.target.wants/a.service"
    link /dev/null "$1/etc/systemd/system/c.service"
    link /usr/lib/systemd/system/a.service "$1/etc/systemd/system/alias.service"
    printf 'kernel.a = 1\nvm/b=2\n' | put "$1/usr/lib/sysctl.d/50-x.conf"
    printf 'kernel.a=7\nnet.c=3\n' | put "$1/usr/lib/sysctl.d/60-y.conf"
    printf 'kernel.hidden=1\n' | put "$1/usr/lib/sysctl.d/70-z.conf"
    printf 'kernel.shown=1\n' | put "$1/etc/sysctl.d/70-z.conf"
    put "$1/usr/lib/ingot/firewall.nft" <<-'EOF'
		table inet ingot {
			chain input {
				type filter hook input priority filter - 5; policy drop;
				tcp dport 22 accept comment "ssh"
			}
		}
		EOF
    head -c 300000 /dev/zero | tr '\0' x | put "$1/usr/bin/large"
    printf same | put "$1/usr/bin/same"
    printf su | put "$1/usr/bin/su"
    chmod 4755 "$1/usr/bin/su"
    printf 1 | put "$1/srv/mode"
    printf 1 | put "$1/srv/content"
    printf 1 | put "$1/srv/size"
    printf 1 | put "$1/srv/owner"
    printf 1 | put "$1/srv/gone"
    printf 1 | put "$1/srv/type"
    link one "$1/srv/link"
}

# One change in every category.
change_tree() { # TREE
    sed -i 's/VERSION=1/VERSION=2/' "$1/usr/lib/os-release"
    sed -i -e 's/3.5.1-1/3.5.2-1/' -e '/^Package: gone/,$d' "$1/usr/lib/sysimage/dpkg/status"
    printf 'Package: come\nStatus: install ok installed\nArchitecture: all\nVersion: 4\n' \
        >>"$1/usr/lib/sysimage/dpkg/status"
    printf 'ops:x:1000:1000::/home/ops:/bin/sh\n' >>"$1/etc/passwd"
    # shellcheck disable=SC2016
    printf 'ops:$6$salt$hash:::::::\n' >>"$1/etc/shadow"
    sed -i 's/^adm.*/&ops/' "$1/etc/group"
    rm "$1/etc/systemd/system/multi-user.target.wants/a.service"
    link /usr/lib/systemd/system/b.service "$1/etc/systemd/system/multi-user.target.wants/b.service"
    link /usr/lib/systemd/system/web.socket "$1/etc/systemd/system/sockets.target.wants/web.socket"
    printf 'kernel.a = 1\nvm/b=9\n' >"$1/usr/lib/sysctl.d/50-x.conf"
    sed -i 's/.*dport 22.*/&\n\t\ttcp dport 443 accept comment "web"/' "$1/usr/lib/ingot/firewall.nft"
    printf x | dd of="$1/usr/bin/large" bs=1 seek=250000 conv=notrunc status=none
    printf y | dd of="$1/usr/bin/large" bs=1 seek=299999 conv=notrunc status=none
    chmod 0755 "$1/usr/bin/su"
    printf passwd >"$1/usr/bin/passwd"
    chmod 2755 "$1/usr/bin/passwd"
    chmod 600 "$1/srv/mode"
    printf 2 >"$1/srv/content"
    printf 22 >"$1/srv/size"
    rm "$1/srv/gone" "$1/srv/link" "$1/srv/type"
    ln -s two "$1/srv/link"
    mkdir "$1/srv/type"
    printf n >"$1/srv/new file"
}

# A squashfs of the tree; everything belongs to root, but for one file.
make_squashfs() { # NAME TREE OWNER-OF-/srv/owner [OPTION...]
    (cd "$2" && find . -mindepth 1 -printf '%P m %m 0 0\n') |
        sed -e "s/^srv\/owner m 644 .*/srv\/owner m 644 $3/" -e 's/^srv.new file/srv\/new\\ file/' >pseudo
    echo 'dev/null c 666 0 0 1 3' >>pseudo
    mksquashfs "$2" "$1.squashfs" -noappend -quiet -no-progress -root-mode 755 -pf pseudo "${@:4}" >mksquashfs.log
}

# A disk with that as its root.
make_disk() { # NAME TREE CMDLINE KERNEL OWNER-OF-/srv/owner
    make_squashfs "$1" "$2" "$5" -comp gzip
    truncate -s 64M "$1.raw"
    sfdisk -q "$1.raw" <<-EOF
		label: gpt
		start=2048, size=81920, type=uefi, name="esp"
		start=83968, size=20480, type=4f68bce3-e8cd-4db1-96e7-fbcaf984b709, name="root", uuid=00112233-4455-6677-8899-aabbccddeeff
		EOF
    truncate -s 40M esp
    mkfs.fat -F 32 -s 1 esp >mkfs.log
    make_pe "roothash=00112233445566778899aabbccddeeff0f1e2d3c4b5a69788796a5b4c3d2e1f0 $3" "$4" "initrd of $4"
    mmd -i esp ::EFI ::EFI/Linux
    mcopy -i esp pe '::EFI/Linux/demo.efi'
    dd if=esp of="$1.raw" bs=1M seek=1 conv=notrunc,sparse status=none
    dd if="$1.squashfs" of="$1.raw" bs=512 seek=83968 conv=notrunc status=none
}

make_tree A
cp -a A B
change_tree B
make_disk a A 'ro console=tty0 console=ttyS0' 6.1.0 '1 2'
make_disk b B 'ro console=tty0 quiet' 6.2.0 '3 2'

run_ok 'an image and itself' "$INGOT" diff a.raw a.raw
like "$out" '^no difference$' 'do not differ'
run_ok '--exit-code without a difference' "$INGOT" diff --exit-code a.raw a.raw
qemu-img convert -O qcow2 -c a.raw a.qcow2
run_ok 'raw and qcow2 of one disk' "$INGOT" diff a.raw a.qcow2
like "$out" '^no difference$' 'do not differ'
make_squashfs again A '1 2' -comp xz -b 4096 -no-fragments
run_ok 'the same tree in another squashfs' "$INGOT" --json diff --only files,units a.squashfs again.squashfs
is "$(jq -c '[.same, .files.changed]' <<<"$out")" '[true,[]]' 'does not differ: other blocks, same contents'

run_ok 'two images' "$INGOT" --json diff a.raw b.raw
json=$out
is "$(jq -r .event <<<"$json")" diff 'one event'
is "$(jq -c '[.same, .unknown]' <<<"$json")" '[false,[]]' 'they differ, all is known'
is "$(jq -c '[.a.version, .b.version, .a.kind]' <<<"$json")" '["1","2","image"]' 'what was compared'
digest() { printf '%s' "$1" | sha256sum | cut -d' ' -f1; }
section_is() { # CATEGORY WANT
    is "$(jq -cS ".$1 | [.removed, .added, .changed]" <<<"$json")" "$(jq -cS . <<<"$2")" "$1: all that changed and nothing else"
}
section_is image '[[], [], [{"name": "initrd", "from": "'"$(digest 'initrd of 6.1.0')"'", "to": "'"$(digest 'initrd of 6.2.0')"'"},
    {"name": "kernel", "from": "6.1.0", "to": "6.2.0"},
    {"name": "version", "from": "1", "to": "2"}]]'
section_is setuid '[[{"name": "/usr/bin/su", "value": {"mode": "4755", "uid": 0, "gid": 0}}],
    [{"name": "/usr/bin/passwd", "value": {"mode": "2755", "uid": 0, "gid": 0}}], []]'
section_is ports '[[], [{"name": "allow tcp 443", "value": {"from": ["anywhere"], "name": "web"}},
    {"name": "socket tcp 8080", "value": {"units": ["web.socket"]}}], []]'
section_is units '[[], [], [
    {"name": "a.service", "from": {"state": "enabled", "wanted_by": ["multi-user.target"]}, "to": {"state": "indirect"}},
    {"name": "b.service", "from": {"state": "disabled"}, "to": {"state": "enabled", "wanted_by": ["multi-user.target"]}},
    {"name": "web.socket", "from": {"state": "disabled"}, "to": {"state": "enabled", "wanted_by": ["sockets.target"]}}]]'
# shellcheck disable=SC2016
password=$(printf '%s' '$6$salt$hash' | sha256sum | cut -c1-16)
section_is users '[[], [{"name": "ops", "value": {"uid": 1000, "gid": 1000, "groups": ["adm"], "home": "/home/ops",
    "password": "set '"$password"'", "shell": "/bin/sh", "ssh_keys": []}}], []]'
section_is cmdline '[[{"name": "console=ttyS0", "value": true}], [{"name": "quiet", "value": true}], []]'
section_is sysctl '[[], [], [{"name": "vm.b", "from": "2", "to": "9"}]]'
section_is packages '[[{"name": "gone", "value": {"version": "1", "architecture": "all"}}],
    [{"name": "come", "value": {"version": "4", "architecture": "all"}}],
    [{"name": "openssl", "from": {"version": "3.5.1-1"}, "to": {"version": "3.5.2-1"}}]]'
is "$(jq -c '.partitions | [.[] | length]' <<<"$json")" '[0,0,0]' 'partitions: none changed'
is "$(jq -r '.sizes.changed[] | select(.name == "content") | "\(.from) \(.to)"' <<<"$json")" \
    "$(for tree in A B; do find $tree -type f -printf '%s\n'; done | awk -v n="$(find A -type f | wc -l)" \
        '{ if (NR <= n) a += $1; else b += $1 } END { print a, b }')" 'sizes: of all contents, as find says'
unlike "$json" 'salt.hash' 'no password leaves the image'

# Files by rsync, which compares the trees by their contents.
rsync -rlpc --omit-dir-times --delete -n -i B/ A/ >rsync.out
{
    grep -v '/$' rsync.out | sed -n 's/^\*deleting *\(.*[^/]\)$/- \1/p'
    sed -n 's/^[>c][fLdD]+++++++++ \(.*\)$/+ \1/p' rsync.out | sed -e 's/ -> .*//' -e 's,/$,,'
    sed -n 's/^[>c.][fLdD][^+ ]* \(.*\)$/~ \1/p' rsync.out | sed -e 's/ -> .*//' -e 's,/$,,'
} >rsync.all
# rsync says of a changed type that the new one is new; it does not see owners as an ordinary user.
{ sed 's/^+ srv\/type$/~ srv\/type/' rsync.all; echo '~ srv/owner'; } | sort -u >rsync.want
jq -r '.files | (.removed[] | "- " + .path), (.added[] | "+ " + .path), (.changed[] | "~ " + .path)' <<<"$json" |
    grep -v ' ESP:' | sed 's, /, ,' | sort -u >files.got
same_file rsync.want files.got 'files: as rsync says'
is "$(jq -c '[.files.changed[] | select(.path | startswith("/srv/")) | {(.path[5:]): .what}] | add' <<<"$json")" \
    '{"content":["content"],"link":["target"],"mode":["mode"],"owner":["owner"],"size":["content","size"],"type":["type","mode"]}' \
    'files: what changed'
is "$(jq -c '.files.changed[] | select(.path == "/srv/owner") | [.from, .to]' <<<"$json")" \
    '[{"gid":2,"uid":1},{"gid":2,"uid":3}]' 'files: owners'
is "$(jq -r '.files.changed[] | select(.path == "/usr/bin/large") | .to.sha256' <<<"$json")" \
    "$(sha256sum <B/usr/bin/large | cut -d' ' -f1)" 'files: digest of the content'
is "$(jq -c '[.files.changed[] | select(.path | startswith("ESP:")) | .path]' <<<"$json")" \
    '["ESP:/EFI/Linux/demo.efi"]' 'files: those of the ESP, too'
is "$(jq -c '[.files | .added_count, .removed_count, .changed_count, .content_unknown]' <<<"$json")" \
    "$(jq -c '[.files | (.added, .removed, .changed | length)] + [0]' <<<"$json")" 'files: counts'

# All entries at once, against an empty tree: modes, owners, sizes as find lists them.
mkdir empty
mksquashfs empty empty.squashfs -noappend -quiet -no-progress -all-root >mksquashfs.log
run_ok 'a tree against an empty one' "$INGOT" --json diff empty.squashfs b.squashfs
all=$out
jq -r '.files.added[] | [.path, .mode, .uid, .gid, (if .type == "file" then .size else "-" end), (.target // "-"),
    (.device // "-")] | map(tostring) | join("|")' <<<"$all" | sort >entries.got
(cd B && find . -mindepth 1 -printf '/%P|%m|%y|%s|%l\n') | awk -F'|' -v OFS='|' '{
    owner = "0|0"
    if ($1 == "/srv/owner") owner = "3|2"
    print $1, sprintf("%4s", $2), owner, $3 == "f" ? $4 : "-", $5 == "" ? "-" : $5, "-" }' | tr ' ' 0 |
    sed 's,/srv/new0file,/srv/new file,' | sort >entries.want
grep -v '^/dev/null|' entries.got | diff - <(grep -v '^/dev/null|' entries.want) >entries.diff || true
is "$(cat entries.diff)" '' 'every entry: mode, owner, size, target as in the tree'
like "$(cat entries.got)" '^/dev/null\|0666\|0\|0\|-\|-\|1:3$' 'devices'
is "$(jq -r '.setuid.added[].name' <<<"$all")" "$(cd B && find . -type f -perm /6000 -printf '/%P\n' | sort)" \
    'setuid files as find lists them'
is "$(jq -r '.units.added[] | "\(.name) \(.value.state)"' <<<"$all" | sort)" \
    "$(systemctl --root="$PWD/B" list-unit-files --no-legend --no-pager | awk '{ print $1, $2 }' | sort)" \
    'states of units as systemctl lists them'
is "$(jq -r '.sysctl.added[] | "\(.name)=\(.value)"' <<<"$all")" \
    "$(systemd-analyze --root="$PWD/B" cat-config sysctl.d | tr / . | sed -n 's/^\([a-z.]*\) *= */\1=/p' |
        awk -F= '{ v[$1] = $2 } END { for (k in v) print k "=" v[k] }' | sort)" \
    'settings of the kernel in the order of systemd-analyze'

printf '%s\n' "$json" "$all" >events
run_ok 'the events fit their schema' /usr/bin/python3 "$top/tests/check-events" <events

# The text says what the JSON says.
run_ok 'as text' "$INGOT" diff --all a.raw b.raw
text=$out
agree() { # JSON: the lines that the text must have, without their details
    jq -r 'to_entries[] | select(.value | type == "object" and has("removed")) | .value |
        (.removed[] | "  - " + (.name // .path)), (.added[] | "  + " + (.name // .path)),
        (.changed[] | "  ~ " + (.name // .path))' <<<"$1" | sort
}
is "$(sed -n 's/^\(  [-+~] .*\)$/\1/p' <<<"$text" | sed 's/\(  [-+~] .*[^ ]\)  .*/\1/' | sort)" "$(agree "$json")" \
    'text and JSON list the same'
like "$text" '^  ~ openssl  version 3\.5\.1-1 -> 3\.5\.2-1$' 'a package'
like "$text" '^  \+ allow tcp 443  from anywhere, name web$' 'a port'
like "$text" '^  ~ /srv/owner  owner 1:2 -> 3:2$' 'an owner'
like "$text" '^  - /srv/gone  file 0644 0:0 1 B$' 'a file that is gone'
is "$(sed -n 's/^\([a-z]*\) (.*/\1/p' <<<"$text" | tr '\n' ' ')" \
    'image setuid ports units users cmdline sysctl packages sizes files ' 'what matters most comes first'
run_ok 'the other way round' "$INGOT" --json diff b.raw a.raw
is "$(jq -cS '[.packages, .files | .added]' <<<"$out")" "$(jq -cS '[.packages, .files | .removed]' <<<"$json")" \
    'added is removed'

run_status 5 '--exit-code with a difference' "$INGOT" diff --exit-code a.raw b.raw
like "$err" "^ingot: 'a.raw' and 'b.raw' differ$" 'says so'
run_ok '--only' "$INGOT" --json diff --only sysctl,packages a.raw b.raw
is "$(jq -c '[has("sysctl"), has("packages"), has("files"), has("units")]' <<<"$out")" '[true,true,false,false]' \
    'compares only these'
run_status 2 'a category that is none' "$INGOT" diff --only unit a.raw b.raw
like "$err" "^hint: did you mean 'units'\?$" 'has a hint'
run_status 2 'no category' "$INGOT" diff --only , a.raw b.raw
like "$err" '^hint: there are: image, setuid, .*, files$' 'has the list that completion reads'
run_ok 'help' "$INGOT" diff --help
for category in $(jq -r 'to_entries[] | select(.value | type == "object" and has("removed")) | .key' <<<"$json"); do
    like "$out" "\\b$category\\b" "help names $category"
done

# More than twenty lines of a category are only counted.
mkdir many
for i in $(seq 30); do : >"many/$i"; done
mksquashfs many many.squashfs -noappend -quiet -no-progress -all-root >mksquashfs.log
run_ok 'many files' "$INGOT" diff empty.squashfs many.squashfs
is "$(grep -c '^  + ' <<<"$out")" 20 'twenty are listed'
like "$out" '^files \(30 added' 'all are counted'
like "$out" '^  \.\.\. and 10 more; --all shows them$' 'the rest is said'

# Manifests, an output folder, locks, and what they cannot tell.
mkdir out
jq -n '{schema: 1, name: "demo", version: "1", architecture: "amd64", root_hash: "00", keys: {root: "k1"},
    packages: [{name: "dpkg", version: "1.22", architecture: "amd64"}, {name: "openssl", version: "3.5.1-1", architecture: "amd64"},
        {name: "gone", version: "1", architecture: "all"}],
    disk: {size: 67108864, partitions: [{name: "esp", number: 1, size: 41943040}, {name: "root", number: 2, size: 10485760}]},
    artifacts: [{format: "raw", file: "demo_1.raw", bytes: 67108864, size: 67108864, sha256: "00"}]}' >out/manifest.json
jq '.version = "2" | .keys.root = "k2" | .packages[1].version = "3.5.2-1" | .artifacts[0].bytes = 5' out/manifest.json >second.json
run_ok 'two manifests' "$INGOT" --json diff out second.json
is "$(jq -c '[.image, .keys, .packages, .sizes | .changed[].name]' <<<"$out")" '["version","root","openssl","file raw"]' \
    'what changed'
run_ok 'a manifest and an image' "$INGOT" diff out a.raw
like "$out" '^not compared, as the manifest a does not tell: .*units.*, files$' 'says what a manifest does not tell'
unlike "$out" '^packages' 'packages are the same'
run_ok 'a manifest and a changed image' "$INGOT" --json diff out b.raw
is "$(jq -cS .packages <<<"$out")" "$(jq -cS .packages <<<"$json")" 'packages differ as between the images'
is "$(jq -c '[.files, .units]' <<<"$out")" '[null,null]' 'nothing else is shown as removed'
jq -n '{lock: 1, profile: "demo", base: {distribution: "debian", release: "trixie", architecture: "amd64"},
    repositories: [{suite: "trixie", date: "2026-01-01T00:00:00Z", inrelease: "11"}], requested: [],
    packages: [{name: "openssl", version: "3.5.1-1", architecture: "amd64", sha256: "00"}], build_packages: [],
    containers: [{reference: "r", digest: "sha256:1"}]}' >one.lock
jq '.repositories[0].inrelease = "22" | .packages[0].sha256 = "01" | .containers[0].digest = "sha256:2"' one.lock >two.lock
run_ok 'two locks' "$INGOT" diff one.lock two.lock
like "$out" '^  ~ openssl  sha256 00 -> 01$' 'the same version with another content'
like "$out" '^  ~ trixie  11 -> 22$' 'a repository'
like "$out" '^  ~ r  digest sha256:1 -> sha256:2$' 'a container'

# Names of hostile images: control characters stay away from the terminal, bytes that are no UTF-8 are shown.
mkdir -p H/etc/systemd/system
red=$'red\e[31m\n\x7f'
: >"H/$red"
: >H/$'latin\xe4'
ln -s $'\e]0;title\a' H/link
printf '[Service]\n' >"H/etc/systemd/system/$red.service"
printf 'Package: %s\nStatus: install ok installed\nVersion: \e[1m\nArchitecture: all\n' $'p\e[2J' |
    put H/var/lib/dpkg/status
mksquashfs H h.squashfs -noappend -quiet -no-progress -all-root >mksquashfs.log
run_ok 'hostile names' "$INGOT" diff empty.squashfs h.squashfs
is "$(tr -d '[:print:]\n' <"$out_file" | od -An -c)" '' 'no control character is printed'
like "$out" '^  \+ /red\?\[31m\?\?  file' 'a question mark is'
like "$out" '^  \+ /latin\\xe4  file' 'bytes that are no text'
run_ok 'hostile names as JSON' "$INGOT" --json diff empty.squashfs h.squashfs
is "$(jq -r '.files.added[] | select(.path | startswith("/red")) | .path' <<<"$out")" "/$red" 'JSON has them as they are'

# What cannot be compared.
run_status 1 'a file that is not there' "$INGOT" diff a.raw none
like "$err" "^ingot: cannot open 'none': No such file or directory$" 'says which'
run_status 2 'one operand' "$INGOT" diff a.raw
echo '{"x": 1}' >other.json
run_status 5 'other JSON' "$INGOT" diff a.raw other.json
like "$err" "'other.json': it is neither a manifest nor a lock" 'says so'
head -c 2000 b.squashfs >cut.squashfs
run_status 5 'a squashfs that is cut off' "$INGOT" diff a.raw cut.squashfs
like "$err" "'cut.squashfs': it is truncated" 'says so'
cp b.squashfs bad.squashfs
printf '\xff\xff\xff\xff' | dd of=bad.squashfs bs=1 seek=200 conv=notrunc status=none
run_status 5 'damaged contents' "$INGOT" diff a.squashfs bad.squashfs
like "$err" "^ingot: .*cannot read the squashfs in 'bad.squashfs'" 'say where'
cp a.raw noroot.raw
dd if=/dev/zero of=noroot.raw bs=512 seek=83968 count=8 conv=notrunc status=none
run_status 5 'a disk whose root is gone' "$INGOT" diff a.raw noroot.raw
like "$err" "^ingot: cannot .*'noroot.raw'.*" 'says so'
cp a.raw noesp.raw
dd if=/dev/urandom of=noesp.raw bs=512 seek=2048 count=64 conv=notrunc status=none
run_status 5 'a disk whose ESP is damaged' "$INGOT" diff a.raw noesp.raw
like "$err" "^ingot: 'noesp.raw': cannot read 'ESP'" 'is not taken for one without files on it'

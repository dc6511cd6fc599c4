#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# make install puts everything in its place, and what is installed works without the source tree.
. "${0%/*}/../lib.sh"
requires make jq

# With the default PREFIX: another one would compile anew what the tests beside this one run.
run_ok 'make install' env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS -u SAN -u VARIANT -u WERROR \
    make -s -C "$top" install DESTDIR="$tmp/root"
for file in bin/ingot lib/ingot/ingot-agent lib/ingot/ingot-initrd share/ingot/profiles/base.yaml \
    share/ingot/overlays/base share/ingot/firmware/loader/loader.conf share/ingot/cloud-init/units \
    share/bash-completion/completions/ingot; do
    exists "$tmp/root/usr/local/$file" "/usr/local/$file"
done
# Moved, as a package or a home folder would do it: data are found beside the program.
mv "$tmp/root/usr/local" "$tmp/prefix"
cd "$tmp"
run_ok 'installed: validate by name' "$tmp/prefix/bin/ingot" validate swarm-manager
like "$out" "^$tmp/prefix/share/ingot/profiles/swarm-manager.yaml: ok" 'its own profiles are used'
run_ok 'installed: explain' "$tmp/prefix/bin/ingot" --json explain base name
mkdir profiles
printf 'name: mine\nversion: "1"\nextends: base\n' >profiles/mine.yaml
run_ok 'a profile here extends an installed one' "$tmp/prefix/bin/ingot" validate mine
is "$(find "$tmp/prefix" -name '*.c' -o -name '.git*' | wc -l)" 0 'no sources are installed'

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The examples of the README, taken out of it and run: the workflow of GitHub Actions step by step, after its
# schema was checked; the GitLab pipeline by gitlab-ci-local; the template by Packer. Installing ingot, and
# what uploads or caches, is not: apt-get, make and install-deps are stand-ins that note what they were asked.
# shellcheck disable=SC2154  # what lib.sh sets
# shellcheck source=tests/lib.sh
. "${0%/*}/../lib.sh"
. "$top/tests/build/lib.sh"
requires python3 git

# Where npm packages are kept for the next run. The versions are those that Node.js 18 runs, without
# anything that has to be compiled.
tools=$top/build/npm
npm_tools=(@action-validator/core@0.6.0 @action-validator/cli@0.6.0 gitlab-ci-local@4.55.0)
if [ ! -e "$tools/node_modules/.bin/gitlab-ci-local" ]; then
    requires npm
    run npm install --prefix "$tools" --no-save --no-audit --no-fund --ignore-scripts "${npm_tools[@]}"
    if [ "$status" != 0 ]; then
        [ -z "${INGOT_NO_SKIP:-}" ] || bail "npm cannot install ${npm_tools[*]}: $err"
        skip_all "npm cannot install ${npm_tools[*]}"
    fi
fi

python3 - "$top/README.md" <<'PY'
import pathlib, re, sys
section = open(sys.argv[1]).read().split("\n### Examples\n")[1]
for name, body in re.findall(r"```(?:yaml|hcl)\n# ([^\s:]+)[^\n]*\n(.*?)```", section, re.S):
    path = pathlib.Path("examples", pathlib.Path(name).name)
    path.parent.mkdir(exist_ok=True)
    path.write_text(body)
PY
is "$(find examples -type f -printf '%f\n' | sort | tr '\n' ' ')" ".gitlab-ci.yml images.yml web.pkr.hcl " "the README has three examples"

take_layer "$top/profiles/base.yaml"
make_profile web
run_ok "lock web.yaml" ingot lock --offline "$tmp/web.yaml"

# What stands in for the runner: ingot with our cache, and notes of what would be installed.
mkdir bin
cat >bin/ingot <<END
#!/bin/sh
INGOT_CACHE='$cache' exec '$INGOT' "\$@"
END
for name in apt-get make; do printf '#!/bin/sh\necho "%s $*" >>"%s/installed"\n' "$name" "$tmp" >"bin/$name"; done
chmod +x bin/*
runner_path=$tmp/bin:$PATH
# job FOLDER: the checked-out repository of the examples.
job() {
    mkdir -p "$1/ingot/scripts" "$1/overlays"
    cp web.yaml web.lock "$1"
    cp -r overlays/web "$1/overlays"
    printf '#!/bin/sh\necho "install-deps $*" >>"%s/installed"\n' "$tmp" >"$1/ingot/scripts/install-deps"
    chmod +x "$1/ingot/scripts/install-deps"
    : >installed
}
# results NAME FOLDER: as each example leaves them.
results() {
    run_ok "$1: what was built is right" ingot verify "$2/out/web"
    is "$(jq -r 'select(.event == "built").manifest.lock' "$2/events.ndjson")" "$(sha256sum <web.lock | cut -d' ' -f1)" \
        "$1: from what is locked"
    is "$(jq -r '.artifacts[].format' "$2/out/web/manifest.json" | tr '\n' ' ')" "raw.zst bmap qcow2 " "$1: the formats"
    run_ok "$1: the events are valid" "$top/tests/check-events" <"$2/events.ndjson"
}

# ---- GitHub Actions ------------------------------------------------------------------------------
run_ok "the workflow is valid" "$tools/node_modules/.bin/action-validator" examples/images.yml
job github
python3 -c '
import sys, yaml
for step in yaml.safe_load(open("examples/images.yml"))["jobs"]["web"]["steps"]:
    if "run" in step:
        print(step["run"])' >steps
isnt "$(wc -l <steps)" 0 "it has steps"
while read -r step; do
    # As the runner does in a container: sh -e.
    run_ok "step: $step" env -C github PATH="$runner_path" sh -e -c "$step"
done <steps
is "$(cat installed)" "apt-get update
apt-get install -y git make
install-deps build
make -C ingot install" "ingot would have been installed"
results github github

# ---- GitLab --------------------------------------------------------------------------------------
job gitlab
# Without an image it runs in a shell of this machine.
sed '/^ *image: /d' examples/.gitlab-ci.yml >gitlab/.gitlab-ci.yml
git -C gitlab init -q
git -C gitlab remote add origin https://gitlab.example.com/team/images.git
git -C gitlab add .
git -C gitlab -c user.name=test -c user.email=test@example.com commit -qm test
run_ok "the pipeline runs" env -C gitlab PATH="$runner_path" HOME="$tmp" \
    "$tools/node_modules/.bin/gitlab-ci-local"
is "$(cat installed)" "install-deps build
make -C ingot install" "ingot would have been installed"
results gitlab gitlab

# ---- Packer --------------------------------------------------------------------------------------
# Debian 13 has no packer.
if ! command -v packer >/dev/null && ! apt-cache show packer >/dev/null 2>&1; then
    skip "the template" "this release has no packer"
    exit 0
fi
requires packer
job packer
cp examples/web.pkr.hcl packer
in_packer() { env -C packer PATH="$runner_path" HOME="$tmp" CHECKPOINT_DISABLE=1 PACKER_NO_COLOR=1 packer "$@"; }
run_ok "packer validate" in_packer validate .
run_ok "packer runs ingot" in_packer build -only=null.ingot .
exists packer/out/web/web_1.2.3.qcow2 "which makes the image"
mv packer/packer-manifest.json ours.json
mkdir packer/packer
run_ok "packer takes the image" in_packer build -only=file.web .
same_file packer/packer/web.qcow2 packer/out/web/web_1.2.3.qcow2 "as it is"
# The same members, of the same types, as Packer writes itself.
shape='[.builds[0], .] | map(to_entries | map([.key, (.value | type)])) | map(sort)'
is "$(jq -c "$shape" ours.json | sed 's/\["custom_data","object"\]/["custom_data","null"]/')" \
    "$(jq -c "$shape" packer/packer-manifest.json)" "our manifest has the shape of Packer's"
is "$(jq -r '.builds[0].files[0] | "\(.name) \(.size)"' ours.json)" \
    "out/web/web_1.2.3.qcow2 $(stat -c %s packer/out/web/web_1.2.3.qcow2)" "and names the image"

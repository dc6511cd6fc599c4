#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The check scripts find what they are for: each is run over a small tree with one fault in it.
# shellcheck source=tests/lib.sh
. "${0%/*}/../lib.sh"
requires perl gcc

spdx='/* SPDX-License-Identifier: Apache-2.0 */'

# tree: a small tree without faults in ./tree.
tree() {
    rm -rf tree
    mkdir -p tree/builder/{base,net,disk,output} tree/cloud-init/agent/join tree/firmware/initrd-helper
    printf '%s\n' "$spdx" '/* Says what it is. */' '#ifndef E_H' '#define E_H' '' \
        'struct err {' '	int (*callback)(int);' '};' '' '/* Does it. */' \
        'int err_set(struct err *err)' '	__attribute__((format(printf, 1, 2)));' '' \
        '/* A helper. */' 'static inline int err_inline(int x)' '{' '	return (x);' '}' '' '#endif' |
        sed 's/^\t__attr.*/	__attribute__((nonnull));/' >tree/builder/base/err.h
    printf '%s\n' "$spdx" '/* Says what it is. */' '#include <openssl/evp.h>' '#include <stdio.h>' \
        '#include "base/err.h"' '#include "err.h"' 'int err_set(struct err *err)' '{' \
        '	return err ? 0 : -1;' '}' >tree/builder/base/err.c
}

add() { printf '%s\n' "$2" >>"tree/$1"; }

# function LINES: a function of that many lines.
function_of() {
    printf 'int f(void)\n{\n'
    yes '	;' | head -n $(($1 - 2)) || true
    printf '}\n'
}

# finds SCRIPT MESSAGE NAME
finds() {
    run "$top/scripts/$1" tree
    is "$status" 1 "$3: fails"
    like "$err" "$2" "$3: says where and why"
}

for script in check-layers check-headers check-sizes; do
    tree
    run_ok "$script: a good tree passes" "$top/scripts/$script" tree
done

while IFS='|' read -r file line want; do
    tree
    touch tree/builder/{net/http.h,disk/disk.h,output/raw.h,build.h}
    add "$file" "#include $line"
    finds check-layers "^$file:[0-9]+: error: $want" "layers: $line in $file"
done <<'END'
builder/base/err.c|"net/http.h"|base \(level 0\) may not include net \(level 1\)
builder/disk/gpt.c|"output/raw.h"|disk \(level 2\) may not include output
builder/net/http.c|"../base/err.h"|.*without \.\.
builder/net/http.c|"base/gone.h"|.*does not exist
builder/net/http.c|<openssl/ssl.h>|.*belongs to base, not to net
builder/disk/gpt.c|<unheard/of.h>|.*in no table
builder/build.c|<systemd/sd-bus.h>|.*belongs to agent
builder/output/raw.c|"build.h"|output \(level 3\) may not include build
cloud-init/agent/main.c|"disk/disk.h"|agent may include only base net
cloud-init/agent/join/join.c|"disk/disk.h"|agent may include only base net
firmware/initrd-helper/main.c|"base/err.h"|initrd-helper may include only
builder/newfolder.c|<stdio.h>|this folder is in no table
END

tree
touch tree/builder/{net/http.h,build.h,disk/disk.h} tree/cloud-init/agent/agent.h
add builder/main.c '#include "build.h"'
add builder/build.c '#include "disk/disk.h"'
add builder/build.c '#include "build.h"'
add cloud-init/agent/main.c '#include "net/http.h"'
add cloud-init/agent/main.c '#include "agent/agent.h"'
add cloud-init/agent/join/join.c '#include "agent/agent.h"'
add cloud-init/agent/main.c '#include <systemd/sd-daemon.h>'
run_ok "layers: what is allowed passes" "$top/scripts/check-layers" tree

while IFS='|' read -r text want; do
    tree
    printf '%b\n' "$text" >tree/builder/net/http.h
    finds check-headers "^builder/net/http.h:[0-9]+: error: $want" "headers: $text"
done <<'END'
int http_get(int x);|http_get has no comment
/* far away */\n\nint http_get(int x);|http_get has no comment
/* one */\nint http_get(int x);\nint http_put(int x);|http_put has no comment
int http_printf(const char *x, ...)\n\t__attribute__((format(printf, 1, 2)));|http_printf has no comment
struct x;\nstruct x *http_make(\n\tint y);|http_make has no comment
static inline int http_inline(int x)\n{\n\treturn x;\n}|http_inline has no comment
/* ok */\nint http_get(struct y z, size_t n);|does not compile by itself
END

tree
printf '%b\n' '/* x */\nstruct t {\n\tint (*run)(int);\n};\nextern int (*hook)(int);' \
    '#define HTTP_CALL(x) \\\n\tfoo(x); \\\n\tbar(x)\nenum e { A = (1), B };' \
    'static inline void http_cleanup_x(int *x)\n{\n\t(void)x;\n}' >tree/builder/net/http.h
run_ok "headers: what is no prototype needs no comment" "$top/scripts/check-headers" tree

tree
function_of 100 >>tree/builder/base/err.c
run_ok "sizes: a function of 100 lines passes" "$top/scripts/check-sizes" tree
tree
function_of 101 >>tree/builder/base/err.c
finds check-sizes '^builder/base/err.c:[0-9]+: error: function f has 101 lines' "sizes: function"
tree
yes '' | head -n 690 >>tree/builder/base/err.c || true
run_ok "sizes: a file of 700 lines passes" "$top/scripts/check-sizes" tree
add builder/base/err.c ''
finds check-sizes '^builder/base/err.c:701: error: file has 701 lines' "sizes: file"
tree
sed -i 1d tree/builder/base/err.c
finds check-sizes '^builder/base/err.c:1: error: line 1 must be' "sizes: licence line"
tree
sed -i 2d tree/builder/base/err.c
finds check-sizes '^builder/base/err.c:2: error: a comment' "sizes: purpose"

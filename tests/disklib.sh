# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Disks for tests, made without ingot. Source it after lib.sh.

# A PE image with the sections .cmdline, .uname and .initrd: enough to be taken for a kernel image.
le16() { printf '%b' "$(printf '\\x%02x\\x%02x' $(($1 & 255)) $(($1 >> 8 & 255)))"; }
le32() { le16 $(($1 & 65535)); le16 $(($1 >> 16 & 65535)); }
zeros() { head -c "$1" /dev/zero; }
section() { # NAME SIZE ADDRESS OFFSET
    printf '%s' "$1"; zeros $((8 - ${#1}))
    le32 "$2"; le32 "$3"; le32 512; le32 "$4"; zeros 12; le32 $((0x40000040))
}
make_pe() { # CMDLINE UNAME [INITRD]
    local initrd=${3:-initrd}
    {
        printf 'MZ'; zeros 58; le32 64
        printf 'PE\0\0'; le16 $((0x8664)); le16 3; zeros 12; le16 240; le16 $((0x22e))
        le16 $((0x20b)); zeros 30; le32 4096; le32 512; zeros 20; le32 512; zeros 44; le32 16; zeros 128
        section .cmdline ${#1} 4096 512; section .uname ${#2} 8192 1024
        section .initrd ${#initrd} 12288 1536
    } >pe
    truncate -s 512 pe
    printf '%s' "$1" >>pe; truncate -s 1024 pe
    printf '%s' "$2" >>pe; truncate -s 1536 pe
    printf '%s' "$initrd" >>pe; truncate -s 2048 pe
}

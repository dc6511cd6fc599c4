/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What dpkg's database in a tree says is installed.
 */
#ifndef INGOT_LAYERS_DPKG_H
#define INGOT_LAYERS_DPKG_H

#include "base/json.h"
#include "tree/tree.h"

/* Parses a dpkg status file (deb-control(5), dpkg(1) "package states"): array of {name, version,
 * architecture, source, source_version}, sorted by name; and as far as a package has them {maintainer,
 * homepage, section, summary} (not UTF-8: with U+FFFD for what is wrong) and depends: array of the names of
 * the installed packages that satisfy its Depends and Pre-Depends, sorted ("name:architecture" when the name
 * is installed for several). A package that is not "install ok installed" is ERR_OTHER and named; a broken
 * file is ERR_VERIFY. Caller decrefs. */
json_t *dpkg_parse(const char *text, size_t len, struct err *err);

/* The same for the database in a tree (/var/lib/dpkg or /usr/lib/sysimage/dpkg). Caller decrefs. */
json_t *dpkg_list(const struct tree *tree, struct err *err);

#endif

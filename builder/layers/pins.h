/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists of packages that have to be the same: comparing them, and telling apt to install nothing else.
 */
#ifndef INGOT_LAYERS_PINS_H
#define INGOT_LAYERS_PINS_H

#include "base/json.h"
#include "base/str.h"
#include "layers/packages.h"

/* Compares two lists of packages (as in packages_layer.packages) by name and architecture: an array,
 * sorted by name, of {change: "added", "removed" or "changed", name, architecture, version, was (the
 * version before, null if added), suite (or null), security (whether the suite brings security updates)}. A
 * package has changed when its version differs, or its sha256 when both have one: then was is version.
 * Caller decrefs. */
json_t *pins_compare(const json_t *before, const json_t *now);

/* Appends one such change as "+ name version", "- name version" or "~ name old -> new", the suite behind
 * it. */
void pins_describe(const json_t *change, struct str *text);

/* Appends at most max changes, a line each, indented, then how many more there are. */
void pins_describe_all(const json_t *changes, size_t max, struct str *text);

/* The rows of both lists in a new one; either may be NULL. Caller decrefs. */
json_t *pins_join(const json_t *packages, const json_t *build_packages);

/* Makes the files of firmware/packages/records and apt_preferences(5) in folder, so that apt installs these
 * versions and the script refuses others. ERR_VERIFY for rows whose name, version or architecture have
 * characters that Debian does not allow there. */
int pins_write(const char *folder, const json_t *packages, struct err *err);

#define PINS_PREFERENCES "preferences"

/* Says why the repositories do not offer what is pinned, from the files that firmware/packages/records left
 * in folder: at most max lines "\n    name version: cause" in text; *ret_count is how many there are, which may
 * be none. The script may not have come to write a file: that is an error only for what it has written. */
int pins_explain(const char *folder, const struct packages_pins *pins,
		 const struct repositories *repositories, size_t max, struct str *text,
		 size_t *ret_count, struct err *err);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lock of a profile (PROFILE.lock beside the profile): every package with version, digest and origin, and
 * the state of the repositories that they came from. JSON, schema version 1, a line per package, no hosts.
 */
#ifndef INGOT_ATTEST_LOCK_H
#define INGOT_ATTEST_LOCK_H

#include "base/digest.h"
#include "base/err.h"
#include "base/json.h"
#include "base/str.h"

#include <stddef.h>
#include <stdint.h>

/* A suite of the repositories in the state in which it was locked. */
struct lock_suite {
	char *name;              /* "trixie-security" */
	struct digest inrelease; /* SHA-256 of its InRelease file */
	int64_t date;            /* of that file, seconds since 1970 */
};

struct lock {
	char *profile;                               /* its name */
	char *distribution, *release, *architecture; /* its base */
	char *image;                                 /* SHA-256 of base.image in hex, or NULL */
	struct lock_suite *suites;                   /* in the order in which apt has them */
	size_t suite_count;
	struct strv requested; /* names of packages that the profile asks for, sorted */
	/* Arrays of {name, version, architecture, sha256, size, origin, suite, component, path}, sorted
	 * by name and architecture; the last four are null for what no repository has, all six for what
	 * base.image brought along. */
	json_t *packages;
	json_t *build_packages; /* those that only the build needs */
	json_t *containers;     /* array of {reference, digest ("sha256:...")}, sorted */
};

/* Takes a list of packages that may have more members (struct packages_layer's) for a lock; caller
 * decrefs. */
json_t *lock_rows(const json_t *packages);

/* Reads a lock; name is for the messages, which say where as NAME:LINE. Whatever is not as lock_text
 * writes it, but for white space and the order of members, is ERR_VERIFY: unknown members, unsorted lists,
 * absolute paths, another schema version. Free with lock_free. */
int lock_parse(const char *text, size_t len, const char *name, struct lock *lock, struct err *err);

/* Reads the file of at most 16 MiB; *ret_digest (may be NULL) is the SHA-256 of its bytes. ERR_VERIFY with a hint when
 * it does not exist. Free with lock_free. */
int lock_read(const char *path, struct lock *lock, struct digest *ret_digest, struct err *err);

/* Appends the lock as text: equal locks give equal bytes. */
void lock_text(const struct lock *lock, struct str *text);

/* What is different from before to now, of packages and build_packages together, as pins_compare has it.
 * Caller decrefs. */
json_t *lock_compare(const struct lock *before, const struct lock *now);

/* What is different in containers: an array, sorted by reference, of {change: "added", "removed" or "changed", reference,
 * digest (of before for what is removed), was (the digest before, null unless changed)}. Caller decrefs. */
json_t *lock_compare_containers(const struct lock *before, const struct lock *now);

/* Appends one such change as "+ reference digest", "- reference digest" or "~ reference old -> new", digests cut to
 * twelve digits. */
void lock_describe_container(const json_t *change, struct str *text);

/* Appends at most max changes, a line each, indented, then how many more there are. */
void lock_describe_containers(const json_t *changes, size_t max, struct str *text);

/* Path of the lock of a profile: that of the profile with .lock in place of .yaml; caller frees. */
char *lock_path(const char *profile);

/* Frees the lock; usable with CLEANUP() on a zeroed one. */
void lock_free(struct lock *lock);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How images came to be: an in-toto Statement v1 with a SLSA Provenance v1 predicate. A pure function: no
 * clock, no name or path of the building machine; equal values, in any order, give equal bytes.
 *
 * Build type urn:ingot:build-type:image:v1, "ingot build PROFILE". externalParameters: profile and version
 * (of the image), profileSha256 (of the resolved profile, all parents merged: JSON, sorted keys, one line),
 * formats, set (each --set: key, and value or valueSha256). internalParameters: sourceDate, steps (name: key
 * of each step, a digest over its inputs), tools (what compresses). resolvedDependencies: every package by its
 * purl, overlays, files of profiles, programs, and the lock.
 */
#ifndef INGOT_ATTEST_PROVENANCE_H
#define INGOT_ATTEST_PROVENANCE_H

#include "base/digest.h"
#include "base/err.h"
#include "base/json.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROVENANCE_BUILD_TYPE "urn:ingot:build-type:image:v1"
#define PROVENANCE_BUILDER "urn:ingot:builder:v1"

/* in-toto ResourceDescriptor: an artifact, or something that went into it. */
struct provenance_resource {
	const char *name;       /* of the file, or what it is: "overlay base" */
	const char *uri;        /* or NULL */
	const char *sha256;     /* hex; may be NULL when there is a uri */
	const char *media_type; /* or NULL */
	const char *path;       /* in the repository, as an annotation; or NULL */
};

struct provenance_pair {
	const char *name, *value;
};

struct provenance {
	const char *profile, *version; /* of the image */
	struct digest profile_digest;  /* of the resolved profile */
	int64_t created;               /* source date, seconds since 1970 */
	const char *const *formats;    /* ended by NULL */
	const char *const *set;        /* "key.sub=value" in their order, ended by NULL; or NULL */
	const struct provenance_pair *steps; /* name and key */
	size_t step_count;
	const struct provenance_pair *tools; /* "zstd" and its version */
	size_t tool_count;
	const struct provenance_resource *subjects; /* the images, with sha256 */
	size_t subject_count;
	const struct provenance_resource *dependencies;
	size_t dependency_count;
	const struct provenance_resource *byproducts; /* SBOMs, with sha256 */
	size_t byproduct_count;
};

/* Makes the statement (in-toto.io/Statement/v1, slsa.dev/provenance/v1). Values of --set that may name
 * files or hosts, or hold secrets, are replaced by their SHA-256 (see provenance_shows_value). ERR_VERIFY when
 * there is no subject, a subject or byproduct has no SHA-256, or a dependency neither that nor a URI. Text that
 * is not UTF-8 gets U+FFFD. Caller decrefs. */
json_t *provenance_make(const struct provenance *provenance, struct err *err);

/* True when the value of a key of the profile ("disk.root") may be published: the key is known to hold nothing
 * but settings of the image. False for what names files or hosts, for users, and for unknown keys. */
bool provenance_shows_value(const char *key);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * manifest.json: what was built, from what, and how to check it. Schema version 1.
 */
#ifndef INGOT_ATTEST_MANIFEST_H
#define INGOT_ATTEST_MANIFEST_H

#include "base/digest.h"
#include "base/err.h"
#include "base/json.h"
#include "disk/plan.h"

#include <stddef.h>
#include <stdint.h>

#define MANIFEST_FILE "manifest.json" /* its name beside the images */

struct manifest_key {
	const char *step, *key; /* "packages" and its key, hex */
};

struct manifest_package {
	const char *name, *version, *architecture;
};

struct manifest_artifact {
	const char *format;
	const char *file;     /* name beside the manifest */
	uint64_t size, bytes; /* of the disk, of the file */
	struct digest digest;
};

struct manifest {
	const char *name, *version, *architecture;
	int64_t created;       /* source date, seconds since 1970 */
	struct digest profile; /* of the resolved profile */
	struct digest root_hash;
	struct digest content; /* of the raw disk: what every format holds */
	const char *lock;      /* digest of the lock file, hex, or NULL: built without */
	const struct manifest_key *keys;
	size_t key_count;
	const struct manifest_package *packages;
	size_t package_count;
	const json_t *containers; /* as containers_read has them, or NULL: none; borrowed */
	const struct disk *disk;
	const struct manifest_artifact *artifacts;
	size_t artifact_count;
};

/* Makes the JSON object; the caller decrefs it. NULL when a string is no UTF-8 (ERR_OTHER). */
json_t *manifest_json(const struct manifest *manifest, struct err *err);

/* Writes manifest_json to path by way of a temporary file, synced. */
int manifest_write(const struct manifest *manifest, const char *path, struct err *err);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known about pulled images, and images.json made of it. Private to oci/.
 */
#ifndef INGOT_OCI_DESCRIBE_H
#define INGOT_OCI_DESCRIBE_H

#include "cache/cache.h"
#include "oci/pull.h"
#include "oci/source.h"

#define OCI_SET_IMAGES "images.json"
#define OCI_SET_BLOBS "blobs.json"
#define OCI_INDEX_DEPTH 2 /* indexes above a manifest */

/* One target with everything that it leads to. */
struct oci_image {
	const struct oci_resolved *resolved; /* the first that stands for it */
	struct oci_source *source;           /* NULL until something is fetched */
	struct oci_descriptor target, manifest;
	struct oci_manifest content;
	struct digest *diff_ids;                            /* content.layer_count of them */
	struct oci_document documents[OCI_INDEX_DEPTH + 2]; /* indexes, manifest, configuration */
	size_t document_count;
};

/* Makes images.json without engines: images sorted by name, then target, with all names of each. The layers must be
 * in the cache. Caller decrefs *ret. */
int oci_describe(struct cache *cache, const struct oci_image *images, size_t count,
		 const struct oci_resolved *resolved, size_t resolved_count, json_t **ret,
		 struct err *err);

/* An object "sha256:..." to text, of every document. Caller decrefs. */
json_t *oci_describe_blobs(const struct oci_image *images, size_t count);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One layer from its source into the cache: unpacked while it comes, without a copy on disk. Private to oci/.
 */
#ifndef INGOT_OCI_FETCH_H
#define INGOT_OCI_FETCH_H

#include "cache/cache.h"
#include "oci/source.h"

#include <stdbool.h>

struct oci_fetch {
	struct cache *cache;
	struct oci_source *source;
	struct oci_descriptor blob;
	struct digest diff_id;
	const char *origin; /* for messages: "layer 3 of 'app:1.4'" */
	const bool *stop;   /* set from another thread: give up */
	/* Called with the bytes that came; with less than 0 when they come once more. From another thread. */
	void (*progress)(int64_t bytes, void *context);
	void *context;
};

/* Makes the cache entry of a layer, or waits for who is making it. Blob and diff_id are verified before it gets its
 * name. Blocks; several threads may fetch different layers at once. */
int oci_fetch_layer(const struct oci_fetch *fetch, struct err *err);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Container images in the cache: which references there are, what they need, and removing the rest.
 */
#ifndef INGOT_OCI_STORED_H
#define INGOT_OCI_STORED_H

#include "base/json.h"
#include "cache/cache.h"

/* Array, sorted by reference, of {reference, digest, platforms ["linux/amd64"], layers [{diff_id, bytes}] (each once),
 * bytes (of the unpacked layers on disk), complete (bool: everything of at least one platform is there), used
 * (epoch)}. Does not count as use. Caller decrefs. */
json_t *oci_stored_list(struct cache *cache, struct err *err);

/* Removes the layers, documents and archives that no reference needs, then, while container entries take more
 * than max bytes, the references that were not used for longest with what only they need. What a running build
 * holds stays. *ret_freed is in bytes. */
int oci_stored_gc(struct cache *cache, uint64_t max, uint64_t *ret_freed, struct err *err);

#endif

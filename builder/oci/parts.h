/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files that resolve, pull and list share: names in the cache, workers, the profile in the terms of
 * a registry client. Private to oci/.
 */
#ifndef INGOT_OCI_PARTS_H
#define INGOT_OCI_PARTS_H

#include "cache/cache.h"
#include "oci/manifest.h"
#include "oci/registry.h"
#include "profile/profile.h"
#include "tree/layer.h"

/* Kinds of entries in the cache, and the files in them. */
#define OCI_KIND_BLOB "blob" /* under its own digest */
#define OCI_BLOB_FILE "blob"
#define OCI_KIND_LAYER "container-layer"
#define OCI_LAYER_TAR "layer.tar"
#define OCI_LAYER_INDEX "layer.index"
#define OCI_LAYER_SPLIT "split.json.gz"
#define OCI_LAYER_FILE "layer.json"
#define OCI_KIND_REF "container-ref"
#define OCI_REF_FILE "ref.json"
#define OCI_KIND_ARCHIVE "container-archive" /* a compressed one, as a plain tar */

/* Key of an unpacked layer in the cache. */
void oci_layer_key(const struct digest *diff_id, struct digest *ret);

/* Key of what a reference stands for. */
void oci_ref_key(const char *reference, struct digest *ret);

/* The platform of the profile's base; its strings are static. */
struct oci_platform oci_profile_platform(const struct profile *profile);

/* A client that knows the profile's registries. Free with oci_client_free. */
struct oci_client *oci_profile_client(const struct profile *profile);

/* For CLEANUP(). */
static inline void oci_client_cleanup(struct oci_client **client)
{
	oci_client_free(*client);
}

/* A descriptor as images.json has it: {mediaType, digest, size}. Caller decrefs. */
json_t *oci_descriptor_json(const struct oci_descriptor *descriptor);

/* "sha256:HEX". Caller frees. */
char *oci_digest_text(const struct digest *digest);

/* The same values in the order of compare. Takes the reference of array; caller decrefs. */
json_t *oci_sorted(json_t *array, int (*compare)(const json_t *a, const json_t *b));

/* Calls work for each number below count, up to workers at a time in threads of their own. After one has failed
 * the others are not started any more and *stop (if not NULL) is set; err is that of the first that failed. */
int oci_each(size_t count, unsigned workers, bool *stop,
	     int (*work)(size_t index, void *context, struct err *err), void *context,
	     struct err *err);

/* Remembers in the cache what a reference stands for now. */
int oci_remember_ref(struct cache *cache, const char *reference,
		     const struct oci_descriptor *target, struct err *err);

/* Reads what is known about the layer in the folder of its cache entry. ERR_VERIFY or ERR_OTHER when it is
 * damaged. */
int oci_layer_record(const char *dir, const struct digest *diff_id, struct tree_layer *ret,
		     struct err *err);

#endif

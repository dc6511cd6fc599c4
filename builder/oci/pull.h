/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the containers of a profile to trees in the cache: resolve what tags stand for, fetch what the cache lacks,
 * unpack while it comes, and describe the result for the agent.
 */
#ifndef INGOT_OCI_PULL_H
#define INGOT_OCI_PULL_H

#include "base/log.h"
#include "cache/cache.h"
#include "oci/manifest.h"
#include "profile/profile.h"
#include "tree/tree.h"

/* What one entry of containers.images stands for. */
struct oci_resolved {
	const struct profile_container *want; /* borrowed from the profile */
	char *reference; /* what the lock calls it: the full name without digest, or "oci:" and the
				       * name of a local image, or its path as written when it has none */
	char *remembered; /* under what the cache remembers it: with the digest, unless a registry was asked */
	char *name;       /* full name with tag for the engine, or NULL when it has none */
	char *repository; /* full name without tag, or NULL */
	struct oci_descriptor target; /* index or manifest */
};

struct oci_resolve_options {
	bool offline;         /* ask nobody: pinned digests and what the cache remembers of tags */
	const json_t *locked; /* array of {reference, digest} that must fit, or NULL; borrowed */
};

/* Resolves every container image of the profile, in order. Remembers in the cache what tags stood for. A local image
 * that is not there is ERR_PROFILE; what the lock does not have or has otherwise is ERR_VERIFY. *ret has
 * profile->containers.image_count entries; free with oci_resolved_free. Blocks. */
int oci_resolve(struct cache *cache, const struct profile *profile,
		const struct oci_resolve_options *options, struct oci_resolved **ret,
		struct err *err);

/* Frees count of them and the array; NULL is allowed. */
void oci_resolved_free(struct oci_resolved *resolved, size_t count);

/* The part of a lock: array of {reference, digest}, sorted, without duplicates. Caller decrefs. */
json_t *oci_resolved_lock(const struct oci_resolved *resolved, size_t count);

/* Version of what oci_pull makes, as an input of cache keys. Static. */
const char *oci_pull_version(void);

/* What the profile's images are made of. */
struct oci_pulled {
	json_t *images; /* as images.json, but for engines */
	json_t *blobs; /* object: "sha256:..." to the text of each index, manifest and configuration */
	size_t layers, fetched; /* different ones; those of them that the cache did not have */
};

/* Frees it; usable with CLEANUP() on a zeroed one. */
void oci_pulled_free(struct oci_pulled *pulled);

/* Fetches and unpacks what is not in the cache: several layers at once, each unpacked while it comes. With offline
 * a blob that is not there is ERR_NETWORK. Remembers the images for oci_stored_list. Needs RLIMIT_NOFILE: the soft
 * limit is raised. Free with oci_pulled_free. Blocks. */
int oci_fetch(struct cache *cache, const struct profile *profile,
	      const struct oci_resolved *resolved, bool offline, unsigned jobs,
	      struct log_step *step, struct oci_pulled *ret, struct err *err);

/* oci_fetch for the build: writes DIR/images.json (version, images, layers as the agent reads them, without engines)
 * and DIR/blobs.json. Blocks. */
int oci_pull(struct cache *cache, const struct profile *profile,
	     const struct oci_resolved *resolved, bool offline, unsigned jobs, const char *dir,
	     struct log_step *step, struct err *err);

/* An unpacked layer, open. */
struct oci_layer {
	struct digest diff_id;
	struct tree *tree; /* its data refer to tar_fd */
	int tar_fd;
	struct digest digest; /* of our own tar: what the content in tar_fd is */
	struct str split;     /* bytes of split.json.gz */
};

/* What oci_pull made, open for the root step. */
struct oci_set {
	json_t *images;           /* DIR/images.json */
	json_t *blobs;            /* DIR/blobs.json */
	struct oci_layer *layers; /* each once, sorted by diff_id */
	size_t layer_count;
};

/* Opens the result of oci_pull in dir and the layers in the cache. ERR_VERIFY when one is absent or damaged: dir is
 * then to be made again. Free with oci_set_close. */
int oci_set_open(struct cache *cache, const char *dir, struct oci_set *ret, struct err *err);

/* Closes it; trees that its layers were grafted into must not be read any more. Usable with CLEANUP() on a zeroed
 * one. */
void oci_set_close(struct oci_set *set);

/* Adds /usr/share/ingot/containers to the tree: layers, split data, blobs and images.json with engines (an object as
 * the agent reads it; borrowed). Times of our own files are mtime. */
int oci_set_install(const struct oci_set *set, const json_t *engines, int64_t mtime,
		    struct tree *tree, struct err *err);

/* An engine that images can be preloaded for. */
struct oci_engine {
	const char *name, *package;
	const char *namespace;   /* of containerd, or NULL */
	size_t layers_max;       /* of an image; 0: what a manifest may have */
	const char *versions[8]; /* first parts of those that were tried, ended by NULL */
};

/* All of them, ended by a row with a NULL name. */
extern const struct oci_engine oci_engines[];

/* The row with this name, or NULL. */
const struct oci_engine *oci_engine_find(const char *name);

/* Checks that the engine, by its package's version, has a store whose format is known, and that the images fit
 * it (125 layers for docker). ERR_PROFILE with what is known. */
int oci_engine_check(const struct oci_engine *engine, const char *version, const json_t *images,
		     struct err *err);

#endif

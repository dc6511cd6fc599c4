/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files containerd*.c share. The layout of the databases is that of containerd 1.6 and 1.7:
 * metadata/buckets.go (meta.db) and snapshots/storage/bolt.go (metadata.db of a snapshotter).
 */
#ifndef INGOT_AGENT_CONTAINERD_PARTS_H
#define INGOT_AGENT_CONTAINERD_PARTS_H

#include "agent/containers/bolt.h"
#include "agent/containers/containerd.h"

#define CONTAINERD_ROOT "/var/lib/containerd"
#define CONTAINERD_META_DIR CONTAINERD_ROOT "/io.containerd.metadata.v1.bolt"
#define CONTAINERD_OVERLAY_DIR CONTAINERD_ROOT "/io.containerd.snapshotter.v1.overlayfs"
#define CONTAINERD_BLOBS_DIR CONTAINERD_ROOT "/io.containerd.content.v1.content/blobs/sha256"

#define CONTAINERD_SNAPSHOTTER "overlayfs"
#define CONTAINERD_DIGEST_SIZE (DIGEST_HEX_SIZE + 7) /* "sha256:" and hex digits and NUL */
#define CONTAINERD_COMMITTED 3                       /* snapshots.KindCommitted */

/* The store while it is worked on. Everything happens in memory before the databases are replaced. */
struct containerd_store {
	const struct agent *agent;
	const struct containers *containers;
	struct containers_done *done;
	const char *name;              /* the namespace */
	int meta_fd, overlay_fd;       /* the databases, locked; -1 when there are none yet */
	int blobs, snapshots;          /* folders */
	struct bolt *meta, *overlay;   /* databases: of containerd, of the snapshotter */
	struct bolt_bucket *namespace; /* in meta: v1/NAMESPACE */
	json_t *old, *ours; /* names of images that we wrote, before and now, with their digests */
	uint8_t now[15];    /* as Go's time.Time.MarshalBinary */
};

/* ---- containerd_config.c --------------------------------------------------------------------- */

/* True when containerd of that version, as it is set up, reads the store that we write; else why (of size bytes) says
 * what it does not. */
bool containerd_config_fits(const struct agent *agent, const char *version, char *why, size_t size);

/* ---- containerd_store.c ---------------------------------------------------------------------- */

/* Opens and locks the databases and reads them; an absent one is empty. ERR_VERIFY when one is damaged or not of the
 * version that we know: it is to be left alone. Close also after an error. */
int containerd_store_open(struct containerd_store *store, struct err *err);

/* Opens the folders, made when they are absent. */
int containerd_store_folders(struct containerd_store *store, struct err *err);

/* Replaces the databases that changed, the snapshotter's first: what only it knows is garbage, what only the other one
 * knows would be missing. Keeps what we wrote. Syncs. */
int containerd_store_save(struct containerd_store *store, struct err *err);

/* Closes and frees it; usable with CLEANUP() on one that was zero but for its descriptors, which were -1. */
void containerd_store_close(struct containerd_store *store);

/* ---- containerd_state.c ---------------------------------------------------------------------- */

/* Names of images that we wrote into the namespace, with the digests of their targets: an object, empty when nothing is
 * known. Caller decrefs. */
json_t *containerd_state_read(const struct agent *agent, const char *name);

/* Keeps them, with sync, unless they are kept already. */
int containerd_state_write(const struct agent *agent, const char *name, const json_t *images,
			   struct err *err);

/* ---- containerd_fields.c --------------------------------------------------------------------- */

/* Writes "sha256:<hex>". Returns text. */
char *containerd_digest(const struct digest *digest, char text[CONTAINERD_DIGEST_SIZE]);

/* Goes down from bucket through the names (ended by NULL), making what is absent; NULL with err set when one of them is
 * a value. */
struct bolt_bucket *containerd_make(struct bolt *bolt, struct bolt_bucket *bucket,
				    const char *const *names, struct err *err);

/* Sets a number as Go's binary.PutVarint writes it, or with is_signed false as PutUvarint. */
int containerd_put_number(struct bolt *bolt, struct bolt_bucket *bucket, const char *key,
			  uint64_t value, bool is_signed, struct err *err);

/* Reads a number as Go's binary.Uvarint; false when the key is absent or no such number. */
bool containerd_get_number(const struct bolt_bucket *bucket, const char *key, uint64_t *ret);

/* Sets "createdat" and "updatedat" where they are absent, "updatedat" also with touch. */
int containerd_put_times(struct containerd_store *store, struct bolt *bolt,
			 struct bolt_bucket *bucket, bool touch, struct err *err);

/* Sets a label of an object; the others stay. */
int containerd_put_label(struct bolt *bolt, struct bolt_bucket *object, const char *key,
			 const char *value, struct err *err);

/* The value of a key as a string, or NULL; the caller frees it. */
char *containerd_get_text(const struct bolt_bucket *bucket, const char *key);

/* ---- containerd_image.c ---------------------------------------------------------------------- */

/* Writes one image: content, its records (by tag, by digest, by ID), and its snapshots. An image that cannot be had is
 * put into done->missing. */
int containerd_image_put(struct containerd_store *store, const struct containers_image *image,
			 struct err *err);

/* ---- containerd_overlay.c -------------------------------------------------------------------- */

/* Writes the snapshots of an image from the bottom. A snapshot that containerd unpacked itself stays. ERR_VERIFY when
 * the databases contradict themselves. */
int containerd_overlay_put(struct containerd_store *store, const struct containers_image *image,
			   struct err *err);

/* ---- containerd_gone.c ----------------------------------------------------------------------- */

/* Takes out the records that we wrote and this root does not want, unless a container uses them: containerd's collector
 * does the rest. Those that stay are in store->ours then. */
void containerd_gone_remove(struct containerd_store *store);

/* Finds snapshots of ours whose layer this root does not have. They get other names, so that containerd unpacks them
 * anew when it needs them. Images of the user that stand on them and whose layers are not all in the content store
 * cannot be used any more: they are taken out, so that they are pulled again, and put into done->missing. */
int containerd_gone_lost(struct containerd_store *store, struct err *err);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an earlier image left in containerd's store: records of ours that nobody uses go away, and what stands on layers
 * that this root does not have is put out of the way.
 */
#include "agent/containers/containerd_parts.h"

#include "base/fd.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LABEL_SNAPSHOT "containerd.io/gc.ref.snapshot." CONTAINERD_SNAPSHOTTER
#define INDEX_DEPTH 3
#define LABEL_CONTENT "containerd.io/gc.ref.content."

static struct bolt_bucket *snapshots_of(const struct containerd_store *store)
{
	return bolt_bucket(bolt_bucket(store->namespace, "snapshots"), CONTAINERD_SNAPSHOTTER);
}

static struct bolt_bucket *blob_of(const struct containerd_store *store, const char *digest)
{
	return bolt_bucket(bolt_bucket(bolt_bucket(store->namespace, "content"), "blob"), digest);
}

/* The digest of the content that a blob refers to with a label that starts so; NULL when there is none. Caller frees. */
static char *reference(const struct bolt_bucket *blob, const char *kind)
{
	const struct bolt_bucket *labels = bolt_bucket(blob, "labels");
	size_t len = strlen(kind);

	for (size_t i = 0; labels && i < labels->count; i++) {
		const struct bolt_entry *entry = &labels->entries[i];

		if (!entry->bucket && entry->key_size >= len && memcmp(entry->key, kind, len) == 0)
			return mem_strndup((const char *)entry->value, entry->value_size);
	}
	return NULL;
}

/* The manifest's object of a target: itself, or for an index the first manifest that it leads to and is here. NULL when
 * there is none. */
static struct bolt_bucket *manifest_of(const struct containerd_store *store, const char *target,
				       unsigned depth)
{
	struct bolt_bucket *blob = blob_of(store, target);
	const struct bolt_bucket *labels = bolt_bucket(blob, "labels");
	CLEANUP_FREE char *config = reference(blob, LABEL_CONTENT "config");
	size_t len = strlen(LABEL_CONTENT);

	if (config)
		return blob;
	for (size_t i = 0; depth < INDEX_DEPTH && labels && i < labels->count; i++) {
		const struct bolt_entry *entry = &labels->entries[i];
		CLEANUP_FREE char *digest =
			mem_strndup((const char *)entry->value, entry->value_size);
		struct bolt_bucket *found;

		if (entry->key_size < len || memcmp(entry->key, LABEL_CONTENT, len) != 0)
			continue;
		found = manifest_of(store, digest, depth + 1);
		if (found)
			return found;
	}
	return NULL;
}

/* The chain ID of an image's topmost snapshot, by the label that unpacking gave its configuration. Caller frees. */
static char *chain_of(const struct containerd_store *store, const char *target)
{
	CLEANUP_FREE char *config =
		reference(manifest_of(store, target, 0), LABEL_CONTENT "config");

	return config ? reference(blob_of(store, config), LABEL_SNAPSHOT) : NULL;
}

/* True when a container was made from the image of that name, or stands on its chain. An image without its chain (its
 * layers are lost) is of no use to a container: a record of it would only keep it from being pulled. */
static bool is_used(const struct containerd_store *store, const char *name, const char *chain)
{
	const struct bolt_bucket *containers = bolt_bucket(store->namespace, "containers");

	if (!chain || !bolt_bucket(snapshots_of(store), chain))
		return false;
	for (size_t i = 0; containers && i < containers->count; i++) {
		const struct bolt_bucket *container = containers->entries[i].bucket;
		CLEANUP_FREE char *key = containerd_get_text(container, "snapshotKey");
		const struct bolt_bucket *snapshot =
			key ? bolt_bucket(snapshots_of(store), key) : NULL;

		if (bolt_value_is(container, "image", name) ||
		    bolt_value_is(snapshot, "parent", chain))
			return true;
	}
	return false;
}

/* True when a record that is not ours has the same target: CRI then needs the image's ID as a name, too. */
static bool has_others(const struct containerd_store *store, const char *digest)
{
	const struct bolt_bucket *images = bolt_bucket(store->namespace, "images");

	for (size_t i = 0; images && i < images->count; i++) {
		CLEANUP_FREE char *name = mem_strndup((const char *)images->entries[i].key,
						      images->entries[i].key_size);

		if (!json_object_get(store->old, name) &&
		    bolt_value_is(bolt_bucket(images->entries[i].bucket, "target"), "digest",
				  digest))
			return true;
	}
	return false;
}

void containerd_gone_remove(struct containerd_store *store)
{
	struct bolt_bucket *images = bolt_bucket(store->namespace, "images");
	const char *name;
	json_t *value;

	json_object_foreach(store->old, name, value)
	{
		const char *digest = json_string_value(value);
		struct bolt_bucket *record = images ? bolt_bucket(images, name) : NULL;
		CLEANUP_FREE char *chain = digest ? chain_of(store, digest) : NULL;
		bool is_id = str_has_prefix(name, "sha256:");

		/* One that was pulled anew has lost our label: it is the user's now. */
		if (json_object_get(store->ours, name) || !digest ||
		    !bolt_value_is(bolt_bucket(record, "target"), "digest", digest) ||
		    !bolt_value_is(bolt_bucket(record, "labels"), "io.cri-containerd.pinned",
				   "pinned"))
			continue;
		if (is_used(store, name, chain) || (is_id && has_others(store, digest))) {
			json_object_set(store->ours, name, value);
			if (!is_id)
				strv_add(&store->done->kept, name);
			continue;
		}
		bolt_delete(store->meta, images, name, strlen(name));
		if (!is_id)
			strv_add(&store->done->removed, name);
	}
}

/* True when the snapshotter's snapshot of that name is a link to a layer that is not there. */
static bool is_lost(const struct containerd_store *store, const char *name)
{
	const struct bolt_bucket *all =
		bolt_bucket(bolt_bucket(bolt_root(store->overlay), "v1"), "snapshots");
	char path[64], target[512];
	CLEANUP_FREE char *full = NULL;
	uint64_t id;
	ssize_t len;

	if (!name || !containerd_get_number(bolt_bucket(all, name), "id", &id))
		return false;
	snprintf(path, sizeof(path), "%" PRIu64 "/fs", id);
	len = readlinkat(store->snapshots, path, target, sizeof(target) - 1);
	if (len < 0)
		return false;
	target[len] = '\0';
	full = agent_path(store->agent, target);
	return str_has_prefix(target, CONTAINERS_DIR "/") && access(full, F_OK) < 0 &&
	       errno == ENOENT;
}

/* Puts the keys of lost snapshots and of all committed ones that stand on them into lost: parents come first. */
static void find_lost(const struct containerd_store *store, struct strv *lost)
{
	const struct bolt_bucket *all = snapshots_of(store);

	for (size_t i = 0; all && i < all->count; i++) {
		CLEANUP_FREE char *name = containerd_get_text(all->entries[i].bucket, "name");
		CLEANUP_FREE char *key =
			mem_strndup((const char *)all->entries[i].key, all->entries[i].key_size);

		if (str_has_prefix(key, "sha256:") && is_lost(store, name))
			strv_add(lost, key);
	}
	for (size_t i = 0; i < lost->count; i++) {
		const struct bolt_bucket *children =
			bolt_bucket(bolt_bucket(all, lost->items[i]), "children");

		for (size_t j = 0; children && j < children->count; j++) {
			CLEANUP_FREE char *key = mem_strndup((const char *)children->entries[j].key,
							     children->entries[j].key_size);

			if (str_has_prefix(key, "sha256:") && !strv_has(lost, key))
				strv_add(lost, key);
		}
	}
}

/* Gives a snapshot another key in containerd's metadata: what stands on it keeps standing on it. */
static int rename_snapshot(struct containerd_store *store, struct bolt_bucket *all, const char *key,
			   struct err *err)
{
	struct bolt *meta = store->meta;
	CLEANUP_FREE char *name = mem_printf("lost-%" PRIu64 "-%s", all->sequence + 1, key);
	struct bolt_entry *entry = bolt_find(all, key, strlen(key));
	struct bolt_bucket *object = entry->bucket, *parent, *children;
	CLEANUP_FREE char *parent_key = containerd_get_text(object, "parent");

	bolt_set_sequence(meta, all, all->sequence + 1);
	children = bolt_bucket(object, "children");
	for (size_t i = 0; children && i < children->count; i++) {
		const struct bolt_entry *child =
			bolt_find(all, children->entries[i].key, children->entries[i].key_size);

		if (child && child->bucket &&
		    bolt_put_text(meta, child->bucket, "parent", name, err) < 0)
			return -1;
	}
	parent = parent_key ? bolt_bucket(all, parent_key) : NULL;
	children = parent ? bolt_bucket(parent, "children") : NULL;
	if (children && (!bolt_delete(meta, children, key, strlen(key)) ||
			 bolt_put_text(meta, children, name, "", err) < 0))
		return err && err->code
			       ? -1
			       : err_set(err, ERR_VERIFY, "the snapshot %s has no parent", key);
	return bolt_rename(meta, all, key, name, err);
}

/* True when the content store has all layers of an image. */
static bool has_layers(const struct containerd_store *store, const char *target)
{
	const struct bolt_bucket *labels = bolt_bucket(manifest_of(store, target, 0), "labels");
	size_t layers = 0, len = strlen(LABEL_CONTENT "l.");

	for (size_t i = 0; labels && i < labels->count; i++) {
		const struct bolt_entry *entry = &labels->entries[i];
		CLEANUP_FREE char *digest =
			mem_strndup((const char *)entry->value, entry->value_size);

		if (entry->key_size < len || memcmp(entry->key, LABEL_CONTENT "l.", len) != 0)
			continue;
		layers++;
		if (!blob_of(store, digest) || !str_has_prefix(digest, "sha256:") ||
		    faccessat(store->blobs, digest + 7, F_OK, 0) < 0)
			return false;
	}
	return layers > 0;
}

/* Takes images of the user out that stand on lost snapshots and cannot be unpacked again. */
static void remove_broken(struct containerd_store *store, const struct strv *lost)
{
	struct bolt_bucket *images = bolt_bucket(store->namespace, "images");

	for (size_t i = images ? images->count : 0; i-- > 0;) {
		CLEANUP_FREE char *name = mem_strndup((const char *)images->entries[i].key,
						      images->entries[i].key_size);
		CLEANUP_FREE char *digest = containerd_get_text(
			bolt_bucket(images->entries[i].bucket, "target"), "digest");
		CLEANUP_FREE char *chain = digest ? chain_of(store, digest) : NULL;
		const char *wrote = json_member_string(store->old, name);

		/* Ours are judged by containerd_gone_remove. */
		if (!chain || !strv_has(lost, chain) || (wrote && strcmp(wrote, digest) == 0) ||
		    has_layers(store, digest))
			continue;
		if (!str_has_prefix(name, "sha256:"))
			strv_addf(&store->done->missing,
				  "%s: it stood on layers of an earlier image; pull it again",
				  name);
		bolt_delete(store->meta, images, name, strlen(name));
	}
}

int containerd_gone_lost(struct containerd_store *store, struct err *err)
{
	CLEANUP(strv_free) struct strv lost = {0};
	struct bolt_bucket *all = snapshots_of(store);

	find_lost(store, &lost);
	remove_broken(store, &lost);
	for (size_t i = 0; i < lost.count; i++)
		if (rename_snapshot(store, all, lost.items[i], err) < 0)
			return -1;
	return 0;
}

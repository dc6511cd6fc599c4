/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshots of the overlayfs snapshotter. containerd's metadata knows a snapshot by its chain ID and by the name
 * "NAMESPACE/NUMBER/CHAIN" that the snapshotter has for it; the snapshotter knows that name and the folder snapshots/ID,
 * whose fs is here a link to the layer's tree.
 */
#include "agent/containers/containerd_parts.h"
#include "agent/containers/containers_parts.h"

#include "base/fd.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TRIES_MAX 100000 /* names and numbers that are tried until one is free */

static bool has_parent(const struct bolt_bucket *bucket, const char *parent)
{
	return parent ? bolt_value_is(bucket, "parent", parent) : !bolt_value(bucket, "parent");
}

static bool is_committed(const struct bolt_bucket *snapshot)
{
	const struct bolt_entry *kind = bolt_value(snapshot, "kind");

	return kind && kind->value_size == 1 && kind->value[0] == CONTAINERD_COMMITTED;
}

/* True when folder snapshots/ID does not exist, or is what a crash left of this very snapshot. */
static bool is_free(const struct containerd_store *store, uint64_t id, const char *tree)
{
	char path[64], have[512];
	ssize_t len;

	snprintf(path, sizeof(path), "%" PRIu64, id);
	if (faccessat(store->snapshots, path, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
		return true;
	snprintf(path, sizeof(path), "%" PRIu64 "/fs", id);
	len = readlinkat(store->snapshots, path, have, sizeof(have));
	return len >= 0 && (size_t)len == strlen(tree) && memcmp(have, tree, (size_t)len) == 0;
}

/* The folder of a snapshot. A tree that containerd unpacked stays; a link to what is gone is made anew. */
static int put_folder(struct containerd_store *store, uint64_t id, const char *tree,
		      struct err *err)
{
	size_t *written = &store->done->written;
	CLEANUP_FD int folder = -1;
	char name[32];
	struct stat st;

	snprintf(name, sizeof(name), "%" PRIu64, id);
	if (containers_put_folder(store->snapshots, name, 0700, &folder, written, err) < 0)
		return -1;
	if (fstatat(folder, "fs", &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode))
		return 0;
	if (containers_put_link(folder, "fs", tree, written, err) < 0)
		return -1;
	if (mkdirat(folder, "work", 0711) < 0 && errno != EEXIST)
		return err_sys(err, errno, "cannot create the folder of snapshot %s", name);
	return 0;
}

/* Links the parent to the child: "parents" has the keys PARENT-ID 0 ID, both as varints. */
static int put_parent(struct containerd_store *store, struct bolt_bucket *version, uint64_t parent,
		      uint64_t id, const char *name, struct err *err)
{
	struct bolt_bucket *parents = bolt_make_bucket(store->overlay, version, "parents", err);
	uint64_t numbers[] = {parent, id};
	uint8_t key[24];
	size_t len = 0;

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		for (; numbers[i] >= 0x80; numbers[i] >>= 7)
			key[len++] = (uint8_t)(numbers[i] | 0x80);
		key[len++] = (uint8_t)numbers[i];
		if (i == 0)
			key[len++] = 0;
	}
	return parents ? bolt_put(store->overlay, parents, key, len, name, strlen(name), err) : -1;
}

/* Fields of a snapshot that the snapshotter does not know yet; *id is chosen. */
static int make_snapshot(struct containerd_store *store, struct bolt_bucket *all,
			 struct bolt_bucket *snapshot, const char *parent,
			 const struct containers_layer *layer, const char *tree, uint64_t *id,
			 struct err *err)
{
	static const uint8_t committed = CONTAINERD_COMMITTED;
	struct bolt *overlay = store->overlay;
	unsigned tries = 0;

	*id = all->sequence + 1;
	while (!is_free(store, *id, tree)) {
		if (++tries > TRIES_MAX)
			return err_set(err, ERR_VERIFY, "no number of a snapshot is free");
		++*id;
	}
	bolt_set_sequence(overlay, all, *id);
	if (containerd_put_number(overlay, snapshot, "id", *id, false, err) < 0 ||
	    bolt_put(overlay, snapshot, "kind", 4, &committed, 1, err) < 0 ||
	    (parent && bolt_put_text(overlay, snapshot, "parent", parent, err) < 0) ||
	    containerd_put_number(overlay, snapshot, "inodes", layer->entries, true, err) < 0 ||
	    containerd_put_number(overlay, snapshot, "size", layer->size, true, err) < 0)
		return -1;
	return containerd_put_times(store, overlay, snapshot, false, err);
}

/* Sees to it that the snapshotter has the snapshot called name. *parent_id is the parent's number (0: none) and becomes
 * this one's. */
static int put_snapshot(struct containerd_store *store, const char *name, const char *parent,
			const struct containers_image *image, size_t index, uint64_t *parent_id,
			struct err *err)
{
	static const char *const path[] = {"snapshots", NULL};
	const struct containers_layer *layer = image->layers[index];
	CLEANUP_FREE char *tree = containers_layer_nth_path(image->layers, index);
	struct bolt_bucket *version =
		bolt_make_bucket(store->overlay, bolt_root(store->overlay), "v1", err);
	struct bolt_bucket *all =
		version ? containerd_make(store->overlay, version, path, err) : NULL;
	struct bolt_bucket *snapshot = all ? bolt_bucket(all, name) : NULL;
	uint64_t id;

	if (!all || !bolt_make_bucket(store->overlay, version, "parents", err))
		return -1;
	if (snapshot) {
		if (!is_committed(snapshot) || !has_parent(snapshot, parent) ||
		    !containerd_get_number(snapshot, "id", &id) || id == 0)
			return err_set(err, ERR_VERIFY, "the snapshot %s is not what it should be",
				       name);
	} else {
		snapshot = bolt_make_bucket(store->overlay, all, name, err);
		if (!snapshot ||
		    make_snapshot(store, all, snapshot, parent, layer, tree, &id, err) < 0)
			return -1;
	}
	if (parent && put_parent(store, version, *parent_id, id, name, err) < 0)
		return -1;
	*parent_id = id;
	return put_folder(store, id, tree, err);
}

/* A name for a snapshot that containerd does not know yet: the next number, unless the snapshotter has one of that name
 * which is something else. One that is the same is what a crash left. */
static char *new_name(struct containerd_store *store, struct bolt_bucket *all, const char *chain,
		      const char *parent, struct err *err)
{
	const struct bolt_bucket *known =
		bolt_bucket(bolt_bucket(bolt_root(store->overlay), "v1"), "snapshots");

	for (unsigned tries = 0; tries < TRIES_MAX; tries++) {
		uint64_t number = all->sequence + 1;
		CLEANUP_FREE char *name =
			mem_printf("%s/%" PRIu64 "/%s", store->name, number, chain);
		const struct bolt_bucket *there = bolt_bucket(known, name);

		bolt_set_sequence(store->meta, all, number);
		if (!there || (is_committed(there) && has_parent(there, parent)))
			return MEM_STEAL(name);
	}
	err_set(err, ERR_VERIFY, "no name of a snapshot is free");
	return NULL;
}

/* Sees to it that containerd's metadata has the snapshot of a chain. parent_name is the snapshotter's name for its
 * parent (NULL: none), *name becomes the one for it; the caller frees it. */
static int put_chain(struct containerd_store *store, const char *chain, const char *parent,
		     const char *parent_name, char **name, struct err *err)
{
	static const char *const path[] = {"snapshots", CONTAINERD_SNAPSHOTTER, NULL};
	struct bolt *meta = store->meta;
	struct bolt_bucket *all = containerd_make(meta, store->namespace, path, err);
	struct bolt_bucket *object = all ? bolt_bucket(all, chain) : NULL;

	if (!all)
		return -1;
	if (object) {
		*name = containerd_get_text(object, "name");
		if (!*name || !has_parent(object, parent))
			return err_set(err, ERR_VERIFY, "the snapshot %s is not what it should be",
				       chain);
	} else {
		*name = new_name(store, all, chain, parent_name, err);
		object = *name ? bolt_make_bucket(meta, all, chain, err) : NULL;
		if (!object || bolt_put_text(meta, object, "name", *name, err) < 0 ||
		    (parent && bolt_put_text(meta, object, "parent", parent, err) < 0) ||
		    containerd_put_times(store, meta, object, false, err) < 0)
			return -1;
	}
	if (parent) {
		struct bolt_bucket *children =
			bolt_make_bucket(meta, bolt_bucket(all, parent), "children", err);

		return children ? bolt_put_text(meta, children, chain, "", err) : -1;
	}
	return 0;
}

int containerd_overlay_put(struct containerd_store *store, const struct containers_image *image,
			   struct err *err)
{
	CLEANUP_FREE char *parent_name = NULL;
	char chain[CONTAINERD_DIGEST_SIZE], parent[CONTAINERD_DIGEST_SIZE];
	uint64_t id = 0;

	for (size_t i = 0; i < image->layer_count; i++) {
		char *name = NULL;
		int r;

		containerd_digest(&image->chains[i], chain);
		r = put_chain(store, chain, i ? parent : NULL, parent_name, &name, err);
		if (r == 0)
			r = put_snapshot(store, name, parent_name, image, i, &id, err);
		free(parent_name);
		parent_name = name;
		if (r < 0)
			return -1;
		memcpy(parent, chain, sizeof(parent));
	}
	return 0;
}

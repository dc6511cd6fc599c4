/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a pull made, opened for the root step and laid into the tree of the image.
 */
#include "oci/pull.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/path.h"
#include "oci/describe.h"
#include "oci/parts.h"
#include "tree/archive.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define FOLDER "/usr/share/ingot/containers"
#define ORIGIN "containers"
#define IMAGES_MAX ((size_t)64 << 20)
#define BLOBS_MAX ((size_t)256 << 20)
#define INDEX_MAX ((size_t)1 << 30)
#define SPLIT_MAX ((size_t)1 << 30)

static int open_layer(const char *dir, struct oci_layer *layer, struct err *err)
{
	CLEANUP_FREE char *tar = path_join(dir, OCI_LAYER_TAR);
	CLEANUP_FREE char *index = path_join(dir, OCI_LAYER_INDEX);
	CLEANUP_FREE char *split = path_join(dir, OCI_LAYER_SPLIT);
	CLEANUP(str_free) struct str text = {0};
	struct tree_layer record;
	char hex[DIGEST_HEX_SIZE];
	char origin[64];
	uint64_t size;

	if (oci_layer_record(dir, &layer->diff_id, &record, err) < 0)
		return -1;
	layer->digest = record.digest;
	layer->tar_fd = open(tar, O_RDONLY | O_CLOEXEC);
	if (layer->tar_fd < 0)
		return err_sys(err, errno, "cannot open '%s'", tar);
	snprintf(origin, sizeof(origin), "container layer %.12s", digest_hex(&layer->diff_id, hex));
	layer->tree = tree_new();
	if (fd_size(layer->tar_fd, tar, &size, err) < 0 ||
	    fd_read_file(index, INDEX_MAX, &text, err) < 0 ||
	    tree_read_index(text.data ? text.data : "", text.len, layer->tar_fd, size, origin,
			    layer->tree, err) < 0)
		return -1;
	return fd_read_file(split, SPLIT_MAX, &layer->split, err);
}

/* Finds and opens one layer; what is damaged leaves the cache, so that the next pull makes it again. */
static int find_layer(struct cache *cache, const char *text, struct oci_layer *layer,
		      struct err *err)
{
	CLEANUP_FREE char *dir = NULL;
	struct err why = {0};
	struct digest key;

	layer->tar_fd = -1;
	if (!str_has_prefix(text, "sha256:") || digest_parse(text + 7, &layer->diff_id, err) < 0)
		return err_set(err, ERR_VERIFY, "bad diff_id '%.80s'", text);
	oci_layer_key(&layer->diff_id, &key);
	dir = cache_find(cache, OCI_KIND_LAYER, &key);
	if (!dir)
		return err_set(err, ERR_VERIFY, "the cache does not have container layer %s", text);
	if (open_layer(dir, layer, &why) == 0)
		return 0;
	cache_discard(cache, OCI_KIND_LAYER, &key, NULL);
	return err_set(err, ERR_VERIFY, "the cache entry of container layer %s is damaged: %s",
		       text, why.msg);
}

static int compare_layers(const void *a, const void *b)
{
	return memcmp(&((const struct oci_layer *)a)->diff_id,
		      &((const struct oci_layer *)b)->diff_id, DIGEST_SIZE);
}

static int open_layers(struct cache *cache, struct oci_set *set, struct err *err)
{
	json_t *layers = json_object_get(set->images, "layers"), *value;
	const char *text;

	if (!json_is_object(layers) || !json_is_object(set->blobs))
		return err_set(err, ERR_VERIFY, "the description of the containers is damaged");
	/* Of each layer its tar, and its folder that the cache holds. */
	if (fd_make_room(2 * json_object_size(layers), err) < 0)
		return -1;
	set->layers = mem_alloc_array(json_object_size(layers) + 1, sizeof(*set->layers));
	json_object_foreach(layers, text,
			    value) if (find_layer(cache, text, &set->layers[set->layer_count++],
						  err) < 0) return -1;
	qsort(set->layers, set->layer_count, sizeof(*set->layers), compare_layers);
	return 0;
}

int oci_set_open(struct cache *cache, const char *dir, struct oci_set *ret, struct err *err)
{
	CLEANUP_FREE char *images = path_join(dir, OCI_SET_IMAGES);
	CLEANUP_FREE char *blobs = path_join(dir, OCI_SET_BLOBS);
	struct err why = {0};

	*ret = (struct oci_set){0};
	ret->images = json_read_file(images, IMAGES_MAX, &why);
	if (ret->images)
		ret->blobs = json_read_file(blobs, BLOBS_MAX, &why);
	if (!ret->blobs)
		err_set(err, ERR_VERIFY, "cannot read the description of the containers: %s",
			why.msg);
	if (!ret->blobs || open_layers(cache, ret, err) < 0) {
		oci_set_close(ret);
		return -1;
	}
	return 0;
}

void oci_set_close(struct oci_set *set)
{
	for (size_t i = 0; i < set->layer_count; i++) {
		tree_free(set->layers[i].tree);
		fd_close(&set->layers[i].tar_fd);
		str_free(&set->layers[i].split);
	}
	free(set->layers);
	json_decref(set->images);
	json_decref(set->blobs);
	*set = (struct oci_set){0};
}

static int put_dir(struct tree *tree, const char *path, uint32_t mode, int64_t mtime,
		   struct err *err)
{
	const struct tree_inode dir = {
		.type = TREE_DIR, .mode = mode, .mtime = mtime, .origin = ORIGIN};

	return tree_put(tree, path, &dir, err) ? 0 : -1;
}

/* The bytes are borrowed. */
static int put_file(struct tree *tree, const char *path, uint32_t mode, int64_t mtime,
		    const void *bytes, size_t len, struct err *err)
{
	const struct tree_inode file = {
		.type = TREE_FILE,
		.mode = mode,
		.mtime = mtime,
		.origin = ORIGIN,
		.data = {.size = len, .bytes = bytes ? bytes : "", .fd = -1},
	};

	return tree_put(tree, path, &file, err) ? 0 : -1;
}

/* How often the layer is in the image that has it most often. */
static size_t most_uses(const struct oci_set *set, const char *hex)
{
	json_t *image, *name;
	size_t most = 1, i, j;

	json_array_foreach(json_object_get(set->images, "images"), i, image)
	{
		size_t uses = 0;

		json_array_foreach(json_object_get(image, "layers"), j, name)
		{
			const char *text = json_string_value(name);

			uses += text && str_has_prefix(text, "sha256:") &&
				strcmp(text + 7, hex) == 0;
		}
		if (uses > most)
			most = uses;
	}
	return most;
}

static int install_layer(const struct oci_set *set, const struct oci_layer *layer, const char *hex,
			 struct tree *tree, struct err *err)
{
	size_t uses = most_uses(set, hex);

	/* Overlayfs mounts no folder twice (ELOOP): an image that has a layer again finds another one, of the same
	 * contents, as HEX.2. */
	for (size_t i = 1; i <= uses; i++) {
		CLEANUP_FREE char *path = i == 1 ? mem_printf(FOLDER "/layers/%s", hex)
						 : mem_printf(FOLDER "/layers/%s.%zu", hex, i);

		if (tree_graft(tree, path, layer->tree, err) < 0)
			return -1;
	}
	return 0;
}

static int install_layers(const struct oci_set *set, int64_t mtime, struct tree *tree,
			  struct err *err)
{
	for (size_t i = 0; i < set->layer_count; i++) {
		const struct oci_layer *layer = &set->layers[i];
		char hex[DIGEST_HEX_SIZE];
		CLEANUP_FREE char *split =
			mem_printf(FOLDER "/split/%s.json.gz", digest_hex(&layer->diff_id, hex));

		if (install_layer(set, layer, hex, tree, err) < 0 ||
		    put_file(tree, split, 0644, mtime, layer->split.data, layer->split.len, err) <
			    0)
			return err_wrap(err, "cannot lay out container layer %s", hex);
	}
	return 0;
}

static int install_blobs(const struct oci_set *set, int64_t mtime, struct tree *tree,
			 struct err *err)
{
	const char *name;
	json_t *body;

	json_object_foreach(set->blobs, name, body)
	{
		struct digest have, want;
		char hex[DIGEST_HEX_SIZE];
		CLEANUP_FREE char *path = NULL;

		digest_bytes(json_is_string(body) ? json_string_value(body) : "",
			     json_string_length(body), &have);
		if (!str_has_prefix(name, "sha256:") || digest_parse(name + 7, &want, err) < 0 ||
		    memcmp(&have, &want, sizeof(have)) != 0)
			return err_set(err, ERR_VERIFY, "container document '%.80s' is damaged",
				       name);
		path = mem_printf(FOLDER "/blobs/sha256/%s", digest_hex(&want, hex));
		if (put_file(tree, path, 0644, mtime, json_string_value(body),
			     json_string_length(body), err) < 0)
			return -1;
	}
	return 0;
}

static int install_images(const struct oci_set *set, const json_t *engines, int64_t mtime,
			  struct tree *tree, struct err *err)
{
	CLEANUP_JSON json_t *images = json_copy(set->images);
	CLEANUP_FREE char *text = NULL;

	json_object_set(images, "engines", (json_t *)engines);
	text = json_text(images);
	if (!text)
		return err_set(err, ERR_OTHER, "cannot write images.json: text is not UTF-8");
	return put_file(tree, FOLDER "/images.json", 0644, mtime,
			tree_keep(tree, text, strlen(text)), strlen(text), err);
}

int oci_set_install(const struct oci_set *set, const json_t *engines, int64_t mtime,
		    struct tree *tree, struct err *err)
{
	/* Setuid files of containers are not for users of the host, nor are settings in configurations and names of
	 * files. The parents first: what is missing of them gets the times of what is put. */
	static const struct {
		const char *path;
		uint32_t mode;
	} folders[] = {
		{FOLDER, 0755},          {FOLDER "/layers", 0700},       {FOLDER "/split", 0700},
		{FOLDER "/blobs", 0700}, {FOLDER "/blobs/sha256", 0700},
	};

	for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
		if (put_dir(tree, folders[i].path, folders[i].mode, mtime, err) < 0)
			return -1;
	if (install_layers(set, mtime, tree, err) < 0 || install_blobs(set, mtime, tree, err) < 0)
		return -1;
	return install_images(set, engines, mtime, tree, err);
}

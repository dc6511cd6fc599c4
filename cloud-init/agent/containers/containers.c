/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads /usr/share/ingot/containers/images.json. Its writer is our own builder and its bytes are covered by the
 * root's verity, but a root without verity exists, too: everything is bounded and checked.
 */
#include "agent/containers/containers.h"

#include "base/fd.h"
#include "base/mem.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LIST_MAX ((size_t)16 << 20) /* bytes of the list */
#define IMAGES_MAX 1000
#define LAYERS_MAX 10000 /* different ones */
#define DEPTH_MAX 500    /* layers of an image; overlayfs takes no more */
#define NAMES_MAX 64     /* of an image */
#define NAME_MAX_BYTES 400
#define BYTES_MAX ((uint64_t)1 << 46)

char *containers_layer_path(const struct digest *diff_id)
{
	char hex[DIGEST_HEX_SIZE];

	return mem_printf(CONTAINERS_DIR "/layers/%s", digest_hex(diff_id, hex));
}

char *containers_layer_nth_path(const struct containers_layer *const *layers, size_t index)
{
	char hex[DIGEST_HEX_SIZE];
	size_t uses = 1;

	for (size_t i = 0; i < index; i++)
		uses += memcmp(&layers[i]->diff_id, &layers[index]->diff_id,
			       sizeof(layers[i]->diff_id)) == 0;
	return uses == 1 ? containers_layer_path(&layers[index]->diff_id)
			 : mem_printf(CONTAINERS_DIR "/layers/%s.%zu",
				      digest_hex(&layers[index]->diff_id, hex), uses);
}

char *containers_split_path(const struct digest *diff_id)
{
	char hex[DIGEST_HEX_SIZE];

	return mem_printf(CONTAINERS_DIR "/split/%s.json.gz", digest_hex(diff_id, hex));
}

char *containers_blob_path(const struct digest *digest)
{
	char hex[DIGEST_HEX_SIZE];

	return mem_printf(CONTAINERS_DIR "/blobs/sha256/%s", digest_hex(digest, hex));
}

int containers_blob_read(const struct agent *agent, const struct containers_blob *blob,
			 struct str *text, struct err *err)
{
	CLEANUP_FREE char *path = containers_blob_path(&blob->digest);
	struct digest digest;

	if (blob->size > CONTAINERS_DOCUMENT_MAX)
		return err_set(err, ERR_VERIFY, "'%s' is too large", path);
	if (agent_read(agent, path, CONTAINERS_DOCUMENT_MAX, text, err) < 0)
		return -1;
	digest_bytes(text->data, text->len, &digest);
	if (text->len != blob->size || memcmp(&digest, &blob->digest, sizeof(digest)) != 0)
		return err_set(err, ERR_VERIFY, "'%s' is damaged", path);
	return 0;
}

/* ---- values ---------------------------------------------------------------------------------- */

static bool get_digest(const char *text, struct digest *ret)
{
	static const char prefix[] = "sha256:";

	return text && str_has_prefix(text, prefix) &&
	       digest_parse(text + sizeof(prefix) - 1, ret, NULL) == 0;
}

static bool get_bytes(const json_t *object, const char *key, uint64_t *ret)
{
	const json_t *value = json_object_get(object, key);
	json_int_t n = json_integer_value(value);

	if (!json_is_integer(value) || n < 0 || (uint64_t)n > BYTES_MAX)
		return false;
	*ret = (uint64_t)n;
	return true;
}

static bool get_blob(const json_t *object, struct containers_blob *ret)
{
	const char *type = json_member_string(object, "mediaType");

	if (!type || strlen(type) >= sizeof(ret->media_type) ||
	    !get_digest(json_member_string(object, "digest"), &ret->digest) ||
	    !get_bytes(object, "size", &ret->size))
		return false;
	memcpy(ret->media_type, type, strlen(type) + 1);
	return true;
}

/* True for "registry/path" or, with_tag, "registry/path:tag", in the letters of container names. */
static bool is_name(const char *text, bool with_tag)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz0123456789._-/:[]";
	static const char tags[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	const char *slash = strchr(text, '/'), *last = strrchr(text, '/'), *tag;

	if (!slash || slash == text || !last[1] || strlen(text) > NAME_MAX_BYTES ||
	    strstr(text, "//") || strstr(text, ".."))
		return false;
	/* A colon before the first slash belongs to a port. */
	tag = strchr(slash, ':');
	if (!with_tag)
		return !tag && strspn(text, plain) == strlen(text);
	return tag && tag > last + 1 && tag[1] && tag[1] != '.' && tag[1] != '-' &&
	       strlen(tag + 1) <= 128 && strspn(tag + 1, tags) == strlen(tag + 1) &&
	       strspn(text, plain) >= (size_t)(tag - text);
}

static bool get_names(const json_t *image, const char *key, bool with_tag, struct strv *ret)
{
	const json_t *list = json_object_get(image, key), *item;
	size_t i;

	if (!json_is_array(list) || json_array_size(list) > NAMES_MAX)
		return false;
	json_array_foreach(list, i, item)
	{
		const char *text = json_string_value(item);

		if (!text || !is_name(text, with_tag))
			return false;
		strv_add(ret, text);
	}
	return true;
}

/* ---- layers ---------------------------------------------------------------------------------- */

static int compare_layers(const void *a, const void *b)
{
	const struct containers_layer *x = a, *y = b;

	return memcmp(&x->diff_id, &y->diff_id, sizeof(x->diff_id));
}

const struct containers_layer *containers_layer_find(const struct containers *containers,
						     const struct digest *diff_id)
{
	struct containers_layer key = {.diff_id = *diff_id};

	if (containers->layer_count == 0)
		return NULL;
	return bsearch(&key, containers->layers, containers->layer_count, sizeof(key),
		       compare_layers);
}

static bool is_present(const struct agent *agent, const struct digest *diff_id)
{
	CLEANUP_FREE char *layer = containers_layer_path(diff_id);
	CLEANUP_FREE char *split = containers_split_path(diff_id);
	CLEANUP_FREE char *tree = agent_path(agent, layer), *file = agent_path(agent, split);
	struct stat st;

	return lstat(tree, &st) == 0 && S_ISDIR(st.st_mode) && lstat(file, &st) == 0 &&
	       S_ISREG(st.st_mode);
}

static bool get_layers(const struct agent *agent, const json_t *list, struct containers *ret)
{
	json_t *layers = json_object_get(list, "layers"), *value;
	const char *name;

	if (!json_is_object(layers) || json_object_size(layers) > LAYERS_MAX)
		return false;
	ret->layers = mem_alloc_array(json_object_size(layers), sizeof(*ret->layers));
	json_object_foreach(layers, name, value)
	{
		struct containers_layer *layer = &ret->layers[ret->layer_count];

		if (!get_digest(name, &layer->diff_id) || !get_bytes(value, "size", &layer->size) ||
		    !get_bytes(value, "tar", &layer->tar) ||
		    !get_bytes(value, "entries", &layer->entries))
			return false;
		layer->present = is_present(agent, &layer->diff_id);
		ret->layer_count++;
	}
	if (ret->layer_count)
		qsort(ret->layers, ret->layer_count, sizeof(*ret->layers), compare_layers);
	/* Upper-case digits may have named one twice. */
	for (size_t i = 1; i < ret->layer_count; i++)
		if (compare_layers(&ret->layers[i - 1], &ret->layers[i]) == 0)
			return false;
	return true;
}

void containers_chain_next(const struct digest *below, const struct digest *diff_id,
			   struct digest *ret)
{
	char lower[DIGEST_HEX_SIZE], upper[DIGEST_HEX_SIZE];
	CLEANUP_FREE char *text = NULL;

	if (!below) {
		*ret = *diff_id;
		return;
	}
	text = mem_printf("sha256:%s sha256:%s", digest_hex(below, lower),
			  digest_hex(diff_id, upper));
	digest_bytes(text, strlen(text), ret);
}

/* ---- images ---------------------------------------------------------------------------------- */

static bool get_image_layers(const json_t *value, const struct containers *containers,
			     struct containers_image *image)
{
	const json_t *layers = json_object_get(value, "layers");
	const json_t *blobs = json_object_get(value, "blobs");
	size_t count = json_array_size(layers);

	if (!json_is_array(layers) || count > DEPTH_MAX || !json_is_array(blobs) ||
	    json_array_size(blobs) != count)
		return false;
	image->blobs = mem_alloc_array(count, sizeof(*image->blobs));
	image->layers = mem_alloc_array(count, sizeof(void *));
	image->chains = mem_alloc_array(count, sizeof(*image->chains));
	image->layer_count = count;
	for (size_t i = 0; i < count; i++) {
		struct digest diff_id;

		if (!get_digest(json_string_value(json_array_get(layers, i)), &diff_id) ||
		    !get_blob(json_array_get(blobs, i), &image->blobs[i]))
			return false;
		image->layers[i] = containers_layer_find(containers, &diff_id);
		if (!image->layers[i])
			return false;
		containers_chain_next(i ? &image->chains[i - 1] : NULL, &diff_id,
				      &image->chains[i]);
	}
	return true;
}

static bool get_images(const json_t *list, struct containers *ret)
{
	const json_t *images = json_object_get(list, "images"), *value;
	size_t i;

	if (!json_is_array(images) || json_array_size(images) > IMAGES_MAX)
		return false;
	ret->images = mem_alloc_array(json_array_size(images), sizeof(*ret->images));
	json_array_foreach(images, i, value)
	{
		struct containers_image *image = &ret->images[ret->image_count++];

		if (!get_names(value, "names", true, &image->names) ||
		    !get_names(value, "repositories", false, &image->repositories) ||
		    !get_blob(json_object_get(value, "target"), &image->target) ||
		    !get_blob(json_object_get(value, "manifest"), &image->manifest) ||
		    !get_blob(json_object_get(value, "config"), &image->config) ||
		    !get_image_layers(value, ret, image))
			return false;
	}
	return true;
}

static bool get_text(const json_t *object, const char *key, const char *otherwise, char *to,
		     size_t size)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789.+~:-_";
	const char *text = json_member_string(object, key);

	text = text ? text : otherwise;
	if (!*text || strlen(text) >= size || strspn(text, letters) != strlen(text))
		return false;
	memcpy(to, text, strlen(text) + 1);
	return true;
}

static bool get_engines(const json_t *list, struct containers *ret)
{
	const json_t *engines = json_object_get(list, "engines");
	const json_t *docker = json_object_get(engines, "docker");
	const json_t *containerd = json_object_get(engines, "containerd");

	if (!json_is_object(engines) || (docker && !json_is_object(docker)) ||
	    (containerd && !json_is_object(containerd)))
		return false;
	if (docker && !get_text(docker, "version", "", ret->docker, sizeof(ret->docker)))
		return false;
	return !containerd ||
	       (get_text(containerd, "version", "", ret->containerd, sizeof(ret->containerd)) &&
		get_text(containerd, "namespace", "k8s.io", ret->namespace,
			 sizeof(ret->namespace)));
}

int containers_parse(const struct agent *agent, const char *text, size_t len,
		     struct containers *ret, struct err *err)
{
	CLEANUP_JSON json_t *list = NULL;

	*ret = (struct containers){0};
	list = json_parse(text, len, CONTAINERS_LIST, err);
	if (!list) {
		if (err)
			err->code = ERR_VERIFY;
		return err_wrap(err, "cannot understand the list of containers");
	}
	if (json_integer_value(json_object_get(list, "version")) != 1)
		return err_set(err, ERR_VERIFY,
			       "'" CONTAINERS_LIST "' has a version that is not known here");
	if (!get_engines(list, ret) || !get_layers(agent, list, ret) || !get_images(list, ret))
		return err_set(err, ERR_VERIFY, "'" CONTAINERS_LIST "' is damaged");
	return 0;
}

int containers_load(const struct agent *agent, struct containers *ret, struct err *err)
{
	CLEANUP_FREE char *path = agent_path(agent, CONTAINERS_LIST);
	CLEANUP(str_free) struct str text = {0};

	*ret = (struct containers){0};
	if (access(path, F_OK) < 0 && errno == ENOENT)
		return 0;
	if (agent_read(agent, CONTAINERS_LIST, LIST_MAX, &text, err) < 0)
		return -1;
	return containers_parse(agent, text.data, text.len, ret, err);
}

void containers_free(struct containers *containers)
{
	for (size_t i = 0; i < containers->image_count; i++) {
		struct containers_image *image = &containers->images[i];

		strv_free(&image->names);
		strv_free(&image->repositories);
		free(image->blobs);
		free(image->layers);
		free(image->chains);
	}
	free(containers->images);
	free(containers->layers);
	*containers = (struct containers){0};
}

void containers_done_free(struct containers_done *done)
{
	strv_free(&done->missing);
	strv_free(&done->kept);
	strv_free(&done->removed);
}

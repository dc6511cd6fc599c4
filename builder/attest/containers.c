/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading images.json with bounds.
 */
#include "attest/containers.h"

#include "base/mem.h"
#include "base/str.h"

#include <string.h>

#define VERSION 1
#define IMAGES_MAX ((size_t)4096)
#define LIST_MAX ((size_t)1024)
#define TEXT_MAX ((size_t)512)
#define DIGEST_TEXT 71 /* "sha256:" and 64 digits */
#define LAYER_BYTES_MAX ((json_int_t)1 << 50)

struct reading {
	const char *name;
	size_t image;
	struct err *err;
};

static int bad(const struct reading *r, const char *member)
{
	return err_set(r->err, ERR_VERIFY, "cannot read '%s': member %s of image %zu is wrong",
		       r->name, member, r->image + 1);
}

static const char *digest_of(const json_t *value)
{
	const char *text = json_string_value(value);

	if (!text || json_string_length(value) != DIGEST_TEXT || !str_has_prefix(text, "sha256:") ||
	    strspn(text + 7, "0123456789abcdef") != 64)
		return NULL;
	return text;
}

/* Names end up on terminals and in papers: plain characters only. */
static bool is_name(const json_t *value)
{
	const char *text = json_string_value(value);
	size_t len = json_string_length(value);

	if (!text || !len || len > TEXT_MAX)
		return false;
	for (size_t i = 0; i < len; i++)
		if (text[i] <= ' ' || text[i] > '~')
			return false;
	return true;
}

/* A list whose items are all such; NULL otherwise. Borrowed. */
static json_t *list_of(const json_t *image, const char *member, bool digests)
{
	json_t *list = json_object_get(image, member), *item;
	size_t i;

	if (!json_is_array(list) || json_array_size(list) > LIST_MAX)
		return NULL;
	json_array_foreach(list, i, item)
	{
		if (digests ? !digest_of(item) : !is_name(item))
			return NULL;
	}
	return list;
}

/* The sum over all layers; a layer that is there twice counts twice, as Docker counts. */
static json_int_t bytes_of(const json_t *layers, const json_t *sizes)
{
	json_int_t sum = 0;
	json_t *item;
	size_t i;

	json_array_foreach((json_t *)layers, i, item)
	{
		const json_t *layer = json_object_get(sizes, json_string_value(item));
		const json_t *size = json_object_get(layer, "size");

		if (!json_is_integer(size) || json_integer_value(size) < 0 ||
		    json_integer_value(size) > LAYER_BYTES_MAX)
			return -1;
		sum += json_integer_value(size);
	}
	return sum;
}

static json_t *read_image(const struct reading *r, const json_t *image, const json_t *sizes)
{
	static const char *const members[] = {"target", "manifest", "config"};
	const char *digests[ARRAY_SIZE(members)];
	json_t *names = list_of(image, "names", false), *layers = list_of(image, "layers", true);
	json_t *repositories = list_of(image, "repositories", false);
	const char *reference;
	json_int_t bytes;

	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		digests[i] =
			digest_of(json_object_get(json_object_get(image, members[i]), "digest"));
		if (!digests[i]) {
			bad(r, members[i]);
			return NULL;
		}
	}
	bytes = layers ? bytes_of(layers, sizes) : -1;
	if (!names || !repositories || bytes < 0) {
		bad(r, !names ? "names" : !repositories ? "repositories" : "layers");
		return NULL;
	}
	reference = json_string_value(json_array_get(names, 0));
	if (!reference)
		reference = json_string_value(json_array_get(repositories, 0));
	return json_pack("{s:s, s:O, s:s, s:s, s:s, s:O, s:I}", "reference",
			 reference ? reference : digests[0], "names", names, "digest", digests[0],
			 "manifest", digests[1], "image", digests[2], "layers", layers, "bytes",
			 bytes);
}

json_t *containers_read(const json_t *description, const char *name, struct err *err)
{
	const json_t *version = json_object_get(description, "version");
	json_t *images = json_object_get(description, "images"), *image;
	json_t *list = json_array();
	struct reading r = {.name = name, .err = err};

	if (!json_is_integer(version) || json_integer_value(version) != VERSION)
		err_set(err, ERR_VERIFY, "cannot read '%s': its version is not %d", name, VERSION);
	else if (!json_is_array(images) || json_array_size(images) > IMAGES_MAX)
		err_set(err, ERR_VERIFY, "cannot read '%s': it has no list of at most %zu images",
			name, IMAGES_MAX);
	else
		json_array_foreach(images, r.image, image)
		{
			json_t *row = read_image(&r, image, json_object_get(description, "layers"));

			if (!row)
				break;
			json_array_append_new(list, row);
		}
	if (json_array_size(list) == json_array_size(images) && json_is_array(images))
		return list;
	json_decref(list);
	return NULL;
}

json_t *containers_parse(const char *text, size_t len, const char *name, struct err *err)
{
	CLEANUP_JSON json_t *description = NULL;

	if (len > CONTAINERS_BYTES_MAX) {
		err_set(err, ERR_VERIFY, "cannot read '%s': it is larger than 16 MiB", name);
		return NULL;
	}
	description = json_parse(text, len, name, err);
	return description ? containers_read(description, name, err) : NULL;
}

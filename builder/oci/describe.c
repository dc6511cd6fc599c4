/* SPDX-License-Identifier: Apache-2.0 */
/*
 * images.json, as the agent reads it: everything in a fixed order, so that equal images give equal bytes.
 */
#include "oci/describe.h"

#include "base/mem.h"
#include "oci/parts.h"

#include <stdlib.h>
#include <string.h>

#define IMAGES_VERSION 1

static json_t *sorted_array(struct strv *texts)
{
	json_t *array = json_array();

	strv_sort(texts);
	for (size_t i = 0; i < texts->count; i++)
		json_array_append_new(array, json_string(texts->items[i]));
	return array;
}

static void add_once(struct strv *texts, const char *text)
{
	if (text && !strv_has(texts, text))
		strv_add(texts, text);
}

static json_t *describe_image(const struct oci_image *image, const struct oci_resolved *resolved,
			      size_t resolved_count)
{
	struct strv names CLEANUP(strv_free) = {0}, repositories CLEANUP(strv_free) = {0};
	json_t *blobs = json_array(), *layers = json_array();

	for (size_t i = 0; i < resolved_count; i++) {
		if (memcmp(&resolved[i].target.digest, &image->target.digest, DIGEST_SIZE) != 0)
			continue;
		add_once(&names, resolved[i].name);
		add_once(&repositories, resolved[i].repository);
	}
	for (size_t i = 0; i < image->content.layer_count; i++) {
		CLEANUP_FREE char *diff_id = oci_digest_text(&image->diff_ids[i]);

		json_array_append_new(blobs, oci_descriptor_json(&image->content.layers[i]));
		json_array_append_new(layers, json_string(diff_id));
	}
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "names", sorted_array(&names),
			 "repositories", sorted_array(&repositories), "target",
			 oci_descriptor_json(&image->target), "manifest",
			 oci_descriptor_json(&image->manifest), "config",
			 oci_descriptor_json(&image->content.config), "blobs", blobs, "layers",
			 layers);
}

static int compare_images(const json_t *x, const json_t *y)
{
	const char *name_x = json_string_value(json_array_get(json_object_get(x, "names"), 0));
	const char *name_y = json_string_value(json_array_get(json_object_get(y, "names"), 0));
	int r = strcmp(name_x ? name_x : "", name_y ? name_y : "");

	return r ? r
		 : strcmp(json_member_string(json_object_get(x, "target"), "digest"),
			  json_member_string(json_object_get(y, "target"), "digest"));
}

static int describe_layers(struct cache *cache, const struct oci_image *image, json_t *layers,
			   struct err *err)
{
	for (size_t i = 0; i < image->content.layer_count; i++) {
		const struct digest *diff_id = &image->diff_ids[i];
		CLEANUP_FREE char *text = oci_digest_text(diff_id);
		CLEANUP_FREE char *dir = NULL;
		struct tree_layer layer;
		struct digest key;

		if (json_object_get(layers, text))
			continue;
		oci_layer_key(diff_id, &key);
		dir = cache_find(cache, OCI_KIND_LAYER, &key);
		if (!dir)
			return err_set(err, ERR_OTHER, "the cache has lost layer %s", text);
		if (oci_layer_record(dir, diff_id, &layer, err) < 0)
			return -1;
		json_object_set_new(layers, text,
				    json_pack("{s:I, s:I, s:I}", "size", (json_int_t)layer.size,
					      "tar", (json_int_t)layer.tar, "entries",
					      (json_int_t)layer.entries));
	}
	return 0;
}

int oci_describe(struct cache *cache, const struct oci_image *images, size_t count,
		 const struct oci_resolved *resolved, size_t resolved_count, json_t **ret,
		 struct err *err)
{
	CLEANUP_JSON json_t *layers = json_object();
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++) {
		json_array_append_new(list, describe_image(&images[i], resolved, resolved_count));
		if (describe_layers(cache, &images[i], layers, err) < 0) {
			json_decref(list);
			return -1;
		}
	}
	*ret = json_pack("{s:i, s:o, s:O}", "version", IMAGES_VERSION, "images",
			 oci_sorted(list, compare_images), "layers", layers);
	return 0;
}

json_t *oci_describe_blobs(const struct oci_image *images, size_t count)
{
	json_t *blobs = json_object();

	for (size_t i = 0; i < count; i++)
		for (size_t d = 0; d < images[i].document_count; d++) {
			const struct oci_document *document = &images[i].documents[d];
			CLEANUP_FREE char *name = oci_digest_text(&document->descriptor.digest);

			/* It has been parsed as JSON, so that it is UTF-8 without NUL. */
			json_object_set_new(blobs, name,
					    json_stringn(document->body.data, document->body.len));
		}
	return blobs;
}

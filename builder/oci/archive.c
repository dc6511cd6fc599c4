/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Docker archives: what docker save wrote up to version 24, and podman save and skopeo (docker-archive:) write.
 * Their layers are plain tars and there is no manifest, so that one is made: an OCI manifest whose layers are the
 * plain tars, which the configuration names by digest. Equal images give equal manifests, and no layer is read.
 */
#include "oci/source.h"

#include "base/mem.h"

#include <string.h>

#define LIST_MAX ((size_t)4 << 20) /* bytes of manifest.json */
#define IMAGES_MAX 1000

static bool archive_recognise(const struct oci_files *files)
{
	return oci_files_have(files, "manifest.json");
}

/* What lies under a digest: a file of the archive, or text that was made for it. */
static struct oci_made *find(const struct oci_source *source, const struct digest *digest)
{
	for (size_t i = 0; i < source->made_count; i++)
		if (memcmp(&source->made[i].digest, digest, DIGEST_SIZE) == 0)
			return &source->made[i];
	return NULL;
}

static void add(struct oci_source *source, const struct digest *digest, const char *name,
		const char *body)
{
	struct oci_made made = {.digest = *digest};

	if (find(source, digest))
		return;
	made.name = mem_strdup(name);
	made.body = mem_strdup(body);
	VEC_ADD(source->made, source->made_count, source->made_room, made);
}

static json_t *descriptor(const char *type, const struct digest *digest, uint64_t size)
{
	char hex[DIGEST_HEX_SIZE];
	CLEANUP_FREE char *text = mem_printf("sha256:%s", digest_hex(digest, hex));

	return json_pack("{s:s, s:s, s:I}", "mediaType", type, "digest", text, "size",
			 (json_int_t)size);
}

/* The layers of one image, from the diff_ids and the names of their files. */
static json_t *make_layers(struct oci_source *source, const struct digest *ids, size_t count,
			   const json_t *names, struct err *err)
{
	CLEANUP_JSON json_t *layers = json_array();

	if (json_array_size(names) != count) {
		err_set(err, ERR_VERIFY, "its configuration has %zu layers and manifest.json %zu",
			count, json_array_size(names));
		return NULL;
	}
	for (size_t i = 0; i < count; i++) {
		struct oci_file file CLEANUP(oci_file_close) = OCI_FILE_NONE;
		const char *name = json_string_value(json_array_get(names, i));

		if (!name) {
			err_set(err, ERR_VERIFY, "a layer of manifest.json has no name");
			return NULL;
		}
		if (oci_files_find(source->files, name, &file, err) < 0)
			return NULL;
		add(source, &ids[i], name, NULL);
		json_array_append_new(layers, descriptor(OCI_TYPE_LAYER, &ids[i], file.size));
	}
	return json_incref(layers);
}

static int make_manifest(struct oci_source *source, const char *config_name, const json_t *names,
			 struct oci_descriptor *ret, struct err *err)
{
	CLEANUP(str_free) struct str text = {0};
	CLEANUP_JSON json_t *config = NULL, *manifest = NULL;
	CLEANUP_FREE struct digest *ids = NULL;
	CLEANUP_FREE char *line = NULL;
	struct digest config_digest;
	json_t *layers;
	size_t count;

	if (oci_files_read(source->files, config_name, OCI_DOCUMENT_MAX, &text, err) < 0)
		return -1;
	config = json_parse(text.data ? text.data : "", text.len, "its configuration", err);
	if (!config && err)
		err->code = ERR_VERIFY;
	if (!config || oci_config_diff_ids(config, &ids, &count, err) < 0)
		return -1;
	layers = make_layers(source, ids, count, names, err);
	if (!layers)
		return -1;
	digest_bytes(text.data, text.len, &config_digest);
	add(source, &config_digest, config_name, NULL);
	manifest = json_pack(
		"{s:i, s:s, s:o, s:o}", "schemaVersion", 2, "mediaType", OCI_TYPE_MANIFEST,
		"config", descriptor(OCI_TYPE_CONFIG, &config_digest, text.len), "layers", layers);
	line = json_line(manifest);
	strcpy(ret->media_type, OCI_TYPE_MANIFEST);
	ret->size = strlen(line);
	digest_bytes(line, strlen(line), &ret->digest);
	add(source, &ret->digest, NULL, line);
	return 0;
}

static int add_images(struct oci_source *source, const json_t *entry, struct err *err)
{
	const char *config = json_member_string(entry, "Config");
	const json_t *names = json_object_get(entry, "RepoTags");
	struct oci_descriptor target = {0};
	json_t *name;
	size_t i;

	if (!config)
		return err_set(err, ERR_VERIFY, "an image of manifest.json has no configuration");
	if (make_manifest(source, config, json_object_get(entry, "Layers"), &target, err) < 0)
		return -1;
	json_array_foreach(names, i, name) if (json_is_string(name))
		oci_source_add(source, json_string_value(name), &target, NULL);
	if (json_array_size(names) == 0)
		oci_source_add(source, NULL, &target, NULL);
	return 0;
}

static int archive_list(struct oci_source *source, struct err *err)
{
	CLEANUP(str_free) struct str text = {0};
	CLEANUP_JSON json_t *list = NULL;
	json_t *entry;
	size_t i;

	if (oci_files_read(source->files, "manifest.json", LIST_MAX, &text, err) < 0)
		return -1;
	list = json_parse(text.data ? text.data : "", text.len, "manifest.json", err);
	if (!list && err)
		err->code = ERR_VERIFY;
	if (!list)
		return err_wrap(err, "container image '%s'", source->origin);
	if (!json_is_array(list) || json_array_size(list) > IMAGES_MAX)
		return err_set(err, ERR_VERIFY,
			       "container image '%s': manifest.json is no list of images",
			       source->origin);
	json_array_foreach(list, i, entry) if (add_images(source, entry, err) < 0) return err_wrap(
		err, "container image '%s'", source->origin);
	return 0;
}

static int absent(const struct oci_source *source, struct err *err)
{
	return err_set(err, ERR_VERIFY, "container image '%s' has changed while it was read",
		       source->origin);
}

static int archive_document(struct oci_source *source, const struct oci_descriptor *want,
			    bool is_config, struct str *ret, struct err *err)
{
	const struct oci_made *made = find(source, &want->digest);

	(void)is_config;
	if (!made)
		return absent(source, err);
	if (made->name)
		return oci_files_read(source->files, made->name, OCI_DOCUMENT_MAX, ret, err);
	str_add(ret, made->body);
	return 0;
}

static int archive_blob(struct oci_source *source, const struct oci_descriptor *blob,
			const struct oci_sink *sink, struct err *err)
{
	struct oci_file file CLEANUP(oci_file_close) = OCI_FILE_NONE;
	const struct oci_made *made = find(source, &blob->digest);

	if (!made || !made->name)
		return absent(source, err);
	if (oci_files_find(source->files, made->name, &file, err) < 0)
		return -1;
	if (oci_source_copy(&file, blob, sink, err) < 0) {
		err_wrap(err, "container image '%s'", source->origin);
		return err_hint(err, "layers of a docker archive are plain tars; an OCI layout may "
				     "have compressed ones");
	}
	return 0;
}

const struct oci_source_type oci_source_archive = {
	.name = "docker archive",
	.recognise = archive_recognise,
	.list = archive_list,
	.document = archive_document,
	.blob = archive_blob,
};

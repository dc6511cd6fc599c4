/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OCI image layout (image-layout.md of the specification 1.1): a folder or a tar, as skopeo, umoci, buildx and
 * docker save (25 and later) write it.
 */
#include "oci/source.h"

#include "base/mem.h"

#include <string.h>

#define LAYOUT_MAX ((size_t)4096) /* bytes of the file oci-layout */
#define IMAGES_MAX 4096

static bool layout_recognise(const struct oci_files *files)
{
	return oci_files_have(files, "oci-layout") && oci_files_have(files, "index.json");
}

static json_t *read_json(struct oci_source *source, const char *name, size_t max, struct err *err)
{
	CLEANUP(str_free) struct str text = {0};
	json_t *value;

	if (oci_files_read(source->files, name, max, &text, err) < 0)
		return NULL;
	value = json_parse(text.data ? text.data : "", text.len, name, err);
	if (!value && err)
		err->code = ERR_VERIFY;
	return value;
}

static int add_image(struct oci_source *source, const json_t *entry, struct err *err)
{
	const json_t *annotations = json_object_get(entry, "annotations");
	const json_t *platform = json_object_get(entry, "platform");
	const char *full = json_member_string(annotations, "io.containerd.image.name");
	const char *name = json_member_string(annotations, "org.opencontainers.image.ref.name");
	const char *os = json_member_string(platform, "os");
	struct oci_descriptor target;

	if (oci_descriptor_read(entry, "entry of index.json", OCI_DOCUMENT_MAX, &target, err) < 0)
		return -1;
	/* Signatures and attestations lie beside images. */
	if (!oci_is_document_type(target.media_type) || (os && strcmp(os, "unknown") == 0))
		return 0;
	oci_source_add(source, full ? full : name, &target, platform);
	return 0;
}

static int layout_list(struct oci_source *source, struct err *err)
{
	CLEANUP_JSON json_t *layout = read_json(source, "oci-layout", LAYOUT_MAX, err);
	CLEANUP_JSON json_t *index =
		layout ? read_json(source, "index.json", OCI_DOCUMENT_MAX, err) : NULL;
	const json_t *manifests = json_object_get(index, "manifests");
	const char *version = json_member_string(layout, "imageLayoutVersion");
	json_t *entry;
	size_t i;

	if (!index)
		return err_wrap(err, "container image '%s'", source->origin);
	if (!version || strncmp(version, "1.", 2) != 0)
		return err_set(err, ERR_VERIFY,
			       "container image '%s': not an OCI layout of version 1",
			       source->origin);
	if (!json_is_array(manifests) || json_array_size(manifests) > IMAGES_MAX)
		return err_set(err, ERR_VERIFY, "container image '%s': index.json has no manifests",
			       source->origin);
	json_array_foreach(manifests, i, entry) if (add_image(source, entry, err) <
						    0) return err_wrap(err, "container image '%s'",
								       source->origin);
	return 0;
}

static int layout_document(struct oci_source *source, const struct oci_descriptor *want,
			   bool is_config, struct str *ret, struct err *err)
{
	char hex[DIGEST_HEX_SIZE];
	CLEANUP_FREE char *name = mem_printf("blobs/sha256/%s", digest_hex(&want->digest, hex));

	(void)is_config;
	return oci_files_read(source->files, name, OCI_DOCUMENT_MAX, ret, err);
}

static int layout_blob(struct oci_source *source, const struct oci_descriptor *blob,
		       const struct oci_sink *sink, struct err *err)
{
	struct oci_file file CLEANUP(oci_file_close) = OCI_FILE_NONE;
	char hex[DIGEST_HEX_SIZE];
	CLEANUP_FREE char *name = mem_printf("blobs/sha256/%s", digest_hex(&blob->digest, hex));

	if (oci_files_find(source->files, name, &file, err) < 0)
		return -1;
	if (oci_source_copy(&file, blob, sink, err) < 0)
		return err_wrap(err, "container image '%s'", source->origin);
	return 0;
}

const struct oci_source_type oci_source_layout = {
	.name = "OCI layout",
	.recognise = layout_recognise,
	.list = layout_list,
	.document = layout_document,
	.blob = layout_blob,
};

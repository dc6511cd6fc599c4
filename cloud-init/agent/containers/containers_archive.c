/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images as one archive for an engine's own import: an OCI image layout (image-layout.md) with docker's manifest.json
 * beside it. Both name the same blobs; layers are not compressed, so manifests are not those of the registry.
 */
#include "agent/containers/containers_parts.h"

#include "base/fd.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#define TAR_BLOCK 512
#define MANIFEST_TYPE "application/vnd.oci.image.manifest.v1+json"
#define USTAR_SIZE_MAX ((uint64_t)1 << 33) /* what eleven octal digits hold */

struct archive {
	const struct agent *agent;
	int fd;
	json_t *written; /* names of blobs that are in it */
};

/* ---- tar (POSIX.1-1988 ustar; GNU's binary numbers for large sizes) -------------------------- */

static void put_octal(char *to, size_t size, uint64_t value)
{
	for (size_t i = size - 1; i > 0; i--, value >>= 3)
		to[i - 1] = (char)('0' + (value & 7));
}

static int put_header(struct archive *archive, const char *name, uint64_t size, char type,
		      struct err *err)
{
	static const char magic[8] = {'u', 's', 't', 'a', 'r', '\0', '0', '0'};
	char block[TAR_BLOCK] = {0};
	unsigned sum = 0;

	if (strlen(name) >= 100)
		return err_set(err, ERR_OTHER, "the name '%s' is too long for an archive", name);
	snprintf(block, 100, "%s", name);
	put_octal(block + 100, 8, type == '5' ? 0755 : 0644);
	put_octal(block + 108, 8, 0);
	put_octal(block + 116, 8, 0);
	if (size < USTAR_SIZE_MAX) {
		put_octal(block + 124, 12, size);
	} else {
		block[124] = (char)0x80;
		for (int i = 0; i < 8; i++)
			block[135 - i] = (char)(size >> 8 * i);
	}
	put_octal(block + 136, 12, 0);
	memset(block + 148, ' ', 8);
	block[156] = type;
	memcpy(block + 257, magic, sizeof(magic));
	for (size_t i = 0; i < sizeof(block); i++)
		sum += (unsigned char)block[i];
	snprintf(block + 148, 8, "%06o", sum);
	return fd_write(archive->fd, block, sizeof(block), "the archive", err);
}

static int put_padding(struct archive *archive, uint64_t size, struct err *err)
{
	static const char zeros[TAR_BLOCK];

	return fd_write(archive->fd, zeros, (size_t)(-size & (TAR_BLOCK - 1)), "the archive", err);
}

static int put_bytes(struct archive *archive, const char *name, const void *bytes, size_t len,
		     struct err *err)
{
	return put_header(archive, name, len, '0', err) < 0 ||
			       fd_write(archive->fd, bytes, len, "the archive", err) < 0 ||
			       put_padding(archive, len, err) < 0
		       ? -1
		       : 0;
}

/* ---- blobs ----------------------------------------------------------------------------------- */

static char *blob_name(const struct digest *digest)
{
	char hex[DIGEST_HEX_SIZE];

	return mem_printf("blobs/sha256/%s", digest_hex(digest, hex));
}

/* True when the blob has still to be written; the next time it is not. */
static bool is_new(struct archive *archive, const char *name)
{
	if (json_object_get(archive->written, name))
		return false;
	json_object_set_new(archive->written, name, json_true());
	return true;
}

static int put_blob(struct archive *archive, const void *bytes, size_t len, struct err *err)
{
	CLEANUP_FREE char *name = NULL;
	struct digest digest;

	digest_bytes(bytes, len, &digest);
	name = blob_name(&digest);
	return is_new(archive, name) ? put_bytes(archive, name, bytes, len, err) : 0;
}

static int put_layer(struct archive *archive, const struct containers_layer *layer, struct err *err)
{
	CLEANUP_FREE char *name = blob_name(&layer->diff_id);

	if (!is_new(archive, name))
		return 0;
	if (put_header(archive, name, layer->tar, '0', err) < 0 ||
	    containers_split_write(archive->agent, layer, archive->fd, err) < 0)
		return -1;
	return put_padding(archive, layer->tar, err);
}

static json_t *descriptor(const char *type, const struct digest *digest, uint64_t size)
{
	char hex[DIGEST_HEX_SIZE];
	json_t *value = json_object();

	json_object_set_new(value, "mediaType", json_string(type));
	json_object_set_new(value, "digest", json_sprintf("sha256:%s", digest_hex(digest, hex)));
	json_object_set_new(value, "size", json_integer((json_int_t)size));
	return value;
}

char *containers_archive_manifest(const struct containers_image *image)
{
	CLEANUP_JSON json_t *manifest = json_object();
	json_t *layers = json_array();

	json_object_set_new(manifest, "schemaVersion", json_integer(2));
	json_object_set_new(manifest, "mediaType", json_string(MANIFEST_TYPE));
	json_object_set_new(manifest, "config",
			    descriptor("application/vnd.oci.image.config.v1+json",
				       &image->config.digest, image->config.size));
	json_object_set_new(manifest, "layers", layers);
	for (size_t i = 0; i < image->layer_count; i++)
		json_array_append_new(layers, descriptor("application/vnd.oci.image.layer.v1.tar",
							 &image->layers[i]->diff_id,
							 image->layers[i]->tar));
	return json_line(manifest);
}

/* Writes the manifest; index gets a row per name (or one without), with name for containerd. */
static int put_manifest(struct archive *archive, const struct containers_image *image,
			json_t *index, struct err *err)
{
	CLEANUP_FREE char *text = containers_archive_manifest(image);
	struct digest digest;

	if (put_blob(archive, text, strlen(text), err) < 0)
		return -1;
	digest_bytes(text, strlen(text), &digest);
	for (size_t i = 0; i < (image->names.count ? image->names.count : 1); i++) {
		json_t *row = descriptor(MANIFEST_TYPE, &digest, strlen(text));

		if (image->names.count)
			json_object_set_new(row, "annotations",
					    json_pack("{s:s}", "io.containerd.image.name",
						      image->names.items[i]));
		json_array_append_new(index, row);
	}
	return 0;
}

static int put_image(struct archive *archive, const struct containers_image *image, json_t *index,
		     json_t *list, struct err *err)
{
	CLEANUP(str_free) struct str config = {0};
	json_t *row = json_object(), *tags = json_array(), *layers = json_array();
	CLEANUP_FREE char *config_name = blob_name(&image->config.digest);

	json_array_append_new(list, row);
	json_object_set_new(row, "Config", json_string(config_name));
	json_object_set_new(row, "RepoTags", tags);
	json_object_set_new(row, "Layers", layers);
	for (size_t i = 0; i < image->names.count; i++) {
		CLEANUP_FREE char *name = containers_familiar(image->names.items[i]);

		json_array_append_new(tags, json_string(name));
	}
	for (size_t i = 0; i < image->layer_count; i++) {
		CLEANUP_FREE char *name = blob_name(&image->layers[i]->diff_id);

		if (put_layer(archive, image->layers[i], err) < 0)
			return -1;
		json_array_append_new(layers, json_string(name));
	}
	if (containers_blob_read(archive->agent, &image->config, &config, err) < 0 ||
	    put_blob(archive, config.data, config.len, err) < 0)
		return -1;
	return put_manifest(archive, image, index, err);
}

/* ---- all of it ------------------------------------------------------------------------------- */

static int put_ends(struct archive *archive, const json_t *index, const json_t *list,
		    struct err *err)
{
	static const char layout[] = "{\"imageLayoutVersion\":\"1.0.0\"}";
	static const char end[2 * TAR_BLOCK];
	CLEANUP_JSON json_t *top =
		json_pack("{s:i, s:s, s:O}", "schemaVersion", 2, "mediaType",
			  "application/vnd.oci.image.index.v1+json", "manifests", index);
	CLEANUP_FREE char *text = json_line(top), *manifest = json_line(list);

	if (put_bytes(archive, "index.json", text, strlen(text), err) < 0 ||
	    put_bytes(archive, "manifest.json", manifest, strlen(manifest), err) < 0 ||
	    put_bytes(archive, "oci-layout", layout, strlen(layout), err) < 0)
		return -1;
	return fd_write(archive->fd, end, sizeof(end), "the archive", err);
}

int containers_archive_write(const struct agent *agent, const struct containers *containers,
			     const size_t *indexes, size_t count, int fd, struct err *err)
{
	CLEANUP_JSON json_t *written = json_object();
	CLEANUP_JSON json_t *index = json_array();
	CLEANUP_JSON json_t *list = json_array();
	struct archive archive = {agent, fd, written};

	if (put_header(&archive, "blobs/", 0, '5', err) < 0 ||
	    put_header(&archive, "blobs/sha256/", 0, '5', err) < 0)
		return -1;
	for (size_t i = 0; i < (indexes ? count : containers->image_count); i++) {
		const struct containers_image *image =
			&containers->images[indexes ? indexes[i] : i];
		char buffer[DIGEST_HEX_SIZE];

		if (put_image(&archive, image, index, list, err) < 0)
			return err_wrap(err, "cannot pack the image '%s'",
					containers_image_label(image, buffer));
	}
	return put_ends(&archive, index, list, err);
}

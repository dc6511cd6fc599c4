/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OCI layouts for unit tests, made by hand: small images whose layers are plain tars. Include it behind tap.h.
 */
#ifndef TESTS_OCILAYOUT_H
#define TESTS_OCILAYOUT_H

#include "base/digest.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "cache/cache.h"
#include "oci/manifest.h"

/* A header of an old tar (ustar) and the content of a file behind it. */
__attribute__((unused)) static void tar_add(struct str *tar, const char *name, char type,
					    const char *link, const void *bytes, size_t len)
{
	char header[512] = {0};
	unsigned sum = 0;

	snprintf(header, 100, "%s", name);
	snprintf(header + 100, 8, "%07o", type == '5' ? 0755u : 0644u);
	snprintf(header + 108, 8, "%07o", 0u);
	snprintf(header + 116, 8, "%07o", 0u);
	snprintf(header + 124, 12, "%011o", (unsigned)len);
	snprintf(header + 136, 12, "%011o", 1700000000u);
	memset(header + 148, ' ', 8);
	header[156] = type;
	snprintf(header + 157, 100, "%s", link ? link : "");
	memcpy(header + 257,
	       "ustar\0"
	       "00",
	       8);
	for (size_t i = 0; i < sizeof(header); i++)
		sum += (unsigned char)header[i];
	snprintf(header + 148, 8, "%06o", sum);
	str_add_bytes(tar, header, sizeof(header));
	if (len)
		str_add_bytes(tar, bytes, len);
	str_add_bytes(tar, (char[512]){0}, (512 - len % 512) % 512);
}

__attribute__((unused)) static void tar_end(struct str *tar)
{
	str_add_bytes(tar, (char[1024]){0}, 1024);
}

/* A tar with one file; differs by name and content. Caller frees. */
__attribute__((unused)) static struct str tar_of(const char *name, const char *content)
{
	struct str tar = {0};

	tar_add(&tar, name, '0', NULL, content, strlen(content));
	tar_end(&tar);
	return tar;
}

__attribute__((unused)) static char *layout_digest_text(const void *bytes, size_t len)
{
	char hex[DIGEST_HEX_SIZE];
	struct digest digest;

	digest_bytes(bytes, len, &digest);
	return mem_printf("sha256:%s", digest_hex(&digest, hex));
}

/* Writes a blob and returns its descriptor. */
__attribute__((unused)) static json_t *layout_blob(const char *dir, const char *type,
						   const void *bytes, size_t len)
{
	CLEANUP_FREE char *digest = layout_digest_text(bytes, len);
	CLEANUP_FREE char *folder = mem_printf("%s/blobs/sha256", dir);
	CLEANUP_FREE char *path = mem_printf("%s/%s", folder, digest + 7);
	struct err err = {0};

	CHECK_OK(path_make_dirs(folder, &err), &err);
	tap_spew(path, bytes, len);
	return json_pack("{s:s, s:s, s:I}", "mediaType", type, "digest", digest, "size",
			 (json_int_t)len);
}

__attribute__((unused)) static json_t *layout_json_blob(const char *dir, const char *type,
							const json_t *value)
{
	CLEANUP_FREE char *line = json_line(value);

	return layout_blob(dir, type, line, strlen(line));
}

/* The configuration of an image for amd64 with these layers (plain tars). */
__attribute__((unused)) static json_t *layout_config(const struct str *layers, size_t count,
						     const char *architecture)
{
	json_t *ids = json_array();

	for (size_t i = 0; i < count; i++) {
		CLEANUP_FREE char *text = layout_digest_text(layers[i].data, layers[i].len);

		json_array_append_new(ids, json_string(text));
	}
	return json_pack("{s:s, s:s, s:{s:s, s:o}}", "os", "linux", "architecture", architecture,
			 "rootfs", "type", "layers", "diff_ids", ids);
}

/* Writes an image and returns the descriptor of its manifest. */
__attribute__((unused)) static json_t *layout_image(const char *dir, const struct str *layers,
						    size_t count, const char *architecture)
{
	CLEANUP_JSON json_t *config = layout_config(layers, count, architecture);
	CLEANUP_JSON json_t *manifest = NULL;
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append_new(
			list, layout_blob(dir, OCI_TYPE_LAYER, layers[i].data, layers[i].len));
	manifest = json_pack("{s:i, s:s, s:o, s:o}", "schemaVersion", 2, "mediaType",
			     OCI_TYPE_MANIFEST, "config",
			     layout_json_blob(dir, OCI_TYPE_CONFIG, config), "layers", list);
	return layout_json_blob(dir, OCI_TYPE_MANIFEST, manifest);
}

/* Names a descriptor as a layout does; returns it. */
__attribute__((unused)) static json_t *layout_named(json_t *descriptor, const char *name)
{
	json_object_set_new(descriptor, "annotations",
			    json_pack("{s:s}", "org.opencontainers.image.ref.name", name));
	return descriptor;
}

/* Says for which platform it is; returns it. */
__attribute__((unused)) static json_t *layout_platform(json_t *descriptor, const char *architecture)
{
	json_object_set_new(descriptor, "platform",
			    json_pack("{s:s, s:s}", "os", "linux", "architecture", architecture));
	return descriptor;
}

/* Writes index.json of the descriptors (whose references it takes, up to a NULL) and oci-layout. */
__attribute__((unused)) static void layout_finish(const char *dir, json_t *const *descriptors)
{
	CLEANUP_JSON json_t *index = NULL;
	CLEANUP_FREE char *path = mem_printf("%s/index.json", dir);
	CLEANUP_FREE char *mark = mem_printf("%s/oci-layout", dir);
	json_t *list = json_array();
	struct err err = {0};

	for (; *descriptors; descriptors++)
		json_array_append_new(list, *descriptors);
	index = json_pack("{s:i, s:o}", "schemaVersion", 2, "manifests", list);
	CHECK_OK(json_write_file(path, index, false, &err), &err);
	tap_spew(mark, "{\"imageLayoutVersion\":\"1.0.0\"}", 30);
}

/* The cache that the tests use, in the folder "cache". */
__attribute__((unused)) static struct cache *cache;

/* Opens it, again if need be: then nobody holds its entries. */
__attribute__((unused)) static void cache_here(void)
{
	struct err err = {0};

	cache_close(cache);
	cache = cache_open("cache", &err);
	CHECK_OK_PTR(cache, &err);
}

/* How many entries a folder has; 0 when it is absent. */
__attribute__((unused)) static size_t count_names(const char *path)
{
	DIR *dir = opendir(path);
	size_t count = 0;

	for (struct dirent *e; dir && (e = readdir(dir));)
		count += e->d_name[0] != '.';
	if (dir)
		closedir(dir);
	return count;
}

#endif

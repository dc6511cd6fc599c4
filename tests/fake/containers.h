/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Containers in an image, for the agent's tests: layers of one file each with the tar that they came from, and a
 * list of images that name them.
 */
#ifndef TESTS_FAKE_CONTAINERS_H
#define TESTS_FAKE_CONTAINERS_H

#include "fake/machine.h"

#include "base/base64.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"

#include <zlib.h>

#define FAKE_CONTAINERS FAKE_ROOT "/usr/share/ingot/containers"

static json_t *fake_list; /* becomes images.json */

/* Texts of a test live as long as its process. */
static char *fake_keep(char *text)
{
	static char **kept;
	static size_t count, room;

	VEC_ADD(kept, count, room, text);
	return text;
}

__attribute__((unused)) static char *fake_hex(const void *bytes, size_t len)
{
	char *hex = fake_keep(mem_alloc(DIGEST_HEX_SIZE));
	struct digest digest;

	digest_bytes(bytes, len, &digest);
	return digest_hex(&digest, hex);
}

__attribute__((unused)) static void fake_containers_begin(const char *docker)
{
	struct err err = {0};

	fake_machine("{\"kind\":\"none\"}");
	CHECK_OK(path_make_dirs(FAKE_CONTAINERS "/layers", &err), &err);
	CHECK_OK(path_make_dirs(FAKE_CONTAINERS "/split", &err), &err);
	CHECK_OK(path_make_dirs(FAKE_CONTAINERS "/blobs/sha256", &err), &err);
	fake_list =
		json_pack("{s:i, s:{}, s:[], s:{}}", "version", 1, "engines", "images", "layers");
	if (docker)
		json_object_set_new(json_object_get(fake_list, "engines"), "docker",
				    json_pack("{s:s}", "version", docker));
}

/* Writes images.json and forgets it. */
__attribute__((unused)) static void fake_containers_end(void)
{
	char *text = json_line(fake_list);

	tap_spew(FAKE_CONTAINERS "/images.json", text, strlen(text));
	free(text);
	json_decref(fake_list);
	fake_list = NULL;
}

static void fake_octal(char *to, size_t size, uint64_t value)
{
	for (size_t i = size - 1; i > 0; i--, value >>= 3)
		to[i - 1] = (char)('0' + (value & 7));
}

static void fake_header(const char *name, size_t size, char header[512])
{
	unsigned int sum = 0;

	memset(header, 0, 512);
	memcpy(header, name, strlen(name));
	fake_octal(header + 100, 8, 0644);
	fake_octal(header + 124, 12, size);
	memset(header + 148, ' ', 8);
	header[156] = '0';
	memcpy(header + 257, "ustar\00000", 8);
	for (size_t i = 0; i < 512; i++)
		sum += (unsigned char)header[i];
	snprintf(header + 148, 8, "%06o", sum);
}

static void fake_row(struct str *split, int type, const char *key, const void *bytes, size_t len)
{
	struct str text = {0};

	base64_add(bytes, len, &text);
	str_addf(split, "{\"type\":%d,\"%s\":\"%s\"}\n", type, key, text.data ? text.data : "");
	str_free(&text);
}

/* A layer with the one file name whose content is text. Returns "sha256:DIFF_ID". */
__attribute__((unused)) static char *fake_layer(const char *name, const char *text)
{
	size_t len = strlen(text);
	struct str tar = {0}, split = {0};
	char header[512], zeros[1536] = {0};
	char *hex, *path, *id;
	struct err err = {0};
	gzFile out;

	fake_header(name, len, header);
	str_add_bytes(&tar, header, 512);
	str_add_bytes(&tar, text, len);
	str_add_bytes(&tar, zeros, -len % 512 + 1024);
	hex = fake_hex(tar.data, tar.len);
	fake_row(&split, 2, "payload", header, 512);
	str_addf(&split, "{\"type\":1,\"name\":\"%s\",\"size\":%zu,\"payload\":\"AAAAAAAAAAA=\"}\n",
		 name, len);
	fake_row(&split, 2, "payload", zeros, -len % 512 + 1024);

	path = mem_printf(FAKE_CONTAINERS "/layers/%s/%s", hex, name);
	id = path_parent(path);
	CHECK_OK(path_make_dirs(id, &err), &err);
	free(id);
	tap_spew(path, text, len);
	free(path);
	path = mem_printf(FAKE_CONTAINERS "/split/%s.json.gz", hex);
	out = gzopen(path, "wb");
	CHECK(out && gzwrite(out, split.data, (unsigned)split.len) == (int)split.len);
	CHECK(gzclose(out) == Z_OK);
	free(path);
	id = fake_keep(mem_printf("sha256:%s", hex));
	json_object_set_new(
		json_object_get(fake_list, "layers"), id,
		json_pack("{s:i, s:i, s:i}", "size", (int)len, "tar", (int)tar.len, "entries", 1));
	free(hex);
	str_free(&tar);
	str_free(&split);
	return id;
}

static json_t *fake_blob(const char *type, const char *text)
{
	char *hex = fake_hex(text, strlen(text));
	char *path = mem_printf(FAKE_CONTAINERS "/blobs/sha256/%s", hex);
	json_t *value = json_pack("{s:s, s:o, s:i}", "mediaType", type, "digest",
				  json_sprintf("sha256:%s", hex), "size", (int)strlen(text));

	tap_spew(path, text, strlen(text));
	free(path);
	return value;
}

/* Adds an image of count layers from the bottom; name is canonical. Returns its ID (hex). */
__attribute__((unused)) static char *fake_image(const char *name, char *const *layers, size_t count)
{
	json_t *image = json_object(), *ids = json_array(), *blobs = json_array(), *config;
	char *text, *id;
	const char *tag = strrchr(name, ':');

	for (size_t i = 0; i < count; i++) {
		char *hex = fake_hex(layers[i], strlen(layers[i]));

		json_array_append_new(ids, json_string(layers[i]));
		json_array_append_new(blobs,
				      json_pack("{s:s, s:o, s:i}", "mediaType", "layer", "digest",
						json_sprintf("sha256:%s", hex), "size", 7));
	}
	config = json_pack("{s:s, s:{s:s, s:O}}", "created_by", name, "rootfs", "type", "layers",
			   "diff_ids", ids);
	text = json_line(config);
	id = fake_hex(text, strlen(text));
	json_object_set_new(image, "names", json_pack("[s]", name));
	json_object_set_new(image, "repositories", json_pack("[s#]", name, (int)(tag - name)));
	json_object_set_new(image, "config", fake_blob("config", text));
	json_object_set_new(image, "manifest", fake_blob("manifest", name));
	json_object_set(image, "target", json_object_get(image, "manifest"));
	json_object_set_new(image, "blobs", blobs);
	json_object_set_new(image, "layers", ids);
	json_array_append_new(json_object_get(fake_list, "images"), image);
	json_decref(config);
	free(text);
	return id;
}

#endif

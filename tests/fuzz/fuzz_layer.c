/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a layer of a container image: refused, or a tree without what only overlayfs may say, and tar-split
 * data that assemble the very bytes again from the tree.
 */
#include "demand.h"
#include "base/base64.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "tree/archive.h"
#include "tree/crc64.h"
#include "tree/layer.h"

#include <endian.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TAR_MAX ((uint64_t)8 << 20)
#define ENTRIES_MAX 2000

struct source {
	const uint8_t *data;
	size_t size, at;
};

static ssize_t read_source(void *context, void *bytes, size_t len, struct err *err)
{
	struct source *s = context;
	size_t n = s->size - s->at < len ? s->size - s->at : len;

	(void)err;
	/* Uneven pieces: their ends fall into everything. */
	n = n < 1021 ? n : 1021;
	memcpy(bytes, s->data + s->at, n);
	s->at += n;
	return (ssize_t)n;
}

static int check_node(const struct tree_node *node, const char *path, void *context,
		      struct err *err)
{
	const struct tree_inode *inode = node->inode;
	const uint64_t *size = context;

	(void)err;
	demand(!node->parent || path_is_clean(path), "paths are clean");
	demand(strncmp(node->name, ".wh.", 4) != 0, "no marker is left");
	demand(inode->type == TREE_DIR || !node->child_count, "only folders have entries");
	demand(inode->type != TREE_FILE || inode->data.offset + inode->data.size <= *size,
	       "contents are in the tar");
	if (inode->type == TREE_CHAR && inode->major == 0 && inode->minor == 0)
		demand(inode->mode == 0 && inode->uid == 0, "whiteouts are ours");
	for (size_t i = 0; i < inode->xattr_count; i++)
		if (strstr(inode->xattrs[i].name, ".overlay."))
			demand(inode->type == TREE_DIR && inode->xattrs[i].len == 1 &&
				       strcmp(inode->xattrs[i].name, "trusted.overlay.opaque") == 0,
			       "opaque folders are ours");
	return 0;
}

/* One line of tar-split data into the digest. */
static void add_line(const struct tree *tree, const char *line, size_t len, json_t *seen,
		     struct digest_ctx *digest)
{
	CLEANUP_JSON json_t *entry = json_parse(line, len, "split", NULL);
	CLEANUP(str_free) struct str payload = {0}, raw = {0};
	CLEANUP_FREE char *bytes = NULL;
	const char *text = json_string_value(json_object_get(entry, "payload"));
	const char *name = json_string_value(json_object_get(entry, "name"));
	const char *name_raw = json_string_value(json_object_get(entry, "name_raw"));
	const struct tree_node *node;
	struct err err = {0};
	uint64_t crc;
	size_t size;

	demand(text && base64_decode(text, strlen(text), &payload) == 0, "a payload");
	if (json_integer_value(json_object_get(entry, "type")) == 2) {
		digest_add(digest, payload.data, payload.len);
		return;
	}
	if (name_raw)
		demand(base64_decode(name_raw, strlen(name_raw), &raw) == 0, "a raw name");
	else
		str_add(&raw, name);
	demand(!json_object_get(seen, name_raw ? name_raw : name), "a name comes once");
	json_object_set_new(seen, name_raw ? name_raw : name, json_true());
	node = tree_find(tree, raw.data);
	demand(node && node->inode->type == TREE_FILE, "the name of a file");
	demand(tree_read(node, TAR_MAX, &bytes, &size, &err) == 0, "content");
	crc = htobe64(crc64_add(0, bytes, size));
	demand(payload.len == 8 && memcmp(&crc, payload.data, 8) == 0, "its checksum");
	demand((uint64_t)json_integer_value(json_object_get(entry, "size")) == size, "its size");
	digest_add(digest, bytes, size);
}

/* All of what the data in fd say, unpacked. */
static void read_split(int fd, struct str *text)
{
	int copy = dup(fd);
	gzFile in;
	char buffer[65536];
	int n;

	demand(copy >= 0 && lseek(copy, 0, SEEK_SET) == 0, "a file");
	in = gzdopen(copy, "rb");
	demand(in != NULL, "a gzip file");
	while ((n = gzread(in, buffer, sizeof(buffer))) > 0)
		str_add_bytes(text, buffer, (size_t)n);
	demand(n == 0 && gzclose(in) == Z_OK, "a whole gzip file");
}

static void check_split(const struct tree *tree, int split, const struct digest *diff_id)
{
	CLEANUP(str_free) struct str text = {0};
	CLEANUP_JSON json_t *seen = json_object();
	struct digest_ctx *digest = digest_start();
	struct digest got;

	read_split(split, &text);
	for (size_t at = 0; at < text.len;) {
		const char *end = memchr(text.data + at, '\n', text.len - at);

		demand(end != NULL, "whole lines");
		add_line(tree, text.data + at, (size_t)(end - text.data) - at, seen, digest);
		at = (size_t)(end - text.data) + 1;
	}
	digest_finish(digest, &got);
	demand(memcmp(&got, diff_id, sizeof(got)) == 0, "the layer is assembled again");
}

static void check(const struct tree *tree, int tar, int split, const struct tree_layer *layer)
{
	CLEANUP(tree_cleanup) struct tree *indexed = tree_new(), *again = tree_new();
	CLEANUP(str_free) struct str text = {0}, text2 = {0};
	struct err err = {0};
	struct digest digest;
	uint64_t size = (uint64_t)lseek(tar, 0, SEEK_END);
	int out = memfd_create("again", MFD_CLOEXEC);

	tree_walk(tree, check_node, &size, NULL);
	check_split(tree, split, &layer->diff_id);
	demand(tree_write_index(tree, &text, &err) == 0, "the index is written");
	demand(tree_read_index(text.data, text.len, tar, size, "x", indexed, &err) == 0,
	       "the index is read");
	demand(tree_write_index(indexed, &text2, &err) == 0, "the index is written again");
	demand(text.len == text2.len && memcmp(text.data, text2.data, text.len) == 0,
	       "both are the same");
	lseek(tar, 0, SEEK_SET);
	demand(tree_import_tar(tar, out, again, "x", &digest, NULL, NULL, &err) == 0 &&
		       tree_count(again) == tree_count(tree),
	       "our tar is imported");
	close(out);
}

/* Rights the checksums of headers: without them nearly every change of one ends at its checksum. */
static void right_headers(uint8_t *data, size_t size)
{
	for (size_t at = 0; at + 512 <= size; at += 512) {
		uint8_t *h = data + at;
		unsigned sum = 0;
		char text[8];

		if (memcmp(h + 257, "ustar", 5) != 0)
			continue;
		memset(h + 148, ' ', 8);
		for (size_t i = 0; i < 512; i++)
			sum += h[i];
		snprintf(text, sizeof(text), "%06o", sum);
		memcpy(h + 148, text, 7);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(tree_cleanup) struct tree *tree = tree_new();
	CLEANUP_FREE uint8_t *copy = mem_alloc(size);
	struct source source = {copy, size, 0};
	const struct tree_layer_input in = {.read = read_source,
					    .context = &source,
					    .origin = "layer 1 of 'x'",
					    .tar_max = TAR_MAX,
					    .entries_max = ENTRIES_MAX};
	int tar = memfd_create("tar", MFD_CLOEXEC), split = memfd_create("split", MFD_CLOEXEC);
	struct tree_layer layer;
	struct err err = {0};

	demand(tar >= 0 && split >= 0, "memory");
	memcpy(copy, data, size);
	right_headers(copy, size);
	if (tree_import_layer(&in, tar, split, tree, &layer, NULL, NULL, &err) == 0)
		check(tree, tar, split, &layer);
	else
		demand(err.code == ERR_VERIFY && err.msg[0], "an error says why");
	close(tar);
	close(split);
	return 0;
}

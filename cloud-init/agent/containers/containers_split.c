/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Assembles the tar of a layer again: tar-split data (github.com/vbatts/tar-split, tar/storage: gzip of one JSON
 * object after the other) has what is between the files, the layer's tree has the files.
 */
#include "agent/containers/containers_parts.h"

#include "base/base64.h"
#include "base/fd.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <zlib.h>

#define LINE_MAX_BYTES ((size_t)8 << 20) /* of one object; padding comes in pieces of 1 MiB */
#define COPY_BYTES ((size_t)64 << 10)

enum { SPLIT_FILE = 1, SPLIT_SEGMENT = 2 };

struct split {
	const struct containers_layer *layer;
	gzFile in;
	int tree, fd;
	uint64_t left; /* bytes that the tar may still have */
	struct digest_ctx *digest;
	uint8_t *buffer;  /* COPY_BYTES */
	const char *name; /* of the layer, for messages */
};

static void split_close(struct split *split)
{
	if (split->in)
		gzclose(split->in);
	fd_close(&split->tree);
	digest_ctx_free(split->digest);
	free(split->buffer);
}

static int put(struct split *split, const void *bytes, size_t len, struct err *err)
{
	if (len > split->left)
		return err_set(err, ERR_VERIFY, "layer '%s' is longer than its description says",
			       split->name);
	split->left -= len;
	digest_add(split->digest, bytes, len);
	return fd_write(split->fd, bytes, len, "the layer's tar", err);
}

/* Links are followed as in the container, never out of the tree. The last part is no link: it was a file. */
static int open_file(const struct split *split, const char *name)
{
	struct open_how how = {.flags = O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK,
			       .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};

	return (int)syscall(SYS_openat2, split->tree, name, &how, sizeof(how));
}

static int put_file(struct split *split, const char *name, uint64_t size, struct err *err)
{
	CLEANUP_FD int fd = open_file(split, name);
	struct stat st;
	uint64_t at = 0;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, errno, "cannot open '%s' of layer '%s'", name, split->name);
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != size)
		return err_set(err, ERR_VERIFY, "'%s' of layer '%s' is not what was packed", name,
			       split->name);
	while (at < size) {
		size_t len = size - at < COPY_BYTES ? (size_t)(size - at) : COPY_BYTES;

		if (fd_pread(fd, split->buffer, len, at, name, err) < 0 ||
		    put(split, split->buffer, len, err) < 0)
			return -1;
		at += len;
	}
	return 0;
}

static int damaged(const struct split *split, struct err *err)
{
	return err_set(err, ERR_VERIFY, "the tar-split data of layer '%s' are damaged",
		       split->name);
}

/* A name that is not UTF-8 is in name_raw. */
static int put_entry(struct split *split, const json_t *entry, struct err *err)
{
	const char *payload = json_member_string(entry, "payload");
	const char *raw = json_member_string(entry, "name_raw");
	const char *name = json_member_string(entry, "name");
	json_int_t type = json_integer_value(json_object_get(entry, "type"));
	json_int_t size = json_integer_value(json_object_get(entry, "size"));
	CLEANUP(str_free) struct str bytes = {0};

	if (size < 0)
		return damaged(split, err);
	if (type == SPLIT_SEGMENT) {
		if (!payload || base64_decode(payload, strlen(payload), &bytes) < 0)
			return damaged(split, err);
		return put(split, bytes.data ? bytes.data : "", bytes.len, err);
	}
	if (type != SPLIT_FILE)
		return damaged(split, err);
	if (size == 0)
		return 0; /* folders, links and empty files: their headers are segments */
	if (raw) {
		if (base64_decode(raw, strlen(raw), &bytes) < 0 || !bytes.len ||
		    memchr(bytes.data, '\0', bytes.len))
			return damaged(split, err);
		name = bytes.data;
	}
	return name ? put_file(split, name, (uint64_t)size, err) : damaged(split, err);
}

/* Reads one line without its newline; 0 at the end. */
static int read_line(struct split *split, struct str *line, struct err *err)
{
	char part[4096];

	line->len = 0;
	while (gzgets(split->in, part, sizeof(part))) {
		size_t len = strlen(part);
		bool end = len && part[len - 1] == '\n';

		if (line->len + len > LINE_MAX_BYTES)
			return damaged(split, err);
		str_add_bytes(line, part, len - end);
		if (end)
			return 1;
	}
	if (!gzeof(split->in))
		return damaged(split, err);
	return line->len ? 1 : 0;
}

static int put_all(struct split *split, struct err *err)
{
	CLEANUP(str_free) struct str line = {0};
	int r;

	while ((r = read_line(split, &line, err)) > 0) {
		CLEANUP_JSON json_t *entry = NULL;

		if (!line.len)
			continue;
		entry = json_parse(line.data, line.len, "tar-split", NULL);
		if (!json_is_object(entry))
			return damaged(split, err);
		if (put_entry(split, entry, err) < 0)
			return -1;
	}
	return r;
}

static int split_open(const struct agent *agent, struct split *split, struct err *err)
{
	CLEANUP_FREE char *layer = containers_layer_path(&split->layer->diff_id);
	CLEANUP_FREE char *data = containers_split_path(&split->layer->diff_id);
	CLEANUP_FREE char *tree = agent_path(agent, layer), *file = agent_path(agent, data);
	int fd;

	split->tree = open(tree, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (split->tree < 0)
		return err_sys(err, errno, "cannot open the layer '%s'", tree);
	fd = open(file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return err_sys(err, errno, "cannot open '%s'", file);
	split->in = gzdopen(fd, "rb");
	if (!split->in) {
		close(fd);
		return err_set(err, ERR_OTHER, "cannot read '%s': no memory", file);
	}
	split->buffer = mem_alloc(COPY_BYTES);
	split->digest = digest_start();
	return 0;
}

int containers_split_write(const struct agent *agent, const struct containers_layer *layer, int fd,
			   struct err *err)
{
	char name[DIGEST_HEX_SIZE];
	CLEANUP(split_close)
	struct split split = {
		.layer = layer, .tree = -1, .fd = fd, .left = layer->tar, .name = name};
	struct digest digest;

	digest_hex(&layer->diff_id, name);
	if (split_open(agent, &split, err) < 0 || put_all(&split, err) < 0)
		return -1;
	digest_finish(MEM_STEAL(split.digest), &digest);
	if (split.left || memcmp(&digest, &layer->diff_id, sizeof(digest)) != 0)
		return err_set(err, ERR_VERIFY, "layer '%s' is damaged", name);
	return 0;
}

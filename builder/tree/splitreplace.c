/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Corrects finished tar-split data: a name that comes twice in a layer has the content of the last only,
 * so the content of the others goes into the data. Rare, hence a second pass and not a spool.
 */
#include "base/fd.h"
#include "base/mem.h"
#include "base/str.h"
#include "tree/split.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#define BLOCK ((size_t)64 << 10)

struct replacer {
	int fd, content_fd;
	const char *name;
	const struct split_lost *lost; /* what comes next, count of them */
	size_t count;
	struct split *out;
	uint64_t position; /* of the old line that comes next */
	struct str line;   /* its part that is there */
	z_stream zlib;
	uint8_t input[BLOCK], output[BLOCK], content[BLOCK];
};

static int end_line(struct replacer *r, struct err *err)
{
	uint64_t done = 0;

	if (!r->count || r->lost->position != r->position++)
		return split_line(r->out, r->line.data, r->line.len, err);
	while (done < r->lost->size) {
		uint64_t left = r->lost->size - done;
		size_t n = left < BLOCK ? (size_t)left : BLOCK;

		if (fd_pread(r->content_fd, r->content, n, r->lost->offset + done, r->name, err) <
			    0 ||
		    split_raw(r->out, r->content, n, err) < 0)
			return -1;
		done += n;
	}
	r->lost++;
	r->count--;
	return 0;
}

static int add_lines(struct replacer *r, const char *text, size_t len, struct err *err)
{
	while (len) {
		const char *end = memchr(text, '\n', len);
		size_t n = end ? (size_t)(end - text) : len;

		str_add_bytes(&r->line, text, n);
		if (!end)
			return 0;
		if (end_line(r, err) < 0)
			return -1;
		r->line.len = 0;
		text += n + 1;
		len -= n + 1;
	}
	return 0;
}

/* Reads the old data, [0, end) of fd, by offset; the writer appends at fd's position, behind them. */
static int run(struct replacer *r, uint64_t end, struct err *err)
{
	z_stream *z = &r->zlib;
	int status = Z_OK;

	for (uint64_t at = 0; status != Z_STREAM_END;) {
		if (!z->avail_in) {
			size_t n = end - at < BLOCK ? (size_t)(end - at) : BLOCK;

			if (fd_pread(r->fd, r->input, n, at, r->name, err) < 0)
				return -1;
			z->next_in = r->input;
			z->avail_in = (uInt)n;
			at += n;
		}
		z->next_out = r->output;
		z->avail_out = BLOCK;
		status = inflate(z, Z_NO_FLUSH);
		if (status != Z_OK && status != Z_STREAM_END)
			return err_set(err, ERR_VERIFY, "cannot read '%s': not our tar-split data",
				       r->name);
		if (add_lines(r, (char *)r->output, BLOCK - z->avail_out, err) < 0)
			return -1;
	}
	if (r->count)
		return err_set(err, ERR_VERIFY, "cannot read '%s': lines are missing", r->name);
	return split_finish(r->out, err);
}

/* Moves [from, to) to the start of the file and cuts it there. */
static int move_down(const struct replacer *r, uint64_t from, uint64_t to, struct err *err)
{
	CLEANUP_FREE char *buffer = mem_alloc(BLOCK);

	for (uint64_t at = 0; from + at < to;) {
		size_t n = to - from - at < BLOCK ? (size_t)(to - from - at) : BLOCK;

		if (fd_pread(r->fd, buffer, n, from + at, r->name, err) < 0 ||
		    fd_pwrite(r->fd, buffer, n, at, r->name, err) < 0)
			return -1;
		at += n;
	}
	if (ftruncate(r->fd, (off_t)(to - from)) < 0)
		return err_sys(err, errno, "cannot write '%s'", r->name);
	return 0;
}

int split_replace(int fd, const struct split_lost *lost, size_t count, int content_fd,
		  const char *name, struct err *err)
{
	struct replacer *r = mem_alloc(sizeof(*r));
	uint64_t end, new_end;
	int ret = -1;

	r->fd = fd;
	r->content_fd = content_fd;
	r->name = name;
	r->lost = lost;
	r->count = count;
	r->out = split_new(fd, name);
	if (fd_size(fd, name, &end, err) < 0)
		goto out;
	if (inflateInit2(&r->zlib, 15 + 16) != Z_OK) {
		err_set(err, ERR_OTHER, "cannot start zlib");
		goto out;
	}
	if (lseek(fd, (off_t)end, SEEK_SET) < 0)
		err_sys(err, errno, "cannot write '%s'", name);
	else if (run(r, end, err) == 0 && fd_size(fd, name, &new_end, err) == 0)
		ret = move_down(r, end, new_end, err);
	inflateEnd(&r->zlib);
out:
	split_free(r->out);
	str_free(&r->line);
	free(r);
	return ret;
}

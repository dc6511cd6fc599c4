/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Raw disk images: a sparse file. Its digest is that of the disk: it covers the holes too, because that
 * is what people get from sha256sum.
 */
#include "output/formats.h"

#include "base/mem.h"
#include "output/sinkfile.h"

#include <errno.h>
#include <unistd.h>

struct raw {
	int fd;
	char *path;
	uint64_t flushed; /* bytes of the file that the kernel was told to write out */
	bool no_sync;
};

static struct output_sink *raw_open(int fd, const char *path, const struct region_list *disk,
				    const struct output_options *options, struct err *err)
{
	struct raw *raw;

	if (ftruncate(fd, (off_t)disk->size) < 0) {
		err_sys(err, errno, "cannot write '%s'", path);
		return NULL;
	}
	raw = mem_alloc(sizeof(*raw));
	raw->fd = fd;
	raw->path = mem_strdup(path);
	raw->no_sync = options->no_sync;
	return (struct output_sink *)raw;
}

static int raw_write(struct output_sink *sink, const struct output_chunk *chunk, void *prepared,
		     struct err *err)
{
	struct raw *raw = (struct raw *)sink;

	(void)prepared;
	if (sinkfile_write(raw->fd, raw->path, chunk, err) < 0)
		return -1;
	if (!raw->no_sync)
		sinkfile_hint(raw->fd, &raw->flushed, chunk->offset + chunk->len);
	return 0;
}

static int raw_finish(struct output_sink *sink, const struct output_content *content,
		      struct digest *ret_digest, struct err *err)
{
	(void)sink;
	(void)err;
	*ret_digest = content->digest;
	return 0;
}

static void raw_close(struct output_sink *sink)
{
	struct raw *raw = (struct raw *)sink;

	if (!raw)
		return;
	free(raw->path);
	free(raw);
}

const struct output_format format_raw = {
	.name = "raw",
	.suffix = ".raw",
	.summary = "the disk byte by byte, zeros as holes",
	.open = raw_open,
	.write = raw_write,
	.finish = raw_finish,
	.close = raw_close,
	.read = raw_read,
};

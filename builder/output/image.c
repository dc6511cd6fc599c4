/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Raw disk images, and choosing the reader by the first and last bytes of a file.
 */
#include "output/image.h"

#include "base/fd.h"
#include "base/mem.h"
#include "output/formats.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SAMPLE 512 /* bytes by which a format is told */

struct raw_image {
	struct image image;
	int fd;
	char *name;
};

static int raw_pread(struct image *image, void *bytes, size_t len, uint64_t offset, struct err *err)
{
	struct raw_image *raw = (struct raw_image *)image;

	if (offset > image->size || len > image->size - offset)
		return err_set(err, ERR_VERIFY, "cannot read '%s': beyond the end", raw->name);
	return fd_pread(raw->fd, bytes, len, offset, raw->name, err);
}

static void raw_image_close(struct image *image)
{
	struct raw_image *raw = (struct raw_image *)image;

	fd_close(&raw->fd);
	free(raw->name);
	free(raw);
}

struct image *raw_read(int fd, const char *path, struct err *err)
{
	off_t size = lseek(fd, 0, SEEK_END);
	struct raw_image *raw;

	if (size <= 0) {
		if (size < 0)
			err_sys(err, errno, "cannot read '%s'", path);
		else
			err_set(err, ERR_VERIFY, "cannot read '%s': it is empty", path);
		fd_close(&fd);
		return NULL;
	}
	raw = mem_alloc(sizeof(*raw));
	raw->fd = fd;
	raw->name = mem_strdup(path);
	raw->image = (struct image){.size = (uint64_t)size,
				    .format = "raw",
				    .name = raw->name,
				    .pread = raw_pread,
				    .close = raw_image_close};
	return &raw->image;
}

/* Reads what is there of the 512 bytes at offset; the rest is zero. */
static int read_end(int fd, const char *path, off_t offset, uint8_t bytes[SAMPLE], struct err *err)
{
	size_t len = 0;

	memset(bytes, 0, SAMPLE);
	while (len < SAMPLE) {
		ssize_t n = pread(fd, bytes + len, SAMPLE - len, offset + (off_t)len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, errno, "cannot read '%s'", path);
		if (n == 0)
			break;
		len += (size_t)n;
	}
	return 0;
}

struct image *image_open(const char *path, struct err *err)
{
	uint8_t head[SAMPLE], tail[SAMPLE];
	struct stat st;
	off_t size;
	/* Not blocking: opening a FIFO must not hang. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0 || fstat(fd, &st) < 0) {
		err_sys(err, errno, "cannot open '%s'", path);
		goto fail;
	}
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)) {
		err_set(err, ERR_OTHER, "cannot open '%s': neither a file nor a block device",
			path);
		goto fail;
	}
	size = lseek(fd, 0, SEEK_END);
	if (read_end(fd, path, 0, head, err) < 0 ||
	    read_end(fd, path, size > SAMPLE ? size - SAMPLE : 0, tail, err) < 0)
		goto fail;
	for (const struct output_format *const *f = output_formats; *f; f++)
		if ((*f)->is && (*f)->read && (*f)->is(head, tail))
			return (*f)->read(fd, path, err);
	return raw_read(fd, path, err);
fail:
	fd_close(&fd);
	return NULL;
}

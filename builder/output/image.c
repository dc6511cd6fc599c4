/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Raw disk images, and choosing the reader by the first bytes of a file.
 */
#include "output/image.h"

#include "base/fd.h"
#include "base/mem.h"
#include "output/qcow2.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

struct image *image_open_raw(int fd, const char *path, struct err *err)
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

struct image *image_open(const char *path, struct err *err)
{
	uint8_t magic[4] = {0};
	struct stat st;
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
	if (pread(fd, magic, sizeof(magic), 0) < 0) {
		err_sys(err, errno, "cannot read '%s'", path);
		goto fail;
	}
	if (get_be32(magic) == QCOW2_MAGIC)
		return image_open_qcow2(fd, path, err);
	return image_open_raw(fd, path, err);
fail:
	fd_close(&fd);
	return NULL;
}

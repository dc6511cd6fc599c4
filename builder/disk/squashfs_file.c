/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The target of the squashfs writer as libsquashfs wants it: positioned reads and writes on a file
 * descriptor. It keeps the reason of the first failure, for which libsquashfs has only a number.
 */
#include "disk/squashfs_parts.h"

#include "base/fd.h"

#include <sqfs/error.h>

#include <errno.h>
#include <unistd.h>

static int read_at(sqfs_file_t *base, sqfs_u64 offset, void *buffer, size_t size)
{
	struct squashfs_file *file = (struct squashfs_file *)base;

	if (offset > file->size || size > file->size - offset)
		return SQFS_ERROR_OUT_OF_BOUNDS;
	if (fd_pread(file->fd, buffer, size, offset, file->name, &file->err) < 0)
		return SQFS_ERROR_IO;
	return 0;
}

static int write_at(sqfs_file_t *base, sqfs_u64 offset, const void *buffer, size_t size)
{
	struct squashfs_file *file = (struct squashfs_file *)base;

	if (fd_pwrite(file->fd, buffer, size, offset, file->name, &file->err) < 0)
		return SQFS_ERROR_IO;
	if (offset + size > file->size)
		file->size = offset + size;
	return 0;
}

static sqfs_u64 get_size(const sqfs_file_t *base)
{
	return ((const struct squashfs_file *)base)->size;
}

/* Shrinking is how the block writer takes back blocks that turned out to be there already. */
static int set_size(sqfs_file_t *base, sqfs_u64 size)
{
	struct squashfs_file *file = (struct squashfs_file *)base;

	if (ftruncate(file->fd, (off_t)size) < 0) {
		err_sys(&file->err, errno, "cannot resize '%s'", file->name);
		return SQFS_ERROR_IO;
	}
	file->size = size;
	return 0;
}

/* The caller owns the structure and the descriptor. */
static void destroy(sqfs_object_t *object)
{
	(void)object;
}

void squashfs_file_init(struct squashfs_file *file, int fd, const char *name)
{
	*file = (struct squashfs_file){
		.base = {.base.destroy = destroy,
			 .read_at = read_at,
			 .write_at = write_at,
			 .get_size = get_size,
			 .truncate = set_size},
		.fd = fd,
		.name = name,
	};
}

static const char *error_text(int number)
{
	switch (number) {
	case SQFS_ERROR_ALLOC:
		return "out of memory";
	case SQFS_ERROR_IO:
		return "input/output error";
	case SQFS_ERROR_COMPRESSOR:
		return "the compression library failed";
	case SQFS_ERROR_CORRUPTED:
		return "it is damaged";
	case SQFS_ERROR_UNSUPPORTED:
		return "libsquashfs does not support this";
	case SQFS_ERROR_OVERFLOW:
		return "a number is too large for the format";
	case SQFS_ERROR_OUT_OF_BOUNDS:
		return "a reference leads out of the file";
	case SFQS_ERROR_SUPER_MAGIC:
		return "this is no squashfs";
	case SFQS_ERROR_SUPER_VERSION:
		return "unknown version of squashfs";
	case SQFS_ERROR_SUPER_BLOCK_SIZE:
		return "bad block size";
	case SQFS_ERROR_NOT_DIR:
		return "not a folder";
	case SQFS_ERROR_NO_ENTRY:
		return "no such file";
	case SQFS_ERROR_LINK_LOOP:
		return "folders contain each other";
	case SQFS_ERROR_NOT_FILE:
		return "not a regular file";
	default:
		return "internal error of libsquashfs";
	}
}

int squashfs_failed(const struct squashfs_file *file, int number, const char *what, struct err *err)
{
	if (file->err.code) {
		if (err)
			*err = file->err;
		return -1;
	}
	return err_set(err, ERR_OTHER, "cannot %s '%s': %s", what, file->name, error_text(number));
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk image that is to be written again: its content as regions, the holes of a raw file left out.
 */
#include "output/source.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/str.h"
#include "output/image.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

int source_open(const char *path, struct source *source, struct err *err)
{
	source->image = image_open(path, err);
	if (!source->image)
		return -1;
	if (strcmp(source->image->format, "raw") != 0)
		return 0;
	source->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (source->fd < 0)
		return err_sys(err, errno, "cannot open '%s'", path);
	(void)posix_fadvise(source->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	return 0;
}

static void add_region(struct source *source, uint64_t from, uint64_t to)
{
	struct region_list *d = &source->disk;
	const struct region region = {
		.offset = from,
		.length = to - from,
		.fd = source->fd,
		.image = source->fd < 0 ? source->image : NULL,
		.source_offset = from,
		.name = source->image->name,
	};

	if (to > from)
		VEC_ADD(d->items, d->count, d->room, region);
}

int source_add(struct source *source, uint64_t from, uint64_t to, struct err *err)
{
	uint64_t at = from;

	while (source->fd >= 0 && at < to) {
		off_t data = lseek(source->fd, (off_t)at, SEEK_DATA), hole;

		if (data < 0 && errno == ENXIO)
			return 0; /* nothing but a hole up to the end */
		if (data < 0)
			break;
		if ((uint64_t)data >= to)
			return 0;
		hole = lseek(source->fd, data, SEEK_HOLE);
		if (hole <= data)
			return err_sys(err, hole < 0 ? errno : EIO, "cannot read '%s'",
				       source->image->name);
		at = (uint64_t)hole < to ? (uint64_t)hole : to;
		add_region(source, (uint64_t)data, at);
	}
	add_region(source, at, to);
	return 0;
}

void source_close(struct source *source)
{
	image_close(&source->image);
	fd_close(&source->fd);
	free(source->disk.items);
	*source = SOURCE_NONE;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Partitions as images.
 */
#include "disk/slice.h"

#include "base/mem.h"

struct slice {
	struct image image;
	struct image *parent;
	uint64_t offset;
	char *name;
};

static int slice_pread(struct image *image, void *bytes, size_t len, uint64_t offset,
		       struct err *err)
{
	struct slice *slice = (struct slice *)image;

	if (offset > image->size || len > image->size - offset)
		return err_set(err, ERR_VERIFY, "cannot read '%s': beyond the end", slice->name);
	return slice->parent->pread(slice->parent, bytes, len, slice->offset + offset, err);
}

static void slice_close(struct image *image)
{
	struct slice *slice = (struct slice *)image;

	free(slice->name);
	free(slice);
}

struct image *slice_open(struct image *parent, uint64_t offset, uint64_t size, const char *name,
			 struct err *err)
{
	struct slice *slice;

	if (offset > parent->size || size > parent->size - offset) {
		err_set(err, ERR_VERIFY, "cannot read '%s': it leaves '%s'", name, parent->name);
		return NULL;
	}
	slice = mem_alloc(sizeof(*slice));
	slice->parent = parent;
	slice->offset = offset;
	slice->name = mem_strdup(name);
	slice->image = (struct image){.size = size,
				      .format = "slice",
				      .name = slice->name,
				      .pread = slice_pread,
				      .close = slice_close};
	return &slice->image;
}

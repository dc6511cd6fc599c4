/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which file's content is in which segment of a squashfs: one segment for each archive, so that a change of
 * one archive costs neither reading nor compressing the others; and what a segment's bytes depend on.
 */
#include "disk/squashfs_parts.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_VERSION "segment 1"

/* For finding an archive by its fd. */
struct by_fd {
	int fd;
	size_t place;
};

static int compare_fd(const void *a, const void *b)
{
	const struct by_fd *x = a, *y = b;

	return (x->fd > y->fd) - (x->fd < y->fd);
}

static int index_fds(const struct squashfs_options *options, struct by_fd *index, struct err *err)
{
	for (size_t i = 0; i < options->archive_count; i++)
		index[i] = (struct by_fd){options->archives[i].fd, i};
	if (options->archive_count)
		qsort(index, options->archive_count, sizeof(*index), compare_fd);
	for (size_t i = 1; i < options->archive_count; i++)
		if (index[i].fd == index[i - 1].fd)
			return err_set(err, ERR_OTHER,
				       "cannot write a squashfs: an archive is there twice");
	return 0;
}

/* The place of the part that the content belongs to. */
static size_t part_of(const struct tree_data *data, const struct by_fd *index, size_t count)
{
	const struct by_fd want = {.fd = data->fd};
	const struct by_fd *found = NULL;

	if (!data->bytes && data->size && count)
		found = bsearch(&want, index, count, sizeof(*index), compare_fd);
	return found ? found->place : count;
}

static int compare_offset(const void *a, const void *b, void *context)
{
	const struct squashfs_inodes *inodes = context;
	size_t x = *(const size_t *)a, y = *(const size_t *)b;
	const struct tree_data *m = &inodes->items[x].inode->data;
	const struct tree_data *n = &inodes->items[y].inode->data;

	if (m->offset != n->offset)
		return m->offset < n->offset ? -1 : 1;
	if (m->size != n->size)
		return m->size < n->size ? -1 : 1;
	return (x > y) - (x < y);
}

static void make_key(struct squashfs_part *part, const struct squashfs_inodes *inodes,
		     const struct squashfs_options *options, const struct digest *archive)
{
	struct digest_ctx *ctx = digest_start();
	char line[256], hex[DIGEST_HEX_SIZE];

	snprintf(line, sizeof(line), "%s\n%s %u %u\n%s\n", KEY_VERSION, options->compression,
		 options->level, options->block, digest_hex(archive, hex));
	digest_add(ctx, line, strlen(line));
	digest_add(ctx, squashfs_version(), strlen(squashfs_version()) + 1);
	for (size_t i = 0; i < part->count; i++) {
		const struct tree_data *data = &inodes->items[part->items[i]].inode->data;

		snprintf(line, sizeof(line), "%llu %llu\n", (unsigned long long)data->offset,
			 (unsigned long long)data->size);
		digest_add(ctx, line, strlen(line));
	}
	digest_finish(ctx, &part->key);
}

int squashfs_parts_make(const struct squashfs_inodes *inodes,
			const struct squashfs_options *options, struct squashfs_parts *ret,
			struct err *err)
{
	size_t count = options->archive_count;
	CLEANUP_FREE struct by_fd *index = mem_alloc_array(count, sizeof(*index));

	if (index_fds(options, index, err) < 0)
		return -1;
	ret->items = mem_alloc_array(count + 1, sizeof(*ret->items));
	ret->count = count;
	for (size_t i = 0; i < inodes->count; i++) {
		const struct tree_inode *inode = inodes->items[i].inode;
		struct squashfs_part *part;

		if (inode->type != TREE_FILE)
			continue;
		part = &ret->items[part_of(&inode->data, index, count)];
		part->bytes += inode->data.size;
		VEC_ADD(part->items, part->count, part->room, i);
	}
	for (size_t i = 0; i < count; i++) {
		struct squashfs_part *part = &ret->items[i];

		if (part->count)
			qsort_r(part->items, part->count, sizeof(*part->items), compare_offset,
				(void *)inodes);
		make_key(part, inodes, options, &options->archives[i].digest);
	}
	return 0;
}

void squashfs_parts_free(struct squashfs_parts *parts)
{
	for (size_t i = 0; parts->items && i <= parts->count; i++) {
		free(parts->items[i].items);
		str_free(&parts->items[i].record);
	}
	free(parts->items);
	*parts = (struct squashfs_parts){0};
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree of a squashfs as an inventory: entries and texts in one walk; contents are digested only when
 * somebody asks, and in the order in which every compressed block is read once.
 */
#include "inspect/inventory_parts.h"

#include "base/image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define CONTENT_MAX ((uint64_t)256 << 30) /* digested of one image */
#define COMPARE_PIECE ((size_t)1 << 20)

static int take_text(const void *bytes, size_t len, void *context, struct err *err)
{
	(void)err;
	str_add_bytes(context, bytes, len);
	return 0;
}

static int read_text(struct inventory *inv, const char *path, uint64_t ref, struct err *err)
{
	CLEANUP(str_free) struct str text = {0};

	str_add(&text, "");
	if (squashread_content(inv->tree, ref, take_text, &text, err) < 0)
		return err_wrap(err, "'%s'", path);
	return inventory_add_text(inv, path, text.data, text.len, err);
}

static int visit(const char *path, const struct squashread_stat *stat, void *context,
		 struct err *err)
{
	struct inventory *inv = context;
	CLEANUP(str_free) struct str xattrs = {0};
	struct inventory_file file = {.path = path,
				      .mode = stat->mode,
				      .uid = stat->uid,
				      .gid = stat->gid,
				      .size = stat->size,
				      .device = stat->device,
				      .target = stat->target,
				      .ref = stat->ref,
				      .order = stat->order};

	if (stat->xattrs && squashread_xattrs(inv->tree, stat->ref, &xattrs, err) < 0)
		return err_wrap(err, "'%s'", path);
	file.xattrs = xattrs.len ? xattrs.data : NULL;
	if (inventory_add(inv, &file, err) < 0)
		return -1;
	return S_ISREG(stat->mode) && inventory_wants_text(path, stat->size)
		       ? read_text(inv, path, stat->ref, err)
		       : 0;
}

int inventory_read_tree(struct inventory *inv, struct err *err)
{
	inv->tree = squashread_open(inv->image, inv->tree_offset, inv->tree_size, err);
	return inv->tree ? squashread_walk(inv->tree, visit, inv, err) : -1;
}

static int take_digest(const void *bytes, size_t len, void *context, struct err *err)
{
	(void)err;
	digest_add(context, bytes, len);
	return 0;
}

static int hash_file(struct inventory *inv, struct inventory_file *file, struct err *err)
{
	struct digest *digest = mem_arena_alloc(inv->arena, sizeof(*digest));
	struct digest_ctx *ctx = digest_start();

	if (squashread_content(inv->tree, file->ref, take_digest, ctx, err) < 0) {
		digest_ctx_free(ctx);
		return err_wrap(err, "'%s'", file->path);
	}
	digest_finish(ctx, digest);
	file->digest = digest;
	return 0;
}

/* A file that is to be digested. */
struct wanted {
	uint64_t order;
	struct inventory_file *file;
};

static int compare_order(const void *a, const void *b)
{
	const struct wanted *x = a, *y = b;

	return x->order < y->order ? -1 : x->order > y->order;
}

int inventory_hash(struct inventory *inv, const size_t *wanted, size_t count, struct err *err)
{
	CLEANUP_FREE struct wanted *list = mem_alloc_array(count, sizeof(*list));
	uint64_t left = CONTENT_MAX;
	size_t n = 0;

	for (size_t i = 0; inv->tree && i < count; i++) {
		struct inventory_file *file = &inv->files[wanted[i]];

		/* Files of the ESP come with their digest. */
		if (!S_ISREG(file->mode) || file->digest)
			continue;
		if (file->size > left)
			return err_set(err, ERR_OTHER,
				       "cannot compare '%s': its files hold more than %d GiB",
				       inv->name, (int)(CONTENT_MAX >> 30));
		left -= file->size;
		list[n++] = (struct wanted){file->order, file};
	}
	qsort(list, n, sizeof(*list), compare_order);
	for (size_t i = 0; i < n; i++)
		if (hash_file(inv, list[i].file, err) < 0)
			return -1;
	return 0;
}

int inventory_same_tree(struct inventory *a, struct inventory *b, struct err *err)
{
	CLEANUP_FREE char *x = NULL, *y = NULL;
	struct squashread_info in_a, in_b;
	uint64_t n;

	if (!a->tree || !b->tree)
		return 0;
	squashread_get_info(a->tree, &in_a);
	squashread_get_info(b->tree, &in_b);
	if (in_a.bytes != in_b.bytes)
		return 0;
	x = mem_alloc(COMPARE_PIECE);
	y = mem_alloc(COMPARE_PIECE);
	for (uint64_t at = 0; at < in_a.bytes; at += n) {
		n = in_a.bytes - at < COMPARE_PIECE ? in_a.bytes - at : COMPARE_PIECE;
		if (a->image->pread(a->image, x, n, a->tree_offset + at, err) < 0 ||
		    b->image->pread(b->image, y, n, b->tree_offset + at, err) < 0)
			return -1;
		if (memcmp(x, y, n) != 0)
			return 0;
	}
	return 1;
}

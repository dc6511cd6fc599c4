/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every inode and every block of a root file system can be read. That takes longest of all, so several
 * threads have their parts of the files, each with a reader of its own.
 */
#include "inspect/verify_parts.h"

#include "base/mem.h"
#include "disk/squashread.h"
#include "output/image.h"

#include <string.h>
#include <sys/stat.h>

/* Content that is hostile takes no room: without a limit it could keep us busy for years. */
#define CONTENT_MAX ((uint64_t)1 << 40)

struct content {
	uint64_t order, ref, size;
};

struct tree {
	struct squashread *reader;
	struct content *items;
	size_t count, room;
	uint64_t entries, bytes;
	bool attributes; /* to be read in this part */
	atomic_bool *stop;
};

static int note(const char *path, const struct squashread_stat *st, void *context, struct err *err)
{
	struct tree *tree = context;
	struct content item = {st->order, st->ref, st->size};

	tree->entries++;
	if (st->xattrs && tree->attributes) {
		CLEANUP(str_free) struct str text = {0};

		if (squashread_xattrs(tree->reader, st->ref, &text, err) < 0)
			return err_wrap(err, "'%s'", path);
	}
	if (S_ISREG(st->mode))
		VEC_ADD(tree->items, tree->count, tree->room, item);
	return 0;
}

static int by_order(const void *a, const void *b)
{
	const struct content *x = a, *y = b;

	if (x->order != y->order)
		return x->order < y->order ? -1 : 1;
	return (x->ref > y->ref) - (x->ref < y->ref);
}

/* Sorts, so that each block is unpacked once, and drops the further names of a file. */
static int arrange(struct tree *tree, struct err *err)
{
	size_t kept = 0;

	if (tree->count > 0)
		qsort(tree->items, tree->count, sizeof(*tree->items), by_order);
	for (size_t i = 0; i < tree->count; i++) {
		if (kept > 0 && tree->items[kept - 1].ref == tree->items[i].ref)
			continue;
		if (tree->items[i].size > CONTENT_MAX - tree->bytes)
			return err_set(err, ERR_VERIFY, "its files have more than %llu GiB",
				       (unsigned long long)(CONTENT_MAX >> 30));
		tree->bytes += tree->items[i].size;
		tree->items[kept++] = tree->items[i];
	}
	tree->count = kept;
	return 0;
}

static int take(const void *bytes, size_t len, void *context, struct err *err)
{
	(void)bytes, (void)len, (void)context, (void)err;
	return 0;
}

static int read_part(struct tree *tree, unsigned part, unsigned parts, struct err *err)
{
	uint64_t at = 0;

	for (size_t i = 0; i < tree->count && !atomic_load(tree->stop); i++) {
		/* The part in which a file begins has it. */
		uint64_t owner = tree->bytes ? at / (tree->bytes / parts + 1) : 0;

		at += tree->items[i].size;
		if (owner == part &&
		    squashread_content(tree->reader, tree->items[i].ref, take, NULL, err) < 0)
			return -1;
	}
	return 0;
}

int verify_tree_run(struct verify_task *task, struct err *err)
{
	const struct verify_root *root = task->subject;
	struct verify *v = task->verify;
	CLEANUP(image_close) struct image *image = image_open(v->head->path, err);
	struct tree tree = {.attributes = task->part == 0, .stop = &v->stop};
	int r = -1;

	if (!image)
		return -1;
	tree.reader = squashread_open(image, root->offset, root->size, err);
	if (tree.reader && squashread_walk(tree.reader, note, &tree, err) == 0 &&
	    arrange(&tree, err) == 0)
		r = read_part(&tree, task->part, task->parts, err);
	squashread_close(tree.reader);
	free(tree.items);
	verify_progress(v, task->cost);
	if (r < 0)
		return err_wrap(err, "%s: partition %u", v->head->name, root->number);
	if (task->part == 0) {
		atomic_fetch_add(&v->entries, tree.entries);
		atomic_fetch_add(&v->content, tree.bytes);
	}
	return 0;
}

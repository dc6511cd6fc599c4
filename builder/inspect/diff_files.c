/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Comparing the files of two inventories, path by path. Contents are digested only where nothing else
 * tells that they differ or are the same.
 */
#include "inspect/diff_parts.h"

#include "attest/containers.h"
#include "base/mem.h"
#include "inspect/inventory_parts.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define ROWS_MAX 100000 /* files that are listed; all are counted */

/* Two lists that are sorted by path, walked together. */
struct pair {
	const struct inventory_file *a, *b;
	size_t i, k, count_a, count_b;
};

static struct pair start(struct inventory *a, struct inventory *b)
{
	struct pair p = {0};

	inventory_files(a, &p.a, &p.count_a);
	inventory_files(b, &p.b, &p.count_b);
	return p;
}

/* The next path: one of both or both have it. False at the end. */
static bool next(struct pair *p, const struct inventory_file **ret_a,
		 const struct inventory_file **ret_b)
{
	int order;

	if (p->i == p->count_a && p->k == p->count_b)
		return false;
	if (p->i == p->count_a || p->k == p->count_b)
		order = p->i == p->count_a ? 1 : -1;
	else
		order = strcmp(p->a[p->i].path, p->b[p->k].path);
	*ret_a = order <= 0 ? &p->a[p->i++] : NULL;
	*ret_b = order >= 0 ? &p->b[p->k++] : NULL;
	return true;
}

struct hashing {
	struct inventory *inventory;
	size_t *wanted, count;
};

static int hash(void *context, struct err *err)
{
	struct hashing *h = context;

	return inventory_hash(h->inventory, h->wanted, h->count, err);
}

/* Digests what has to be: regular files with the same path and size. */
static int hash_both(struct inventory *a, struct inventory *b, struct err *err)
{
	struct pair p = start(a, b);
	size_t room = p.count_a < p.count_b ? p.count_a : p.count_b, count = 0;
	CLEANUP_FREE size_t *wanted_a = mem_alloc_array(room, sizeof(size_t));
	CLEANUP_FREE size_t *wanted_b = mem_alloc_array(room, sizeof(size_t));
	const struct inventory_file *x, *y;

	while (next(&p, &x, &y)) {
		if (!x || !y || !S_ISREG(x->mode) || !S_ISREG(y->mode) || x->size != y->size)
			continue;
		wanted_a[count] = (size_t)(x - p.a);
		wanted_b[count++] = (size_t)(y - p.b);
	}
	return diff_in_parallel(hash, &(struct hashing){a, wanted_a, count},
				&(struct hashing){b, wanted_b, count}, err);
}

static const char *type_name(mode_t mode)
{
	return S_ISREG(mode)    ? "file"
	       : S_ISDIR(mode)  ? "folder"
	       : S_ISLNK(mode)  ? "link"
	       : S_ISCHR(mode)  ? "character device"
	       : S_ISBLK(mode)  ? "block device"
	       : S_ISFIFO(mode) ? "pipe"
				: "socket";
}

static json_t *xattrs_json(const char *xattrs)
{
	json_t *object = json_object();
	const char *line;
	size_t len;

	while (xattrs && (line = inventory_line(&xattrs, &len))) {
		const char *equals = memchr(line, '=', len);
		CLEANUP_JSON json_t *name = NULL;

		if (!equals)
			continue;
		name = inventory_string_n(line, (size_t)(equals - line));
		json_object_set_new(
			object, json_string_value(name),
			inventory_string_n(equals + 1, (size_t)(line + len - equals - 1)));
	}
	return object;
}

/* One thing that can differ. */
enum { TYPE, CONTENT, SIZE, MODE, OWNER, TARGET, DEVICE, XATTRS, KINDS };

static const char *const kinds[KINDS] = {"type",  "content", "size",   "mode",
					 "owner", "target",  "device", "xattrs"};

/* Adds the members that belong to one of kinds[]. */
static void add_members(json_t *object, const struct inventory_file *f, unsigned kind)
{
	char hex[DIGEST_HEX_SIZE];

	if (kind == TYPE)
		json_object_set_new(object, "type", json_string(type_name(f->mode)));
	else if (kind == CONTENT && f->digest)
		json_object_set_new(object, "sha256", json_string(digest_hex(f->digest, hex)));
	else if (kind == SIZE && S_ISREG(f->mode))
		json_object_set_new(object, "size", json_integer((json_int_t)f->size));
	else if (kind == MODE)
		json_object_set_new(object, "mode", json_sprintf("%04o", f->mode & 07777));
	else if (kind == TARGET && f->target)
		json_object_set_new(object, "target", inventory_string(f->target));
	else if (kind == DEVICE && (S_ISCHR(f->mode) || S_ISBLK(f->mode)))
		json_object_set_new(object, "device",
				    json_sprintf("%u:%u", major(f->device), minor(f->device)));
	else if (kind == XATTRS)
		json_object_set_new(object, "xattrs", xattrs_json(f->xattrs));
	if (kind != OWNER)
		return;
	json_object_set_new(object, "uid", json_integer(f->uid));
	json_object_set_new(object, "gid", json_integer(f->gid));
}

static json_t *file_json(const struct inventory_file *f)
{
	json_t *object = json_object();

	json_object_set_new(object, "path", inventory_string(f->path));
	for (unsigned kind = 0; kind < KINDS; kind++)
		if (kind != XATTRS || f->xattrs)
			add_members(object, f, kind);
	return object;
}

static bool differ(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "") != 0;
}

/* What differs, as bits of kinds[]. A content that is not known counts as unknown, not as the same. */
static unsigned compare(const struct inventory_file *a, const struct inventory_file *b,
			bool same_tree, size_t *unknown)
{
	bool files = S_ISREG(a->mode) && S_ISREG(b->mode);
	unsigned what = 0;

	if ((a->mode & S_IFMT) != (b->mode & S_IFMT))
		what |= 1u << TYPE;
	if ((a->mode & 07777) != (b->mode & 07777))
		what |= 1u << MODE;
	if (a->uid != b->uid || a->gid != b->gid)
		what |= 1u << OWNER;
	if (differ(a->target, b->target))
		what |= 1u << TARGET;
	if (a->device != b->device)
		what |= 1u << DEVICE;
	if (differ(a->xattrs, b->xattrs))
		what |= 1u << XATTRS;
	if (files && a->size != b->size)
		what |= 1u << SIZE | 1u << CONTENT;
	else if (files && a->digest && b->digest)
		what |= memcmp(a->digest, b->digest, sizeof(*a->digest)) ? 1u << CONTENT : 0;
	else if (files && !same_tree && a->size)
		++*unknown;
	return what;
}

static json_t *changed_json(const struct inventory_file *a, const struct inventory_file *b,
			    unsigned what)
{
	json_t *list = json_array(), *from = json_object(), *to = json_object();

	for (unsigned kind = 0; kind < KINDS; kind++) {
		if (!(what >> kind & 1))
			continue;
		json_array_append_new(list, json_string(kinds[kind]));
		add_members(from, a, kind);
		add_members(to, b, kind);
	}
	return json_pack("{s:o, s:o, s:o, s:o}", "path", inventory_string(a->path), "what", list,
			 "from", from, "to", to);
}

/* The result while it grows. */
struct lists {
	json_t *added, *removed, *changed;
	size_t added_count, removed_count, changed_count, rows, unknown;
};

/* Takes the reference of row: it is listed while there is room. */
static void add_row(struct lists *l, json_t *list, size_t *count, json_t *row)
{
	++*count;
	if (l->rows++ < ROWS_MAX)
		json_array_append(list, row);
	json_decref(row);
}

static void add_pair(struct lists *l, const struct inventory_file *a,
		     const struct inventory_file *b, bool same_tree)
{
	if (a && b) {
		unsigned what = compare(a, b, same_tree, &l->unknown);

		if (what)
			add_row(l, l->changed, &l->changed_count, changed_json(a, b, what));
	} else if (a) {
		add_row(l, l->removed, &l->removed_count, file_json(a));
	} else if (b) {
		add_row(l, l->added, &l->added_count, file_json(b));
	}
}

/* A container layer that only one side has is one row, that of its folder: its name is the digest of what is in it. */
struct layer {
	char path[sizeof(CONTAINERS_LAYERS) + 256]; /* the one that was asked for last */
	bool absent;                                /* on the other side */
};

static bool is_implied(struct layer *layer, const struct inventory *other, const char *path)
{
	size_t len = strlen(CONTAINERS_LAYERS);

	if (strncmp(path, CONTAINERS_LAYERS, len) != 0)
		return false;
	len += strcspn(path + len, "/");
	if (!path[len] || len >= sizeof(layer->path))
		return false;
	if (strncmp(layer->path, path, len) != 0 || layer->path[len]) {
		memcpy(layer->path, path, len);
		layer->path[len] = '\0';
		layer->absent = !inventory_find(other, layer->path);
	}
	return layer->absent;
}

json_t *diff_files(struct inventory *a, struct inventory *b, bool *ret_same, struct err *err)
{
	int same_tree = inventory_same_tree(a, b, err);
	struct pair p = start(a, b);
	const struct inventory_file *x, *y;
	struct layer of_a = {0}, of_b = {0};
	struct lists l = {0};

	if (same_tree < 0 || (!same_tree && hash_both(a, b, err) < 0))
		return NULL;
	l.added = json_array();
	l.removed = json_array();
	l.changed = json_array();
	while (next(&p, &x, &y)) {
		if ((x && !y && is_implied(&of_a, b, x->path)) ||
		    (y && !x && is_implied(&of_b, a, y->path)))
			continue;
		add_pair(&l, x, y, same_tree);
	}
	if (l.rows)
		*ret_same = false;
	return json_pack("{s:o, s:o, s:o, s:I, s:I, s:I, s:I}", "added", l.added, "removed",
			 l.removed, "changed", l.changed, "added_count", (json_int_t)l.added_count,
			 "removed_count", (json_int_t)l.removed_count, "changed_count",
			 (json_int_t)l.changed_count, "content_unknown", (json_int_t)l.unknown);
}

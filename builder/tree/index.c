/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The index of a cached layer: text, one line per entry, depth first and sorted, so that reading it
 * only ever appends. It lies in a cache that others may have written, so every field is checked.
 *
 *     ingot-index 1 COUNT
 *     d DEPTH MODE UID GID MTIME NAME            (the root is "d 0 ... /")
 *     f DEPTH MODE UID GID MTIME NAME SIZE OFFSET
 *     l DEPTH MODE UID GID MTIME NAME TARGET
 *     c DEPTH MODE UID GID MTIME NAME MAJOR MINOR     (b: block device)
 *     p DEPTH MODE UID GID MTIME NAME
 *     h DEPTH NAME NUMBER        hard link to the entry on line NUMBER (the root's line is 0)
 *     x NAME VALUE               extended attribute of the entry above, value in hex
 *
 * MODE is octal, other numbers decimal; in names %XX stands for a byte that would end the field.
 */
#include "base/path.h"
#include "base/str.h"
#include "tree/archive.h"
#include "tree/node.h"

#include <string.h>

#define HEAD "ingot-index 1 "

static const char type_letters[] = {[TREE_DIR] = 'd',  [TREE_FILE] = 'f',  [TREE_SYMLINK] = 'l',
				    [TREE_CHAR] = 'c', [TREE_BLOCK] = 'b', [TREE_FIFO] = 'p'};

struct index_writer {
	struct str *text;
	uint32_t next; /* number of the entry */
	int fd;        /* all data are in this one; -1 before the first */
	unsigned depth;
};

static void add_escaped(struct str *text, const char *s)
{
	static const char digits[] = "0123456789ABCDEF";

	for (;;) {
		size_t plain = 0;

		while ((unsigned char)s[plain] > 0x20 && s[plain] != '%' && s[plain] != 0x7f)
			plain++;
		str_add_bytes(text, s, plain);
		s += plain;
		if (!*s)
			return;
		str_add_bytes(text, (char[]){'%', digits[(unsigned char)*s >> 4], digits[*s & 15]},
			      3);
		s++;
	}
}

static void add_xattrs(struct str *text, const struct tree_inode *inode)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < inode->xattr_count; i++) {
		const struct tree_xattr *x = &inode->xattrs[i];
		const unsigned char *value = x->value;

		str_add(text, "x ");
		add_escaped(text, x->name);
		str_add(text, " ");
		for (size_t k = 0; k < x->len; k++)
			str_add_bytes(text, (char[]){digits[value[k] >> 4], digits[value[k] & 15]},
				      2);
		str_add(text, "\n");
	}
}

static int write_entry(struct index_writer *w, const struct tree_node *node, struct err *err)
{
	struct tree_inode *inode = node->inode;
	const struct tree_data *data = &inode->data;

	if (inode->mark && inode->type != TREE_DIR) {
		str_addf(w->text, "h %u ", w->depth);
		add_escaped(w->text, node->name);
		str_addf(w->text, " %u\n", inode->mark);
		w->next++;
		return 0;
	}
	inode->mark = w->next++;
	str_addf(w->text, "%c %u %o %u %u %lld ", type_letters[inode->type], w->depth, inode->mode,
		 inode->uid, inode->gid, (long long)inode->mtime);
	add_escaped(w->text, node->parent ? node->name : "/");
	if (inode->type == TREE_FILE) {
		if (data->size && (data->bytes || (w->fd >= 0 && data->fd != w->fd)))
			return err_set(err, ERR_OTHER,
				       "cannot write the index of %s: its data are not in one file",
				       inode->origin);
		if (data->size)
			w->fd = data->fd;
		str_addf(w->text, " %llu %llu", (unsigned long long)data->size,
			 data->size ? (unsigned long long)data->offset : 0);
	} else if (inode->type == TREE_SYMLINK) {
		str_add(w->text, " ");
		add_escaped(w->text, inode->target);
	} else if (inode->type == TREE_CHAR || inode->type == TREE_BLOCK) {
		str_addf(w->text, " %u %u", inode->major, inode->minor);
	}
	str_add(w->text, "\n");
	add_xattrs(w->text, inode);
	return 0;
}

static int write_below(struct index_writer *w, const struct tree_node *dir, struct err *err)
{
	w->depth++;
	for (size_t i = 0; i < dir->child_count; i++)
		if (write_entry(w, dir->children[i], err) < 0 ||
		    write_below(w, dir->children[i], err) < 0)
			return -1;
	w->depth--;
	return 0;
}

int tree_write_index(const struct tree *tree, struct str *text, struct err *err)
{
	struct index_writer w = {.text = text, .fd = -1};
	int r;

	tree_clear_marks(tree);
	str_addf(text, HEAD "%zu\n", tree->count);
	r = write_entry(&w, tree->root, err);
	if (r == 0)
		r = write_below(&w, tree->root, err);
	tree_clear_marks(tree);
	return r;
}

#define DEPTH_MAX (PATH_IMAGE_MAX / 2)

struct index_reader {
	const char *p, *end;
	const char *origin;
	unsigned long line;
	struct tree *tree;
	int fd;
	uint64_t tar_size;
	struct tree_inode **entries; /* by number */
	size_t count, expected;
	struct tree_node *stack[DEPTH_MAX]; /* the last entry of each depth */
	unsigned short path_len[DEPTH_MAX]; /* of its path */
	unsigned depth;                     /* of the last entry */
	struct tree_node *last;
	struct tree_xattr xattrs[TREE_XATTRS_MAX];
	size_t xattr_count;
	char name[PATH_IMAGE_MAX], target[PATH_IMAGE_MAX];
};

static int broken(const struct index_reader *r, const char *why, struct err *err)
{
	err_set(err, ERR_VERIFY, "cannot read the index of %s: line %lu: %s", r->origin, r->line,
		why);
	return -1;
}

/* Reads a number that ends at the byte stop, which is skipped. */
static bool number(struct index_reader *r, unsigned base, uint64_t max, char stop, uint64_t *ret)
{
	uint64_t value = 0;
	const char *start = r->p;

	for (; r->p < r->end && *r->p >= '0' && (unsigned)(*r->p - '0') < base; r->p++) {
		value = value * base + (unsigned)(*r->p - '0');
		if (value > max)
			return false;
	}
	*ret = value;
	return r->p > start && r->p < r->end && *r->p++ == stop;
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

/* Reads an escaped word of 1 to max - 1 bytes, none of them NUL, that ends at stop. */
static bool word(struct index_reader *r, char *to, size_t max, char stop, size_t *ret_len)
{
	size_t len = 0;

	for (; r->p < r->end && (unsigned char)*r->p > 0x20; r->p++) {
		int c = (unsigned char)*r->p;

		if (c == '%') {
			int high, low;

			if (r->end - r->p < 3)
				return false;
			high = hex(r->p[1]);
			low = hex(r->p[2]);
			if (high < 0 || low < 0)
				return false;
			c = high << 4 | low;
			r->p += 2;
		}
		if (c < 0x20 || c == 0x7f || len + 1 >= max)
			return false;
		to[len++] = (char)c;
	}
	to[len] = '\0';
	*ret_len = len;
	return len > 0 && r->p < r->end && *r->p++ == stop;
}

/* Puts the entry below the last folder of the depth above; siblings must come in order. */
static int append(struct index_reader *r, unsigned depth, size_t len, struct tree_inode *inode,
		  struct err *err)
{
	struct tree_node *dir = r->stack[depth - 1];

	if (strchr(r->name, '/') || strcmp(r->name, ".") == 0 || strcmp(r->name, "..") == 0 ||
	    len > 255)
		return broken(r, "bad name", err);
	if (r->path_len[depth - 1] + 1 + len >= PATH_IMAGE_MAX)
		return broken(r, "path too long", err);
	if (dir->inode->type != TREE_DIR)
		return broken(r, "entry below something that is no folder", err);
	if (dir->child_count && strcmp(dir->children[dir->child_count - 1]->name, r->name) >= 0)
		return broken(r, "entries are not sorted", err);
	r->last = node_insert(r->tree, dir, dir->child_count, r->name, len, inode, err);
	if (!r->last)
		return -1;
	r->path_len[depth] = (unsigned short)(r->path_len[depth - 1] + 1 + len);
	return 0;
}

static int read_depth(struct index_reader *r, unsigned *ret, struct err *err)
{
	uint64_t depth;

	if (!number(r, 10, DEPTH_MAX - 1, ' ', &depth))
		return broken(r, "bad depth", err);
	if (r->count == 0 ? depth != 0 : depth == 0 || depth > r->depth + 1)
		return broken(r, "depth does not follow the entry above", err);
	if (r->count >= r->expected)
		return broken(r, "more entries than announced", err);
	*ret = (unsigned)depth;
	return 0;
}

static int read_link(struct index_reader *r, struct err *err)
{
	unsigned depth;
	uint64_t at;
	size_t len;

	if (read_depth(r, &depth, err) < 0)
		return -1;
	if (depth == 0 || !word(r, r->name, sizeof(r->name), ' ', &len) ||
	    !number(r, 10, r->count - 1, '\n', &at) || r->entries[at]->type == TREE_DIR)
		return broken(r, "bad hard link", err);
	if (append(r, depth, len, r->entries[at], err) < 0)
		return -1;
	r->entries[r->count++] = r->entries[at];
	r->stack[depth] = r->last;
	r->depth = depth;
	/* Attributes belong to the first of the links. */
	r->last = NULL;
	return 0;
}

static bool read_special(struct index_reader *r, struct tree_inode *inode)
{
	uint64_t first, second;
	size_t len;

	switch (inode->type) {
	case TREE_FILE:
		if (!number(r, 10, r->tar_size, ' ', &first) ||
		    !number(r, 10, r->tar_size - first, '\n', &second))
			return false;
		inode->data.size = first;
		inode->data.offset = second;
		return true;
	case TREE_SYMLINK:
		inode->target = r->target;
		return word(r, r->target, sizeof(r->target), '\n', &len);
	case TREE_CHAR:
	case TREE_BLOCK:
		if (!number(r, 10, 0xfff, ' ', &first) || !number(r, 10, 0xfffff, '\n', &second))
			return false;
		inode->major = (uint32_t)first;
		inode->minor = (uint32_t)second;
		return true;
	default:
		return true;
	}
}

static int read_entry(struct index_reader *r, enum tree_type type, struct err *err)
{
	struct tree_inode inode = {.type = type, .data.fd = r->fd, .origin = r->origin};
	uint64_t mode, uid, gid, mtime;
	bool more = type != TREE_DIR && type != TREE_FIFO;
	unsigned depth;
	size_t len;
	struct tree_inode *kept;

	if (read_depth(r, &depth, err) < 0)
		return -1;
	if (!number(r, 8, 07777, ' ', &mode) || !number(r, 10, UINT32_MAX, ' ', &uid) ||
	    !number(r, 10, UINT32_MAX, ' ', &gid) || !number(r, 10, INT64_MAX, ' ', &mtime) ||
	    !word(r, r->name, sizeof(r->name), more ? ' ' : '\n', &len) || !read_special(r, &inode))
		return broken(r, "bad field", err);
	inode.mode = (uint32_t)mode;
	inode.uid = (uint32_t)uid;
	inode.gid = (uint32_t)gid;
	inode.mtime = (int64_t)mtime;
	kept = node_copy_inode(r->tree, &inode);
	if (depth == 0) {
		if (type != TREE_DIR || strcmp(r->name, "/") != 0)
			return broken(r, "the first entry must be the root", err);
		kept->links = 1;
		r->tree->root->inode = kept;
		r->last = r->tree->root;
		r->path_len[0] = 0;
	} else if (append(r, depth, len, kept, err) < 0) {
		return -1;
	}
	r->entries[r->count++] = kept;
	r->stack[depth] = r->last;
	r->depth = depth;
	return 0;
}

static int read_xattr(struct index_reader *r, struct err *err)
{
	struct tree_xattr *x = &r->xattrs[r->xattr_count];
	unsigned char *value;
	const char *start;
	size_t len;

	if (!r->last || r->xattr_count == TREE_XATTRS_MAX || !word(r, r->name, 256, ' ', &len))
		return broken(r, "bad extended attribute", err);
	for (size_t i = 0; i < r->xattr_count; i++)
		if (strcmp(r->xattrs[i].name, r->name) == 0)
			return broken(r, "extended attribute given twice", err);
	start = r->p;
	while (r->p < r->end && hex(*r->p) >= 0)
		r->p++;
	len = (size_t)(r->p - start) / 2;
	if (r->p == r->end || *r->p != '\n' || (r->p - start) % 2 || len > TREE_XATTR_VALUE_MAX)
		return broken(r, "bad value of an extended attribute", err);
	r->p++;
	value = mem_arena_alloc(r->tree->arena, len + 1);
	for (size_t i = 0; i < len; i++)
		value[i] = (unsigned char)(hex(start[2 * i]) << 4 | hex(start[2 * i + 1]));
	*x = (struct tree_xattr){mem_arena_strdup(r->tree->arena, r->name), value, len};
	r->xattr_count++;
	return 0;
}

/* Gives the attributes collected so far to the entry that they stand below. */
static void end_xattrs(struct index_reader *r)
{
	size_t bytes = r->xattr_count * sizeof(r->xattrs[0]);

	if (!r->last || !r->xattr_count)
		return;
	r->last->inode->xattrs = mem_arena_alloc(r->tree->arena, bytes);
	memcpy(r->last->inode->xattrs, r->xattrs, bytes);
	r->last->inode->xattr_count = r->xattr_count;
	r->xattr_count = 0;
}

static int read_line(struct index_reader *r, struct err *err)
{
	char letter = *r->p++;

	r->line++;
	if (r->p == r->end || *r->p++ != ' ')
		return broken(r, "bad line", err);
	if (letter == 'x')
		return read_xattr(r, err);
	end_xattrs(r);
	if (letter == 'h')
		return read_link(r, err);
	for (size_t i = 0; i < sizeof(type_letters); i++)
		if (type_letters[i] == letter)
			return read_entry(r, (enum tree_type)i, err);
	return broken(r, "unknown type of entry", err);
}

int tree_read_index(const char *text, size_t len, int tar_fd, uint64_t tar_size, const char *origin,
		    struct tree *tree, struct err *err)
{
	struct index_reader *r = mem_alloc(sizeof(*r));
	uint64_t expected = 0;
	int ret = -1;

	r->p = text;
	r->end = text + len;
	r->line = 1;
	r->origin = origin;
	r->tree = tree;
	r->fd = tar_fd;
	r->tar_size = tar_size;
	if (len < strlen(HEAD) || memcmp(text, HEAD, strlen(HEAD)) != 0) {
		broken(r, "not an index, or of another version", err);
		goto out;
	}
	r->p += strlen(HEAD);
	/* An entry is at least ten bytes long: the announced number cannot make us allocate much. */
	if (!number(r, 10, len / 10, '\n', &expected) || tree->count != 1) {
		broken(r, "bad number of entries", err);
		goto out;
	}
	r->expected = (size_t)expected;
	r->entries = mem_alloc_array(r->expected, sizeof(struct tree_inode *));
	ret = 0;
	while (ret == 0 && r->p < r->end)
		ret = read_line(r, err);
	if (ret == 0) {
		end_xattrs(r);
		if (r->count != r->expected)
			ret = broken(r, "fewer entries than announced", err);
	}
out:
	free(r->entries);
	free(r);
	return ret;
}

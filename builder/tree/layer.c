/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a layer of a container image, entry by entry. What an entry means is what Docker's overlay2 makes of
 * it, with whiteouts as the OCI image specification (layer.md) has them; what no honest layer has is refused.
 */
#include "tree/layer.h"

#include "base/mem.h"
#include "tree/layerparts.h"

#include <inttypes.h>
#include <string.h>

#define PROGRESS ((uint64_t)1 << 20)
#define KEPT_MAX ((uint64_t)256 << 20)

/* The library takes every type that it does not know for a regular file (POSIX.1-2017, pax, "ustar Interchange
 * Format"), the engines refuse them. The header is the last block before the data; only that of a sparse file may
 * be followed by a map. */
static int check_type(const struct layer_import *l, struct err *err)
{
	uint64_t position = layer_raw_position(l);
	int type;

	if (archive_entry_sparse_count(l->im.entry))
		return 0;
	type = layer_raw_byte(l, position - 512 + 156);
	if (position < 512 || type < 0 || !memchr("01234567S", type, 10))
		return layer_broken(l, "type of entry not supported", err);
	return 0;
}

/* Counts what stays in memory of an entry; the tree would hold any amount of it. */
static int count_kept(struct layer_import *l, const struct tree_inode *inode, struct err *err)
{
	l->kept += strlen(l->im.path) + (inode->target ? strlen(inode->target) : 0);
	for (size_t i = 0; i < inode->xattr_count; i++)
		l->kept += strlen(inode->xattrs[i].name) + inode->xattrs[i].len;
	if (l->kept > KEPT_MAX)
		return layer_broken(l, "names and attributes of the layer are too large", err);
	return 0;
}

/* Owner, mode, time (out of range becomes 0, as in the engines) and attributes of the entry. */
static int get_attributes(struct layer_import *l, struct tree_inode *inode, struct err *err)
{
	static const char *const reserved[] = {"trusted.overlay.", "user.overlay."};
	struct import *im = &l->im;
	int64_t mtime = archive_entry_mtime(im->entry);

	*inode = (struct tree_inode){.data.fd = im->tar_fd};
	if (mtime < 0 || mtime >= (int64_t)1 << 33)
		archive_entry_set_mtime(im->entry, 0, 0);
	if (import_get_owner(im, inode, err) < 0 || import_get_xattrs(im, inode, err) < 0)
		return -1;
	for (size_t i = 0; i < inode->xattr_count; i++)
		for (size_t k = 0; k < ARRAY_SIZE(reserved); k++)
			if (str_has_prefix(inode->xattrs[i].name, reserved[k]))
				return layer_broken(
					l, "an extended attribute of overlayfs (forged)", err);
	return 0;
}

/* The entry of dir that the last part of path names, or NULL. */
static struct tree_node *find_child(const struct tree_node *dir, const char *path)
{
	const char *name = path_base(path);
	size_t at;

	return node_find_child(dir, name, strlen(name), &at);
}

/* .wh.NAME hides what lower layers have, never what this one has: a folder of it becomes opaque, any other entry
 * hides the lower one anyhow. */
static int add_whiteout(struct layer_import *l, struct err *err)
{
	struct tree_inode inode = {.type = TREE_CHAR, .origin = l->im.origin, .data.fd = -1};
	char *name = (char *)path_base(l->im.path);
	struct tree_node *dir, *node;

	memmove(name, name + strlen(LAYER_WHITEOUT), strlen(name) - strlen(LAYER_WHITEOUT) + 1);
	if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return layer_broken(l, "a whiteout of nothing", err);
	dir = layer_make_parent(l, l->im.path, &inode, err);
	if (!dir)
		return -1;
	node = find_child(dir, l->im.path);
	if (node && node->inode->type == TREE_DIR)
		return layer_set_opaque(l, l->im.path, node->inode, err);
	if (node)
		return 0;
	node = tree_put(l->im.tree, l->im.path, &inode, err);
	return node ? pax_header(l->im.out, l->im.path, node->inode, NULL, err) : -1;
}

/* .wh..wh..opq: the folder hides all that lower layers have in it. */
static int add_opaque(struct layer_import *l, struct err *err)
{
	const struct tree_inode like = {.origin = l->im.origin};
	const struct tree_node *dir = layer_make_parent(l, l->im.path, &like, err);
	char *slash = strrchr(l->im.path, '/');

	if (!dir)
		return -1;
	if (slash)
		*slash = '\0';
	return layer_set_opaque(l, slash ? l->im.path : "", dir->inode, err);
}

/* The engines give the attributes of a link's header to what it leads to; a symbolic link has no mode. */
static void apply_to_target(struct layer_import *l, struct tree_inode *inode,
			    const struct tree_inode *from)
{
	struct tree_inode changed = *inode;
	uint32_t links = inode->links;

	changed.uid = from->uid;
	changed.gid = from->gid;
	changed.mtime = from->mtime;
	if (inode->type != TREE_SYMLINK)
		changed.mode = from->mode;
	if (from->xattr_count) {
		changed.xattrs = from->xattrs;
		changed.xattr_count = from->xattr_count;
	}
	*inode = *node_copy_inode(l->im.tree, &changed);
	inode->links = links;
}

static int add_link(struct layer_import *l, const char *raw, struct err *err)
{
	struct tree_inode inode;
	char target[PATH_IMAGE_MAX];
	struct tree_node *dir, *node, *there;
	CLEANUP_FREE char *path = NULL;
	char *slash;

	if (get_attributes(l, &inode, err) < 0)
		return -1;
	if (archive_entry_size(l->im.entry) > 0)
		return layer_broken(l, "a hard link with content", err);
	if (layer_clean_path(raw, target) < 0)
		return layer_broken(l, "a hard link out of the layer", err);
	slash = strrchr(target, '/');
	if (slash)
		*slash = '\0';
	dir = slash ? tree_resolve(l->im.tree, target) : tree_root(l->im.tree);
	node = dir ? find_child(dir, slash ? slash + 1 : target) : NULL;
	if (!node || node->inode->type == TREE_DIR || layer_is_whiteout(node))
		return layer_broken(l, "a hard link to something that is not there", err);
	dir = layer_make_parent(l, l->im.path, &inode, err);
	if (!dir)
		return -1;
	there = find_child(dir, l->im.path);
	for (const struct tree_node *n = node; n; n = n->parent)
		if (n == there)
			return layer_broken(l, "a hard link to what it replaces", err);
	if (count_kept(l, &inode, err) < 0)
		return -1;
	l->replaced |= there != NULL;
	path = tree_path(node);
	if (tree_put_link(l->im.tree, l->im.path, path, err) < 0)
		return -1;
	apply_to_target(l, node->inode, &inode);
	return pax_header(l->im.out, l->im.path, node->inode, path + 1, err);
}

/* A folder over a whiteout, or over an opaque folder, is opaque. */
static int put_folder(struct layer_import *l, const struct tree_inode *inode,
		      const struct tree_node *there, struct err *err)
{
	const struct tree_node *node;

	if (there && (layer_is_whiteout(there) || layer_is_opaque(there->inode)))
		return layer_set_opaque(l, l->im.path, inode, err);
	node = tree_put(l->im.tree, l->im.path, inode, err);
	return node ? pax_header(l->im.out, l->im.path, node->inode, NULL, err) : -1;
}

static int add_plain(struct layer_import *l, struct err *err)
{
	struct tree_inode inode;
	struct tree_node *dir, *there, *node;

	if (get_attributes(l, &inode, err) < 0 || import_get_type(&l->im, &inode, err) < 0 ||
	    count_kept(l, &inode, err) < 0)
		return -1;
	if (inode.type == TREE_CHAR && inode.major == 0 && inode.minor == 0)
		return layer_broken(l, "character device 0:0 (a forged whiteout)", err);
	if (inode.type == TREE_SYMLINK)
		inode.mode = 0777;
	dir = layer_make_parent(l, l->im.path, &inode, err);
	if (!dir)
		return -1;
	there = find_child(dir, l->im.path);
	l->replaced |= there && (there->inode->type != TREE_DIR || inode.type != TREE_DIR);
	if (inode.type == TREE_DIR)
		return put_folder(l, &inode, there, err) < 0 ? -1 : layer_drain(l, err);
	node = tree_put(l->im.tree, l->im.path, &inode, err);
	if (!node || pax_header(l->im.out, l->im.path, node->inode, NULL, err) < 0)
		return -1;
	if (inode.type != TREE_FILE)
		return layer_drain(l, err);
	node->inode->data.offset = pax_offset(l->im.out);
	return inode.data.size ? layer_copy_content(l, node, err) : 0;
}

/* What the parts of a name say: a whiteout is the last one, what aufs kept for itself may be any. */
enum name_kind { NAME_PLAIN, NAME_WHITEOUT, NAME_OPAQUE, NAME_IGNORED, NAME_BAD };

static enum name_kind name_kind(const char *path)
{
	for (const char *p = path; *p;) {
		size_t len = strcspn(p, "/");
		bool last = !p[len];

		if (strncmp(p, LAYER_WHITEOUT, strlen(LAYER_WHITEOUT)) == 0) {
			if (last && strcmp(p, LAYER_OPAQUE) == 0)
				return NAME_OPAQUE;
			if (str_has_prefix(p, LAYER_WHITEOUT LAYER_WHITEOUT))
				return NAME_IGNORED;
			return last ? NAME_WHITEOUT : NAME_BAD;
		}
		p += len + !last;
	}
	return NAME_PLAIN;
}

static int add_entry(struct layer_import *l, struct err *err)
{
	const char *raw = archive_entry_pathname(l->im.entry);
	const char *link = archive_entry_hardlink(l->im.entry);
	int r;

	if (!raw || layer_clean_path(raw, l->im.path) < 0)
		return layer_broken(l, "not a path below the root", err);
	if (check_type(l, err) < 0 || layer_raw_until(l, layer_raw_position(l), err) < 0)
		return -1;
	/* Neither engine takes attributes for the root of a layer. */
	if (!*l->im.path)
		return !link && archive_entry_filetype(l->im.entry) == AE_IFDIR
			       ? layer_drain(l, err)
			       : layer_broken(l, "the root must be a folder", err);
	switch (name_kind(l->im.path)) {
	case NAME_WHITEOUT:
		r = add_whiteout(l, err);
		break;
	case NAME_OPAQUE:
		r = add_opaque(l, err);
		break;
	case NAME_IGNORED:
		r = 0;
		break;
	case NAME_BAD:
		return layer_broken(l, "below a whiteout", err);
	default:
		return link ? add_link(l, link, err) : add_plain(l, err);
	}
	return r < 0 ? -1 : layer_drain(l, err);
}

static int add_all(struct layer_import *l, const struct tree_layer_input *in,
		   void (*progress)(uint64_t bytes, void *context), void *context, struct err *err)
{
	uint64_t told = 0;
	int r;

	while ((r = import_next(&l->im, err)) > 0) {
		int64_t size = archive_entry_size(l->im.entry);

		if (++l->entries > in->entries_max || tree_count(l->im.tree) > in->entries_max + 1)
			return err_set(err, ERR_VERIFY, "cannot read %s: more than %zu entries",
				       in->origin, in->entries_max);
		if (pax_offset(l->im.out) > in->tar_max ||
		    (size > 0 && (uint64_t)size > in->tar_max - pax_offset(l->im.out)))
			return err_set(err, ERR_VERIFY,
				       "cannot read %s: more than %" PRIu64 " bytes", in->origin,
				       in->tar_max);
		if (add_entry(l, err) < 0)
			return import_blame_stream(&l->im, err);
		if (progress && l->piece_at - told >= PROGRESS) {
			told = l->piece_at;
			progress(told, context);
		}
	}
	return r < 0 && l->err.code ? layer_read_failed(l, err) : r;
}

/* Files that a later entry has replaced give their content to tar-split after all. */
static int replace_lost(struct layer_import *l, int split_fd, struct err *err)
{
	CLEANUP_FREE struct split_lost *lost = NULL;
	size_t count = 0, room = 0;

	for (size_t i = 0; i < l->file_count; i++) {
		const struct layer_file *f = &l->files[i];
		CLEANUP_FREE char *path = tree_path(f->node);

		if (tree_find(l->im.tree, path) != f->node || f->node->inode != f->inode)
			VEC_ADD(lost, count, room, f->where);
	}
	return count ? split_replace(split_fd, lost, count, l->im.tar_fd, l->im.origin, err) : 0;
}

/* As directory.Size of Docker's overlay2 counts: symbolic links too, each inode once. */
static int count_size(const struct tree_node *node, const char *path, void *context,
		      struct err *err)
{
	struct tree_inode *inode = node->inode;
	uint64_t *size = context;

	(void)path;
	(void)err;
	if (inode->mark++)
		return 0;
	if (inode->type == TREE_FILE)
		*size += inode->data.size;
	if (inode->type == TREE_SYMLINK)
		*size += strlen(inode->target);
	return 0;
}

static int import(struct layer_import *l, const struct tree_layer_input *in, int split_fd,
		  struct tree_layer *ret, void (*progress)(uint64_t bytes, void *context),
		  void *context, struct err *err)
{
	/* Nothing but tar, and no filter of the library: the codec is ours. */
	archive_read_support_format_tar(l->im.in);
	archive_read_support_format_empty(l->im.in);
	if (archive_read_open(l->im.in, l, NULL, layer_raw_read, NULL) != ARCHIVE_OK)
		return layer_read_failed(l, err);
	if (add_all(l, in, progress, context, err) < 0 || layer_raw_finish(l, err) < 0 ||
	    pax_finish(l->im.out, &ret->digest, err) < 0 || split_finish(l->split, err) < 0 ||
	    (l->replaced && replace_lost(l, split_fd, err) < 0))
		return -1;
	ret->tar = l->raw_from;
	ret->entries = l->entries;
	ret->size = 0;
	layer_stream_digest(l->stream, &ret->diff_id);
	tree_clear_marks(l->im.tree);
	tree_walk(l->im.tree, count_size, &ret->size, NULL);
	if (progress)
		progress(ret->tar, context);
	return 0;
}

int tree_import_layer(const struct tree_layer_input *in, int tar_fd, int split_fd,
		      struct tree *tree, struct tree_layer *ret,
		      void (*progress)(uint64_t bytes, void *context), void *context,
		      struct err *err)
{
	struct layer_import *l = mem_alloc(sizeof(*l));
	locale_t saved, c = import_enter_locale(&saved);
	int r = -1;

	l->im = (struct import){.in = archive_read_new(), .tree = tree, .tar_fd = tar_fd};
	l->im.origin = mem_arena_strdup(tree->arena, in->origin);
	l->piece = (const uint8_t *)"";
	l->im.out = pax_new(tar_fd, l->im.origin);
	l->split = split_new(split_fd, l->im.origin);
	l->stream = layer_stream_start(in, err);
	if (l->stream)
		r = import(l, in, split_fd, ret, progress, context, err);
	/* Before the stream, for it may read once more. */
	archive_read_free(l->im.in);
	layer_stream_free(l->stream);
	split_free(l->split);
	pax_free(l->im.out);
	import_leave_locale(c, saved);
	str_free(&l->pending);
	free(l->files);
	free(l);
	return r;
}

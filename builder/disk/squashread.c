/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a squashfs by libsquashfs. What libsquashfs would believe of a hostile superblock is checked
 * first; paths are followed here, one name at a time.
 */
#include "disk/squashread_parts.h"

#include "base/mem.h"

#include <sqfs/data_reader.h>
#include <sqfs/dir.h>
#include <sqfs/error.h>
#include <sqfs/id_table.h>
#include <sqfs/inode.h>

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define LINKS_MAX 40

static int read_at(sqfs_file_t *base, sqfs_u64 offset, void *buffer, size_t size)
{
	struct squashread *r = (struct squashread *)base;

	if (offset > r->file.size || size > r->file.size - offset)
		return SQFS_ERROR_OUT_OF_BOUNDS;
	if (r->image->pread(r->image, buffer, size, r->offset + offset, &r->file.err) < 0)
		return SQFS_ERROR_IO;
	return 0;
}

static int write_at(sqfs_file_t *base, sqfs_u64 offset, const void *buffer, size_t size)
{
	(void)base, (void)offset, (void)buffer, (void)size;
	return SQFS_ERROR_UNSUPPORTED;
}

static int set_size(sqfs_file_t *base, sqfs_u64 size)
{
	(void)base, (void)size;
	return SQFS_ERROR_UNSUPPORTED;
}

int squashread_damaged(struct squashread *r, int number, struct err *err)
{
	squashfs_failed(&r->file, number, "read the squashfs in", err);
	if (err && !r->file.err.code)
		err->code = ERR_VERIFY;
	err_clear(&r->file.err);
	return -1;
}

/* Tables are read into memory as large as the superblock says. */
static int check_super(struct squashread *r, struct err *err)
{
	const sqfs_super_t *s = &r->super;

	if (s->bytes_used > r->file.size)
		return err_set(err, ERR_VERIFY, "cannot read the squashfs in '%s': it is truncated",
			       r->image->name);
	if (s->inode_count == 0 || s->inode_count > TREE_NODES_MAX ||
	    s->fragment_entry_count > s->inode_count)
		return err_set(err, ERR_VERIFY,
			       "cannot read the squashfs in '%s': impossible numbers of inodes "
			       "or fragments",
			       r->image->name);
	r->info = (struct squashread_info){
		.compression = sqfs_compressor_name_from_id(s->compression_id),
		.block = s->block_size,
		.inodes = s->inode_count,
		.bytes = s->bytes_used,
		.time = s->modification_time,
	};
	return 0;
}

static int make_compressor(struct squashread *r, struct err *err)
{
	sqfs_compressor_config_t config;
	int e = sqfs_compressor_config_init(&config, r->super.compression_id, r->super.block_size,
					    SQFS_COMP_FLAG_UNCOMPRESS);

	if (e == 0)
		e = sqfs_compressor_create(&config, &r->compressor);
	if (e)
		return err_set(err, ERR_TOOL,
			       "cannot read the squashfs in '%s': the installed libsquashfs "
			       "cannot do %s",
			       r->image->name,
			       r->info.compression ? r->info.compression : "its compression");
	if (r->super.flags & SQFS_FLAG_COMPRESSOR_OPTIONS) {
		e = r->compressor->read_options(r->compressor, &r->file.base);
		if (e)
			return squashread_damaged(r, e, err);
	}
	return 0;
}

static int open_parts(struct squashread *r, struct err *err)
{
	uint64_t entries_end;
	int e = sqfs_super_read(&r->super, &r->file.base);

	if (e)
		return squashread_damaged(r, e, err);
	if (check_super(r, err) < 0 || make_compressor(r, err) < 0)
		return -1;
	entries_end = r->super.id_table_start;
	if (r->super.fragment_table_start < entries_end)
		entries_end = r->super.fragment_table_start;
	r->ids = sqfs_id_table_create(0);
	r->inodes =
		sqfs_meta_reader_create(&r->file.base, r->compressor, r->super.inode_table_start,
					r->super.directory_table_start);
	r->entries = sqfs_meta_reader_create(&r->file.base, r->compressor,
					     r->super.directory_table_start, entries_end);
	r->data = sqfs_data_reader_create(&r->file.base, r->super.block_size, r->compressor, 0);
	if (!r->ids || !r->inodes || !r->entries || !r->data)
		return squashread_damaged(r, SQFS_ERROR_ALLOC, err);
	e = sqfs_id_table_read(r->ids, &r->file.base, &r->super, r->compressor);
	if (e == 0)
		e = sqfs_data_reader_load_fragment_table(r->data, &r->super);
	return e ? squashread_damaged(r, e, err) : 0;
}

struct squashread *squashread_open(struct image *image, uint64_t offset, uint64_t size,
				   struct err *err)
{
	struct squashread *r = mem_alloc(sizeof(*r));

	squashfs_file_init(&r->file, -1, image->name);
	r->file.base.read_at = read_at;
	r->file.base.write_at = write_at;
	r->file.base.truncate = set_size;
	r->file.size = size;
	r->image = image;
	r->offset = offset;
	if (offset > image->size || size > image->size - offset) {
		err_set(err, ERR_VERIFY, "cannot read the squashfs in '%s': it is truncated",
			image->name);
	} else if (open_parts(r, err) == 0) {
		return r;
	}
	squashread_close(r);
	return NULL;
}

void squashread_close(struct squashread *r)
{
	if (!r)
		return;
	sqfs_destroy(r->data);
	sqfs_destroy(r->attributes);
	sqfs_destroy(r->entries);
	sqfs_destroy(r->inodes);
	sqfs_destroy(r->ids);
	sqfs_destroy(r->compressor);
	free(r);
}

void squashread_get_info(const struct squashread *r, struct squashread_info *ret)
{
	*ret = r->info;
}

static bool is_dir(const sqfs_inode_generic_t *inode)
{
	return S_ISDIR(inode->base.mode);
}

/* The child of a folder: 1 found, 0 absent, -1 damaged. */
static int find_child(struct squashread *r, const sqfs_inode_generic_t *dir, const char *name,
		      sqfs_inode_generic_t **ret, struct err *err)
{
	sqfs_readdir_state_t state;
	sqfs_dir_entry_t *entry;
	bool found = false;
	uint64_t ref;
	int more = 1;

	if (squashread_open_dir(r, dir, &state, err) < 0)
		return -1;
	while (!found) {
		more = squashread_next(r, &state, &entry, &ref, err);
		if (more <= 0)
			return more;
		found = strcmp((const char *)entry->name, name) == 0;
		sqfs_free(entry);
	}
	return squashread_get_inode(r, ref, ret, err) < 0 ? -1 : 1;
}

static uint32_t link_count(const sqfs_inode_generic_t *inode)
{
	switch (inode->base.type) {
	case SQFS_INODE_DIR:
		return inode->data.dir.nlink;
	case SQFS_INODE_EXT_DIR:
		return inode->data.dir_ext.nlink;
	case SQFS_INODE_FILE:
		return 1;
	case SQFS_INODE_EXT_FILE:
		return inode->data.file_ext.nlink;
	default:
		/* The other types have it at their beginning. */
		return inode->data.ipc.nlink;
	}
}

/* As Linux packs it into 32 bits. */
static dev_t device_number(const sqfs_inode_generic_t *inode)
{
	uint32_t n = inode->data.dev.devno; /* at the same place in both types */

	if (!S_ISBLK(inode->base.mode) && !S_ISCHR(inode->base.mode))
		return 0;
	return makedev(n >> 8 & 0xfff, (n & 0xff) | (n >> 12 & 0xfff00));
}

/* Files by their fragment, then those without one by where they begin. */
static int read_order(const sqfs_inode_generic_t *inode, uint64_t *ret)
{
	sqfs_u32 fragment, offset;
	sqfs_u64 start;
	int e = sqfs_inode_get_frag_location(inode, &fragment, &offset);

	if (e == 0)
		e = sqfs_inode_get_file_block_start(inode, &start);
	if (e == 0)
		*ret = fragment == UINT32_MAX ? start | (uint64_t)1 << 63
					      : (uint64_t)fragment << 31 | offset >> 1;
	return e;
}

int squashread_fill_stat(struct squashread *r, const sqfs_inode_generic_t *inode,
			 struct squashread_stat *ret, struct err *err)
{
	sqfs_u32 xattrs = UINT32_MAX;
	int e;

	*ret = (struct squashread_stat){.mode = inode->base.mode,
					.mtime = inode->base.mod_time,
					.links = link_count(inode),
					.inode = inode->base.inode_number,
					.device = device_number(inode)};
	e = sqfs_id_table_index_to_id(r->ids, inode->base.uid_idx, &ret->uid);
	if (e == 0)
		e = sqfs_id_table_index_to_id(r->ids, inode->base.gid_idx, &ret->gid);
	if (e == 0 && S_ISREG(ret->mode))
		e = sqfs_inode_get_file_size(inode, &ret->size);
	if (e == 0 && S_ISREG(ret->mode))
		e = read_order(inode, &ret->order);
	if (e == 0)
		e = sqfs_inode_get_xattr_index(inode, &xattrs);
	ret->xattrs = xattrs != UINT32_MAX;
	return e ? squashread_damaged(r, e, err) : 0;
}

/* A path on its way: the folders that lead to where it is, and what is left of it. */
struct route {
	sqfs_inode_generic_t *stack[SQUASHREAD_DEPTH];
	size_t depth;
	char left[SQUASHREAD_PATH];
	size_t links;
};

static void route_shrink(struct route *route, size_t depth)
{
	while (route->depth > depth)
		sqfs_free(route->stack[--route->depth]);
}

static sqfs_inode_generic_t *route_end(const struct route *route)
{
	return route->stack[route->depth - 1];
}

/* Takes the first name off what is left. */
static char *next_name(struct route *route, char name[SQFS_MAX_DIR_ENT + 1])
{
	char *from = route->left + strspn(route->left, "/");
	size_t len = strcspn(from, "/");

	if (len == 0 || len > SQFS_MAX_DIR_ENT) {
		route->left[0] = 0;
		return NULL;
	}
	memcpy(name, from, len);
	name[len] = 0;
	memmove(route->left, from + len, strlen(from + len) + 1);
	return name;
}

/* Puts the target of a link before what is left. False when that gets too long. */
static bool follow(struct route *route, const sqfs_inode_generic_t *link)
{
	size_t len = link->data.slink.target_size, rest = strlen(route->left);
	const char *target = (const char *)link->extra;

	if (++route->links > LINKS_MAX || len == 0 || len + rest + 2 > SQUASHREAD_PATH)
		return false;
	memmove(route->left + len + 1, route->left, rest + 1);
	route->left[len] = '/';
	memcpy(route->left, target, len);
	if (memchr(route->left, 0, len))
		return false;
	if (target[0] == '/')
		route_shrink(route, 1);
	return true;
}

/* One name further: 1 done, 0 absent, -1 damaged. */
static int route_step(struct squashread *r, struct route *route, const char *name, struct err *err)
{
	sqfs_inode_generic_t *inode = NULL;
	int found;

	if (!is_dir(route_end(route)))
		return 0;
	if (strcmp(name, ".") == 0)
		return 1;
	if (strcmp(name, "..") == 0) {
		route_shrink(route, route->depth > 1 ? route->depth - 1 : 1);
		return 1;
	}
	found = find_child(r, route_end(route), name, &inode, err);
	if (found <= 0)
		return found;
	if (S_ISLNK(inode->base.mode)) {
		bool good = follow(route, inode);

		sqfs_free(inode);
		return good;
	}
	if (route->depth == SQUASHREAD_DEPTH) {
		sqfs_free(inode);
		return 0;
	}
	route->stack[route->depth++] = inode;
	return 1;
}

/* Finds the inode behind a path: 1 found (ret to be freed with sqfs_free), 0 absent, -1 damaged. */
static int resolve(struct squashread *r, const char *path, sqfs_inode_generic_t **ret,
		   struct err *err)
{
	CLEANUP_FREE struct route *route = mem_alloc(sizeof(*route));
	char name[SQFS_MAX_DIR_ENT + 1];
	int found = 1;

	if (strlen(path) >= SQUASHREAD_PATH)
		return 0;
	strcpy(route->left, path);
	if (squashread_get_inode(r, r->super.root_inode_ref, &route->stack[0], err) < 0)
		return -1;
	route->depth = 1;
	while (found == 1 && strspn(route->left, "/") < strlen(route->left))
		found = next_name(route, name) ? route_step(r, route, name, err) : 0;
	if (found == 1)
		*ret = route->stack[--route->depth];
	route_shrink(route, 0);
	return found;
}

int squashread_find(struct squashread *r, const char *path, struct squashread_stat *ret,
		    struct err *err)
{
	sqfs_inode_generic_t *inode = NULL;
	int found = resolve(r, path, &inode, err);

	if (found == 1 && squashread_fill_stat(r, inode, ret, err) < 0)
		found = -1;
	sqfs_free(inode);
	return found;
}

static int read_content(struct squashread *r, const sqfs_inode_generic_t *inode, const char *path,
			size_t max, char **ret, size_t *ret_len, struct err *err)
{
	CLEANUP_FREE char *bytes = NULL;
	sqfs_u64 size = 0;
	size_t at = 0;

	if (!S_ISREG(inode->base.mode))
		return err_set(err, ERR_OTHER, "cannot read '%s' in '%s': not a regular file", path,
			       r->image->name);
	sqfs_inode_get_file_size(inode, &size);
	if (size > max)
		return err_set(err, ERR_OTHER,
			       "cannot read '%s' in '%s': it is larger than %zu bytes", path,
			       r->image->name, max);
	bytes = mem_alloc((size_t)size + 1);
	while (at < size) {
		sqfs_u32 len = size - at < 1 << 20 ? (sqfs_u32)(size - at) : 1 << 20;
		sqfs_s32 n = sqfs_data_reader_read(r->data, inode, at, bytes + at, len);

		if (n <= 0) {
			squashread_damaged(r, n ? n : SQFS_ERROR_CORRUPTED, err);
			return err_wrap(err, "'%s'", path);
		}
		at += (size_t)n;
	}
	*ret = MEM_STEAL(bytes);
	*ret_len = at;
	return 0;
}

int squashread_file(struct squashread *r, const char *path, size_t max, char **ret, size_t *ret_len,
		    struct err *err)
{
	sqfs_inode_generic_t *inode = NULL;
	int found = resolve(r, path, &inode, err);

	*ret = NULL;
	*ret_len = 0;
	if (found == 1)
		found = read_content(r, inode, path, max, ret, ret_len, err);
	sqfs_free(inode);
	return found < 0 ? -1 : 0;
}

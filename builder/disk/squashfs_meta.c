/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The metadata of a squashfs: inodes, directories, owners and extended attributes, written behind the
 * content in the order that Linux wants (Documentation/filesystems/squashfs.rst).
 */
#include "disk/squashfs_parts.h"

#include "base/mem.h"

#include <sqfs/dir_writer.h>
#include <sqfs/error.h>
#include <sqfs/frag_table.h>
#include <sqfs/id_table.h>
#include <sqfs/inode.h>
#include <sqfs/meta_writer.h>
#include <sqfs/xattr_writer.h>

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define NO_XATTR 0xFFFFFFFF

struct meta {
	struct squashfs_inodes *list;
	sqfs_meta_writer_t *inodes, *entries;
	sqfs_dir_writer_t *dirs;
	sqfs_id_table_t *ids;
	sqfs_xattr_writer_t *xattrs;
};

static void meta_free(struct meta *m)
{
	sqfs_destroy(m->dirs);
	sqfs_destroy(m->entries);
	sqfs_destroy(m->inodes);
	sqfs_destroy(m->xattrs);
	sqfs_destroy(m->ids);
}

static int meta_make(struct meta *m, struct squashfs_file *file, sqfs_compressor_t *compressor)
{
	m->inodes = sqfs_meta_writer_create(&file->base, compressor, 0);
	m->entries =
		sqfs_meta_writer_create(&file->base, compressor, SQFS_META_WRITER_KEEP_IN_MEMORY);
	m->ids = sqfs_id_table_create(0);
	m->xattrs = sqfs_xattr_writer_create(0);
	if (!m->inodes || !m->entries || !m->ids || !m->xattrs)
		return SQFS_ERROR_ALLOC;
	m->dirs = sqfs_dir_writer_create(m->entries, 0);
	return m->dirs ? 0 : SQFS_ERROR_ALLOC;
}

static uint16_t full_mode(const struct tree_inode *inode)
{
	static const uint16_t types[] = {
		[TREE_DIR] = S_IFDIR,  [TREE_FILE] = S_IFREG,  [TREE_SYMLINK] = S_IFLNK,
		[TREE_CHAR] = S_IFCHR, [TREE_BLOCK] = S_IFBLK, [TREE_FIFO] = S_IFIFO,
	};

	return (uint16_t)(types[inode->type] | (inode->mode & 07777));
}

/* The tree keeps them sorted by name. */
static int put_xattrs(struct meta *m, const struct tree_inode *inode, sqfs_u32 *ret)
{
	bool begun = false;
	int r = 0;

	*ret = NO_XATTR;
	for (size_t i = 0; r == 0 && i < inode->xattr_count; i++) {
		const struct tree_xattr *x = &inode->xattrs[i];

		if (squashfs_leaves_out(x->name))
			continue;
		if (!begun)
			r = sqfs_xattr_writer_begin(m->xattrs, 0);
		begun = true;
		if (r == 0)
			r = sqfs_xattr_writer_add(m->xattrs, x->name, x->value, x->len);
	}
	return r || !begun ? r : sqfs_xattr_writer_end(m->xattrs, ret);
}

static int make_dir(struct meta *m, const struct squashfs_entry *entry, sqfs_u32 xattr,
		    sqfs_inode_generic_t **ret)
{
	const struct tree_node *dir = entry->node;
	/* Nobody asks for the parent of the root; mksquashfs writes one more than the last number. */
	sqfs_u32 parent = dir->parent ? dir->parent->inode->mark : (sqfs_u32)m->list->count + 1;
	sqfs_u32 links = 2 + entry->subfolders;
	int r = sqfs_dir_writer_begin(m->dirs, 0);

	for (size_t i = 0; r == 0 && i < dir->child_count; i++) {
		const struct tree_node *child = dir->children[i];

		r = sqfs_dir_writer_add_entry(m->dirs, child->name, child->inode->mark,
					      m->list->items[child->inode->mark - 1].ref,
					      full_mode(child->inode));
	}
	if (r == 0)
		r = sqfs_dir_writer_end(m->dirs);
	if (r)
		return r;
	*ret = sqfs_dir_writer_create_inode(m->dirs, 0, xattr, parent);
	if (!*ret)
		return SQFS_ERROR_ALLOC;
	if ((*ret)->base.type == SQFS_INODE_DIR)
		(*ret)->data.dir.nlink = links;
	else
		(*ret)->data.dir_ext.nlink = links;
	return 0;
}

static int make_file(struct squashfs_entry *entry, sqfs_inode_generic_t **ret)
{
	sqfs_inode_generic_t *inode = MEM_STEAL(entry->file);

	if (entry->links > 1 && inode->base.type == SQFS_INODE_FILE) {
		int r = sqfs_inode_make_extended(inode);

		if (r) {
			sqfs_free(inode);
			return r;
		}
	}
	if (inode->base.type == SQFS_INODE_EXT_FILE)
		inode->data.file_ext.nlink = entry->links;
	*ret = inode;
	return 0;
}

static int make_other(const struct squashfs_entry *entry, sqfs_inode_generic_t **ret)
{
	const struct tree_inode *from = entry->inode;
	size_t len = from->type == TREE_SYMLINK ? strlen(from->target) : 0;
	sqfs_inode_generic_t *inode = calloc(1, sizeof(*inode) + len + 1);

	if (!inode)
		return SQFS_ERROR_ALLOC;
	if (from->type == TREE_SYMLINK) {
		inode->base.type = SQFS_INODE_SLINK;
		inode->data.slink.nlink = entry->links;
		inode->data.slink.target_size = (sqfs_u32)len;
		memcpy(inode->extra, from->target, len);
	} else if (from->type == TREE_FIFO) {
		inode->base.type = SQFS_INODE_FIFO;
		inode->data.ipc.nlink = entry->links;
	} else {
		inode->base.type = from->type == TREE_CHAR ? SQFS_INODE_CDEV : SQFS_INODE_BDEV;
		inode->data.dev.nlink = entry->links;
		/* As new_encode_dev() of Linux. */
		inode->data.dev.devno = (from->minor & 0xff) | from->major << 8 |
					(from->minor & ~(uint32_t)0xff) << 12;
	}
	*ret = inode;
	return 0;
}

static int write_inode(struct meta *m, size_t index)
{
	struct squashfs_entry *entry = &m->list->items[index];
	const struct tree_inode *from = entry->inode;
	sqfs_inode_generic_t *inode = NULL;
	int64_t time = from->mtime < 0 ? 0 : from->mtime;
	sqfs_u32 xattr, offset;
	sqfs_u64 block;
	int r = put_xattrs(m, from, &xattr);

	if (r)
		return r;
	if (from->type == TREE_DIR)
		r = make_dir(m, entry, xattr, &inode);
	else if (from->type == TREE_FILE)
		r = make_file(entry, &inode);
	else
		r = make_other(entry, &inode);
	if (r)
		return r;
	inode->base.mode = full_mode(from);
	inode->base.mod_time = time > UINT32_MAX ? UINT32_MAX : (sqfs_u32)time;
	inode->base.inode_number = (sqfs_u32)index + 1;
	r = sqfs_inode_set_xattr_index(inode, xattr);
	if (r == 0)
		r = sqfs_id_table_id_to_index(m->ids, from->uid, &inode->base.uid_idx);
	if (r == 0)
		r = sqfs_id_table_id_to_index(m->ids, from->gid, &inode->base.gid_idx);
	if (r == 0) {
		sqfs_meta_writer_get_position(m->inodes, &block, &offset);
		entry->ref = block << 16 | offset;
		r = sqfs_meta_writer_write_inode(m->inodes, inode);
	}
	sqfs_free(inode);
	return r;
}

static int write_tables(struct meta *m, struct squashfs_file *file, sqfs_compressor_t *compressor,
			sqfs_frag_table_t *fragments, sqfs_super_t *super)
{
	int r = sqfs_meta_writer_flush(m->inodes);

	if (r == 0)
		r = sqfs_meta_writer_flush(m->entries);
	super->root_inode_ref = m->list->items[m->list->count - 1].ref;
	super->directory_table_start = file->size;
	if (r == 0)
		r = sqfs_meta_write_write_to_file(m->entries);
	if (r == 0)
		r = sqfs_frag_table_write(fragments, &file->base, super, compressor);
	if (r == 0)
		r = sqfs_id_table_write(m->ids, &file->base, super, compressor);
	if (r == 0)
		r = sqfs_xattr_writer_flush(m->xattrs, &file->base, super, compressor);
	return r;
}

int squashfs_write_metadata(struct squashfs_inodes *inodes, struct squashfs_file *file,
			    sqfs_compressor_t *compressor, sqfs_frag_table_t *fragments,
			    sqfs_super_t *super, struct err *err)
{
	struct meta m = {.list = inodes};
	int r = meta_make(&m, file, compressor);

	super->inode_count = (sqfs_u32)inodes->count;
	super->inode_table_start = file->size;
	for (size_t i = 0; r == 0 && i < inodes->count; i++) {
		r = write_inode(&m, i);
		if (r) {
			CLEANUP_FREE char *path = tree_path(inodes->items[i].node);

			squashfs_failed(file, r, "write metadata to", err);
			err_wrap(err, "'%s'", path);
		}
	}
	if (r == 0) {
		r = write_tables(&m, file, compressor, fragments, super);
		if (r)
			squashfs_failed(file, r, "write metadata to", err);
	}
	meta_free(&m);
	return r ? -1 : 0;
}

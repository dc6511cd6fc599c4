/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Content and extended attributes of single inodes. The attributes are read here, not by libsquashfs,
 * which allocates whatever a length says.
 */
#include "disk/squashread_parts.h"

#include "base/mem.h"
#include "disk/endian.h"

#include <sqfs/data_reader.h>
#include <sqfs/error.h>
#include <sqfs/inode.h>
#include <sqfs/xattr.h>

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define PIECE ((size_t)1 << 20)
#define XATTRS_MAX 65536 /* bytes of one inode, as Linux has it for one value */
#define ID_SIZE 16       /* bytes of a descriptor */
#define META_BLOCK 8192

int squashread_content(struct squashread *r, uint64_t ref,
		       int (*take)(const void *bytes, size_t len, void *context, struct err *err),
		       void *context, struct err *err)
{
	CLEANUP_FREE char *bytes = NULL;
	sqfs_inode_generic_t *inode = NULL;
	sqfs_u64 size = 0, at = 0;
	int result = 0;

	if (squashread_get_inode(r, ref, &inode, err) < 0)
		return -1;
	if (!S_ISREG(inode->base.mode) || sqfs_inode_get_file_size(inode, &size) != 0) {
		sqfs_free(inode);
		return squashread_damaged(r, SQFS_ERROR_NOT_FILE, err);
	}
	bytes = mem_alloc(size < PIECE ? (size_t)size : PIECE);
	while (result == 0 && at < size) {
		sqfs_u32 len = size - at < PIECE ? (sqfs_u32)(size - at) : (sqfs_u32)PIECE;
		sqfs_s32 n = sqfs_data_reader_read(r->data, inode, at, bytes, len);

		if (n <= 0)
			result = squashread_damaged(r, n ? n : SQFS_ERROR_CORRUPTED, err);
		else
			result = take(bytes, (size_t)n, context, err);
		at += n > 0 ? (uint64_t)n : 0;
	}
	sqfs_free(inode);
	return result;
}

/* The attributes of one inode, while they are read. */
struct attributes {
	struct squashread *r;
	uint64_t keys; /* where the blocks with names and values begin */
	size_t left;   /* bytes that may still come */
	struct strv lines;
};

static int seek(struct attributes *a, uint64_t ref)
{
	uint64_t end = a->r->super.bytes_used, block = ref >> 16;

	if (a->keys > end || block > end - a->keys || (ref & 0xffff) >= META_BLOCK)
		return SQFS_ERROR_OUT_OF_BOUNDS;
	return sqfs_meta_reader_seek(a->r->attributes, a->keys + block, ref & 0xffff);
}

/* Bytes with their length before them, which is not believed. */
static int read_bytes(struct attributes *a, size_t len, char *bytes)
{
	if (len > a->left)
		return SQFS_ERROR_OVERFLOW;
	a->left -= len;
	return sqfs_meta_reader_read(a->r->attributes, bytes, len);
}

static int read_value(struct attributes *a, char *value, size_t *ret_len)
{
	uint8_t head[4];
	int e = sqfs_meta_reader_read(a->r->attributes, head, sizeof(head));

	*ret_len = e == 0 ? get_le32(head) : 0;
	return e ? e : read_bytes(a, *ret_len, value);
}

/* A value that is stored elsewhere; goes back to the next attribute. */
static int read_far_value(struct attributes *a, char *value, size_t *ret_len)
{
	uint8_t ref[12];
	uint64_t block;
	size_t offset;
	int e = sqfs_meta_reader_read(a->r->attributes, ref, sizeof(ref));

	if (e)
		return e;
	sqfs_meta_reader_get_position(a->r->attributes, &block, &offset);
	e = seek(a, get_le64(ref + 4));
	if (e == 0)
		e = read_value(a, value, ret_len);
	return e ? e : sqfs_meta_reader_seek(a->r->attributes, block, offset);
}

static int read_attribute(struct attributes *a, char *buffer)
{
	static const char *const prefixes[] = {"user.", "trusted.", "security."};
	CLEANUP(str_free) struct str line = {0};
	uint8_t head[4];
	unsigned type;
	size_t len;
	int e = sqfs_meta_reader_read(a->r->attributes, head, sizeof(head));

	if (e)
		return e;
	type = get_le16(head);
	if ((type & SQFS_XATTR_PREFIX_MASK) >= ARRAY_SIZE(prefixes))
		return SQFS_ERROR_UNSUPPORTED;
	len = get_le16(head + 2);
	e = read_bytes(a, len, buffer);
	if (e)
		return e;
	str_add(&line, prefixes[type & SQFS_XATTR_PREFIX_MASK]);
	for (size_t i = 0; i < len; i++)
		if (!buffer[i] || buffer[i] == '\n' || buffer[i] == '=')
			buffer[i] = '?';
	str_add_bytes(&line, buffer, len);
	str_add(&line, "=");
	e = type & SQFS_XATTR_FLAG_OOL ? read_far_value(a, buffer, &len)
				       : read_value(a, buffer, &len);
	for (size_t i = 0; e == 0 && i < len; i++)
		str_addf(&line, "%02x", (unsigned char)buffer[i]);
	if (e == 0)
		strv_add(&a->lines, line.data);
	return e;
}

/* Finds the descriptor by the table that the superblock points to. */
static int read_all(struct attributes *a, uint32_t index)
{
	struct squashread *r = a->r;
	uint64_t table = r->super.xattr_id_table_start, place = (uint64_t)index * ID_SIZE;
	CLEANUP_FREE char *buffer = mem_alloc(XATTRS_MAX);
	uint8_t head[16], location[8], id[ID_SIZE];
	int e = r->file.base.read_at(&r->file.base, table, head, sizeof(head));

	if (e)
		return e;
	if (index >= get_le32(head + 8))
		return SQFS_ERROR_OUT_OF_BOUNDS;
	a->keys = get_le64(head);
	e = r->file.base.read_at(&r->file.base, table + sizeof(head) + place / META_BLOCK * 8,
				 location, sizeof(location));
	if (e == 0)
		e = sqfs_meta_reader_seek(r->attributes, get_le64(location), place % META_BLOCK);
	if (e == 0)
		e = sqfs_meta_reader_read(r->attributes, id, sizeof(id));
	if (e == 0)
		e = seek(a, get_le64(id));
	for (uint32_t i = 0; e == 0 && i < get_le32(id + 8); i++) {
		/* An attribute without name and value takes eight bytes, too. */
		if (a->left < 8)
			return SQFS_ERROR_OVERFLOW;
		a->left -= 8;
		e = read_attribute(a, buffer);
	}
	return e;
}

int squashread_xattrs(struct squashread *r, uint64_t ref, struct str *text, struct err *err)
{
	struct attributes a = {.r = r, .left = XATTRS_MAX};
	sqfs_inode_generic_t *inode = NULL;
	uint32_t index = UINT32_MAX;
	int e;

	if (squashread_get_inode(r, ref, &inode, err) < 0)
		return -1;
	e = sqfs_inode_get_xattr_index(inode, &index);
	sqfs_free(inode);
	if (e == 0 && index == UINT32_MAX)
		return 0;
	if (!r->attributes)
		r->attributes = sqfs_meta_reader_create(&r->file.base, r->compressor, 0,
							r->super.bytes_used);
	if (e == 0)
		e = r->attributes ? read_all(&a, index) : SQFS_ERROR_ALLOC;
	if (e == 0) {
		strv_sort(&a.lines);
		for (size_t i = 0; i < a.lines.count; i++)
			str_addf(text, "%s\n", a.lines.items[i]);
	}
	strv_free(&a.lines);
	return e ? squashread_damaged(r, e, err) : 0;
}

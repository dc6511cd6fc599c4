/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inodes and folders of a squashfs that may be hostile. libsquashfs allocates what an inode claims to
 * need before it reads it, so lengths are looked at first, in the bytes on disk.
 */
#include "disk/squashread_parts.h"

#include "disk/endian.h"

#include <sqfs/dir.h>
#include <sqfs/error.h>
#include <sqfs/inode.h>

#include <stdbool.h>

#define HEAD 16                         /* bytes that all inodes begin with */
#define BLOCKS_MAX ((uint64_t)16 << 20) /* of a file: 2 TiB in blocks of 128 KiB */
#define TARGET_MAX 65535

/* Names in the index of a large folder; the lengths are of any size for libsquashfs. */
static int check_index(sqfs_meta_reader_t *m, uint32_t count)
{
	uint8_t entry[12], name[SQFS_MAX_DIR_ENT];
	int e = 0;

	for (uint32_t i = 0; e == 0 && i < count; i++) {
		e = sqfs_meta_reader_read(m, entry, sizeof(entry));
		if (e == 0 && get_le32(entry + 8) >= SQFS_MAX_DIR_ENT)
			e = SQFS_ERROR_CORRUPTED;
		if (e == 0)
			e = sqfs_meta_reader_read(m, name, get_le32(entry + 8) + 1);
	}
	return e;
}

static int check_inode(const struct squashread *r, uint64_t block, uint32_t offset)
{
	uint8_t head[HEAD], more[24];
	int e = sqfs_meta_reader_seek(r->inodes, r->super.inode_table_start + block, offset);

	if (e == 0)
		e = sqfs_meta_reader_read(r->inodes, head, sizeof(head));
	if (e)
		return e;
	switch (get_le16(head)) {
	case SQFS_INODE_EXT_FILE:
		e = sqfs_meta_reader_read(r->inodes, more, 16);
		if (e == 0 && get_le64(more + 8) / r->super.block_size >= BLOCKS_MAX)
			e = SQFS_ERROR_CORRUPTED;
		return e;
	case SQFS_INODE_SLINK:
	case SQFS_INODE_EXT_SLINK:
		e = sqfs_meta_reader_read(r->inodes, more, 8);
		if (e == 0 && get_le32(more + 4) > TARGET_MAX)
			e = SQFS_ERROR_CORRUPTED;
		return e;
	case SQFS_INODE_EXT_DIR:
		e = sqfs_meta_reader_read(r->inodes, more, 24);
		return e ? e : check_index(r->inodes, get_le16(more + 16));
	default:
		return 0;
	}
}

int squashread_get_inode(struct squashread *r, uint64_t ref, sqfs_inode_generic_t **ret,
			 struct err *err)
{
	uint64_t block = ref >> 16;
	uint32_t offset = ref & 0xffff;
	int e = check_inode(r, block, offset);

	*ret = NULL;
	if (e == 0)
		e = sqfs_meta_reader_read_inode(r->inodes, &r->super, block, offset, ret);
	return e ? squashread_damaged(r, e, err) : 0;
}

int squashread_open_dir(struct squashread *r, const sqfs_inode_generic_t *dir,
			sqfs_readdir_state_t *state, struct err *err)
{
	int e = sqfs_readdir_state_init(state, &r->super, dir);

	return e ? squashread_damaged(r, e, err) : 0;
}

int squashread_next(struct squashread *r, sqfs_readdir_state_t *state, sqfs_dir_entry_t **ret,
		    uint64_t *ret_ref, struct err *err)
{
	sqfs_u32 number;
	sqfs_u64 ref;
	int e = sqfs_meta_reader_readdir(r->entries, state, ret, &number, &ref);

	if (e < 0)
		return squashread_damaged(r, e, err);
	*ret_ref = ref;
	return e == 0;
}

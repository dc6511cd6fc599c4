/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The compressors of the squashfs writer: those of libsquashfs behind a check that keeps a block plain
 * when it did not become smaller. Some of them (lz4) hand out blocks that grew, which unsquashfs
 * refuses as damaged.
 */
#include "disk/squashfs_parts.h"

#include "base/mem.h"

#include <sqfs/error.h>

#include <stdlib.h>
#include <string.h>

struct method {
	const char *name;
	SQFS_COMPRESSOR id;
	uint32_t min, max; /* levels */
};

static const struct method methods[] = {
	{"zstd", SQFS_COMP_ZSTD, SQFS_ZSTD_MIN_LEVEL, SQFS_ZSTD_MAX_LEVEL},
	{"lz4", SQFS_COMP_LZ4, 0, UINT32_MAX},
	{"xz", SQFS_COMP_XZ, SQFS_XZ_MIN_LEVEL, SQFS_XZ_MAX_LEVEL},
	{"gzip", SQFS_COMP_GZIP, SQFS_GZIP_MIN_LEVEL, SQFS_GZIP_MAX_LEVEL},
};

struct checked {
	sqfs_compressor_t base; /* first, so that a sqfs_compressor_t * is also one of these */
	sqfs_compressor_t *inner;
};

static sqfs_compressor_t *checked_make(sqfs_compressor_t *inner);

static sqfs_compressor_t *inner_of(const void *object)
{
	return ((const struct checked *)object)->inner;
}

static void destroy(sqfs_object_t *object)
{
	sqfs_destroy(inner_of(object));
	free(object);
}

/* Each thread gets a copy. */
static sqfs_object_t *copy(const sqfs_object_t *object)
{
	sqfs_compressor_t *inner = sqfs_copy(inner_of(object));

	return inner ? &checked_make(inner)->base : NULL;
}

static void get_configuration(const sqfs_compressor_t *base, sqfs_compressor_config_t *config)
{
	inner_of(base)->get_configuration(inner_of(base), config);
}

static int write_options(sqfs_compressor_t *base, sqfs_file_t *file)
{
	return inner_of(base)->write_options(inner_of(base), file);
}

static int read_options(sqfs_compressor_t *base, sqfs_file_t *file)
{
	return inner_of(base)->read_options(inner_of(base), file);
}

/* 0 means that the block is better stored as it is. */
static sqfs_s32 do_block(sqfs_compressor_t *base, const sqfs_u8 *in, sqfs_u32 size, sqfs_u8 *out,
			 sqfs_u32 room)
{
	sqfs_s32 r = inner_of(base)->do_block(inner_of(base), in, size, out, room);

	return r > 0 && (sqfs_u32)r >= size ? 0 : r;
}

static sqfs_compressor_t *checked_make(sqfs_compressor_t *inner)
{
	struct checked *checked = mem_alloc(sizeof(*checked));

	*checked = (struct checked){
		.base = {.base = {.destroy = destroy, .copy = copy},
			 .get_configuration = get_configuration,
			 .write_options = write_options,
			 .read_options = read_options,
			 .do_block = do_block},
		.inner = inner,
	};
	return &checked->base;
}

static int find_method(const struct squashfs_options *o, const struct method **ret, struct err *err)
{
	const struct method *method = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(methods); i++)
		if (strcmp(methods[i].name, o->compression) == 0)
			method = &methods[i];
	if (!method)
		return err_set(err, ERR_PROFILE, "cannot write a squashfs: no compression '%s'",
			       o->compression);
	if (o->level < method->min || o->level > method->max)
		return err_set(err, ERR_PROFILE,
			       "cannot write a squashfs: %s has levels %u to %u, not %u",
			       method->name, method->min, method->max, o->level);
	if (o->block < SQFS_MIN_BLOCK_SIZE || o->block > SQFS_MAX_BLOCK_SIZE ||
	    o->block & (o->block - 1))
		return err_set(err, ERR_PROFILE,
			       "cannot write a squashfs: blocks are a power of two from 4096 to "
			       "1048576, not %u bytes",
			       o->block);
	*ret = method;
	return 0;
}

int squashfs_compressors_make(const struct squashfs_options *options,
			      sqfs_compressor_t **ret_compressor,
			      sqfs_compressor_t **ret_uncompressor, struct err *err)
{
	const struct method *method = NULL;
	sqfs_compressor_t *inner = NULL;
	sqfs_compressor_config_t config;
	int r;

	if (find_method(options, &method, err) < 0)
		return -1;
	r = sqfs_compressor_config_init(&config, method->id, options->block, 0);
	if (r == 0 && method->id != SQFS_COMP_LZ4)
		config.level = options->level;
	if (r == 0)
		r = sqfs_compressor_create(&config, &inner);
	if (r == 0)
		*ret_compressor = checked_make(inner);
	config.flags |= SQFS_COMP_FLAG_UNCOMPRESS;
	if (r == 0)
		r = sqfs_compressor_create(&config, ret_uncompressor);
	if (r)
		return err_set(err, ERR_TOOL,
			       "cannot write a squashfs: the installed libsquashfs cannot do %s",
			       method->name);
	return 0;
}

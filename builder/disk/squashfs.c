/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes a tree as a squashfs: superblock, compressed content, then the metadata. libsquashfs's block
 * processor compresses in threads and gives the blocks back in order, so the number of threads does not
 * show in the bytes. Each segment has a processor of its own: what it finds twice is in this segment only.
 */
#include "disk/squashfs.h"

#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "disk/squashfs_parts.h"

#include <sqfs/block_processor.h>
#include <sqfs/block_writer.h>
#include <sqfs/compressor.h>
#include <sqfs/error.h>
#include <sqfs/frag_table.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READ_SIZE ((size_t)1 << 20)      /* bytes of content per read */
#define QUEUE_BYTES ((uint64_t)64 << 20) /* blocks on their way, at most */
#define JOBS_MAX 256

struct writer {
	const struct squashfs_options *options;
	struct squashfs_file file;
	struct squashfs_inodes inodes;
	sqfs_super_t super;
	sqfs_compressor_t *compressor, *uncompressor;
	sqfs_frag_table_t *fragments;
	sqfs_block_writer_t *blocks;
	sqfs_block_processor_t *processor;
	struct squashfs_parts parts;
	char *buffer;
	uint64_t backlog; /* blocks that may be on their way */
	uint64_t done;
	void (*progress)(uint64_t done, uint64_t total, void *context);
	void *context;
};

static void stop_processor(struct writer *w)
{
	/* libsquashfs does not free what is in its queue, so after an error take that out: each call
	 * gets at least one block further. */
	for (uint64_t i = 0; w->processor && i < w->backlog; i++)
		if (sqfs_block_processor_sync(w->processor) == 0)
			break;
	sqfs_destroy(w->processor);
	sqfs_destroy(w->blocks);
	w->processor = NULL;
	w->blocks = NULL;
}

static void writer_free(struct writer *w)
{
	stop_processor(w); /* first: its threads use the others */
	sqfs_destroy(w->fragments);
	sqfs_destroy(w->uncompressor);
	sqfs_destroy(w->compressor);
	squashfs_parts_free(&w->parts);
	squashfs_inodes_free(&w->inodes);
	free(w->buffer);
}

/* The superblock's place and the compressor's options. */
static int start(struct writer *w, struct err *err)
{
	int64_t time = w->options->time < 0 ? 0 : w->options->time;
	sqfs_compressor_config_t config;
	int r;

	if (squashfs_compressors_make(w->options, &w->compressor, &w->uncompressor, err) < 0)
		return -1;
	w->compressor->get_configuration(w->compressor, &config);
	r = sqfs_super_init(&w->super, w->options->block,
			    time > UINT32_MAX ? UINT32_MAX : (sqfs_u32)time, config.id);
	/* In spite of its name in libsquashfs: mksquashfs sets it when it looks for duplicates. */
	w->super.flags |= SQFS_FLAG_NO_DUPLICATES;
	if (r == 0)
		r = sqfs_super_write(&w->super, &w->file.base);
	if (r == 0) {
		r = w->compressor->write_options(w->compressor, &w->file.base);
		if (r > 0)
			w->super.flags |= SQFS_FLAG_COMPRESSOR_OPTIONS;
		r = r > 0 ? 0 : r;
	}
	return r ? squashfs_failed(&w->file, r, "write", err) : 0;
}

static int make_processor(struct writer *w, struct err *err)
{
	const struct squashfs_options *o = w->options;
	sqfs_block_processor_desc_t desc = {.size = sizeof(desc)};
	int r;

	w->backlog = 8 * (uint64_t)o->jobs + 8;
	if (w->backlog * o->block > QUEUE_BYTES)
		w->backlog = QUEUE_BYTES / o->block;
	w->blocks = sqfs_block_writer_create(&w->file.base, SQFS_DEVBLK_SIZE, 0);
	if (!w->blocks)
		return squashfs_failed(&w->file, SQFS_ERROR_ALLOC, "write", err);
	desc.max_block_size = o->block;
	desc.num_workers = o->jobs;
	desc.max_backlog = (sqfs_u32)w->backlog;
	desc.cmp = w->compressor;
	desc.wr = w->blocks;
	desc.tbl = w->fragments;
	/* To compare fragments that have the same checksum byte by byte. */
	desc.file = &w->file.base;
	desc.uncmp = w->uncompressor;
	r = sqfs_block_processor_create_ex(&desc, &w->processor);
	return r ? squashfs_failed(&w->file, r, "start threads to write", err) : 0;
}

static void advance(struct writer *w, uint64_t bytes)
{
	w->done += bytes;
	if (w->progress)
		w->progress(w->done, w->inodes.content, w->context);
}

static int append(struct writer *w, const void *bytes, size_t len, struct err *err)
{
	int r = sqfs_block_processor_append(w->processor, bytes, len);

	if (r)
		return squashfs_failed(&w->file, r, "write", err);
	advance(w, len);
	return 0;
}

static int write_data(struct writer *w, const struct tree_data *data, const char *path,
		      struct err *err)
{
	uint64_t at = 0;

	while (at < data->size) {
		size_t len = data->size - at < READ_SIZE ? (size_t)(data->size - at) : READ_SIZE;
		const char *bytes = w->buffer;

		if (data->bytes)
			bytes = (const char *)data->bytes + at;
		else if (fd_pread(data->fd, w->buffer, len, data->offset + at, path, err) < 0)
			return -1;
		if (append(w, bytes, len, err) < 0)
			return -1;
		at += len;
	}
	return 0;
}

static int write_file(struct writer *w, struct squashfs_entry *entry, struct err *err)
{
	CLEANUP_FREE char *path = tree_path(entry->node);
	int r = sqfs_block_processor_begin_file(w->processor, &entry->file, NULL, 0);

	if (r)
		return squashfs_failed(&w->file, r, "write", err);
	if (write_data(w, &entry->inode->data, path, err) < 0)
		return -1;
	r = sqfs_block_processor_end_file(w->processor);
	return r ? squashfs_failed(&w->file, r, "write", err) : 0;
}

/* Segments are whole blocks, so that a file system that shares blocks between files can copy them without
 * writing. */
static int pad(struct writer *w, struct err *err)
{
	static const char zeros[SQUASHFS_PAD];
	size_t rest = (size_t)(w->file.size % SQUASHFS_PAD);
	int r = 0;

	if (rest)
		r = w->file.base.write_at(&w->file.base, w->file.size, zeros, SQUASHFS_PAD - rest);
	return r ? squashfs_failed(&w->file, r, "write", err) : 0;
}

static int compress_part(struct writer *w, struct squashfs_part *part, struct err *err)
{
	int r;

	if (make_processor(w, err) < 0)
		return -1;
	for (size_t i = 0; i < part->count; i++)
		if (write_file(w, &w->inodes.items[part->items[i]], err) < 0)
			return -1;
	r = sqfs_block_processor_finish(w->processor);
	if (r)
		return squashfs_failed(&w->file, r, "write", err);
	stop_processor(w);
	return 0;
}

/* Returns 1, or 0 when the store has no sound segment (nothing has changed then), or -1. */
static int copy_part(struct writer *w, struct squashfs_part *part, struct err *err)
{
	const struct squashfs_store *store = w->options->store;
	struct squashfs_segment segment = {.key = part->key, .fd = -1};
	struct err ignored = {0};
	uint64_t size;
	int r = 0;

	if (!store->find(store->context, &segment))
		return 0;
	if (fd_size(segment.fd, w->file.name, &size, &ignored) == 0 && segment.offset <= size &&
	    segment.length <= size - segment.offset)
		r = squashfs_record_load(&segment, part, &w->inodes, w->options->block,
					 w->fragments, &w->file, err);
	if (r > 0 && fd_copy(segment.fd, segment.offset, w->file.fd, part->start, segment.length,
			     w->file.name, err) < 0)
		r = -1;
	if (r > 0) {
		part->reused = true;
		w->file.size = part->end;
		advance(w, part->bytes);
	} else if (r == 0) {
		store->discard(store->context, &part->key);
	}
	fd_close(&segment.fd);
	str_free(&segment.record);
	return r;
}

static int write_segment(struct writer *w, struct squashfs_part *part, bool trust, struct err *err)
{
	const bool store = w->options->store != NULL;
	int r = 0;

	if (part->count && pad(w, err) < 0)
		return -1;
	part->start = part->end = w->file.size;
	part->fragment = sqfs_frag_table_get_size(w->fragments);
	if (part->count == 0)
		return 0;
	if (store && trust)
		r = copy_part(w, part, err);
	if (r)
		return r < 0 ? -1 : 0;
	if (compress_part(w, part, err) < 0 || pad(w, err) < 0)
		return -1;
	part->end = w->file.size;
	part->fragments = sqfs_frag_table_get_size(w->fragments) - part->fragment;
	if (store)
		squashfs_record_save(part, &w->inodes, w->fragments);
	return 0;
}

static int finish(struct writer *w, struct err *err)
{
	int r;

	if (squashfs_write_metadata(&w->inodes, &w->file, w->compressor, w->fragments, &w->super,
				    err) < 0)
		return -1;
	w->super.bytes_used = w->file.size;
	r = sqfs_super_write(&w->super, &w->file.base);
	return r ? squashfs_failed(&w->file, r, "write", err) : pad(w, err);
}

static int write_all(struct writer *w, const struct tree *tree, bool trust, struct err *err)
{
	if (squashfs_inodes_number(tree, &w->inodes, err) < 0 ||
	    squashfs_parts_make(&w->inodes, w->options, &w->parts, err) < 0 || start(w, err) < 0)
		return -1;
	w->buffer = mem_alloc(READ_SIZE);
	w->fragments = sqfs_frag_table_create(0);
	if (!w->fragments)
		return squashfs_failed(&w->file, SQFS_ERROR_ALLOC, "write", err);
	for (size_t i = 0; i < w->parts.count; i++)
		if (write_segment(w, &w->parts.items[i], trust, err) < 0)
			return -1;
	if (compress_part(w, &w->parts.items[w->parts.count], err) < 0)
		return -1;
	return finish(w, err);
}

/* True when all that came from the store is what its records say. */
static bool is_sound(const struct writer *w)
{
	const struct squashfs_store *store = w->options->store;
	bool sound = true;

	for (size_t i = 0; i < w->parts.count; i++) {
		const struct squashfs_part *part = &w->parts.items[i];

		if (!part->reused ||
		    memcmp(part->digest.bytes, part->expected.bytes, DIGEST_SIZE) == 0)
			continue;
		store->discard(store->context, &part->key);
		sound = false;
	}
	return sound;
}

static void keep_new(struct writer *w)
{
	const struct squashfs_store *store = w->options->store;
	CLEANUP_FREE struct squashfs_segment *segments =
		mem_alloc_array(w->parts.count, sizeof(*segments));
	size_t count = 0;

	for (size_t i = 0; i < w->parts.count; i++) {
		struct squashfs_part *part = &w->parts.items[i];

		if (part->count == 0 || part->reused)
			continue;
		squashfs_record_seal(part);
		segments[count++] =
			(struct squashfs_segment){.key = part->key,
						  .fd = w->file.fd,
						  .offset = part->start,
						  .length = part->end - part->start,
						  .record = part->record /* stays the part's */};
	}
	if (count)
		store->keep(store->context, segments, count, w->file.size);
}

static void count_segments(const struct squashfs_parts *parts, struct squashfs_result *ret)
{
	for (size_t i = 0; i < parts->count; i++) {
		ret->segments += parts->items[i].count > 0;
		ret->reused += parts->items[i].reused;
	}
}

/* With trust content is taken from the store; *ret_sound is false when some of it turned out damaged. */
static int write_once(const struct tree *tree, struct writer *w, bool trust, bool *ret_sound,
		      struct squashfs_result *ret, struct err *err)
{
	int r;

	*ret = (struct squashfs_result){0};
	*ret_sound = true;
	r = write_all(w, tree, trust, err);
	if (r == 0)
		r = squashfs_hash(&w->file, w->options, &w->parts, ret, err);
	ret->size = w->file.size;
	ret->inodes = w->inodes.count;
	count_segments(&w->parts, ret);
	if (r == 0 && w->options->store) {
		*ret_sound = is_sound(w);
		if (*ret_sound)
			keep_new(w);
	}
	writer_free(w);
	return r;
}

int squashfs_write(const struct tree *tree, const struct squashfs_options *options, int fd,
		   const char *name, void (*progress)(uint64_t done, uint64_t total, void *context),
		   void *context, struct squashfs_result *ret, struct err *err)
{
	bool trust = true, sound = false;

	if (options->jobs < 1 || options->jobs > JOBS_MAX)
		return err_set(err, ERR_PROFILE, "cannot write '%s' with %u jobs", name,
			       options->jobs);
	for (;; trust = false) {
		struct writer w = {.options = options, .progress = progress, .context = context};

		squashfs_file_init(&w.file, fd, name);
		if (write_once(tree, &w, trust, &sound, ret, err) < 0)
			return -1;
		if (sound)
			return 0;
		log_warn("cached content of '%s' is damaged and is made again", name);
		str_free(&ret->hash_area);
		if (ftruncate(fd, 0) < 0)
			return err_sys(err, errno, "cannot write '%s'", name);
	}
}

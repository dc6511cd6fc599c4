/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes a tree as a squashfs: superblock, compressed content, then the metadata. libsquashfs's block
 * processor compresses in threads and gives the blocks back in order, so the number of threads does not
 * show in the bytes.
 */
#include "disk/squashfs.h"

#include "base/fd.h"
#include "base/mem.h"
#include "disk/squashfs_parts.h"

#include <sqfs/block_processor.h>
#include <sqfs/block_writer.h>
#include <sqfs/compressor.h>
#include <sqfs/error.h>
#include <sqfs/frag_table.h>

#include <stdlib.h>

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
	struct squashfs_archived archived;
	bool stage_archived; /* now written are the archived files, else all others */
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
	free(w->archived.items);
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

static int write_content(struct writer *w, const struct tree_data *data, const char *path,
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

static int visit(const struct tree_node *node, const char *path, void *context, struct err *err)
{
	struct writer *w = context;
	struct squashfs_entry *entry = &w->inodes.items[node->inode->mark - 1];
	int r;

	if (node->inode->type != TREE_FILE || entry->file || entry->archived != w->stage_archived)
		return 0;
	r = sqfs_block_processor_begin_file(w->processor, &entry->file, NULL, 0);
	if (r)
		return squashfs_failed(&w->file, r, "write", err);
	if (write_content(w, &node->inode->data, path, err) < 0)
		return -1;
	r = sqfs_block_processor_end_file(w->processor);
	return r ? squashfs_failed(&w->file, r, "write", err) : 0;
}

static int finish(struct writer *w, struct err *err)
{
	static const char zeros[SQUASHFS_PAD];
	size_t rest;
	int r;

	if (squashfs_write_metadata(&w->inodes, &w->file, w->compressor, w->fragments, &w->super,
				    err) < 0)
		return -1;
	w->super.bytes_used = w->file.size;
	r = sqfs_super_write(&w->super, &w->file.base);
	rest = (size_t)(w->file.size % SQUASHFS_PAD);
	if (r == 0 && rest)
		r = w->file.base.write_at(&w->file.base, w->file.size, zeros, SQUASHFS_PAD - rest);
	return r ? squashfs_failed(&w->file, r, "write", err) : 0;
}

/* Archived files and the others know nothing of each other, so that the bytes of the first do not depend
 * on the second and can be taken over. */
static int write_stage(struct writer *w, const struct tree *tree, bool archived, struct err *err)
{
	int r;

	w->stage_archived = archived;
	if (make_processor(w, err) < 0 || tree_walk(tree, visit, w, err) < 0)
		return -1;
	r = sqfs_block_processor_finish(w->processor);
	if (r)
		return squashfs_failed(&w->file, r, "write", err);
	stop_processor(w);
	return 0;
}

static int write_all(struct writer *w, const struct tree *tree, struct squashfs_result *ret,
		     struct err *err)
{
	int reused;

	if (squashfs_inodes_number(tree, &w->inodes, err) < 0 ||
	    squashfs_archived_list(tree, &w->inodes, &w->archived, err) < 0 || start(w, err) < 0)
		return -1;
	w->buffer = mem_alloc(READ_SIZE);
	w->fragments = sqfs_frag_table_create(0);
	if (!w->fragments)
		return squashfs_failed(&w->file, SQFS_ERROR_ALLOC, "write", err);
	reused = squashfs_content_restore(&w->archived, w->options, &w->file, w->fragments, err);
	if (reused < 0 || (!reused && write_stage(w, tree, true, err) < 0))
		return -1;
	ret->reused = reused;
	if (reused)
		advance(w, w->archived.bytes);
	if (w->options->archives)
		squashfs_content_save(&w->archived, w->options, &w->file, w->fragments,
				      &ret->content);
	if (write_stage(w, tree, false, err) < 0)
		return -1;
	return finish(w, err);
}

int squashfs_write(const struct tree *tree, const struct squashfs_options *options, int fd,
		   const char *name, void (*progress)(uint64_t done, uint64_t total, void *context),
		   void *context, struct squashfs_result *ret, struct err *err)
{
	struct writer w = {.options = options, .progress = progress, .context = context};
	int r;

	if (options->jobs < 1 || options->jobs > JOBS_MAX)
		return err_set(err, ERR_PROFILE, "cannot write '%s' with %u jobs", name,
			       options->jobs);
	squashfs_file_init(&w.file, fd, name);
	*ret = (struct squashfs_result){0};
	r = write_all(&w, tree, ret, err);
	if (r == 0)
		r = squashfs_hash(&w.file, options, ret, err);
	ret->size = w.file.size;
	ret->inodes = w.inodes.count;
	if (r < 0)
		str_free(&ret->content);
	writer_free(&w);
	return r;
}

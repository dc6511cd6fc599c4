/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pass over a disk: workers read chunks and compress them in any order, one thread per file
 * writes them in theirs, and one more takes the digest of the disk. Between them is a ring of slots;
 * blocks, of which there are far fewer, are only for chunks that have content, so that a file can be
 * ahead of another one over a long hole. Deflate is done once for all files that want it.
 */
#include "output/output.h"

#include "base/fd.h"
#include "base/image.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/size.h"
#include "output/compress.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#define JOBS_MAX 256
#define SLOTS 1024

enum slot_state { SLOT_FREE, SLOT_WORKING, SLOT_READY };

/* The content of a chunk. */
struct block {
	struct block *next; /* in the list of those that no slot has */
	uint8_t *bytes;     /* OUTPUT_CHUNK */
	uint8_t *packed;    /* room for the grains, or NULL: none are wanted */
	struct output_grain grains[OUTPUT_CLUSTERS];
};

struct slot {
	enum slot_state state;
	uint64_t index; /* of the chunk that it holds */
	struct output_chunk chunk;
	struct block *block; /* NULL: no region has a part of the chunk */
	void *prepared[OUTPUT_TARGETS_MAX];
	size_t written; /* writers that have it */
};

struct pass {
	const struct region_list *regions;
	const struct output_target *targets;
	struct output_sink *sinks[OUTPUT_TARGETS_MAX];
	struct outfile files[OUTPUT_TARGETS_MAX];
	struct output_result *results;
	size_t count; /* of targets; there is one writer more, which takes the digest of the disk */
	uint64_t chunks;
	struct compressor *deflate; /* NULL: no target wants grains */
	struct digest_ctx *digest;
	pthread_mutex_t image_lock; /* held while reading from an image: one thread may */

	/* Guarded by lock. */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct slot *slots;   /* SLOTS of them */
	struct block *blocks; /* those that no slot has */
	uint64_t next;        /* chunk for the next worker */
	uint64_t done;        /* chunks that all writers have */
	size_t finished;      /* writers */
	bool digested;        /* content is complete */
	struct output_content content;
	bool failed;
	struct err err; /* the first one */
};

struct writer {
	struct pass *pass;
	size_t target; /* count: the one for the digest */
	pthread_t thread;
};

static bool is_zero(const uint8_t *bytes, size_t len)
{
	return bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0;
}

/* The first region that ends behind offset. */
static size_t region_at(const struct region_list *regions, uint64_t offset)
{
	size_t low = 0, high = regions->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct region *r = &regions->items[middle];

		if (r->offset + r->length <= offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool has_content(const struct region_list *regions, uint64_t chunk)
{
	size_t i = region_at(regions, chunk * OUTPUT_CHUNK);

	return i < regions->count && regions->items[i].offset < (chunk + 1) * OUTPUT_CHUNK;
}

/* Reads len bytes at offset of the region. */
static int read_region(struct pass *pass, const struct region *r, uint8_t *to, size_t len,
		       uint64_t offset, struct err *err)
{
	int ret;

	if (r->bytes) {
		memcpy(to, (const uint8_t *)r->bytes + offset, len);
		return 0;
	}
	if (!r->image)
		return fd_pread(r->fd, to, len, r->source_offset + offset,
				r->name ? r->name : "content of the disk", err);
	pthread_mutex_lock(&pass->image_lock);
	ret = r->image->pread(r->image, to, len, r->source_offset + offset, err);
	pthread_mutex_unlock(&pass->image_lock);
	return ret;
}

/* Reads the chunk into the slot's block; what no region covers is zero. */
static int fill(struct pass *pass, struct slot *slot, struct err *err)
{
	const struct region_list *regions = pass->regions;
	uint64_t start = slot->index * OUTPUT_CHUNK, at = start, end;
	size_t i = region_at(regions, start);
	uint8_t *bytes;

	end = regions->size - start < OUTPUT_CHUNK ? regions->size : start + OUTPUT_CHUNK;
	slot->chunk = (struct output_chunk){.offset = start, .len = (size_t)(end - start)};
	if (!slot->block)
		return 0;
	bytes = slot->block->bytes;
	for (; i < regions->count && regions->items[i].offset < end; i++) {
		const struct region *r = &regions->items[i];
		uint64_t from = r->offset > start ? r->offset : start;
		uint64_t to = r->offset + r->length < end ? r->offset + r->length : end;
		uint8_t *target = bytes + (from - start);

		memset(bytes + (at - start), 0, from - at);
		if (read_region(pass, r, target, to - from, from - r->offset, err) < 0)
			return -1;
		at = to;
	}
	/* To the end of the buffer: the last cluster of the disk may be shorter than the others. */
	memset(bytes + (at - start), 0, OUTPUT_CHUNK - (at - start));
	for (unsigned c = 0; c < OUTPUT_CLUSTERS; c++)
		if (is_zero(bytes + c * OUTPUT_CLUSTER, OUTPUT_CLUSTER))
			slot->chunk.zero |= (uint16_t)(1u << c);
	if (slot->chunk.zero != (1u << OUTPUT_CLUSTERS) - 1)
		slot->chunk.bytes = bytes;
	return 0;
}

static void deflate(const struct pass *pass, struct slot *slot)
{
	struct block *block = slot->block;
	uint8_t *to = block->packed;

	for (unsigned c = 0; c < OUTPUT_CLUSTERS; c++) {
		const uint8_t *cluster = block->bytes + c * OUTPUT_CLUSTER;

		block->grains[c] = (struct output_grain){.bytes = to};
		if (slot->chunk.zero & 1u << c)
			continue;
		block->grains[c].len =
			(uint32_t)compressor_run(pass->deflate, cluster, to, COMPRESS_GRAIN_MAX);
		compress_checksums(cluster, &block->grains[c].crc32, &block->grains[c].adler32);
		to += block->grains[c].len + 2; /* the empty last block */
	}
	slot->chunk.grains = block->grains;
}

static void add_block(struct pass *pass, struct block *block)
{
	block->next = pass->blocks;
	pass->blocks = block;
}

/* Keeps the first error and lets all threads end. Call with the lock held. */
static void fail(struct pass *pass, const struct err *err)
{
	if (!pass->failed)
		pass->err = *err;
	pass->failed = true;
	pthread_cond_broadcast(&pass->changed);
}

static void *run_worker(void *context)
{
	struct pass *pass = context;
	struct err err = {0};

	pthread_mutex_lock(&pass->lock);
	while (!pass->failed && pass->next < pass->chunks) {
		struct slot *slot = &pass->slots[pass->next % SLOTS];
		bool content = has_content(pass->regions, pass->next);
		int ret;

		/* Blocks are given out in the order of the chunks: the writers wait for the first. */
		if (slot->state != SLOT_FREE || (content && !pass->blocks)) {
			pthread_cond_wait(&pass->changed, &pass->lock);
			continue;
		}
		if (content) {
			slot->block = pass->blocks;
			pass->blocks = slot->block->next;
		}
		slot->state = SLOT_WORKING;
		slot->index = pass->next++;
		pthread_mutex_unlock(&pass->lock);

		ret = fill(pass, slot, &err);
		if (ret == 0 && pass->deflate && slot->chunk.bytes)
			deflate(pass, slot);
		for (size_t i = 0; ret == 0 && i < pass->count; i++)
			if (pass->targets[i].format->prepare)
				slot->prepared[i] = pass->targets[i].format->prepare(pass->sinks[i],
										     &slot->chunk);

		pthread_mutex_lock(&pass->lock);
		if (ret < 0)
			fail(pass, &err);
		slot->state = SLOT_READY;
		pthread_cond_broadcast(&pass->changed);
	}
	pthread_mutex_unlock(&pass->lock);
	return NULL;
}

/* Waits for a chunk; NULL when something failed. */
static struct slot *wait_chunk(struct pass *pass, uint64_t index)
{
	struct slot *slot = &pass->slots[index % SLOTS];

	pthread_mutex_lock(&pass->lock);
	while (!pass->failed && !(slot->state == SLOT_READY && slot->index == index))
		pthread_cond_wait(&pass->changed, &pass->lock);
	if (pass->failed)
		slot = NULL;
	pthread_mutex_unlock(&pass->lock);
	return slot;
}

/* Tells that one more writer has the chunk; the last one frees the slot. */
static void release(struct pass *pass, struct slot *slot)
{
	pthread_mutex_lock(&pass->lock);
	if (++slot->written == pass->count + 1) {
		slot->written = 0;
		slot->state = SLOT_FREE;
		if (slot->block)
			add_block(pass, MEM_STEAL(slot->block));
		pass->done++;
		pthread_cond_broadcast(&pass->changed);
	}
	pthread_mutex_unlock(&pass->lock);
}

static void add_zeros(struct digest_ctx *digest, size_t len)
{
	static const uint8_t zeros[OUTPUT_CLUSTER];

	for (size_t n; len > 0; len -= n) {
		n = len < sizeof(zeros) ? len : sizeof(zeros);
		digest_add(digest, zeros, n);
	}
}

static void digest_chunks(struct pass *pass)
{
	struct digest_ctx *end = digest_start();

	for (uint64_t i = 0; i < pass->chunks; i++) {
		struct slot *slot = wait_chunk(pass, i);

		if (!slot)
			break; /* the error is another thread's */
		if (slot->chunk.bytes)
			digest_add(pass->digest, slot->chunk.bytes, slot->chunk.len);
		else
			add_zeros(pass->digest, slot->chunk.len);
		release(pass, slot);
	}
	digest_restart_from(end, pass->digest);
	pthread_mutex_lock(&pass->lock);
	digest_finish(end, &pass->content.digest);
	pass->content.running = pass->digest;
	pass->digested = true;
	pthread_cond_broadcast(&pass->changed);
	pthread_mutex_unlock(&pass->lock);
}

/* Waits for the digest of the disk; false when something failed. */
static bool wait_content(struct pass *pass)
{
	bool failed;

	pthread_mutex_lock(&pass->lock);
	while (!pass->failed && !pass->digested)
		pthread_cond_wait(&pass->changed, &pass->lock);
	failed = pass->failed;
	pthread_mutex_unlock(&pass->lock);
	return !failed;
}

static int write_chunks(struct pass *pass, size_t target, struct err *err)
{
	const struct output_format *format = pass->targets[target].format;

	for (uint64_t i = 0; i < pass->chunks; i++) {
		struct slot *slot = wait_chunk(pass, i);

		if (!slot)
			return 0; /* the error is another thread's */
		if (format->write(pass->sinks[target], &slot->chunk,
				  MEM_STEAL(slot->prepared[target]), err) < 0)
			return -1;
		release(pass, slot);
	}
	if (!wait_content(pass))
		return 0;
	if (format->finish(pass->sinks[target], &pass->content, &pass->results[target].digest,
			   err) < 0)
		return -1;
	/* Here, because the files then wait for the disk beside each other. */
	if (!pass->targets[target].options.no_sync && fsync(pass->files[target].fd) < 0)
		return err_sys(err, errno, "cannot sync '%s'", pass->targets[target].path);
	return fd_size(pass->files[target].fd, pass->targets[target].path,
		       &pass->results[target].size, err);
}

static void *run_writer(void *context)
{
	struct writer *writer = context;
	struct pass *pass = writer->pass;
	struct err err = {0};
	int ret = 0;

	if (writer->target < pass->count)
		ret = write_chunks(pass, writer->target, &err);
	else
		digest_chunks(pass);

	pthread_mutex_lock(&pass->lock);
	if (ret < 0)
		fail(pass, &err);
	pass->finished++;
	pthread_cond_broadcast(&pass->changed);
	pthread_mutex_unlock(&pass->lock);
	return NULL;
}

/* Starts all threads, reports progress until the last file is complete, joins them. */
static void run_threads(struct pass *pass, unsigned jobs, const struct output_watch *watch)
{
	pthread_t workers[JOBS_MAX];
	struct writer writers[OUTPUT_TARGETS_MAX + 1];
	size_t started = 0, writing = 0;
	uint64_t shown = UINT64_MAX;
	struct err err = {0};
	int ret = 0;

	for (; ret == 0 && writing <= pass->count; writing += ret == 0) {
		writers[writing] = (struct writer){.pass = pass, .target = writing};
		ret = pthread_create(&writers[writing].thread, NULL, run_writer, &writers[writing]);
	}
	for (; ret == 0 && started < jobs; started += ret == 0)
		ret = pthread_create(&workers[started], NULL, run_worker, pass);

	pthread_mutex_lock(&pass->lock);
	/* Fewer workers than wished do, none does not; nor does a missing writer. */
	if (ret != 0 && started == 0) {
		err_sys(&err, ret, "cannot start a thread");
		fail(pass, &err);
	}
	while (!pass->failed && pass->finished <= pass->count) {
		uint64_t done = pass->done;

		if (watch && watch->progress && done != shown) {
			uint64_t bytes = done * OUTPUT_CHUNK;

			shown = done;
			pthread_mutex_unlock(&pass->lock);
			watch->progress(bytes < pass->regions->size ? bytes : pass->regions->size,
					pass->regions->size, watch->context);
			pthread_mutex_lock(&pass->lock);
			continue;
		}
		pthread_cond_wait(&pass->changed, &pass->lock);
	}
	pthread_mutex_unlock(&pass->lock);
	for (size_t i = 0; i < started; i++)
		pthread_join(workers[i], NULL);
	for (size_t i = 0; i < writing; i++)
		pthread_join(writers[i].thread, NULL);
}

static int check_regions(const struct region_list *regions, struct err *err)
{
	uint64_t end = 0;

	if (regions->size == 0 || regions->size % 512 != 0 || regions->size > (uint64_t)1 << 46)
		return err_set(err, ERR_OTHER,
			       "cannot write a disk of %llu bytes: not a number of sectors",
			       (unsigned long long)regions->size);
	for (size_t i = 0; i < regions->count; i++) {
		const struct region *r = &regions->items[i];

		if (r->offset < end || r->offset > regions->size ||
		    r->length > regions->size - r->offset)
			return err_set(err, ERR_OTHER,
				       "region %zu ('%s') overlaps another one or leaves the disk",
				       i, r->name ? r->name : "");
		end = r->offset + r->length;
	}
	return 0;
}

static int check_target(const struct output_target *target, uint64_t size, struct err *err)
{
	const struct output_format *f = target->format;
	char text[16], limit[16];

	if (f->multiple && size % f->multiple != 0)
		return err_set(
			err, ERR_OTHER,
			"cannot write '%s': a disk of format %s has whole %s, not %llu bytes",
			target->path, f->name, size_format(f->multiple, limit),
			(unsigned long long)size);
	if (f->size_max && size > f->size_max)
		return err_set(err, ERR_OTHER,
			       "cannot write '%s': a disk of format %s has at most %s, not %s",
			       target->path, f->name, size_format(f->size_max, limit),
			       size_format(size, text));
	return 0;
}

static int open_targets(struct pass *pass, struct err *err)
{
	for (size_t i = 0; i < pass->count; i++) {
		const struct output_target *t = &pass->targets[i];

		if (check_target(t, pass->regions->size, err) < 0 ||
		    (t->options.secret ? outfile_open_private : outfile_open)(&pass->files[i],
									      t->path, err) < 0)
			return -1;
		pass->sinks[i] = t->format->open(pass->files[i].fd, t->path, pass->regions,
						 &t->options, err);
		if (!pass->sinks[i])
			return -1;
	}
	return 0;
}

/* Gives all files their names, or none of them. Their data are synced already, so there is little time
 * between the first and the last in which a kill could leave only some of them. */
static int rename_targets(struct pass *pass, struct err *err)
{
	size_t renamed = 0;

	while (renamed < pass->count && outfile_finish(&pass->files[renamed], false, err) == 0)
		renamed++;
	if (renamed == pass->count) {
		size_t synced = 0;

		while (synced < pass->count &&
		       (pass->targets[synced].options.no_sync ||
			path_sync_parent(pass->targets[synced].path, err) == 0))
			synced++;
		if (synced == pass->count)
			return 0;
	}
	while (renamed-- > 0)
		unlink(pass->targets[renamed].path);
	return -1;
}

/* NULL when no target wants grains. */
static struct compressor *open_deflate(const struct output_target *targets, size_t count)
{
	bool wanted = false, portable = false;

	for (size_t i = 0; i < count; i++) {
		if (!targets[i].format->deflate)
			continue;
		wanted = true;
		portable |= targets[i].options.portable;
	}
	if (!wanted)
		return NULL;
	return compressor_new(portable ? COMPRESS_DEFLATE : COMPRESS_DEFLATE_FAST);
}

static struct block *new_block(bool deflate)
{
	struct block *block = mem_alloc(sizeof(*block));

	block->bytes = mem_alloc(OUTPUT_CHUNK);
	if (deflate)
		block->packed = mem_alloc(OUTPUT_CLUSTERS * COMPRESS_GRAIN_MAX);
	return block;
}

static void free_block(struct block *block)
{
	if (!block)
		return;
	free(block->packed);
	free(block->bytes);
	free(block);
}

static void free_pass(struct pass *pass)
{
	for (size_t s = 0; s < SLOTS; s++) {
		for (size_t i = 0; i < pass->count; i++)
			if (pass->slots[s].prepared[i] && pass->targets[i].format->drop)
				pass->targets[i].format->drop(pass->slots[s].prepared[i]);
		free_block(pass->slots[s].block);
	}
	free(pass->slots);
	while (pass->blocks) {
		struct block *block = pass->blocks;

		pass->blocks = block->next;
		free_block(block);
	}
	for (size_t i = 0; i < pass->count; i++) {
		pass->targets[i].format->close(pass->sinks[i]);
		outfile_abandon(&pass->files[i]);
	}
	compressor_free(pass->deflate);
	digest_ctx_free(pass->digest);
	pthread_cond_destroy(&pass->changed);
	pthread_mutex_destroy(&pass->lock);
	pthread_mutex_destroy(&pass->image_lock);
}

int output_write_all(const struct region_list *regions, const struct output_target *targets,
		     size_t count, unsigned jobs, const struct output_watch *watch,
		     struct output_result *results, struct err *err)
{
	struct pass pass = {.regions = regions, .targets = targets, .count = count};
	int ret = -1;

	if (count == 0 || count > OUTPUT_TARGETS_MAX)
		return err_set(err, ERR_OTHER, "cannot write %zu image files at once", count);
	if (check_regions(regions, err) < 0)
		return -1;
	jobs = jobs < 1 ? 1 : jobs > JOBS_MAX ? JOBS_MAX : jobs;
	pass.results = results;
	pass.chunks = (regions->size + OUTPUT_CHUNK - 1) / OUTPUT_CHUNK;
	for (size_t i = 0; i < count; i++) {
		pass.files[i] = OUTFILE_NONE;
	}
	pass.deflate = open_deflate(targets, count);
	pass.digest = digest_start();
	pass.slots = mem_alloc_array(SLOTS, sizeof(*pass.slots));
	for (unsigned i = 0; i < 2 * jobs + 4; i++)
		add_block(&pass, new_block(pass.deflate != NULL));
	pthread_mutex_init(&pass.lock, NULL);
	pthread_mutex_init(&pass.image_lock, NULL);
	pthread_cond_init(&pass.changed, NULL);
	if (open_targets(&pass, err) == 0) {
		run_threads(&pass, jobs, watch);
		if (pass.failed) {
			if (err)
				*err = pass.err;
		} else if (!watch || !watch->complete ||
			   watch->complete(results, &pass.content.digest, watch->context, err) ==
				   0) {
			ret = rename_targets(&pass, err);
		}
	}
	free_pass(&pass);
	return ret;
}

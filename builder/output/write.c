/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pass over a disk: workers read chunks and compress them in any order, one thread per file
 * writes them in theirs. Between them is a ring of slots; buffers, of which there are far fewer, are
 * only for chunks that have content, so that a file can be ahead of another one over a long hole.
 */
#include "output/output.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/path.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#define CLUSTERS (OUTPUT_CHUNK / OUTPUT_CLUSTER)
#define JOBS_MAX 256
#define SLOTS 1024

enum slot_state { SLOT_FREE, SLOT_WORKING, SLOT_READY };

struct slot {
	enum slot_state state;
	uint64_t index; /* of the chunk that it holds */
	struct output_chunk chunk;
	uint8_t *buffer; /* NULL: no region has a part of the chunk */
	void *prepared[OUTPUT_TARGETS_MAX];
	size_t written; /* targets that have it */
};

struct pass {
	const struct region_list *regions;
	const struct output_target *targets;
	struct output_sink *sinks[OUTPUT_TARGETS_MAX];
	struct outfile files[OUTPUT_TARGETS_MAX];
	struct output_result *results;
	size_t count;
	uint64_t chunks;

	/* Guarded by lock. */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct slot *slots;  /* SLOTS of them */
	uint8_t **buffers;   /* those that no slot has */
	size_t buffer_count; /* of them */
	uint64_t next;       /* chunk for the next worker */
	uint64_t done;       /* chunks that all targets have */
	size_t finished;     /* targets */
	bool failed;
	struct err err; /* the first one */
};

struct writer {
	struct pass *pass;
	size_t target;
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

/* Reads the chunk into the slot's buffer; what no region covers is zero. */
static int fill(const struct pass *pass, struct slot *slot, struct err *err)
{
	const struct region_list *regions = pass->regions;
	uint64_t start = slot->index * OUTPUT_CHUNK, at = start, end;
	size_t i = region_at(regions, start);

	end = regions->size - start < OUTPUT_CHUNK ? regions->size : start + OUTPUT_CHUNK;
	slot->chunk = (struct output_chunk){.offset = start, .len = (size_t)(end - start)};
	if (!slot->buffer)
		return 0;
	for (; i < regions->count && regions->items[i].offset < end; i++) {
		const struct region *r = &regions->items[i];
		uint64_t from = r->offset > start ? r->offset : start;
		uint64_t to = r->offset + r->length < end ? r->offset + r->length : end;
		uint8_t *target = slot->buffer + (from - start);

		memset(slot->buffer + (at - start), 0, from - at);
		if (r->bytes)
			memcpy(target, (const uint8_t *)r->bytes + (from - r->offset), to - from);
		else if (fd_pread(r->fd, target, to - from, r->source_offset + (from - r->offset),
				  r->name ? r->name : "content of the disk", err) < 0)
			return -1;
		at = to;
	}
	/* To the end of the buffer: the last cluster of the disk may be shorter than the others. */
	memset(slot->buffer + (at - start), 0, OUTPUT_CHUNK - (at - start));
	for (unsigned c = 0; c < CLUSTERS; c++)
		if (is_zero(slot->buffer + c * OUTPUT_CLUSTER, OUTPUT_CLUSTER))
			slot->chunk.zero |= (uint16_t)(1u << c);
	if (slot->chunk.zero != (1u << CLUSTERS) - 1)
		slot->chunk.bytes = slot->buffer;
	return 0;
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

		/* Buffers are given out in the order of the chunks: the writers wait for the first. */
		if (slot->state != SLOT_FREE || (content && pass->buffer_count == 0)) {
			pthread_cond_wait(&pass->changed, &pass->lock);
			continue;
		}
		slot->buffer = content ? pass->buffers[--pass->buffer_count] : NULL;
		slot->state = SLOT_WORKING;
		slot->index = pass->next++;
		pthread_mutex_unlock(&pass->lock);

		ret = fill(pass, slot, &err);
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
		pthread_mutex_lock(&pass->lock);
		if (++slot->written == pass->count) {
			slot->written = 0;
			slot->state = SLOT_FREE;
			if (slot->buffer)
				pass->buffers[pass->buffer_count++] = MEM_STEAL(slot->buffer);
			pass->done++;
			pthread_cond_broadcast(&pass->changed);
		}
		pthread_mutex_unlock(&pass->lock);
	}
	if (format->finish(pass->sinks[target], &pass->results[target].digest, err) < 0)
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
	int ret = write_chunks(pass, writer->target, &err);

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
	struct writer writers[OUTPUT_TARGETS_MAX];
	size_t started = 0, writing = 0;
	uint64_t shown = UINT64_MAX;
	struct err err = {0};
	int ret = 0;

	for (; ret == 0 && writing < pass->count; writing += ret == 0) {
		writers[writing] = (struct writer){.pass = pass, .target = writing};
		ret = pthread_create(&writers[writing].thread, NULL, run_writer, &writers[writing]);
	}
	for (; ret == 0 && started < jobs; started += ret == 0)
		ret = pthread_create(&workers[started], NULL, run_worker, pass);

	pthread_mutex_lock(&pass->lock);
	/* Fewer workers than wished do, none does not. */
	if (ret != 0 && started == 0) {
		err_sys(&err, ret, "cannot start a thread");
		fail(pass, &err);
	}
	while (!pass->failed && pass->finished < pass->count) {
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

static int open_targets(struct pass *pass, struct err *err)
{
	for (size_t i = 0; i < pass->count; i++) {
		const struct output_target *t = &pass->targets[i];

		if (outfile_open(&pass->files[i], t->path, err) < 0)
			return -1;
		pass->sinks[i] = t->format->open(pass->files[i].fd, t->path, pass->regions->size,
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

static void free_pass(struct pass *pass)
{
	for (size_t s = 0; s < SLOTS; s++) {
		for (size_t i = 0; i < pass->count; i++)
			if (pass->slots[s].prepared[i] && pass->targets[i].format->drop)
				pass->targets[i].format->drop(pass->slots[s].prepared[i]);
		free(pass->slots[s].buffer);
	}
	free(pass->slots);
	while (pass->buffer_count > 0)
		free(pass->buffers[--pass->buffer_count]);
	free(pass->buffers);
	for (size_t i = 0; i < pass->count; i++) {
		if (pass->sinks[i])
			pass->targets[i].format->close(pass->sinks[i]);
		outfile_abandon(&pass->files[i]);
	}
	pthread_cond_destroy(&pass->changed);
	pthread_mutex_destroy(&pass->lock);
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
	pass.slots = mem_alloc_array(SLOTS, sizeof(*pass.slots));
	pass.buffers = mem_alloc_array(2 * (size_t)jobs + 4, sizeof(*pass.buffers));
	while (pass.buffer_count < 2 * (size_t)jobs + 4)
		pass.buffers[pass.buffer_count++] = mem_alloc(OUTPUT_CHUNK);
	for (size_t i = 0; i < count; i++)
		pass.files[i] = OUTFILE_NONE;
	pthread_mutex_init(&pass.lock, NULL);
	pthread_cond_init(&pass.changed, NULL);
	if (open_targets(&pass, err) == 0) {
		run_threads(&pass, jobs, watch);
		if (pass.failed) {
			if (err)
				*err = pass.err;
		} else if (!watch || !watch->complete ||
			   watch->complete(results, watch->context, err) == 0) {
			ret = rename_targets(&pass, err);
		}
	}
	free_pass(&pass);
	return ret;
}

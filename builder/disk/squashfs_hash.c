/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hash tree of a squashfs that was just written, and digests of its segments: in pieces, which threads take
 * one after the other and read once for both.
 */
#include "disk/squashfs_parts.h"

#include "base/fd.h"
#include "base/mem.h"
#include "disk/verity.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK ((size_t)256 << 10) /* bytes; stays in the processor's cache */
/* Bytes of a piece. The digest of a segment is that over the digests of its pieces, so records depend on it. */
#define PIECE ((uint64_t)8 << 20)

struct piece {
	uint64_t start, end;
	struct squashfs_part *part; /* whose digest is wanted, or NULL */
	struct digest digest;
	struct verity *verity;
};

/* What the threads share. */
struct work {
	const struct squashfs_file *file;
	const struct squashfs_options *options;
	struct piece *pieces;
	size_t count, room;
	pthread_mutex_t mutex; /* of the rest */
	size_t next;
	struct err err;
	bool failed;
};

static void add_pieces(struct work *work, uint64_t start, uint64_t end, struct squashfs_part *part)
{
	for (; start < end; start += PIECE) {
		struct piece piece = {
			start, end - start < PIECE ? end : start + PIECE, part, {{0}}, NULL};

		VEC_ADD(work->pieces, work->count, work->room, piece);
	}
}

static int hash_piece(const struct work *work, struct piece *piece, char *buffer, struct err *err)
{
	struct digest_ctx *digest = piece->part ? digest_start() : NULL;
	int r = 0;

	piece->verity =
		verity_new(work->options->salt, work->options->salt_len, work->options->uuid);
	for (uint64_t at = piece->start; r == 0 && at < piece->end; at += CHUNK) {
		size_t len = piece->end - at < CHUNK ? (size_t)(piece->end - at) : CHUNK;

		r = fd_pread(work->file->fd, buffer, len, at, work->file->name, err);
		if (r < 0)
			break;
		if (digest)
			digest_add(digest, buffer, len);
		verity_add(piece->verity, buffer, len);
	}
	if (digest)
		digest_finish(digest, &piece->digest);
	return r;
}

static struct piece *next_piece(struct work *work)
{
	struct piece *piece = NULL;

	pthread_mutex_lock(&work->mutex);
	if (work->next < work->count && !work->failed)
		piece = &work->pieces[work->next++];
	pthread_mutex_unlock(&work->mutex);
	return piece;
}

static void *run(void *context)
{
	struct work *work = context;
	CLEANUP_FREE char *buffer = mem_alloc(CHUNK);

	for (struct piece *piece; (piece = next_piece(work));) {
		struct err err = {0};

		if (hash_piece(work, piece, buffer, &err) == 0)
			continue;
		pthread_mutex_lock(&work->mutex);
		if (!work->failed)
			work->err = err;
		work->failed = true;
		pthread_mutex_unlock(&work->mutex);
	}
	return NULL;
}

/* The calling thread works too, so it is fine when there is no other to be had. Signals are for the main
 * thread. */
static void run_all(struct work *work)
{
	size_t count = work->options->jobs < work->count ? work->options->jobs : work->count;
	CLEANUP_FREE pthread_t *threads = mem_alloc_array(count, sizeof(*threads));
	size_t started = 0;
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	while (started + 1 < count && pthread_create(&threads[started], NULL, run, work) == 0)
		started++;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	run(work);
	while (started--)
		pthread_join(threads[started], NULL);
}

static void digest_parts(const struct work *work)
{
	for (size_t i = 0; i < work->count;) {
		struct squashfs_part *part = work->pieces[i].part;
		struct digest_ctx *ctx;

		if (!part) {
			i++;
			continue;
		}
		ctx = digest_start();
		for (; i < work->count && work->pieces[i].part == part; i++)
			digest_add(ctx, work->pieces[i].digest.bytes, DIGEST_SIZE);
		digest_finish(ctx, &part->digest);
	}
}

static int finish(struct work *work, struct squashfs_result *ret, struct err *err)
{
	for (size_t i = 1; i < work->count; i++)
		verity_join(work->pieces[0].verity, work->pieces[i].verity);
	digest_parts(work);
	return verity_finish(work->pieces[0].verity, &ret->root_hash, &ret->hash_area,
			     &ret->data_blocks, err);
}

int squashfs_hash(const struct squashfs_file *file, const struct squashfs_options *options,
		  struct squashfs_parts *parts, struct squashfs_result *ret, struct err *err)
{
	struct work work = {.file = file, .options = options};
	uint64_t at = 0;
	int r = -1;

	pthread_mutex_init(&work.mutex, NULL);
	for (size_t i = 0; options->store && i < parts->count; i++) {
		struct squashfs_part *part = &parts->items[i];

		if (part->start == part->end)
			continue; /* of no file; it may start anywhere */
		add_pieces(&work, at, part->start, NULL);
		add_pieces(&work, part->start, part->end, part);
		at = part->end;
	}
	add_pieces(&work, at, file->size, NULL);
	run_all(&work);
	if (!work.failed)
		r = finish(&work, ret, err);
	else if (err)
		*err = work.err;
	for (size_t i = 0; i < work.count; i++)
		verity_free(work.pieces[i].verity);
	free(work.pieces);
	pthread_mutex_destroy(&work.mutex);
	return r;
}

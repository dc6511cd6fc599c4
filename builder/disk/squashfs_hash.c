/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Digest and hash tree of a squashfs that was just written, and the version of what wrote it.
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

struct reader {
	const struct squashfs_file *file;
	struct digest_ctx *digest; /* one of the two */
	struct verity *verity;
	struct err err;
	int result;
};

static void *read_all(void *context)
{
	struct reader *reader = context;
	CLEANUP_FREE char *buffer = mem_alloc(CHUNK);
	uint64_t size = reader->file->size;

	for (uint64_t at = 0; at < size; at += CHUNK) {
		size_t len = size - at < CHUNK ? (size_t)(size - at) : CHUNK;

		reader->result = fd_pread(reader->file->fd, buffer, len, at, reader->file->name,
					  &reader->err);
		if (reader->result < 0)
			break;
		if (reader->digest)
			digest_add(reader->digest, buffer, len);
		else
			verity_add(reader->verity, buffer, len);
	}
	return NULL;
}

/* Signals are for the main thread. */
static int start_quiet(pthread_t *thread, struct reader *reader)
{
	sigset_t all, old;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(thread, NULL, read_all, reader);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return r;
}

int squashfs_hash(const struct squashfs_file *file, const struct squashfs_options *options,
		  struct squashfs_result *ret, struct err *err)
{
	struct reader whole = {.file = file, .digest = digest_start()};
	struct reader blocks = {.file = file};
	pthread_t thread;
	int r;

	blocks.verity = verity_new(options->salt, options->salt_len, options->uuid);
	r = start_quiet(&thread, &whole);
	read_all(&blocks);
	if (r == 0)
		pthread_join(thread, NULL);
	else
		read_all(&whole); /* no thread to be had: one after the other */
	r = 0;
	if (whole.result < 0 || blocks.result < 0) {
		if (err)
			*err = whole.result < 0 ? whole.err : blocks.err;
		r = -1;
	}
	if (r == 0)
		r = verity_finish(blocks.verity, &ret->root_hash, &ret->hash_area,
				  &ret->data_blocks, err);
	if (r == 0)
		digest_finish(MEM_STEAL(whole.digest), &ret->digest);
	digest_ctx_free(whole.digest);
	verity_free(blocks.verity);
	return r;
}

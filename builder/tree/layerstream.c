/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ring of buffers between the thread that decompresses and hashes a layer and the one that parses it.
 * What the compressed bytes mean is in layercodec.c.
 */
#include "tree/layerstream.h"

#include "base/mem.h"
#include "tree/layercodec.h"

#include <inttypes.h>
#include <pthread.h>
#include <string.h>

/* Small enough for a second-level cache to hold what one thread hands to the other. */
#define SLOTS 4
#define SLOT_SIZE ((size_t)256 << 10)

struct layer_stream {
	const struct tree_layer_input *in;
	struct layer_codec *codec;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* Guarded by lock: slots [taken, filled) belong to the reader, all others to the thread. */
	uint64_t filled, taken;
	size_t len[SLOTS];
	bool ended, stop;
	struct err err;
	bool holding; /* the reader's: its last piece is still in use */
	struct digest digest;
	uint8_t *bytes[SLOTS];
};

/* Waits for a slot that is free; NULL when the reader wants no more. */
static uint8_t *take_free(struct layer_stream *s)
{
	uint8_t *slot = NULL;

	pthread_mutex_lock(&s->lock);
	while (!s->stop && s->filled - s->taken == SLOTS)
		pthread_cond_wait(&s->changed, &s->lock);
	if (!s->stop)
		slot = s->bytes[s->filled % SLOTS];
	pthread_mutex_unlock(&s->lock);
	return slot;
}

static void publish(struct layer_stream *s, size_t len)
{
	pthread_mutex_lock(&s->lock);
	s->len[s->filled % SLOTS] = len;
	s->filled++;
	pthread_cond_signal(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

static void end(struct layer_stream *s, const struct err *err)
{
	pthread_mutex_lock(&s->lock);
	s->ended = true;
	s->err = *err;
	pthread_cond_signal(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

static void *run(void *arg)
{
	struct layer_stream *s = arg;
	struct digest_ctx *digest = digest_start();
	struct err err = {0};
	uint64_t total = 0;
	uint8_t *slot;

	while ((slot = take_free(s))) {
		ssize_t n = layer_codec_read(s->codec, slot, SLOT_SIZE, &err);

		if (n > 0 && (uint64_t)n > s->in->tar_max - total)
			n = err_set(&err, ERR_VERIFY, "cannot read %s: more than %" PRIu64 " bytes",
				    s->in->origin, s->in->tar_max);
		if (n <= 0)
			break;
		total += (uint64_t)n;
		digest_add(digest, slot, (size_t)n);
		publish(s, (size_t)n);
	}
	digest_finish(digest, &s->digest);
	end(s, &err);
	return NULL;
}

static void release(struct layer_stream *s)
{
	layer_codec_free(s->codec);
	for (size_t i = 0; i < SLOTS; i++)
		free(s->bytes[i]);
	pthread_mutex_destroy(&s->lock);
	pthread_cond_destroy(&s->changed);
	free(s);
}

struct layer_stream *layer_stream_start(const struct tree_layer_input *in, struct err *err)
{
	struct layer_stream *s = mem_alloc(sizeof(*s));
	int r;

	s->in = in;
	s->codec = layer_codec_new(in);
	for (size_t i = 0; i < SLOTS; i++)
		s->bytes[i] = mem_alloc(SLOT_SIZE);
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->changed, NULL);
	r = pthread_create(&s->thread, NULL, run, s);
	if (r == 0)
		return s;
	err_sys(err, r, "cannot read %s: cannot start a thread", in->origin);
	release(s);
	return NULL;
}

ssize_t layer_stream_next(struct layer_stream *s, const uint8_t **ret_bytes, struct err *err)
{
	ssize_t n;

	pthread_mutex_lock(&s->lock);
	if (s->holding) {
		s->taken++;
		s->holding = false;
		pthread_cond_signal(&s->changed);
	}
	while (s->taken == s->filled && !s->ended)
		pthread_cond_wait(&s->changed, &s->lock);
	if (s->taken < s->filled) {
		n = (ssize_t)s->len[s->taken % SLOTS];
		*ret_bytes = s->bytes[s->taken % SLOTS];
		s->holding = true;
	} else {
		n = s->err.code ? -1 : 0;
		if (n < 0 && err)
			*err = s->err;
	}
	pthread_mutex_unlock(&s->lock);
	return n;
}

void layer_stream_digest(const struct layer_stream *s, struct digest *ret)
{
	*ret = s->digest;
}

void layer_stream_free(struct layer_stream *s)
{
	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	s->stop = true;
	pthread_cond_signal(&s->changed);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->thread, NULL);
	release(s);
}

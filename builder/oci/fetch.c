/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread downloads, another unpacks, with a ring of memory between them: the compressed blob never touches the
 * disk, and a layer takes as long as the slower of the two. The reader sees the end of the stream only when all
 * of it has been verified; when a mirror's bytes were wrong, unpacking starts again with those of the next.
 *
 * The compressed blob is not kept: what is built needs the tree, both engines take the layer from there, and under
 * its diff_id one entry serves every compression of it. So a pull that is killed keeps the layers that it has
 * finished, and begins the others anew: to go on with half a blob, every blob would have to be written first.
 */
#include "oci/fetch.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/path.h"
#include "oci/parts.h"
#include "tree/archive.h"
#include "tree/layer.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#define RING ((size_t)4 << 20)
#define ENTRIES_MAX ((size_t)2 << 20) /* of a layer */

enum state { COMING, ARRIVED, FAILED };

struct stream {
	const struct oci_fetch *fetch;
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	unsigned char *ring;
	size_t start, len; /* bytes that are waiting in it */
	enum state state;
	bool restart; /* what came is to be forgotten; cleared by the reader */
	bool deaf;    /* nobody reads any more: drop what comes */
	bool quit;    /* nor will anybody: stop */
	uint64_t done;
	struct err err; /* of the download */
};

/* Called by the download. Waits for room. */
static int stream_write(void *context, const void *bytes, size_t len, struct err *err)
{
	struct stream *s = context;
	const unsigned char *from = bytes;
	size_t left = len;
	bool quit;

	pthread_mutex_lock(&s->mutex);
	while (left && !s->deaf && !__atomic_load_n(s->fetch->stop, __ATOMIC_RELAXED)) {
		size_t end = (s->start + s->len) % RING, step = RING - s->len;

		if (step == 0) {
			pthread_cond_wait(&s->changed, &s->mutex);
			continue;
		}
		if (step > RING - end)
			step = RING - end;
		if (step > left)
			step = left;
		memcpy(s->ring + end, from, step);
		from += step;
		left -= step;
		s->len += step;
		pthread_cond_broadcast(&s->changed);
	}
	s->done += len;
	quit = s->quit;
	pthread_mutex_unlock(&s->mutex);
	if (quit || __atomic_load_n(s->fetch->stop, __ATOMIC_RELAXED))
		return err_set(err, ERR_INTERRUPTED, "it is not wanted any more");
	s->fetch->progress((int64_t)len, s->fetch->context);
	return 0;
}

/* Called by the download: the next byte is the first again. Returns when the reader has forgotten the others. */
static int stream_restart(void *context, struct err *err)
{
	struct stream *s = context;

	(void)err;
	pthread_mutex_lock(&s->mutex);
	s->restart = true;
	s->start = s->len = 0;
	pthread_cond_broadcast(&s->changed);
	while (s->restart)
		pthread_cond_wait(&s->changed, &s->mutex);
	s->fetch->progress(-(int64_t)s->done, s->fetch->context);
	s->done = 0;
	pthread_mutex_unlock(&s->mutex);
	return 0;
}

static void *download(void *context)
{
	struct stream *s = context;
	const struct oci_sink sink = {stream_write, stream_restart, s};
	struct err err = {0};
	int r = oci_source_blob(s->fetch->source, &s->fetch->blob, &sink, &err);

	pthread_mutex_lock(&s->mutex);
	s->state = r < 0 ? FAILED : ARRIVED;
	s->err = err;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->mutex);
	return NULL;
}

/* Called by the unpacking. Waits for bytes. */
static ssize_t stream_read(void *context, void *bytes, size_t len, struct err *err)
{
	struct stream *s = context;
	ssize_t r = 0;

	pthread_mutex_lock(&s->mutex);
	while (s->len == 0 && s->state == COMING && !s->restart)
		pthread_cond_wait(&s->changed, &s->mutex);
	if (s->restart) {
		r = err_set(err, ERR_INTERRUPTED, "the download starts again");
	} else if (s->len) {
		size_t step = s->len < len ? s->len : len;

		if (step > RING - s->start)
			step = RING - s->start;
		memcpy(bytes, s->ring + s->start, step);
		s->start = (s->start + step) % RING;
		s->len -= step;
		r = (ssize_t)step;
		pthread_cond_broadcast(&s->changed);
	} else if (s->state == FAILED) {
		if (err)
			*err = s->err;
		r = -1;
	}
	pthread_mutex_unlock(&s->mutex);
	return r;
}

/* After the unpacking has ended: the download tells whether the bytes were right, which is also what it waits for
 * when they could not be unpacked; not when a disk is full. True when the download starts again, and the unpacking
 * has to, too. */
static bool stream_settle(struct stream *s, int code)
{
	bool again;

	pthread_mutex_lock(&s->mutex);
	s->deaf = true;
	s->quit = code && code != ERR_VERIFY && code != ERR_INTERRUPTED && s->state == COMING;
	pthread_cond_broadcast(&s->changed);
	while (s->state == COMING && !s->restart)
		pthread_cond_wait(&s->changed, &s->mutex);
	again = s->restart;
	s->restart = s->deaf = false;
	s->start = s->len = 0;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->mutex);
	return again;
}

/* The entry being made. */
struct unpacked {
	char *dir;
	int tar_fd, split_fd;
	struct tree *tree;
	struct tree_layer layer;
};

static void unpacked_free(struct unpacked *u)
{
	tree_free(u->tree);
	fd_close(&u->tar_fd);
	fd_close(&u->split_fd);
}

static int make_file(const char *dir, const char *name, int *ret_fd, struct err *err)
{
	CLEANUP_FREE char *path = path_join(dir, name);

	*ret_fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	return *ret_fd < 0 ? err_sys(err, errno, "cannot make '%s'", path) : 0;
}

static int empty_files(struct unpacked *u, struct err *err)
{
	tree_free(u->tree);
	u->tree = tree_new();
	if (ftruncate(u->tar_fd, 0) < 0 || lseek(u->tar_fd, 0, SEEK_SET) < 0 ||
	    ftruncate(u->split_fd, 0) < 0 || lseek(u->split_fd, 0, SEEK_SET) < 0)
		return err_sys(err, errno, "cannot empty the files in '%s'", u->dir);
	return 0;
}

/* Unpacks while the thread downloads, as often as the download starts again. */
static int unpack(const struct oci_fetch *fetch, struct unpacked *u, struct err *err)
{
	struct stream s = {
		.fetch = fetch,
		.mutex = PTHREAD_MUTEX_INITIALIZER,
		.changed = PTHREAD_COND_INITIALIZER,
		.ring = mem_alloc(RING),
	};
	const struct tree_layer_input in = {stream_read, &s, fetch->origin, OCI_LAYER_MAX,
					    ENTRIES_MAX};
	struct err why = {0};
	pthread_t thread;
	int r = pthread_create(&thread, NULL, download, &s);

	if (r != 0) {
		free(s.ring);
		return err_sys(err, r, "cannot start a thread");
	}
	do {
		err_clear(&why);
		r = empty_files(u, &why);
		if (r == 0)
			r = tree_import_layer(&in, u->tar_fd, u->split_fd, u->tree, &u->layer, NULL,
					      NULL, &why);
	} while (stream_settle(&s, r < 0 ? why.code : 0));
	pthread_join(thread, NULL);
	/* Of wrong bytes nothing is worth telling but that they are wrong. */
	if (s.state == FAILED && !s.quit) {
		why = s.err;
		r = err_wrap(&why, "cannot fetch %s", fetch->origin);
	}
	pthread_mutex_destroy(&s.mutex);
	pthread_cond_destroy(&s.changed);
	free(s.ring);
	if (r < 0 && err)
		*err = why;
	return r;
}

static int check_diff_id(const struct oci_fetch *fetch, const struct tree_layer *layer,
			 struct err *err)
{
	char have[DIGEST_HEX_SIZE], want[DIGEST_HEX_SIZE];

	if (memcmp(&layer->diff_id, &fetch->diff_id, sizeof(layer->diff_id)) == 0)
		return 0;
	return err_set(err, ERR_VERIFY,
		       "%s is not what the configuration says: its diff_id is sha256:%s, not "
		       "sha256:%s",
		       fetch->origin, digest_hex(&layer->diff_id, have),
		       digest_hex(&fetch->diff_id, want));
}

static int write_index(const struct unpacked *u, struct err *err)
{
	CLEANUP_FREE char *path = path_join(u->dir, OCI_LAYER_INDEX);
	CLEANUP(str_free) struct str text = {0};

	if (tree_write_index(u->tree, &text, err) < 0)
		return -1;
	return outfile_write(path, text.data, text.len, false, err);
}

static int write_record(const struct unpacked *u, struct err *err)
{
	CLEANUP_FREE char *path = path_join(u->dir, OCI_LAYER_FILE);
	CLEANUP_FREE char *diff_id = oci_digest_text(&u->layer.diff_id);
	CLEANUP_FREE char *digest = oci_digest_text(&u->layer.digest);
	CLEANUP_JSON json_t *record =
		json_pack("{s:s, s:s, s:I, s:I, s:I}", "diff_id", diff_id, "digest", digest, "size",
			  (json_int_t)u->layer.size, "tar", (json_int_t)u->layer.tar, "entries",
			  (json_int_t)u->layer.entries);

	return json_write_file(path, record, false, err);
}

int oci_fetch_layer(const struct oci_fetch *fetch, struct err *err)
{
	struct cache_entry entry CLEANUP(cache_abandon) = {.lock_fd = -1};
	struct unpacked u CLEANUP(unpacked_free) = {.tar_fd = -1, .split_fd = -1};
	struct digest key;

	oci_layer_key(&fetch->diff_id, &key);
	if (cache_begin(fetch->cache, OCI_KIND_LAYER, &key, &entry, err) < 0)
		return -1;
	/* Another build was quicker. */
	if (!entry.dir)
		return 0;
	u.dir = entry.dir;
	if (make_file(u.dir, OCI_LAYER_TAR, &u.tar_fd, err) < 0 ||
	    make_file(u.dir, OCI_LAYER_SPLIT, &u.split_fd, err) < 0 || unpack(fetch, &u, err) < 0 ||
	    check_diff_id(fetch, &u.layer, err) < 0 || write_index(&u, err) < 0 ||
	    write_record(&u, err) < 0)
		return -1;
	return cache_commit(&entry, err);
}

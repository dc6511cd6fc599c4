/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The slow way, for a docker that is set up otherwise than its store is written here: images that it lacks go
 * through its API, one archive each, made while it is sent.
 */
#include "agent/containers/containers_parts.h"

#include "agent/join/engine.h"

#include "base/fd.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

struct loader {
	const struct agent *agent;
	const struct containers *containers;
	const struct report *report;
	struct containers_done *done;
	struct engine engine;
	struct containers_state old, wanted, now;
	bool *ready;
};

static void loader_free(struct loader *l)
{
	engine_close(&l->engine);
	containers_state_free(&l->old);
	containers_state_free(&l->wanted);
	containers_state_free(&l->now);
	free(l->ready);
}

/* ---- an archive from one thread to the other ------------------------------------------------- */

struct pipe_job {
	const struct loader *loader;
	const struct containers *one; /* with the one image */
	int in, out;                  /* ends of the pipe */
	pthread_t thread;
	bool joined;
	struct err err; /* the writer's; read it only when joined */
};

static void *write_archive(void *context)
{
	struct pipe_job *job = context;

	(void)containers_archive_write(job->loader->agent, job->one, NULL, 0, job->out, &job->err);
	fd_close(&job->out);
	return NULL;
}

static void join(struct pipe_job *job)
{
	if (!job->joined)
		pthread_join(job->thread, NULL);
	job->joined = true;
}

/* The end of the pipe is the end of the archive only if its writer was happy. */
static ssize_t read_archive(void *context, void *bytes, size_t len, struct err *err)
{
	struct pipe_job *job = context;
	ssize_t n;

	do
		n = read(job->in, bytes, len);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_sys(err, errno, "cannot read the archive");
	if (n > 0)
		return n;
	join(job);
	if (!job->err.code)
		return 0;
	if (err)
		*err = job->err;
	return -1;
}

static int load_image(struct loader *l, const struct containers_image *image, struct err *err)
{
	struct containers one = *l->containers;
	struct containers_image copy = *image;
	struct pipe_job job = {.loader = l, .one = &one};
	int ends[2], r;

	one.images = &copy;
	one.image_count = 1;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(err, errno, "cannot make a pipe");
	job.in = ends[0];
	job.out = ends[1];
	r = pthread_create(&job.thread, NULL, write_archive, &job);
	if (r != 0) {
		close(job.in);
		close(job.out);
		return err_sys(err, r, "cannot start a thread");
	}
	r = engine_image_load(&l->engine, read_archive, &job, err);
	/* Without a reader the writer ends, too. */
	fd_close(&job.in);
	join(&job);
	return r;
}

/* ---- names ----------------------------------------------------------------------------------- */

/* IDs that the image can have: of its configuration or, in containerd's store, of the manifest in our archive. */
static void list_ids(const struct containers_image *image, char ids[2][DIGEST_HEX_SIZE])
{
	CLEANUP_FREE char *manifest = containers_archive_manifest(image);
	struct digest digest;

	digest_bytes(manifest, strlen(manifest), &digest);
	digest_hex(&image->config.digest, ids[0]);
	digest_hex(&digest, ids[1]);
}

static bool is_image(const struct containers_image *image, const char *id)
{
	char ids[2][DIGEST_HEX_SIZE];

	list_ids(image, ids);
	return strcmp(id, ids[0]) == 0 || strcmp(id, ids[1]) == 0;
}

/* *ret_has is true when the engine has an image without a name. */
static int find_nameless(struct loader *l, const struct containers_image *image, bool *ret_has,
			 struct err *err)
{
	char ids[2][DIGEST_HEX_SIZE], id[65];

	list_ids(image, ids);
	*ret_has = false;
	for (size_t i = 0; i < ARRAY_SIZE(ids) && !*ret_has; i++) {
		CLEANUP_FREE char *name = mem_printf("sha256:%s", ids[i]);

		if (engine_image(&l->engine, name, id, err) < 0)
			return -1;
		*ret_has = *id;
	}
	return 0;
}

/* Finds out which names the image is to get: those that nobody has and those that we gave to an earlier one. *ret_has
 * is true when nothing is to be done. */
static int choose_names(struct loader *l, const struct containers_image *image, struct strv *give,
			bool *ret_has, struct err *err)
{
	char id[65];

	if (image->names.count == 0)
		return find_nameless(l, image, ret_has, err);
	for (size_t i = 0; i < image->names.count; i++) {
		CLEANUP_FREE char *name = containers_familiar(image->names.items[i]);
		const char *ours = json_member_string(l->old.references, name);

		if (engine_image(&l->engine, name, id, err) < 0)
			return -1;
		if (*id && is_image(image, id))
			json_object_set_new(l->now.references, name, json_string(id));
		else if (!*id || (ours && strcmp(ours, id) == 0))
			strv_add(give, image->names.items[i]);
		else
			strv_addf(&l->done->missing,
				  "%s: the name was given to another image, %.12s", name, id);
	}
	*ret_has = give->count == 0;
	return 0;
}

static int note_names(struct loader *l, const struct containers_image *image,
		      const struct strv *names, struct err *err)
{
	for (size_t i = 0; i < names->count; i++) {
		CLEANUP_FREE char *name = containers_familiar(names->items[i]);
		char id[65];

		if (engine_image(&l->engine, name, id, err) < 0)
			return -1;
		if (!is_image(image, id))
			return err_set(err, ERR_OTHER, "the engine does not have '%s' now", name);
		json_object_set_new(l->now.references, name, json_string(id));
	}
	return 0;
}

static int give_image(struct loader *l, const struct containers_image *image, struct err *err)
{
	CLEANUP(strv_free) struct strv give = {0};
	struct containers_image named = *image;
	bool has;

	if (choose_names(l, image, &give, &has, err) < 0)
		return -1;
	if (has)
		return 0;
	named.names = give;
	l->done->written++;
	return load_image(l, &named, err) < 0 ? -1 : note_names(l, image, &give, err);
}

/* Names that we gave to images which this root does not have, and that nobody moved since. */
static int remove_old(struct loader *l, struct err *err)
{
	const char *name;
	json_t *value;

	json_object_foreach(l->old.references, name, value)
	{
		char id[65];
		bool kept;

		if (strchr(name, '@') || json_object_get(l->wanted.references, name))
			continue;
		if (engine_image(&l->engine, name, id, err) < 0)
			return -1;
		if (strcmp(id, json_string_value(value)) != 0)
			continue;
		if (engine_image_remove(&l->engine, name, &kept, err) < 0)
			return -1;
		if (kept) {
			json_object_set(l->now.references, name, value);
			strv_addf(&l->done->kept, "%s: somebody uses it", name);
		} else {
			strv_add(&l->done->removed, name);
		}
	}
	return 0;
}

/* ---- all of it ------------------------------------------------------------------------------- */

/* An image that cannot be loaded does not keep the others out. */
static int load_all(struct loader *l, struct err *err)
{
	int r = 0;

	for (size_t i = 0; i < l->containers->image_count; i++) {
		const struct containers_image *image = &l->containers->images[i];
		char buffer[DIGEST_HEX_SIZE];
		struct err failed = {0};

		if (!l->ready[i])
			continue;
		if (give_image(l, image, &failed) == 0) {
			l->done->images++;
			continue;
		}
		err_wrap(&failed, "cannot load the image '%s'",
			 containers_image_label(image, buffer));
		strv_addf(&l->done->missing, "%s: %.300s", containers_image_label(image, buffer),
			  failed.msg);
		if (r == 0 && err)
			*err = failed;
		r = -1;
	}
	return r;
}

int containers_docker_load(const struct agent *agent, const struct containers *containers,
			   const struct report *report, struct containers_done *done,
			   struct err *err)
{
	CLEANUP(loader_free)
	struct loader l = {
		.agent = agent, .containers = containers, .report = report, .done = done};
	struct containers_setup setup;
	CLEANUP_FREE char *data_root = NULL;
	bool lost;
	int r;

	/* The engine may close the connection in the middle of an archive. */
	signal(SIGPIPE, SIG_IGN);
	containers_setup_read(agent, containers->docker, &setup);
	data_root = setup.data_root;
	engine_open(&l.engine, agent);
	containers_state_read(agent, data_root, &l.old, &lost);
	containers_state_new(&l.now);
	/* What is in the store that was written stays known. */
	json_object_update(l.now.images, l.old.images);
	json_object_update(l.now.chains, l.old.chains);
	containers_wanted(agent, containers, &l.wanted, &l.ready, done);
	if (engine_connect(&l.engine, err) < 0)
		return -1;
	r = load_all(&l, err);
	if (remove_old(&l, r < 0 ? NULL : err) < 0)
		r = -1;
	return containers_state_save(agent, data_root, &l.now, r < 0 ? NULL : err) < 0 ? -1 : r;
}

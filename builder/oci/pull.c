/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From resolved references to layers in the cache: first the documents of all images, which say what layers there
 * are, then every layer that is not there, each once, the largest first.
 */
#include "oci/pull.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/path.h"
#include "oci/describe.h"
#include "oci/fetch.h"
#include "oci/parts.h"
#include "oci/source.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define DOCUMENT_WORKERS 4
/* Layers in flight: a download waits for its own unpacking only, so that some more than there are processors keep
 * the network busy. */
#define LAYER_WORKERS_MIN 4
#define LAYER_WORKERS_MAX 8

struct job {
	size_t image, number; /* which layer it is */
	struct oci_fetch fetch;
	char *origin;
};

struct pull {
	struct cache *cache;
	const struct profile *profile;
	const struct oci_resolved *resolved;
	bool offline;
	struct oci_platform platform;
	struct oci_client *client;
	struct oci_image *images;
	size_t image_count;
	struct job *jobs;
	size_t job_count, job_room;
	bool stop;
	struct log_step *step;
	pthread_mutex_t mutex; /* of done and step */
	uint64_t done, total;
	size_t finished;
};

const char *oci_pull_version(void)
{
	return "1";
}

static struct oci_descriptor with_digest(const struct digest *digest)
{
	return (struct oci_descriptor){.digest = *digest};
}

static bool find_stored(struct pull *p, const struct oci_descriptor *want, bool is_config,
			struct oci_document *ret)
{
	CLEANUP_FREE char *dir = cache_find(p->cache, OCI_KIND_BLOB, &want->digest);
	CLEANUP_FREE char *path = dir ? path_join(dir, OCI_BLOB_FILE) : NULL;

	*ret = (struct oci_document){0};
	if (!path)
		return false;
	if (fd_read_file(path, OCI_DOCUMENT_MAX, &ret->body, NULL) == 0 &&
	    oci_source_check(ret, want, is_config, path, NULL) == 0)
		return true;
	oci_document_free(ret);
	cache_discard(p->cache, OCI_KIND_BLOB, &want->digest, NULL);
	return false;
}

static int store(struct pull *p, const struct oci_document *document, struct err *err)
{
	struct cache_entry entry CLEANUP(cache_abandon) = {.lock_fd = -1};
	CLEANUP_FREE char *path = NULL;

	if (cache_begin(p->cache, OCI_KIND_BLOB, &document->descriptor.digest, &entry, err) < 0)
		return -1;
	if (!entry.dir)
		return 0;
	path = path_join(entry.dir, OCI_BLOB_FILE);
	if (outfile_write(path, document->body.data, document->body.len, false, err) < 0)
		return -1;
	return cache_commit(&entry, err);
}

static int not_offline(const struct oci_image *image, const char *what, struct err *err)
{
	err_set(err, ERR_NETWORK, "cannot work offline: the cache does not have %s of '%s'", what,
		image->resolved->reference);
	return err_hint(err, "'ingot images pull' or a build without --offline fetches it");
}

/* Opens where the image comes from, the first time that something of it is missing. */
static int need_source(struct pull *p, struct oci_image *image, const char *what, struct err *err)
{
	const struct profile_container *want = image->resolved->want;

	if (image->source)
		return 0;
	if (want->oci)
		return oci_source_open_local(p->cache, want->oci, &p->platform, &image->source,
					     err);
	if (p->offline)
		return not_offline(image, what, err);
	return oci_source_open_registry(p->client, want->image, &image->source, err);
}

static int get_document(struct pull *p, struct oci_image *image, const char *what,
			const struct oci_descriptor *want, bool is_config,
			struct oci_document **ret, struct err *err)
{
	struct oci_document *document = &image->documents[image->document_count];

	*ret = document;
	if (!find_stored(p, want, is_config, document)) {
		if (need_source(p, image, what, err) < 0 ||
		    oci_source_document(image->source, want, is_config, document, err) < 0 ||
		    store(p, document, err) < 0) {
			oci_document_free(document);
			return -1;
		}
	}
	image->document_count++;
	return 0;
}

static json_t *parse(const struct oci_document *document, const char *what, struct err *err)
{
	json_t *json = json_parse(document->body.data, document->body.len, what, err);

	if (!json && err)
		err->code = ERR_VERIFY;
	return json;
}

/* From the target to the manifest, through an index and one inside of it. */
static int get_manifest(struct pull *p, struct oci_image *image, struct err *err)
{
	struct oci_descriptor want = with_digest(&image->resolved->target.digest);

	for (int depth = 0;; depth++) {
		CLEANUP_JSON json_t *json = NULL;
		struct oci_document *document;

		if (get_document(p, image, "the manifest", &want, false, &document, err) < 0)
			return -1;
		if (depth == 0)
			image->target = document->descriptor;
		json = parse(document, "manifest", err);
		if (!json)
			return -1;
		if (!oci_is_index(document->descriptor.media_type, json)) {
			image->manifest = document->descriptor;
			return oci_manifest_read(json, &image->content, err);
		}
		if (depth == OCI_INDEX_DEPTH)
			return err_set(err, ERR_VERIFY, "bad index: it is nested too deeply");
		if (oci_index_choose(json, &p->platform, &want, err) < 0)
			return -1;
	}
}

static int get_image(size_t index, void *context, struct err *err)
{
	struct pull *p = context;
	struct oci_image *image = &p->images[index];
	CLEANUP_JSON json_t *config = NULL;
	struct oci_document *document;

	if (get_manifest(p, image, err) < 0 ||
	    get_document(p, image, "the configuration", &image->content.config, true, &document,
			 err) < 0)
		return err_wrap(err, "container image '%s'", image->resolved->reference);
	config = parse(document, "configuration", err);
	if (!config || oci_config_read(config, &p->platform, image->content.layer_count,
				       &image->diff_ids, err) < 0)
		return err_wrap(err, "container image '%s'", image->resolved->reference);
	return 0;
}

/* One image per target, whatever number of references it has. */
static void find_images(struct pull *p)
{
	size_t count = p->profile->containers.image_count;

	p->images = mem_alloc_array(count + 1, sizeof(*p->images));
	for (size_t i = 0; i < count; i++) {
		bool known = false;

		for (size_t j = 0; j < p->image_count && !known; j++)
			known = memcmp(&p->images[j].resolved->target.digest,
				       &p->resolved[i].target.digest, DIGEST_SIZE) == 0;
		if (!known)
			p->images[p->image_count++].resolved = &p->resolved[i];
	}
}

static bool is_there(struct pull *p, const struct digest *diff_id)
{
	CLEANUP_FREE char *dir = NULL;
	struct tree_layer layer;
	struct digest key;

	oci_layer_key(diff_id, &key);
	dir = cache_find(p->cache, OCI_KIND_LAYER, &key);
	if (dir && oci_layer_record(dir, diff_id, &layer, NULL) == 0)
		return true;
	if (dir)
		cache_discard(p->cache, OCI_KIND_LAYER, &key, NULL);
	return false;
}

static void count_bytes(int64_t bytes, void *context)
{
	struct pull *p = context;

	pthread_mutex_lock(&p->mutex);
	p->done += (uint64_t)bytes;
	log_step_progress(p->step, p->done, p->total, NULL);
	pthread_mutex_unlock(&p->mutex);
}

static int add_job(struct pull *p, size_t image, size_t number, struct err *err)
{
	struct oci_image *from = &p->images[image];
	struct job job = {.image = image, .number = number};

	if (need_source(p, from, "a layer", err) < 0)
		return -1;
	job.origin = mem_printf("layer %zu of '%s'", number + 1, from->resolved->reference);
	job.fetch = (struct oci_fetch){
		.cache = p->cache,
		.source = from->source,
		.blob = from->content.layers[number],
		.diff_id = from->diff_ids[number],
		.origin = job.origin,
		.stop = &p->stop,
		.progress = count_bytes,
		.context = p,
	};
	p->total += job.fetch.blob.size;
	VEC_ADD(p->jobs, p->job_count, p->job_room, job);
	return 0;
}

static int compare_digests(const void *a, const void *b)
{
	return memcmp(a, b, DIGEST_SIZE);
}

/* The largest first, so that no large one is left alone at the end. */
static int compare_jobs(const void *a, const void *b)
{
	const struct oci_descriptor *x = &((const struct job *)a)->fetch.blob;
	const struct oci_descriptor *y = &((const struct job *)b)->fetch.blob;

	if (x->size != y->size)
		return x->size > y->size ? -1 : 1;
	return compare_digests(&x->digest, &y->digest);
}

/* The place of a layer that has not been seen yet. */
struct seen {
	struct digest diff_id;
	size_t image, number;
};

static int compare_seen(const void *a, const void *b)
{
	const struct seen *x = a, *y = b;
	int r = compare_digests(&x->diff_id, &y->diff_id);

	if (r || x->image == y->image)
		return r ? r : (x->number > y->number) - (x->number < y->number);
	return x->image < y->image ? -1 : 1;
}

/* Finds the different layers, and which of them are missing. */
static int find_layers(struct pull *p, size_t *ret_count, struct err *err)
{
	CLEANUP_FREE struct seen *all = NULL;
	size_t count = 0, room = 0, different = 0;

	for (size_t i = 0; i < p->image_count; i++)
		for (size_t n = 0; n < p->images[i].content.layer_count; n++)
			VEC_ADD(all, count, room, ((struct seen){p->images[i].diff_ids[n], i, n}));
	if (count)
		qsort(all, count, sizeof(*all), compare_seen);
	for (size_t i = 0; i < count; i++) {
		if (i && compare_digests(&all[i].diff_id, &all[i - 1].diff_id) == 0)
			continue;
		different++;
		if (!is_there(p, &all[i].diff_id) &&
		    add_job(p, all[i].image, all[i].number, err) < 0)
			return -1;
	}
	if (p->job_count)
		qsort(p->jobs, p->job_count, sizeof(*p->jobs), compare_jobs);
	*ret_count = different;
	return 0;
}

static int run_job(size_t index, void *context, struct err *err)
{
	struct pull *p = context;
	char text[64];

	if (oci_fetch_layer(&p->jobs[index].fetch, err) < 0)
		return -1;
	pthread_mutex_lock(&p->mutex);
	snprintf(text, sizeof(text), "%zu of %zu layers", ++p->finished, p->job_count);
	log_step_progress(p->step, p->done, p->total, text);
	pthread_mutex_unlock(&p->mutex);
	return 0;
}

static int remember(struct pull *p, struct err *err)
{
	for (size_t i = 0; i < p->profile->containers.image_count; i++)
		if (oci_remember_ref(p->cache, p->resolved[i].remembered, &p->resolved[i].target,
				     err) < 0)
			return -1;
	return 0;
}

static unsigned layer_workers(unsigned jobs)
{
	if (jobs < LAYER_WORKERS_MIN)
		return LAYER_WORKERS_MIN;
	return jobs < LAYER_WORKERS_MAX ? jobs : LAYER_WORKERS_MAX;
}

static size_t count_layers(const struct pull *p)
{
	size_t count = 0;

	for (size_t i = 0; i < p->image_count; i++)
		count += p->images[i].content.layer_count;
	return count;
}

static int run(struct pull *p, unsigned jobs, struct oci_pulled *ret, struct err *err)
{
	char text[96];

	/* The cache holds what it has found: three documents of each image, then the layers. */
	if (fd_make_room(4 * p->image_count + 64, err) < 0 ||
	    oci_each(p->image_count, DOCUMENT_WORKERS, NULL, get_image, p, err) < 0 ||
	    fd_make_room(count_layers(p) + 64, err) < 0 || find_layers(p, &ret->layers, err) < 0)
		return -1;
	ret->fetched = p->job_count;
	if (oci_each(p->job_count, layer_workers(jobs), &p->stop, run_job, p, err) < 0)
		return -1;
	snprintf(text, sizeof(text), "%zu images, %zu layers, %zu new", p->image_count, ret->layers,
		 ret->fetched);
	log_step_progress(p->step, p->done, p->total, text);
	if (remember(p, err) < 0 ||
	    oci_describe(p->cache, p->images, p->image_count, p->resolved,
			 p->profile->containers.image_count, &ret->images, err) < 0)
		return -1;
	ret->blobs = oci_describe_blobs(p->images, p->image_count);
	return 0;
}

static void image_free(struct oci_image *image)
{
	for (size_t i = 0; i < image->document_count; i++)
		oci_document_free(&image->documents[i]);
	oci_manifest_free(&image->content);
	oci_source_free(image->source);
	free(image->diff_ids);
}

int oci_fetch(struct cache *cache, const struct profile *profile,
	      const struct oci_resolved *resolved, bool offline, unsigned jobs,
	      struct log_step *step, struct oci_pulled *ret, struct err *err)
{
	struct oci_client *client CLEANUP(oci_client_cleanup) = oci_profile_client(profile);
	struct pull p = {
		.cache = cache,
		.profile = profile,
		.resolved = resolved,
		.offline = offline,
		.platform = oci_profile_platform(profile),
		.client = client,
		.step = step,
		.mutex = PTHREAD_MUTEX_INITIALIZER,
	};
	int r;

	*ret = (struct oci_pulled){0};
	find_images(&p);
	r = run(&p, jobs, ret, err);
	for (size_t i = 0; i < p.image_count; i++)
		image_free(&p.images[i]);
	for (size_t i = 0; i < p.job_count; i++)
		free(p.jobs[i].origin);
	free(p.images);
	free(p.jobs);
	pthread_mutex_destroy(&p.mutex);
	if (r < 0)
		oci_pulled_free(ret);
	return r;
}

void oci_pulled_free(struct oci_pulled *pulled)
{
	json_decref(pulled->images);
	json_decref(pulled->blobs);
	*pulled = (struct oci_pulled){0};
}

int oci_pull(struct cache *cache, const struct profile *profile,
	     const struct oci_resolved *resolved, bool offline, unsigned jobs, const char *dir,
	     struct log_step *step, struct err *err)
{
	struct oci_pulled pulled CLEANUP(oci_pulled_free) = {0};
	CLEANUP_FREE char *images = path_join(dir, OCI_SET_IMAGES);
	CLEANUP_FREE char *blobs = path_join(dir, OCI_SET_BLOBS);

	if (oci_fetch(cache, profile, resolved, offline, jobs, step, &pulled, err) < 0)
		return -1;
	if (json_write_file(images, pulled.images, false, err) < 0)
		return -1;
	return json_write_file(blobs, pulled.blobs, false, err);
}

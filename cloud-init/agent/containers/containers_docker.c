/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Docker's image store, before docker starts: layers, then images, then names, so that a crash leaves nothing that
 * points to what is not there; taken out in the other order. The state is on the disk before all of it.
 */
#include "agent/containers/containers_parts.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <sys/stat.h>
#include <unistd.h>

#define REPOSITORIES_MAX ((size_t)16 << 20)
#define METADATA_MAX ((size_t)1 << 20)
#define METADATA_ROWS_MAX 50 /* as many does docker keep of a layer */

struct writer {
	const struct agent *agent;
	const struct containers *containers;
	const struct report *report;
	struct containers_done *done;
	struct containers_store store;
	struct containers_state old, wanted, keep;
	bool *ready;          /* per image of containers */
	json_t *repositories; /* the whole of repositories.json */
	bool repositories_new;
};

static void writer_free(struct writer *w)
{
	containers_store_close(&w->store);
	containers_state_free(&w->old);
	containers_state_free(&w->wanted);
	containers_state_free(&w->keep);
	free(w->ready);
	json_decref(w->repositories);
}

/* ---- names ----------------------------------------------------------------------------------- */

/* Docker does not start with a damaged file. Its names are lost then, but not the images. */
static int read_repositories(struct writer *w, struct err *err)
{
	CLEANUP_FREE char *path =
		mem_printf("%s/image/overlay2/repositories.json", w->store.data_root);
	CLEANUP_FREE char *aside = mem_printf("%s.damaged", path);
	struct stat st;

	if (lstat(path, &st) < 0 && errno == ENOENT) {
		w->repositories = json_pack("{s:{}}", "Repositories");
		w->repositories_new = true;
		return 0;
	}
	if (st.st_size > (off_t)REPOSITORIES_MAX)
		return err_set(err, ERR_OTHER, "'%s' is too large", path);
	w->repositories = json_read_file(path, REPOSITORIES_MAX, NULL);
	if (json_is_object(json_object_get(w->repositories, "Repositories")))
		return 0;
	if (rename(path, aside) < 0)
		return err_sys(err, errno, "cannot rename '%s'", path);
	report_log(w->report, LOG_ERR, "CONTAINERS", NULL,
		   "'%s' is damaged: it is '%s' now, and the names of images that are not of this "
		   "system are lost",
		   path, aside);
	json_decref(w->repositories);
	w->repositories = json_pack("{s:{}}", "Repositories");
	w->repositories_new = true;
	return 0;
}

/* "app" of "app:1.4" and "host:5000/app@sha256:...". Caller frees. */
static char *name_of(const char *reference)
{
	const char *end = strchr(reference, '@');

	if (!end)
		end = strrchr(reference, ':');
	return mem_strndup(reference, end ? (size_t)(end - reference) : strlen(reference));
}

/* Sets one reference (id NULL: removes it); true when that changed something. */
static bool set_reference(json_t *all, const char *reference, const char *id)
{
	CLEANUP_FREE char *name = name_of(reference);
	json_t *repository = json_object_get(all, name);

	if (!id) {
		if (json_object_del(repository, reference) < 0)
			return false;
		if (json_object_size(repository) == 0)
			json_object_del(all, name);
		return true;
	}
	if (!json_is_object(repository)) {
		repository = json_object();
		json_object_set_new(all, name, repository);
	}
	json_object_set_new(repository, reference, json_sprintf("sha256:%s", id));
	return true;
}

static const char *get_reference(const json_t *all, const char *reference)
{
	CLEANUP_FREE char *name = name_of(reference);
	const char *value = json_member_string(json_object_get(all, name), reference);

	return value && str_has_prefix(value, "sha256:") ? value + 7 : value;
}

static bool same(const char *a, const char *b)
{
	return a && b && strcmp(a, b) == 0;
}

/* What the user moved stays where it is; what we wrote moves with the system. */
static bool add_references(struct writer *w, json_t *all)
{
	bool changed = false;
	const char *reference;
	json_t *value;

	json_object_foreach(w->keep.references, reference, value)
	{
		const char *want = json_string_value(value), *now = get_reference(all, reference);
		const char *ours = json_member_string(w->old.references, reference);

		if (same(now, want))
			continue;
		if (!now || same(now, ours))
			changed |= set_reference(all, reference, want);
		else if (json_object_get(w->wanted.references, reference))
			strv_addf(&w->done->missing,
				  "%s: the name was given to another image, %.12s", reference, now);
	}
	return changed;
}

static bool remove_references(struct writer *w, json_t *all)
{
	bool changed = false;
	const char *reference;
	json_t *value;

	json_object_foreach(w->old.references, reference, value)
	{
		if (!json_object_get(w->keep.references, reference) &&
		    same(get_reference(all, reference), json_string_value(value))) {
			changed |= set_reference(all, reference, NULL);
			if (!strchr(reference, '@'))
				strv_add(&w->done->removed, reference);
		}
	}
	return changed;
}

static int write_references(struct writer *w, struct err *err)
{
	CLEANUP_FREE char *path =
		mem_printf("%s/image/overlay2/repositories.json", w->store.data_root);
	json_t *all = json_object_get(w->repositories, "Repositories");
	bool removed = remove_references(w, all), added = add_references(w, all);
	CLEANUP(outfile_abandon) struct outfile out = OUTFILE_NONE;
	CLEANUP_FREE char *text = NULL;

	if (!removed && !added && !w->repositories_new)
		return 0;
	text = json_line(w->repositories);
	if (!text)
		return err_set(err, ERR_OTHER, "cannot write '%s': text is not UTF-8", path);
	w->store.written++;
	if (outfile_open(&out, path, err) < 0)
		return -1;
	if (fchmod(out.fd, 0600) < 0)
		return err_sys(err, errno, "cannot write '%s'", path);
	if (fd_write(out.fd, text, strlen(text), path, err) < 0)
		return -1;
	/* Docker does not start with half a file. */
	return outfile_finish(&out, true, err);
}

/* ---- what a later pull and push need to know ------------------------------------------------- */

/* True when rows has the blob of this repository. */
static bool has_row(const json_t *rows, const char *digest, const char *repository)
{
	const json_t *row;
	size_t i;

	json_array_foreach(rows, i, row) if (same(json_member_string(row, "Digest"), digest) &&
					     same(json_member_string(row, "SourceRepository"),
						  repository)) return true;
	return false;
}

/* Which blob of which repository the layer came from: moby, distribution/metadata/v2_metadata_service.go. */
static int write_origin(struct writer *w, const struct containers_image *image, size_t i,
			struct err *err)
{
	char blob[DIGEST_HEX_SIZE], diff[DIGEST_HEX_SIZE];
	CLEANUP_FREE char *text =
		mem_printf("sha256:%s", digest_hex(&image->layers[i]->diff_id, diff));
	CLEANUP_FREE char *digest =
		mem_printf("sha256:%s", digest_hex(&image->blobs[i].digest, blob));
	CLEANUP_FREE char *path =
		mem_printf("%s/image/overlay2/distribution/v2metadata-by-diffid/sha256/%s",
			   w->store.data_root, diff);
	CLEANUP_FREE char *line = NULL;
	CLEANUP_JSON json_t *rows = NULL;
	bool changed = false;

	if (containers_put_file(w->store.by_digest, blob, text, strlen(text), 0644,
				&w->store.written, err) < 0)
		return -1;
	rows = json_read_file(path, METADATA_MAX, NULL);
	if (!json_is_array(rows)) {
		json_decref(rows);
		rows = json_array();
	}
	for (size_t k = 0; k < image->repositories.count; k++) {
		const char *repository = image->repositories.items[k];

		if (has_row(rows, digest, repository) || json_array_size(rows) >= METADATA_ROWS_MAX)
			continue;
		json_array_append_new(rows, json_pack("{s:s, s:s, s:s}", "Digest", digest,
						      "SourceRepository", repository, "HMAC", ""));
		changed = true;
	}
	if (!changed)
		return 0;
	line = json_dumps(rows, JSON_COMPACT);
	return containers_put_file(w->store.by_diff, diff, line, strlen(line), 0644,
				   &w->store.written, err);
}

/* ---- images ---------------------------------------------------------------------------------- */

static int write_image(struct writer *w, const struct containers_image *image, json_t *chains,
		       struct err *err)
{
	CLEANUP(str_free) struct str config = {0};
	char id[DIGEST_HEX_SIZE];

	if (containers_overlay_write(&w->store, image->layers, image->chains, image->layer_count,
				     chains, err) < 0)
		return -1;
	for (size_t i = 0; i < image->layer_count; i++)
		if (write_origin(w, image, i, err) < 0)
			return -1;
	if (containers_blob_read(w->agent, &image->config, &config, err) < 0)
		return -1;
	return containers_put_file(w->store.content, digest_hex(&image->config.digest, id),
				   config.data, config.len, 0600, &w->store.written, err);
}

/* Layers of a kept image as far as this root has them, from the bottom. */
static int write_kept(struct writer *w, const char *id, json_t *chains, struct err *err)
{
	CLEANUP_FREE char *path = path_join(w->store.content_path, id);
	CLEANUP(str_free) struct str config = {0};
	CLEANUP_FREE struct digest *ids = NULL;
	CLEANUP_FREE struct digest *own = NULL;
	CLEANUP_FREE const struct containers_layer **layers = NULL;
	ssize_t count;
	size_t have = 0;

	if (fd_read_file(path, CONTAINERS_DOCUMENT_MAX, &config, err) < 0)
		return -1;
	count = containers_diff_ids(config.data, config.len, &ids);
	if (count <= 0)
		return 0;
	own = mem_alloc_array((size_t)count, sizeof(*own));
	layers = mem_alloc_array((size_t)count, sizeof(void *));
	for (; have < (size_t)count; have++) {
		layers[have] = containers_layer_find(w->containers, &ids[have]);
		if (!layers[have] || !containers_layer_there(w->agent, layers, have))
			break;
		containers_chain_next(have ? &own[have - 1] : NULL, &ids[have], &own[have]);
	}
	return containers_overlay_write(&w->store, layers, own, have, chains, err);
}

static int write_images(struct writer *w, json_t *chains, struct err *err)
{
	const char *id;
	json_t *value;

	for (size_t i = 0; i < w->containers->image_count; i++) {
		const struct containers_image *image = &w->containers->images[i];
		char buffer[DIGEST_HEX_SIZE];

		if (!w->ready[i])
			continue;
		if (write_image(w, image, chains, err) < 0)
			return err_wrap(err, "cannot give docker the image '%s'",
					containers_image_label(image, buffer));
		w->done->images++;
	}
	json_object_foreach(w->keep.images, id, value)
	{
		if (!json_object_get(w->wanted.images, id) && write_kept(w, id, chains, err) < 0)
			return -1;
	}
	return 0;
}

static int remove_image(struct writer *w, const char *id, struct err *err)
{
	CLEANUP_FREE char *metadata = path_join(w->store.metadata_path, id);

	if (path_remove_all(metadata, err) < 0)
		return -1;
	if (unlinkat(w->store.content, id, 0) == 0)
		w->store.written++;
	else if (errno != ENOENT)
		return err_sys(err, errno, "cannot remove image %.12s", id);
	return 0;
}

static int remove_old(struct writer *w, const json_t *chains, struct err *err)
{
	const char *key;
	json_t *value;

	json_object_foreach(w->old.images, key, value)
	{
		if (!json_object_get(w->keep.images, key) && remove_image(w, key, err) < 0)
			return -1;
	}
	json_object_foreach(w->old.chains, key, value)
	{
		bool needed = json_object_get(w->keep.chains, key);

		if (!json_object_get(chains, key) &&
		    containers_overlay_remove(&w->store, key, needed, err) < 0)
			return -1;
	}
	return 0;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static int write_store(struct writer *w, const char *data_root, bool lost, struct err *err)
{
	CLEANUP(containers_state_free) struct containers_state intent = {0};
	CLEANUP_JSON json_t *chains = json_object();

	if (read_repositories(w, err) < 0 ||
	    (lost && containers_overlay_find(&w->store, w->old.chains, err) < 0))
		return -1;
	containers_state_new(&w->keep);
	containers_state_add(&w->keep, &w->wanted);
	if (containers_used(w->store.data_root, w->containers,
			    json_object_get(w->repositories, "Repositories"), &w->old, &w->keep,
			    w->done, err) < 0)
		return -1;
	/* Old names first: should we stop half way, they tell the next run what is not the user's. */
	containers_state_new(&intent);
	containers_state_add(&intent, &w->old);
	containers_state_add(&intent, &w->keep);
	if (containers_state_save(w->agent, data_root, &intent, err) < 0 ||
	    write_images(w, chains, err) < 0 || write_references(w, err) < 0 ||
	    remove_old(w, chains, err) < 0)
		return -1;
	return containers_state_save(w->agent, data_root, &w->keep, err);
}

/* What docker has in its memory would not fit what is written under it. */
static int check_stopped(const struct agent *agent, struct err *err)
{
	CLEANUP_FREE char *pid = agent_read_line(agent, "/run/docker.pid");
	CLEANUP_FREE char *path = NULL;
	CLEANUP_FREE char *name = NULL;

	if (!pid || !*pid || strspn(pid, "0123456789") != strlen(pid))
		return 0;
	path = mem_printf("/proc/%s/comm", pid);
	name = agent_read_line(agent, path);
	if (!name || strcmp(name, "dockerd") != 0)
		return 0;
	return err_set(err, ERR_OTHER,
		       "docker runs (process %s): its store is written before it starts", pid);
}

int containers_docker_write(const struct agent *agent, const struct containers *containers,
			    const struct report *report, struct containers_done *done,
			    struct err *err)
{
	struct containers_setup setup;
	CLEANUP(writer_free)
	struct writer w = {
		.agent = agent, .containers = containers, .report = report, .done = done};
	CLEANUP_FREE char *data_root = NULL;
	CLEANUP_FREE char *path = NULL;
	bool lost;
	int r;

	containers_setup_read(agent, containers->docker, &setup);
	data_root = setup.data_root;
	containers_store_none(&w.store);
	containers_state_read(agent, data_root, &w.old, &lost);
	if (lost)
		report_log(report, LOG_WARNING, "CONTAINERS", NULL,
			   "'" CONTAINERS_STATE "' is damaged: what an earlier system left is told "
			   "by its names");
	if (*setup.why) {
		memcpy(done->why, setup.why, sizeof(done->why));
		done->fallback = *containers->docker && containers->image_count;
		return 0;
	}
	if (!*containers->docker && !lost && json_object_size(w.old.chains) == 0 &&
	    json_object_size(w.old.images) == 0)
		return 0;
	if (check_stopped(agent, err) < 0)
		return -1;
	path = agent_path(agent, data_root);
	containers_wanted(agent, containers, &w.wanted, &w.ready, done);
	r = containers_store_open(&w.store, path, err);
	if (r == 0)
		r = write_store(&w, data_root, lost, err);
	done->written = w.store.written;
	return r;
}

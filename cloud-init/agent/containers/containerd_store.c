/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two databases of containerd: opened, locked as bbolt locks them, checked for the version that we know, and
 * replaced when they changed.
 */
#include "agent/containers/containerd_parts.h"
#include "agent/containers/containers_parts.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/path.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define META_DB CONTAINERD_META_DIR "/meta.db"
#define OVERLAY_DB CONTAINERD_OVERLAY_DIR "/metadata.db"
#define SCHEMA_VERSION 3 /* dbVersion in metadata/db.go of containerd 1.6 and 1.7 */

/* Opens and locks a database; one that is absent or empty (bbolt fills it) is new. */
static struct bolt *open_database(const char *path, int *ret_fd, struct err *err)
{
	struct stat st;

	*ret_fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	if (*ret_fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return bolt_new();
	if (*ret_fd < 0 || fstat(*ret_fd, &st) < 0) {
		err_sys(err, errno, "cannot open '%s'", path);
		return NULL;
	}
	if (flock(*ret_fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno == EWOULDBLOCK)
			err_set(err, ERR_OTHER, "cannot write '%s': containerd runs", path);
		else
			err_sys(err, errno, "cannot lock '%s'", path);
		return NULL;
	}
	return st.st_size == 0 ? bolt_new() : bolt_read(*ret_fd, path, err);
}

/* The only top bucket that we know is v1. */
static int check_schema(struct bolt *bolt, const char *path, struct err *err)
{
	const struct bolt_bucket *root = bolt_root(bolt);

	if (root->count == 0 || (root->count == 1 && bolt_bucket(root, "v1")))
		return 0;
	return err_set(err, ERR_VERIFY, "the schema of '%s' is not known", path);
}

/* A new database gets the version, an old one must have it: what is older, containerd brings up to date first. */
static int check_version(struct bolt *meta, struct err *err)
{
	struct bolt_bucket *version = bolt_bucket(bolt_root(meta), "v1");
	uint64_t number;

	if (!version) {
		version = bolt_make_bucket(meta, bolt_root(meta), "v1", err);
		return version ? containerd_put_number(meta, version, "version", SCHEMA_VERSION,
						       true, err)
			       : -1;
	}
	if (!containerd_get_number(version, "version", &number) || number != SCHEMA_VERSION << 1)
		return err_set(err, ERR_VERIFY, "the version of '%s' is not known", META_DB);
	return 0;
}

int containerd_store_open(struct containerd_store *store, struct err *err)
{
	CLEANUP_FREE char *meta = agent_path(store->agent, META_DB);
	CLEANUP_FREE char *overlay = agent_path(store->agent, OVERLAY_DB);
	struct bolt_bucket *version;

	store->meta = open_database(meta, &store->meta_fd, err);
	if (!store->meta || check_schema(store->meta, meta, err) < 0 ||
	    check_version(store->meta, err) < 0)
		return -1;
	store->overlay = open_database(overlay, &store->overlay_fd, err);
	if (!store->overlay || check_schema(store->overlay, overlay, err) < 0)
		return -1;
	version = bolt_bucket(bolt_root(store->meta), "v1");
	store->namespace = bolt_make_bucket(store->meta, version, store->name, err);
	return store->namespace ? 0 : -1;
}

static int open_folder(struct containerd_store *store, const char *path, int *ret, struct err *err)
{
	CLEANUP_FREE char *full = agent_path(store->agent, path);

	return containers_put_path(full, 0700, ret, &store->done->written, err);
}

/* What an agent that was killed while it wrote a database left beside it. */
static int remove_unfinished(const char *path, struct err *err)
{
	DIR *dir = opendir(path);
	const struct dirent *entry;
	int r = 0;

	if (!dir)
		return err_sys(err, errno, "cannot read '%s'", path);
	while (r == 0 && (entry = readdir(dir))) {
		if (!outfile_is_temp(entry->d_name))
			continue;
		if (unlinkat(dirfd(dir), entry->d_name, 0) < 0 && errno != ENOENT)
			r = err_sys(err, errno, "cannot remove '%s/%s'", path, entry->d_name);
	}
	closedir(dir);
	return r;
}

int containerd_store_folders(struct containerd_store *store, struct err *err)
{
	static const char *const parents[] = {CONTAINERD_ROOT, CONTAINERD_META_DIR,
					      CONTAINERD_OVERLAY_DIR};

	/* From the top, because containerd's folders are closed to others. */
	for (size_t i = 0; i < ARRAY_SIZE(parents); i++) {
		CLEANUP_FREE char *full = agent_path(store->agent, parents[i]);
		CLEANUP_FD int fd = -1;

		if (open_folder(store, parents[i], &fd, err) < 0 ||
		    remove_unfinished(full, err) < 0)
			return -1;
	}
	if (open_folder(store, CONTAINERD_OVERLAY_DIR "/snapshots", &store->snapshots, err) < 0)
		return -1;
	return open_folder(store, CONTAINERD_BLOBS_DIR, &store->blobs, err);
}

static int write_database(struct containerd_store *store, const struct bolt *bolt, const char *path,
			  mode_t mode, struct err *err)
{
	CLEANUP_FREE char *full = agent_path(store->agent, path);
	CLEANUP(outfile_abandon) struct outfile out = OUTFILE_NONE;
	CLEANUP(str_free) struct str bytes = {0};

	if (bolt_write(bolt, &bytes, err) < 0 || outfile_open(&out, full, err) < 0 ||
	    fd_write(out.fd, bytes.data, bytes.len, full, err) < 0)
		return -1;
	if (fchmod(out.fd, mode) < 0)
		return err_sys(err, errno, "cannot write '%s'", full);
	store->done->written++;
	return outfile_finish(&out, true, err);
}

int containerd_store_save(struct containerd_store *store, struct err *err)
{
	CLEANUP_JSON json_t *names = json_deep_copy(store->old);
	bool changed = bolt_changed(store->meta) || bolt_changed(store->overlay);

	/* What the databases will say is on the disk before they say it. */
	if (changed && store->snapshots >= 0 && syncfs(store->snapshots) < 0)
		return err_sys(err, errno, "cannot sync '%s'", CONTAINERD_ROOT);
	if (bolt_changed(store->overlay) &&
	    write_database(store, store->overlay, OVERLAY_DB, 0600, err) < 0)
		return -1;
	/* Between the two writes of the state, names of both kinds are ours. */
	json_object_update(names, store->ours);
	if (bolt_changed(store->meta) &&
	    (containerd_state_write(store->agent, store->name, names, err) < 0 ||
	     write_database(store, store->meta, META_DB, 0644, err) < 0))
		return -1;
	return containerd_state_write(store->agent, store->name, store->ours, err);
}

void containerd_store_close(struct containerd_store *store)
{
	bolt_free(store->meta);
	bolt_free(store->overlay);
	fd_close(&store->meta_fd);
	fd_close(&store->overlay_fd);
	fd_close(&store->blobs);
	fd_close(&store->snapshots);
	json_decref(store->old);
	json_decref(store->ours);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The output folder of a profile: whether the images in it are those of a key, who may write to it, and
 * the manifest, which appears after the images that it describes and goes before they are replaced.
 */
#include "build_job.h"
#include "build_output.h"

#include "attest/manifest.h"
#include "attest/sums.h"
#include "base/mem.h"
#include "base/path.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define MANIFEST_MAX ((size_t)16 << 20)
#define STAMP ".stamp.json"

static bool is_ours(const struct job *job, const char *name)
{
	CLEANUP_FREE char *prefix = mem_printf("%s_", job->profile->name);

	return str_has_prefix(name, prefix) || str_has_prefix(name, MANIFEST_FILE) ||
	       str_has_prefix(name, SUMS_FILE) || str_has_prefix(name, STAMP);
}

/* Removes the unfinished files of builds that were killed. Call with the lock. */
static void sweep(const struct job *job)
{
	DIR *d = opendir(job->out);

	if (!d)
		return;
	for (struct dirent *e; (e = readdir(d));) {
		if (!outfile_is_temp(e->d_name) || !is_ours(job, e->d_name))
			continue;
		log_debug("removing '%s/%s', which a killed build left", job->out, e->d_name);
		if (unlinkat(dirfd(d), e->d_name, 0) < 0)
			log_warn("cannot remove '%s/%s': %s", job->out, e->d_name, strerror(errno));
	}
	closedir(d);
}

int build_output_lock(struct job *job, int *ret_fd, struct err *err)
{
	CLEANUP_FD int fd = -1;
	int r;

	*ret_fd = -1;
	if (path_make_dirs(job->out, err) < 0)
		return -1;
	fd = open(job->out, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, errno, "cannot open folder '%s'", job->out);
	r = flock(fd, LOCK_EX | LOCK_NB);
	if (r < 0 && errno == EWOULDBLOCK) {
		log_info("waiting for another build that writes to '%s'", job->out);
		while ((r = flock(fd, LOCK_EX)) < 0 && errno == EINTR)
			;
	}
	if (r < 0) {
		/* Some network file systems cannot lock folders; builds into one are then for the
		 * user to keep apart. */
		log_debug("cannot lock '%s': %s", job->out, strerror(errno));
		return 0;
	}
	sweep(job);
	*ret_fd = fd_steal(&fd);
	return 0;
}

/* Files are as we left them when size and time of the last change are those of the stamp beside the
 * manifest: reading gigabytes to answer "nothing changed" would take seconds. */
static json_t *stamp_of(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return json_null();
	return json_pack("{s:I, s:I, s:I}", "bytes", (json_int_t)st.st_size, "seconds",
			 (json_int_t)st.st_mtim.tv_sec, "nanoseconds",
			 (json_int_t)st.st_mtim.tv_nsec);
}

static json_t *stamp_files(const struct job *job, const json_t *manifest)
{
	CLEANUP(strv_free) struct strv names = {0};
	json_t *files = json_object();

	build_files_names(manifest, &names);
	for (size_t i = 0; i < names.count; i++) {
		CLEANUP_FREE char *path = path_join(job->out, names.items[i]);

		json_object_set_new(files, names.items[i], stamp_of(path));
	}
	return files;
}

/* The manifest in the folder, if its images are untouched and the member of the stamp (a digest of
 * inputs) is as given. Caller decrefs. */
static json_t *find_manifest(const struct job *job, const char *member, const struct digest *digest)
{
	CLEANUP_FREE char *manifest_path = path_join(job->out, MANIFEST_FILE);
	CLEANUP_FREE char *stamp_path = path_join(job->out, STAMP);
	CLEANUP_JSON json_t *stamp = json_read_file(stamp_path, MANIFEST_MAX, NULL);
	CLEANUP_JSON json_t *manifest = json_read_file(manifest_path, MANIFEST_MAX, NULL);
	const char *was = json_member_string(stamp, member);
	CLEANUP_JSON json_t *files = NULL;
	char hex[DIGEST_HEX_SIZE];

	if (!manifest || !was || strcmp(was, digest_hex(digest, hex)) != 0)
		return NULL;
	files = stamp_files(job, manifest);
	return json_equal(files, json_object_get(stamp, "files")) ? MEM_STEAL(manifest) : NULL;
}

bool build_images_done(struct job *job)
{
	json_t *manifest = find_manifest(job, "key", &job->digests[STEP_IMAGES]);

	if (!manifest)
		return false;
	json_decref(job->manifest);
	job->manifest = manifest;
	return true;
}

bool build_output_has_disk(const struct job *job)
{
	CLEANUP_JSON json_t *manifest = find_manifest(job, "disk", &job->disk_digest);

	return manifest != NULL;
}

static int write_stamp(const struct job *job, struct err *err)
{
	CLEANUP_FREE char *path = path_join(job->out, STAMP);
	char key[DIGEST_HEX_SIZE], disk[DIGEST_HEX_SIZE];
	CLEANUP_JSON json_t *stamp = json_pack(
		"{s:s, s:s, s:o}", "key", digest_hex(&job->digests[STEP_IMAGES], key), "disk",
		digest_hex(&job->disk_digest, disk), "files", stamp_files(job, job->manifest));

	return json_write_file(path, stamp, false, err);
}

static void profile_digest(const struct job *job, struct digest *ret)
{
	CLEANUP_FREE char *resolved = json_line(job->profile->json);

	digest_bytes(resolved, strlen(resolved), ret);
}

/* For `ingot test IMAGE`, which has no profile at hand. */
static void add_profile(const struct job *job, json_t *manifest)
{
	json_object_set(manifest, "join", json_object_get(job->profile->json, "join"));
	json_object_set(manifest, "tests", json_object_get(job->profile->json, "tests"));
}

int build_output_renew(struct job *job, struct err *err)
{
	CLEANUP(build_files_abandon) struct build_files files = {0};
	json_t *manifest = find_manifest(job, "disk", &job->disk_digest);
	char hex[DIGEST_HEX_SIZE];
	struct digest digest;

	if (!manifest)
		return err_set(err, ERR_OTHER, "cannot renew '%s/%s': its images were changed",
			       job->out, MANIFEST_FILE);
	profile_digest(job, &digest);
	json_object_set_new(manifest, "profile", json_string(digest_hex(&digest, hex)));
	json_object_set_new(json_object_get(manifest, "keys"), build_steps[STEP_IMAGES].name,
			    json_string(digest_hex(&job->digests[STEP_IMAGES], hex)));
	if (job->has_lock)
		json_object_set_new(manifest, "lock",
				    json_string(digest_hex(&job->lock_digest, hex)));
	else
		json_object_del(manifest, "lock");
	add_profile(job, manifest);
	json_decref(job->manifest);
	job->manifest = manifest;
	if (build_open_layer(job, err) < 0 || build_files_prepare(job, manifest, &files, err) < 0)
		return -1;
	return build_output_finish(job, &files, err);
}

static const struct manifest_package *list_packages(const struct job *job)
{
	struct manifest_package *packages =
		mem_alloc_array(json_array_size(job->layer.packages), sizeof(*packages));
	json_t *package;
	size_t i;

	json_array_foreach(job->layer.packages, i, package)
	{
		packages[i].name = json_member_string(package, "name");
		packages[i].version = json_member_string(package, "version");
		packages[i].architecture = json_member_string(package, "architecture");
	}
	return packages;
}

static json_t *make_manifest(struct job *job, const struct disk *disk,
			     const struct digest *root_hash, const struct digest *content,
			     const struct output_target *targets,
			     const struct output_result *results, size_t count, struct err *err)
{
	const struct profile *p = job->profile;
	CLEANUP_FREE struct manifest_artifact *artifacts =
		mem_alloc_array(count, sizeof(*artifacts));
	struct manifest_key keys[STEP_COUNT];
	char lock[DIGEST_HEX_SIZE];
	char hexes[STEP_COUNT][DIGEST_HEX_SIZE];
	struct manifest manifest = {
		.name = p->name,
		.version = p->version,
		.architecture = p->base.architecture,
		.created = job->epoch,
		.root_hash = *root_hash,
		.content = *content,
		.lock = job->has_lock ? digest_hex(&job->lock_digest, lock) : NULL,
		.keys = keys,
		.packages = list_packages(job),
		.package_count = json_array_size(job->layer.packages),
		.disk = disk,
		.artifacts = artifacts,
		.artifact_count = count,
	};
	CLEANUP_JSON json_t *containers = build_containers_list(job, err);
	json_t *json = NULL;

	manifest.containers = containers;
	profile_digest(job, &manifest.profile);
	for (size_t i = 0; i < STEP_COUNT; i++)
		if (build_step_wanted(job, i))
			keys[manifest.key_count++] = (struct manifest_key){
				build_steps[i].name, digest_hex(&job->digests[i], hexes[i])};
	for (size_t i = 0; i < count; i++)
		artifacts[i] = (struct manifest_artifact){
			.format = targets[i].format->name,
			.file = path_base(targets[i].path),
			.size = disk->regions.size,
			.bytes = results[i].size,
			.digest = results[i].digest,
		};
	if (containers)
		json = manifest_json(&manifest, err);
	free((void *)manifest.packages);
	if (json)
		add_profile(job, json);
	return json;
}

int build_output_prepare(struct job *job, const struct disk *disk, const struct digest *root_hash,
			 const struct digest *content, const struct output_target *targets,
			 const struct output_result *results, size_t count, struct build_files *ret,
			 struct err *err)
{
	CLEANUP_FREE char *stamp = path_join(job->out, STAMP);

	json_decref(job->manifest);
	job->manifest = make_manifest(job, disk, root_hash, content, targets, results, count, err);
	if (!job->manifest)
		return -1;
	if (unlink(stamp) < 0 && errno != ENOENT)
		return err_sys(err, errno, "cannot remove '%s'", stamp);
	return build_files_prepare(job, job->manifest, ret, err);
}

int build_output_finish(struct job *job, struct build_files *files, struct err *err)
{
	return build_files_finish(job, files, err) < 0 ? -1 : write_stamp(job, err);
}

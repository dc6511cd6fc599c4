/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The root step: the package layer, the overlays and what the profile says become one tree, which is
 * checked and written as squashfs with its hash tree.
 */
#include "build_job.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/path.h"
#include "build_papers.h"
#include "build_parts.h"
#include "disk/squashfs.h"
#include "layers/elfcheck.h"
#include "layers/lint.h"
#include "layers/settings.h"
#include "net/http.h"
#include "tree/archive.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#define FORMAT_VERSION "5"
#define RECORD_MAX ((size_t)1 << 20)
#define HASH_AREA_MAX ((size_t)1 << 30)
#define OS_RELEASE_MAX ((size_t)64 << 10)
#define AGENT_PATH "/usr/bin/ingot-agent"

int build_packages_key(struct job *job, struct cache_key *key, struct err *err)
{
	return packages_key(job->profile, &job->repos, job->options->data, key, err);
}

int build_packages_run(struct job *job, const char *dir, struct log_step *progress, struct err *err)
{
	const struct packages_pins pins = {job->lock.packages, job->lock.build_packages};

	if (job->options->offline) {
		err_set(err, ERR_NETWORK,
			"cannot work offline: the cache does not have the packages of this profile");
		return err_hint(err,
				"'ingot plan' says what changed; build once without --offline");
	}
	if (build_base(job, progress, err) < 0)
		return -1;
	if (packages_build(job->cache, job->profile, &job->repos, job->has_lock ? &pins : NULL,
			   job->options->data, dir, progress, err) < 0)
		return build_lock_explain(job, err);
	return 0;
}

int build_open_layer(struct job *job, struct err *err)
{
	if (job->layer_open)
		return 0;
	job->layer_open = packages_open(job->dirs[STEP_PACKAGES], &job->layer, err) == 0;
	job->damaged[STEP_PACKAGES] = !job->layer_open;
	if (!job->layer_open)
		return -1;
	return 0;
}

static struct settings_input settings_of(const struct job *job)
{
	return (struct settings_input){
		.profile = job->profile,
		.data = job->options->data,
		.programs = job->options->programs,
		.epoch = job->epoch,
	};
}

/* An overlay's owners can only be resolved with the layer, which may not exist yet: names stand as they
 * are in its manifest, whose text is a part of the key. */
static int add_overlay(struct cache_key *key, const struct profile_overlay *overlay,
		       struct err *err)
{
	CLEANUP(tree_cleanup) struct tree *tree = tree_new();
	CLEANUP_FREE char *name = mem_printf("overlay %s", overlay->name);
	CLEANUP_FREE char *manifest = path_join(overlay->path, ".ingot-manifest");
	CLEANUP_FREE char *manifest_name = mem_printf("%s manifest", name);
	struct err ignored = {0};
	struct digest d;

	if (tree_scan_overlay(overlay->path, NULL, tree, err) < 0 || tree_digest(tree, &d, err) < 0)
		return -1;
	cache_key_add_digest(key, name, &d);
	if (digest_file(manifest, &d, &ignored) == 0)
		cache_key_add_digest(key, manifest_name, &d);
	return 0;
}

/* One input per key of the profile, so that `ingot plan` can say which one changed. Formats, tests and sizes
 * of the disk are not in the root, nor where container images came from. */
static void add_profile_key(struct cache_key *key, const char *name, const json_t *value)
{
	CLEANUP_FREE char *input = mem_printf("profile %s", name);
	CLEANUP_JSON json_t *part = json_copy((json_t *)value);
	CLEANUP_FREE char *line = NULL;

	if (strcmp(name, "formats") == 0 || strcmp(name, "tests") == 0 || strcmp(name, "disk") == 0)
		return;
	if (strcmp(name, "containers") == 0) {
		json_object_del(part, "images");
		json_object_del(part, "registries");
	}
	line = json_line(part);
	cache_key_add(key, input, line);
}

int build_root_key(struct job *job, struct cache_key *key, struct err *err)
{
	const struct settings_input settings = settings_of(job);
	json_t *value;
	const char *name;

	cache_key_add(key, "format", FORMAT_VERSION);
	cache_key_add_digest(key, "packages", &job->digests[STEP_PACKAGES]);
	if (build_has_containers(job))
		cache_key_add_digest(key, "containers", &job->digests[STEP_CONTAINERS]);
	cache_key_addf(key, "source date", "%" PRId64, job->epoch);
	cache_key_add(key, "libsquashfs", squashfs_version());
	for (size_t i = 0; i < job->profile->overlay_count; i++)
		if (add_overlay(key, &job->profile->overlays[i], err) < 0)
			return -1;
	if (settings_key(&settings, key, err) < 0)
		return -1;
	json_object_foreach(job->profile->json, name, value) add_profile_key(key, name, value);
	return 0;
}

/* The overlays own the contents that the merged tree refers to: they live as long as it. */
static int merge(struct job *job, struct tree *tree, struct tree **overlays,
		 struct log_step *progress, struct err *err)
{
	const struct settings_input settings = settings_of(job);

	if (build_open_layer(job, err) < 0 || tree_merge(tree, job->layer.tree, err) < 0)
		return -1;
	for (size_t i = 0; i < job->profile->overlay_count; i++) {
		const struct profile_overlay *o = &job->profile->overlays[i];

		overlays[i] = tree_new();
		log_step_progress(progress, 0, 0, o->name);
		if (tree_scan_overlay(o->path, tree, overlays[i], err) < 0 ||
		    tree_merge(tree, overlays[i], err) < 0)
			return err_wrap(err, "overlay '%s'", o->name);
	}
	if (settings_apply(&settings, tree, err) < 0)
		return -1;
	tree_clamp_times(tree, job->epoch);
	/* After that: files in containers keep the times that their images gave them. */
	return build_containers_install(job, tree, err);
}

static int check(const struct job *job, const struct tree *tree, struct err *err)
{
	static const char *const loads[] = {HTTP_LIBRARY, NULL};
	const struct tree_node *agent = tree_find(tree, AGENT_PATH);

	if (lint_tree(tree, job->profile, err) < 0 || build_containers_check(job, tree, err) < 0)
		return -1;
	return agent ? elfcheck_program(tree, AGENT_PATH, loads, err) : 0;
}

static void on_progress(uint64_t done, uint64_t total, void *context)
{
	log_step_progress(context, done, total, NULL);
}

static int write_record(const char *dir, const struct tree *tree,
			const struct squashfs_result *root, struct err *err)
{
	CLEANUP_FREE char *path = path_join(dir, "root.json");
	CLEANUP_FREE char *verity = path_join(dir, "root.verity");
	CLEANUP_FREE char *osrel = NULL;
	CLEANUP_JSON json_t *record = NULL;
	const struct tree_node *node = tree_resolve(tree, "/etc/os-release");
	char hash[DIGEST_HEX_SIZE];
	size_t len;

	if (!node)
		return err_set(err, ERR_VERIFY, "the root has no /etc/os-release");
	if (tree_read(node, OS_RELEASE_MAX, &osrel, &len, err) < 0)
		return -1;
	record = json_pack("{s:s, s:I, s:I, s:s}", "root_hash", digest_hex(&root->root_hash, hash),
			   "bytes", (json_int_t)root->size, "inodes", (json_int_t)root->inodes,
			   "os_release", osrel);
	if (!record)
		return err_set(err, ERR_VERIFY, "the root's os-release is not UTF-8");
	if (outfile_write(verity, root->hash_area.data, root->hash_area.len, true, err) < 0)
		return -1;
	return json_write_file(path, record, true, err);
}

/* Everything whose content lies in tars: the package layer, then the layers of containers. Returns how many. */
static size_t list_archives(const struct job *job, struct squashfs_archive **ret)
{
	size_t layers = job->containers_open ? job->containers.layer_count : 0;
	struct squashfs_archive *list = mem_alloc_array(layers + 1, sizeof(*list));

	list[0] = (struct squashfs_archive){job->layer.tar_fd, job->layer.digest};
	for (size_t i = 0; i < layers; i++)
		list[i + 1] = (struct squashfs_archive){job->containers.layers[i].tar_fd,
							job->containers.layers[i].digest};
	*ret = list;
	return layers + 1;
}

static int write_root(struct job *job, const struct tree *tree, const char *dir,
		      struct log_step *progress, struct err *err)
{
	CLEANUP_FREE struct squashfs_archive *archives = NULL;
	const size_t archive_count = list_archives(job, &archives);
	const struct squashfs_store store = build_content(job->cache);
	CLEANUP(outfile_abandon) struct outfile out = OUTFILE_NONE;
	CLEANUP_FREE char *path = path_join(dir, "root.squashfs");
	const struct profile *p = job->profile;
	struct squashfs_result result = {0};
	/* Salt and UUID of the hash tree come from the key: random enough to tell images apart, the same
	 * on every build. */
	const struct squashfs_options options = {
		.compression = p->rootfs.compression,
		.level = p->rootfs.level,
		.block = p->rootfs.block,
		.time = job->epoch,
		.jobs = job->options->jobs,
		.salt = job->digests[STEP_ROOT].bytes,
		.salt_len = DIGEST_SIZE,
		.uuid = job->digests[STEP_ROOT].bytes,
		.archives = archives,
		.archive_count = archive_count,
		.store = &store,
	};
	int r;

	if (outfile_open(&out, path, err) < 0)
		return -1;
	r = squashfs_write(tree, &options, out.fd, path, on_progress, progress, &result, err);
	if (r == 0) {
		log_debug("content of %zu of %zu archives was compressed already", result.reused,
			  result.segments);
		progress->bytes = result.size;
		r = write_record(dir, tree, &result, err);
	}
	if (r == 0)
		r = outfile_finish(&out, true, err);
	str_free(&result.hash_area);
	return r;
}

int build_root_run(struct job *job, const char *dir, struct log_step *progress, struct err *err)
{
	CLEANUP(tree_cleanup) struct tree *tree = tree_new();
	size_t count = job->profile->overlay_count;
	CLEANUP_FREE struct tree **overlays = mem_alloc_array(count, sizeof(struct tree *));
	int r = merge(job, tree, overlays, progress, err);

	if (r == 0)
		r = check(job, tree, err);
	if (r == 0)
		r = build_papers_record(job, tree, dir, err);
	if (r == 0)
		r = write_root(job, tree, dir, progress, err);
	for (size_t i = 0; i < count; i++)
		tree_free(overlays[i]);
	return r;
}

static void set_list(struct region_list *list, struct region region)
{
	list->items = mem_alloc(sizeof(region));
	list->items[0] = region;
	list->count = list->room = 1;
	list->size = region.length;
}

int build_root_open(const char *dir, struct build_root *ret, struct err *err)
{
	CLEANUP_FREE char *data = path_join(dir, "root.squashfs");
	CLEANUP_FREE char *verity = path_join(dir, "root.verity");
	CLEANUP_FREE char *record_path = path_join(dir, "root.json");
	CLEANUP_JSON json_t *record = NULL;
	CLEANUP(str_free) struct str area = {0};
	const char *hash, *osrel;
	uint64_t size;

	*ret = (struct build_root){.data_fd = -1};
	record = json_read_file(record_path, RECORD_MAX, err);
	if (!record || fd_read_file(verity, HASH_AREA_MAX, &area, err) < 0)
		return -1;
	ret->data_fd = open(data, O_RDONLY | O_CLOEXEC);
	if (ret->data_fd < 0)
		return err_sys(err, errno, "cannot read '%s'", data);
	hash = json_member_string(record, "root_hash");
	osrel = json_member_string(record, "os_release");
	if (fd_size(ret->data_fd, data, &size, err) < 0)
		return -1;
	if (!hash || !osrel || digest_parse(hash, &ret->root_hash, NULL) < 0 ||
	    size != (uint64_t)json_integer_value(json_object_get(record, "bytes")))
		return err_set(err, ERR_VERIFY, "the cache entry '%s' is damaged", dir);
	ret->os_release = mem_strdup(osrel);
	set_list(&ret->data, (struct region){.length = size, .fd = ret->data_fd, .name = "root"});
	set_list(&ret->verity,
		 (struct region){
			 .length = area.len, .bytes = area.data, .fd = -1, .name = "root-verity"});
	ret->hash_area = str_steal(&area);
	return 0;
}

void build_root_close(struct build_root *root)
{
	fd_close(&root->data_fd);
	free(root->data.items);
	free(root->verity.items);
	free(root->hash_area);
	free(root->os_release);
	*root = (struct build_root){.data_fd = -1};
}

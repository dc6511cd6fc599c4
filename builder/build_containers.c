/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The containers step: images of containers are resolved before any key is made, fetched and unpacked into the
 * cache, and laid into the root together with what the agent has to know of them.
 */
#include "build_job.h"

#include "attest/containers.h"
#include "base/mem.h"
#include "base/path.h"
#include "layers/imageuse.h"
#include "oci/reference.h"

#include <string.h>

#define IMAGES "images.json"
#define DAEMON_JSON "/etc/docker/daemon.json"
#define DAEMON_JSON_MAX ((size_t)1 << 20)

bool build_has_containers(const struct job *job)
{
	return job->profile->containers.image_count > 0;
}

int build_containers_resolve(struct job *job, struct err *err)
{
	const struct oci_resolve_options options = {
		.offline = job->options->offline,
		.locked = job->has_lock ? job->lock.containers : NULL,
	};

	if (!build_has_containers(job))
		return 0;
	return oci_resolve(job->cache, job->profile, &options, &job->resolved, err);
}

int build_containers_key(struct job *job, struct cache_key *key, struct err *err)
{
	(void)err;
	cache_key_add(key, "format", oci_pull_version());
	cache_key_add(key, "architecture", job->profile->base.architecture);
	for (size_t i = 0; i < job->profile->containers.image_count; i++) {
		const struct oci_resolved *r = &job->resolved[i];
		CLEANUP_FREE char *name = mem_printf("container %s", r->reference);

		cache_key_add_digest(key, name, &r->target.digest);
		/* Names are in the result; a digest can have several. */
		cache_key_add(key, "name", r->name ? r->name : "");
	}
	return 0;
}

int build_containers_run(struct job *job, const char *dir, struct log_step *progress,
			 struct err *err)
{
	return oci_pull(job->cache, job->profile, job->resolved, job->options->offline,
			job->options->jobs, dir, progress, err);
}

static const char *package_version(const struct job *job, const char *package)
{
	size_t i;
	json_t *row;

	json_array_foreach(job->layer.packages, i, row)
	{
		const char *name = json_member_string(row, "name");

		if (name && strcmp(name, package) == 0)
			return json_member_string(row, "version");
	}
	return NULL;
}

/* The engines of the profile as the agent reads them. NULL on error. */
static json_t *describe_engines(const struct job *job, struct err *err)
{
	const struct profile_list *wanted = &job->profile->containers.engines;
	CLEANUP_JSON json_t *all = json_object();

	for (size_t i = 0; i < wanted->count; i++) {
		const struct oci_engine *e = oci_engine_find(wanted->items[i]);
		const char *version;
		json_t *one;

		if (!e) {
			err_set(err, ERR_PROFILE,
				"cannot preload containers for '%.60s': unknown engine",
				wanted->items[i]);
			return NULL;
		}
		version = package_version(job, e->package);
		if (!version) {
			err_set(err, ERR_PROFILE,
				"containers.engine is %s, and the image has no package '%s'",
				e->name, e->package);
			err_hint(err, "add '%s' to packages", e->package);
			return NULL;
		}
		if (oci_engine_check(e, version, job->containers.images, err) < 0)
			return NULL;
		one = json_pack("{s:s}", "version", version);
		if (e->namespace)
			json_object_set_new(one, "namespace", json_string(e->namespace));
		json_object_set_new(all, e->name, one);
	}
	return json_incref(all);
}

/* Settings of Docker under which it would not look into the store that is prepared for it. */
static const char *other_store(const json_t *settings)
{
	const char *driver = json_member_string(settings, "storage-driver");
	const json_t *features = json_object_get(settings, "features");

	if (driver && strcmp(driver, "overlay2") != 0)
		return "storage-driver";
	if (json_is_true(json_object_get(features, "containerd-snapshotter")))
		return "features.containerd-snapshotter";
	return json_object_get(settings, "userns-remap") ? "userns-remap" : NULL;
}

static int check_docker(const struct job *job, const struct tree *tree, struct err *err)
{
	const struct tree_node *node = tree_resolve(tree, DAEMON_JSON);
	const struct profile_list *wanted = &job->profile->containers.engines;
	CLEANUP_FREE char *text = NULL;
	CLEANUP_JSON json_t *settings = NULL;
	const char *key;
	bool docker = false;
	size_t len;

	for (size_t i = 0; i < wanted->count; i++)
		docker = docker || strcmp(wanted->items[i], "docker") == 0;
	if (!docker || !node)
		return 0;
	if (tree_read(node, DAEMON_JSON_MAX, &text, &len, err) < 0)
		return -1;
	settings = json_loadb(text, len, 0, NULL);
	if (!settings)
		return err_set(err, ERR_LINT, "'%s' (from %s) is no JSON: dockerd would not start",
			       DAEMON_JSON, node->inode->origin);
	key = other_store(settings);
	if (!key)
		return 0;
	err_set(err, ERR_PROFILE,
		"'%s' sets %s: Docker would not see the images that are preloaded for overlay2",
		DAEMON_JSON, key);
	return err_hint(err, "take it out, or take containers.images out of the profile");
}

int build_open_containers(struct job *job, struct err *err)
{
	if (job->containers_open)
		return 0;
	job->containers_open =
		oci_set_open(job->cache, job->dirs[STEP_CONTAINERS], &job->containers, err) == 0;
	job->damaged[STEP_CONTAINERS] = !job->containers_open;
	return job->containers_open ? 0 : -1;
}

int build_containers_install(struct job *job, struct tree *tree, struct err *err)
{
	CLEANUP_JSON json_t *description = NULL;

	if (!build_has_containers(job))
		return 0;
	if (check_docker(job, tree, err) < 0 || build_open_containers(job, err) < 0)
		return -1;
	description = describe_engines(job, err);
	if (!description)
		return -1;
	return oci_set_install(&job->containers, description, job->epoch, tree, err);
}

/* The form in which images of profiles, units and Compose files are compared. */
static char *normalise(const char *text, struct err *err)
{
	CLEANUP(oci_reference_free) struct oci_reference ref = {0};
	CLEANUP_FREE char *name = NULL;
	char hex[DIGEST_HEX_SIZE];

	if (oci_reference_parse(text, &ref, err) < 0)
		return NULL;
	if (!ref.has_digest)
		return oci_reference_text(&ref);
	name = oci_reference_name(&ref);
	return mem_printf("%s@sha256:%s", name, digest_hex(&ref.digest, hex));
}

/* What an engine finds an image by: its name with tag, and its repository with the digest. */
static void add_names(const struct oci_resolved *r, struct mem_arena *arena,
		      struct imageuse_image *ret)
{
	const char **names = mem_arena_alloc(arena, 3 * sizeof(*names));
	const struct profile_container *want = r->want;
	char hex[DIGEST_HEX_SIZE];
	size_t n = 0;

	if (r->name)
		names[n++] = r->name;
	if (r->repository)
		names[n++] = mem_arena_printf(arena, "%s@sha256:%s", r->repository,
					      digest_hex(&r->target.digest, hex));
	names[n] = NULL;
	ret->text = want->image ? want->image : want->name ? want->name : want->oci;
	ret->names = names;
}

int build_containers_check(const struct job *job, const struct tree *tree, struct err *err)
{
	CLEANUP_ARENA struct mem_arena *arena = mem_arena_new();
	CLEANUP(imageuse_list_free) struct imageuse_list uses = {0};
	const struct profile *p = job->profile;
	CLEANUP_FREE struct imageuse_image *images =
		mem_alloc_array(p->containers.image_count, sizeof(*images));
	const struct imageuse_known known = {
		.images = images,
		.image_count = p->containers.image_count,
		.elsewhere = &p->containers.elsewhere,
		.engines = &p->containers.engines,
		.normalise = normalise,
	};

	for (size_t i = 0; i < p->containers.image_count; i++)
		add_names(&job->resolved[i], arena, &images[i]);
	if (imageuse_find(tree, p, &uses, err) < 0)
		return -1;
	return imageuse_check(&uses, &known, err);
}

json_t *build_containers_list(const struct job *job, struct err *err)
{
	CLEANUP_FREE char *path = NULL;
	CLEANUP_JSON json_t *description = NULL;

	if (!build_has_containers(job))
		return json_array();
	path = path_join(job->dirs[STEP_CONTAINERS], IMAGES);
	description = json_read_file(path, CONTAINERS_BYTES_MAX, err);
	return description ? containers_read(description, path, err) : NULL;
}

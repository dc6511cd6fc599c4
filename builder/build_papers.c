/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The papers of an image, from what the steps left: packages of the layer, files of the root, the inputs in the
 * keys, and the manifest.
 */
#include "build_papers.h"

#include "attest/ownfiles.h"
#include "attest/provenance.h"
#include "attest/sbom.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/path.h"
#include "disk/squashfs.h"
#include "inspect/inspect.h"
#include "output/compress.h"

#include <string.h>

#define FILES "files.json"
#define FILES_MAX ((size_t)512 << 20)
#define RECORD_MAX ((size_t)1 << 20)
#define AGENT_ORIGIN "ingot-agent"
#define CONTAINERS_ORIGIN "containers" /* of what describes layers, see oci/set.c */

static const char *const media_types[PAPER_COUNT] = {
	[PAPER_SPDX] = "application/spdx+json",
	[PAPER_CYCLONEDX] = "application/vnd.cyclonedx+json",
};

int build_papers_record(const struct job *job, const struct tree *tree, const char *dir,
			struct err *err)
{
	const struct profile *p = job->profile;
	CLEANUP_FREE struct ownfiles_name *names =
		mem_alloc_array(p->overlay_count + 3, sizeof(*names));
	CLEANUP_FREE char *path = path_join(dir, FILES);
	CLEANUP_ARENA struct mem_arena *arena = mem_arena_new();
	CLEANUP_JSON json_t *list = NULL;

	for (size_t i = 0; i < p->overlay_count; i++)
		names[i] = (struct ownfiles_name){
			p->overlays[i].path,
			mem_arena_printf(arena, "overlay %s", path_base(p->overlays[i].name))};
	names[p->overlay_count] = (struct ownfiles_name){AGENT_ORIGIN, AGENT_ORIGIN};
	names[p->overlay_count + 1] = (struct ownfiles_name){CONTAINERS_ORIGIN, CONTAINERS_ORIGIN};
	list = ownfiles_list(tree, job->layer.tar_fd, names, err);
	if (!list)
		return -1;
	return json_write_file(path, list, true, err);
}

/* What the root step left. */
struct root {
	json_t *record, *files; /* root.json, files.json */
};

static void root_free(struct root *root)
{
	json_decref(root->record);
	json_decref(root->files);
}

/* A damaged entry is made again when it is marked. */
static int read_root(struct job *job, struct root *ret, struct err *err)
{
	CLEANUP_FREE char *files = path_join(job->dirs[STEP_ROOT], FILES);
	CLEANUP_FREE char *record = path_join(job->dirs[STEP_ROOT], "root.json");

	job->damaged[STEP_ROOT] = true;
	ret->record = json_read_file(record, RECORD_MAX, err);
	if (!ret->record)
		return -1;
	ret->files = json_read_file(files, FILES_MAX, err);
	if (!ret->files)
		return -1;
	job->damaged[STEP_ROOT] = false;
	return 0;
}

/* VERSION_ID of os-release(5), when it looks like a number; "" without. */
static const char *release_version(const json_t *record, struct mem_arena *arena)
{
	const char *text = json_member_string(record, "os_release");
	CLEANUP_JSON json_t *values = inspect_os_release(text ? text : "");
	const char *version = json_member_string(values, "VERSION_ID");

	if (!version || version[strspn(version, "0123456789.")])
		return "";
	return mem_arena_strdup(arena, version);
}

static int take_digest(const json_t *manifest, const char *key, struct digest *ret, struct err *err)
{
	const char *hex = json_member_string(manifest, key);

	if (!hex)
		return err_set(err, ERR_VERIFY, "the manifest has no '%s'", key);
	return digest_parse(hex, ret, err);
}

static struct sbom_container container_of(const json_t *image, const char *name,
					  struct mem_arena *arena)
{
	const json_t *layers = json_object_get(image, "layers");
	const char **list = mem_arena_alloc(arena, (json_array_size(layers) + 1) * sizeof(char *));

	for (size_t i = 0; i < json_array_size(layers); i++)
		list[i] = mem_arena_strdup(arena, json_string_value(json_array_get(layers, i)));
	return (struct sbom_container){
		.reference = mem_arena_strdup(arena, name),
		.digest = mem_arena_strdup(arena, json_member_string(image, "manifest")),
		.config = mem_arena_strdup(arena, json_member_string(image, "image")),
		.layers = list,
		.layer_count = json_array_size(layers),
		.size = (uint64_t)json_integer_value(json_object_get(image, "bytes")),
	};
}

/* Container images, in both SBOMs: each by all its names. */
static int add_containers(const struct job *job, struct mem_arena *arena, struct sbom *sbom,
			  struct err *err)
{
	CLEANUP_JSON json_t *images = build_containers_list(job, err);
	struct sbom_container *list;
	size_t count = 0, room = json_array_size(images);

	if (!images)
		return -1;
	for (size_t i = 0; i < json_array_size(images); i++)
		room += json_array_size(json_object_get(json_array_get(images, i), "names"));
	list = mem_arena_alloc(arena, (room + 1) * sizeof(*list));
	for (size_t i = 0; i < json_array_size(images); i++) {
		const json_t *image = json_array_get(images, i);
		const json_t *names = json_object_get(image, "names");

		for (size_t k = 0; k < json_array_size(names); k++)
			list[count++] = container_of(
				image, json_string_value(json_array_get(names, k)), arena);
		if (json_array_size(names) == 0)
			list[count++] =
				container_of(image, json_member_string(image, "reference"), arena);
	}
	sbom->containers = list;
	sbom->container_count = count;
	return 0;
}

static int fill_sbom(struct job *job, const json_t *manifest, const struct root *root,
		     struct mem_arena *arena, struct sbom *ret, struct err *err)
{
	const struct profile *p = job->profile;

	*ret = (struct sbom){
		.name = p->name,
		.version = p->version,
		.architecture = p->base.architecture,
		.description = p->description,
		.distribution = p->base.distribution,
		.release = p->base.release,
		.release_version = release_version(root->record, arena),
		.created = job->epoch,
	};
	ret->packages = sbom_read_packages(job->layer.packages, arena, &ret->package_count, err);
	if (!ret->packages)
		return -1;
	ret->files = sbom_read_files(root->files, arena, &ret->file_count, err);
	job->damaged[STEP_ROOT] = !ret->files;
	if (!ret->files || take_digest(manifest, "root_hash", &ret->root_hash, err) < 0 ||
	    take_digest(manifest, "profile", &ret->profile, err) < 0)
		return -1;
	return add_containers(job, arena, ret, err);
}

static bool is_digest(const char *value)
{
	return strlen(value) == DIGEST_HEX_SIZE - 1 &&
	       strspn(value, "0123456789abcdef") == DIGEST_HEX_SIZE - 1;
}

/* A growing list of what went into the images. */
struct dependencies {
	struct provenance_resource *items;
	size_t count, room;
	struct mem_arena *arena;
};

static void add_dependency(struct dependencies *d, const char *name, const char *uri,
			   const char *sha256, const char *path)
{
	const struct provenance_resource resource = {
		.name = name, .uri = uri, .sha256 = sha256, .path = path};

	VEC_ADD(d->items, d->count, d->room, resource);
}

static int add_packages(struct dependencies *d, const struct sbom *sbom, const json_t *list,
			struct err *err)
{
	const char *distro =
		sbom_distro(sbom->distribution, sbom->release, sbom->release_version, d->arena);
	size_t count = 0;
	const struct sbom_package *packages = sbom_read_packages(list, d->arena, &count, err);

	if (!packages)
		return -1;
	for (size_t i = 0; i < count; i++)
		add_dependency(
			d, packages[i].name,
			sbom_package_purl(&packages[i], sbom->distribution, distro, d->arena),
			packages[i].sha256, packages[i].path);
	return 0;
}

/* The inputs of a step that are content: overlays, programs, files of the profile, the state of
 * repositories. What the user wrote as a path is named by its last part. */
static void add_inputs(struct dependencies *d, const struct cache_key *key)
{
	for (size_t i = 0; i < key->count; i++) {
		const char *name = key->items[i].name, *value = key->items[i].value;
		bool step = false;

		for (size_t k = 0; k < STEP_COUNT; k++)
			step = step || strcmp(name, build_steps[k].name) == 0;
		if (step || !is_digest(value) || str_has_prefix(name, "profile "))
			continue;
		if (str_has_prefix(name, "overlay "))
			name = mem_arena_printf(d->arena, "overlay %s",
						path_base(name + strlen("overlay ")));
		else if (strcmp(name, "image") == 0)
			name = "base image";
		add_dependency(d, name, NULL, value, NULL);
	}
}

static int collect(struct job *job, const json_t *manifest, const struct sbom *sbom,
		   struct dependencies *d, struct err *err)
{
	char hex[DIGEST_HEX_SIZE];

	if (add_packages(d, sbom, job->layer.packages, err) < 0 ||
	    add_packages(d, sbom, job->layer.build_packages, err) < 0)
		return -1;
	for (size_t i = 0; i < STEP_COUNT; i++)
		add_inputs(d, &job->keys[i]);
	add_dependency(d, "profile", NULL, json_member_string(manifest, "profile"), NULL);
	d->items[d->count - 1].media_type = "application/json";
	if (job->has_lock)
		add_dependency(d, "lock", NULL,
			       mem_arena_strdup(d->arena, digest_hex(&job->lock_digest, hex)),
			       NULL);
	return 0;
}

static void read_artifacts(const json_t *manifest, struct provenance *p, const char **formats,
			   struct provenance_resource *subjects)
{
	const json_t *list = json_object_get(manifest, "artifacts");

	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *artifact = json_array_get(list, i);

		formats[i] = json_member_string(artifact, "format");
		subjects[i].name = json_member_string(artifact, "file");
		subjects[i].sha256 = json_member_string(artifact, "sha256");
	}
	p->formats = formats;
	p->subjects = subjects;
	p->subject_count = json_array_size(list);
}

static size_t read_steps(const json_t *manifest, struct provenance_pair *ret)
{
	json_t *keys = json_object_get(manifest, "keys");
	size_t n = 0;

	for (size_t i = 0; i < STEP_COUNT; i++) {
		const char *key = json_member_string(keys, build_steps[i].name);

		if (key)
			ret[n++] = (struct provenance_pair){build_steps[i].name, key};
	}
	return n;
}

static json_t *make_statement(struct job *job, const json_t *manifest, const struct sbom *sbom,
			      const struct build_papers *papers, struct mem_arena *arena,
			      struct err *err)
{
	size_t count = json_array_size(json_object_get(manifest, "artifacts"));
	CLEANUP_FREE const char **formats = mem_alloc_array(count + 1, sizeof(*formats));
	CLEANUP_FREE struct provenance_resource *subjects =
		mem_alloc_array(count, sizeof(*subjects));
	const struct provenance_pair tools[] = {
		{"deflate", compressor_library(COMPRESS_DEFLATE)},
		{"libsquashfs", squashfs_version()},
		{"zstd", compressor_library(COMPRESS_ZSTD)},
	};
	struct provenance_pair steps[STEP_COUNT];
	struct provenance_resource byproducts[PAPER_PROVENANCE];
	char hexes[PAPER_PROVENANCE][DIGEST_HEX_SIZE];
	struct dependencies d = {.arena = arena};
	struct provenance p = {
		.profile = job->profile->name,
		.version = job->profile->version,
		.profile_digest = sbom->profile,
		.created = job->epoch,
		.set = job->options->set,
		.steps = steps,
		.step_count = read_steps(manifest, steps),
		.tools = tools,
		.tool_count = ARRAY_SIZE(tools),
		.byproducts = byproducts,
		.byproduct_count = PAPER_PROVENANCE,
	};
	json_t *statement = NULL;

	read_artifacts(manifest, &p, formats, subjects);
	for (size_t i = 0; i < PAPER_PROVENANCE; i++)
		byproducts[i] = (struct provenance_resource){
			.name = papers->items[i].file,
			.sha256 = digest_hex(&papers->items[i].digest, hexes[i]),
			.media_type = media_types[i]};
	if (collect(job, manifest, sbom, &d, err) == 0) {
		p.dependencies = d.items;
		p.dependency_count = d.count;
		statement = provenance_make(&p, err);
	}
	free(d.items);
	return statement;
}

/* Takes over value, which may be NULL: then err is set already. */
static int fill_paper(const struct job *job, json_t *value, const char *type, const char *suffix,
		      struct build_paper *ret, struct err *err)
{
	CLEANUP_FREE char *text = value ? json_text(value) : NULL;

	json_decref(value);
	if (!value)
		return -1;
	ret->type = type;
	ret->file = mem_printf("%s_%s.%s.json", job->profile->name, job->profile->version, suffix);
	if (!text)
		return err_set(err, ERR_OTHER, "cannot make '%s': text is not UTF-8", ret->file);
	str_add(&ret->text, text);
	digest_bytes(ret->text.data, ret->text.len, &ret->digest);
	return 0;
}

int build_papers_make(struct job *job, const json_t *manifest, struct build_papers *ret,
		      struct err *err)
{
	CLEANUP_ARENA struct mem_arena *arena = mem_arena_new();
	CLEANUP(root_free) struct root root = {0};
	struct build_paper *items = ret->items;
	struct sbom sbom;

	*ret = (struct build_papers){0};
	if (build_open_layer(job, err) < 0 || read_root(job, &root, err) < 0 ||
	    fill_sbom(job, manifest, &root, arena, &sbom, err) < 0)
		return -1;
	if (fill_paper(job, sbom_spdx(&sbom, err), "spdx", "spdx", &items[PAPER_SPDX], err) < 0 ||
	    fill_paper(job, sbom_cyclonedx(&sbom, err), "cyclonedx", "cdx", &items[PAPER_CYCLONEDX],
		       err) < 0)
		return -1;
	return fill_paper(job, make_statement(job, manifest, &sbom, ret, arena, err), "provenance",
			  "provenance", &items[PAPER_PROVENANCE], err);
}

json_t *build_papers_json(const struct build_papers *papers)
{
	json_t *list = json_array();

	for (size_t i = 0; i < PAPER_COUNT; i++) {
		const struct build_paper *p = &papers->items[i];
		char hex[DIGEST_HEX_SIZE];

		json_array_append_new(list,
				      json_pack("{s:s, s:s, s:s}", "type", p->type, "file", p->file,
						"sha256", digest_hex(&p->digest, hex)));
	}
	return list;
}

void build_papers_free(struct build_papers *papers)
{
	for (size_t i = 0; i < PAPER_COUNT; i++) {
		free(papers->items[i].file);
		str_free(&papers->items[i].text);
	}
	*papers = (struct build_papers){0};
}

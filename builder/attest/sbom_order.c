/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The content of an SBOM put in order: text that is UTF-8, sorted, nothing twice.
 */
#include "attest/sbom_parts.h"

#include "base/str.h"

#include <string.h>

static const char *clean(struct mem_arena *arena, const char *text)
{
	CLEANUP(str_free) struct str s = {0};

	if (!text || !*text)
		return NULL;
	str_add_utf8(&s, text, strlen(text));
	return mem_arena_strndup(arena, s.data, s.len);
}

/* NULL sorts first. */
static int compare_text(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "");
}

#define ORDER_BY(member)                                         \
	do {                                                     \
		int order_ = compare_text(x->member, y->member); \
		if (order_)                                      \
			return order_;                           \
	} while (0)

/* What makes it another package. */
static int compare_identity(const struct sbom_package *x, const struct sbom_package *y)
{
	ORDER_BY(name);
	ORDER_BY(architecture);
	ORDER_BY(version);
	ORDER_BY(sha256);
	return 0;
}

static int compare_packages(const void *a, const void *b)
{
	const struct sbom_package *x = a, *y = b;
	int order = compare_identity(x, y);

	if (order)
		return order;
	/* For what should not be there twice: which of them counts must not depend on the order. */
	ORDER_BY(source);
	ORDER_BY(source_version);
	ORDER_BY(maintainer);
	ORDER_BY(homepage);
	ORDER_BY(section);
	ORDER_BY(summary);
	ORDER_BY(origin);
	ORDER_BY(suite);
	ORDER_BY(component);
	ORDER_BY(path);
	for (size_t i = 0; i < x->depend_count && i < y->depend_count; i++)
		ORDER_BY(depends[i]);
	if (x->depend_count != y->depend_count)
		return x->depend_count < y->depend_count ? -1 : 1;
	return x->size < y->size ? -1 : x->size > y->size;
}

static int compare_files(const void *a, const void *b)
{
	const struct sbom_file *x = a, *y = b;

	ORDER_BY(component);
	ORDER_BY(path);
	ORDER_BY(sha256);
	ORDER_BY(sha1);
	return x->size < y->size ? -1 : x->size > y->size;
}

static int compare_containers(const void *a, const void *b)
{
	const struct sbom_container *x = a, *y = b;

	ORDER_BY(reference);
	ORDER_BY(digest);
	ORDER_BY(config);
	for (size_t i = 0; i < x->layer_count && i < y->layer_count; i++)
		ORDER_BY(layers[i]);
	if (x->layer_count != y->layer_count)
		return x->layer_count < y->layer_count ? -1 : 1;
	return x->size < y->size ? -1 : x->size > y->size;
}

static bool is_hex(const char *text, size_t len)
{
	return strlen(text) == len && strspn(text, "0123456789abcdef") == len;
}

static int copy_packages(const struct sbom *from, struct sbom_index *x, struct err *err)
{
	struct sbom_package *to =
		mem_arena_alloc(x->arena, (from->package_count + 1) * sizeof(*to));
	size_t n = 0;

	for (size_t i = 0; i < from->package_count; i++) {
		const struct sbom_package *p = &from->packages[i];

		to[i] = *p;
		to[i].name = clean(x->arena, p->name);
		to[i].version = clean(x->arena, p->version);
		to[i].architecture = clean(x->arena, p->architecture);
		to[i].source = clean(x->arena, p->source);
		to[i].source_version = clean(x->arena, p->source_version);
		to[i].maintainer = clean(x->arena, p->maintainer);
		to[i].homepage = clean(x->arena, p->homepage);
		to[i].section = clean(x->arena, p->section);
		to[i].summary = clean(x->arena, p->summary);
		to[i].sha256 = clean(x->arena, p->sha256);
		to[i].origin = clean(x->arena, p->origin);
		to[i].suite = clean(x->arena, p->suite);
		to[i].component = clean(x->arena, p->component);
		to[i].path = clean(x->arena, p->path);
		if (!to[i].name || !to[i].version || !to[i].architecture)
			return err_set(err, ERR_VERIFY,
				       "package %zu has no name, version or architecture", i + 1);
		if (to[i].sha256 && !is_hex(to[i].sha256, 64))
			return err_set(err, ERR_VERIFY,
				       "the digest of package '%.100s' is no SHA-256", to[i].name);
	}
	qsort(to, from->package_count, sizeof(*to), compare_packages);
	for (size_t i = 0; i < from->package_count; i++)
		if (n == 0 || compare_identity(&to[n - 1], &to[i]) != 0)
			to[n++] = to[i];
	x->sbom.packages = to;
	x->sbom.package_count = n;
	return 0;
}

static int copy_files(const struct sbom *from, struct sbom_index *x, struct err *err)
{
	struct sbom_file *to = mem_arena_alloc(x->arena, (from->file_count + 1) * sizeof(*to));
	size_t n = 0;

	for (size_t i = 0; i < from->file_count; i++) {
		const struct sbom_file *f = &from->files[i];

		to[i] = (struct sbom_file){
			.path = clean(x->arena, f->path),
			.sha256 = clean(x->arena, f->sha256),
			.sha1 = clean(x->arena, f->sha1),
			.size = f->size,
			.component = clean(x->arena, f->component),
		};
		if (!to[i].path || !to[i].sha256 || !to[i].sha1 || !is_hex(to[i].sha256, 64) ||
		    !is_hex(to[i].sha1, 40))
			return err_set(err, ERR_VERIFY, "file '%.200s' has no SHA-256 and SHA-1",
				       to[i].path ? to[i].path : "");
		if (!to[i].component)
			to[i].component = "files";
	}
	qsort(to, from->file_count, sizeof(*to), compare_files);
	for (size_t i = 0; i < from->file_count; i++)
		if (n == 0 || compare_files(&to[n - 1], &to[i]) != 0)
			to[n++] = to[i];
	x->sbom.files = to;
	x->sbom.file_count = n;
	return 0;
}

/* A copy of "sha256:" and 64 digits; NULL for anything else. */
static const char *clean_digest(struct mem_arena *arena, const char *text)
{
	if (!text || !str_has_prefix(text, "sha256:") || !is_hex(text + 7, 64))
		return NULL;
	return mem_arena_strdup(arena, text);
}

static int copy_layers(struct sbom_container *container, struct mem_arena *arena)
{
	const char **layers =
		mem_arena_alloc(arena, (container->layer_count + 1) * sizeof(*layers));

	for (size_t i = 0; i < container->layer_count; i++) {
		layers[i] = clean_digest(arena, container->layers[i]);
		if (!layers[i])
			return -1;
	}
	container->layers = layers;
	return 0;
}

static int copy_containers(const struct sbom *from, struct sbom_index *x, struct err *err)
{
	struct sbom_container *to =
		mem_arena_alloc(x->arena, (from->container_count + 1) * sizeof(*to));
	size_t n = 0;

	for (size_t i = 0; i < from->container_count; i++) {
		to[i] = from->containers[i];
		to[i].config = clean_digest(x->arena, from->containers[i].config);
		if (copy_layers(&to[i], x->arena) < 0 ||
		    (from->containers[i].config && !to[i].config))
			return err_set(err, ERR_VERIFY,
				       "the configuration or a layer of container image %zu has no "
				       "digest",
				       i + 1);
		to[i].reference = clean(x->arena, from->containers[i].reference);
		to[i].digest = clean_digest(x->arena, from->containers[i].digest);
		if (!to[i].reference || !to[i].digest)
			return err_set(err, ERR_VERIFY, "container image '%.200s' has no digest",
				       to[i].reference ? to[i].reference : "");
	}
	qsort(to, from->container_count, sizeof(*to), compare_containers);
	for (size_t i = 0; i < from->container_count; i++)
		if (n == 0 || strcmp(to[n - 1].reference, to[i].reference) != 0 ||
		    strcmp(to[n - 1].digest, to[i].digest) != 0)
			to[n++] = to[i];
	x->sbom.containers = to;
	x->sbom.container_count = n;
	return 0;
}

static int copy_root(const struct sbom *from, struct sbom_index *x, struct err *err)
{
	struct sbom *s = &x->sbom;

	s->name = clean(x->arena, from->name);
	s->version = clean(x->arena, from->version);
	s->architecture = clean(x->arena, from->architecture);
	s->description = clean(x->arena, from->description);
	s->distribution = clean(x->arena, from->distribution);
	s->release = clean(x->arena, from->release);
	s->release_version = clean(x->arena, from->release_version);
	if (!s->name || !s->version || !s->architecture || !s->distribution || !s->release)
		return err_set(err, ERR_VERIFY,
			       "the image has no name, version, architecture or distribution");
	return 0;
}

int sbom_index_copy(const struct sbom *from, struct sbom_index *x, struct err *err)
{
	if (copy_root(from, x, err) < 0 || copy_packages(from, x, err) < 0 ||
	    copy_files(from, x, err) < 0)
		return -1;
	return copy_containers(from, x, err);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The content of an SBOM put in order: clean text, sorted, nothing twice, and a name for each part that
 * depends on nothing but the part.
 */
#include "attest/sbom_parts.h"

#include "attest/purl.h"
#include "base/str.h"
#include "disk/gpt.h"

#include <stdarg.h>
#include <string.h>

#define LABEL_MAX 64 /* characters of a name in an id; the digest behind it tells them apart */
#define ID_DIGITS 32

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
	return 0;
}

static int compare_sources(const void *a, const void *b)
{
	const struct sbom_source *x = a, *y = b;

	ORDER_BY(name);
	ORDER_BY(version);
	return 0;
}

/* "KIND-LABEL-DIGITS"; the digits are those of a digest over the strings that follow, up to NULL. */
static const char *make_id(struct mem_arena *arena, const char *kind, const char *label, ...)
{
	struct digest_ctx *ctx = digest_start();
	char slug[LABEL_MAX + 1], hex[DIGEST_HEX_SIZE];
	struct digest digest;
	const char *part;
	size_t n = 0;
	va_list ap;

	for (; label[n] && n < LABEL_MAX; n++) {
		char c = label[n];
		bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			    (c >= '0' && c <= '9') || c == '.';

		slug[n] = fine ? c : '-';
	}
	slug[n] = '\0';
	va_start(ap, label);
	while ((part = va_arg(ap, const char *)))
		digest_add(ctx, part, strlen(part) + 1);
	va_end(ap);
	digest_finish(ctx, &digest);
	digest_hex(&digest, hex);
	return mem_arena_printf(arena, "%s-%s-%.*s", kind, slug, ID_DIGITS, hex);
}

static bool is_hex(const char *text, size_t len)
{
	return strlen(text) == len && strspn(text, "0123456789abcdef") == len;
}

static const char *keep(struct mem_arena *arena, struct str *text)
{
	const char *kept = mem_arena_strndup(arena, text->data, text->len);

	str_free(text);
	return kept;
}

const char *sbom_distro(const char *distribution, const char *release, const char *version,
			struct mem_arena *arena)
{
	if (version && *version)
		return mem_arena_printf(arena, "%s-%s", distribution, version);
	return release;
}

const char *sbom_package_purl(const struct sbom_package *p, const char *distribution,
			      const char *distro, struct mem_arena *arena)
{
	bool other = p->origin && *p->origin && strcasecmp(p->origin, distribution) != 0;
	struct str text = {0};

	purl_add_deb(&text, other ? p->origin : distribution, p->name, p->version, p->architecture,
		     other ? NULL : distro);
	return keep(arena, &text);
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

static void name_packages(struct sbom_index *x)
{
	const char *distro = sbom_distro(x->sbom.distribution, x->sbom.release,
					 x->sbom.release_version, x->arena);
	size_t count = x->sbom.package_count;

	x->packages = mem_arena_alloc(x->arena, (count + 1) * sizeof(*x->packages));
	x->package_sources = mem_arena_alloc(x->arena, (count + 1) * sizeof(size_t));
	x->sources = mem_arena_alloc(x->arena, (count + 1) * sizeof(*x->sources));
	for (size_t i = 0; i < count; i++) {
		const struct sbom_package *p = &x->sbom.packages[i];
		struct sbom_package source = *p;

		x->packages[i] = (struct sbom_ref){
			make_id(x->arena, "deb", p->name, p->name, p->architecture, p->version,
				p->sha256 ? p->sha256 : "", NULL),
			sbom_package_purl(p, x->sbom.distribution, distro, x->arena)};
		source.name = p->source ? p->source : p->name;
		source.version = p->source_version ? p->source_version : p->version;
		source.architecture = "source";
		x->sources[i] = (struct sbom_source){
			.name = source.name,
			.version = source.version,
			.ref = {.purl = sbom_package_purl(&source, x->sbom.distribution, distro,
							  x->arena)},
		};
		x->sources[i].ref.id = make_id(x->arena, "src", source.name, x->sources[i].ref.purl,
					       source.name, source.version, NULL);
	}
}

static int compare_source_refs(const void *a, const void *b)
{
	const struct sbom_source *x = a, *y = b;
	int order = compare_sources(a, b);

	return order ? order : strcmp(x->ref.id, y->ref.id);
}

/* name_packages left one source for each package. */
static void merge_sources(struct sbom_index *x)
{
	size_t count = x->sbom.package_count, n = 0;
	CLEANUP_FREE struct sbom_source *of = mem_alloc_array(count, sizeof(*of));

	if (count)
		memcpy(of, x->sources, count * sizeof(*of));
	qsort(x->sources, count, sizeof(*x->sources), compare_source_refs);
	for (size_t i = 0; i < count; i++)
		if (n == 0 || compare_source_refs(&x->sources[n - 1], &x->sources[i]) != 0)
			x->sources[n++] = x->sources[i];
	x->source_count = n;
	for (size_t i = 0; i < count; i++) {
		const struct sbom_source *found =
			bsearch(&of[i], x->sources, n, sizeof(*of), compare_source_refs);

		x->package_sources[i] = (size_t)(found - x->sources);
	}
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

static void name_files(struct sbom_index *x)
{
	size_t count = x->sbom.file_count;
	struct sbom_group *group = NULL;

	x->files = mem_arena_alloc(x->arena, (count + 1) * sizeof(*x->files));
	x->groups = mem_arena_alloc(x->arena, (count + 1) * sizeof(*x->groups));
	for (size_t i = 0; i < count; i++) {
		const struct sbom_file *f = &x->sbom.files[i];
		const char *base = strrchr(f->path, '/');
		CLEANUP_FREE char *size = mem_printf("%llu", (unsigned long long)f->size);

		x->files[i].id = make_id(x->arena, "file", base ? base + 1 : f->path, f->component,
					 f->path, f->sha256, f->sha1, size, NULL);
		if (!group || strcmp(group->name, f->component) != 0) {
			group = &x->groups[x->group_count++];
			*group = (struct sbom_group){.name = f->component, .first = i};
			group->ref.id =
				make_id(x->arena, "files", f->component, f->component, NULL);
		}
		group->count++;
	}
}

static int copy_containers(const struct sbom *from, struct sbom_index *x, struct err *err)
{
	struct sbom_container *to =
		mem_arena_alloc(x->arena, (from->container_count + 1) * sizeof(*to));
	size_t n = 0;

	for (size_t i = 0; i < from->container_count; i++) {
		to[i].reference = clean(x->arena, from->containers[i].reference);
		to[i].digest = clean(x->arena, from->containers[i].digest);
		if (!to[i].reference || !to[i].digest || !str_has_prefix(to[i].digest, "sha256:") ||
		    !is_hex(to[i].digest + 7, 64))
			return err_set(err, ERR_VERIFY, "container image '%.200s' has no digest",
				       to[i].reference ? to[i].reference : "");
	}
	qsort(to, from->container_count, sizeof(*to), compare_containers);
	for (size_t i = 0; i < from->container_count; i++)
		if (n == 0 || compare_containers(&to[n - 1], &to[i]) != 0)
			to[n++] = to[i];
	x->sbom.containers = to;
	x->sbom.container_count = n;
	x->containers = mem_arena_alloc(x->arena, (n + 1) * sizeof(*x->containers));
	for (size_t i = 0; i < n; i++) {
		struct str purl = {0};

		purl_add_oci(&purl, to[i].reference, to[i].digest);
		x->containers[i].purl = keep(x->arena, &purl);
		x->containers[i].id = make_id(x->arena, "container", to[i].reference,
					      to[i].reference, to[i].digest, NULL);
	}
	return 0;
}

static int name_root(const struct sbom *from, struct sbom_index *x, struct err *err)
{
	struct sbom *s = &x->sbom;
	struct str purl = {0};

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
	purl_add(&purl, "generic", NULL, s->name, s->version,
		 (const struct purl_qualifier[]){{"arch", s->architecture}, {NULL, NULL}});
	x->root.purl = keep(x->arena, &purl);
	x->root.id =
		make_id(x->arena, "image", s->name, s->name, s->version, s->architecture, NULL);
	return 0;
}

int sbom_index_make(const struct sbom *sbom, struct sbom_index *x, struct err *err)
{
	*x = (struct sbom_index){.arena = mem_arena_new(), .sbom = *sbom};
	if (name_root(sbom, x, err) < 0 || copy_packages(sbom, x, err) < 0 ||
	    copy_files(sbom, x, err) < 0 || copy_containers(sbom, x, err) < 0)
		return -1;
	name_packages(x);
	merge_sources(x);
	name_files(x);
	return 0;
}

void sbom_index_free(struct sbom_index *x)
{
	mem_arena_free(x->arena);
	*x = (struct sbom_index){0};
}

/* Index of the package that a dependency means, SBOM_NONE when there is none: "name:architecture", or
 * "name", then of the same architecture if there are several. */
static size_t find_package(const struct sbom_index *x, const char *dependency,
			   const char *architecture)
{
	const struct sbom_package *p = x->sbom.packages;
	const char *colon = strchr(dependency, ':');
	CLEANUP_FREE char *name =
		mem_strndup(dependency, colon ? (size_t)(colon - dependency) : strlen(dependency));
	size_t low = 0, high = x->sbom.package_count, found = SBOM_NONE;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(p[middle].name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < x->sbom.package_count && strcmp(p[low].name, name) == 0; low++) {
		if (strcmp(p[low].architecture, colon ? colon + 1 : architecture) == 0)
			return low;
		if (!colon && found == SBOM_NONE)
			found = low;
	}
	return found;
}

static int compare_numbers(const void *a, const void *b)
{
	size_t x = *(const size_t *)a, y = *(const size_t *)b;

	return x < y ? -1 : x > y;
}

size_t *sbom_index_depends(const struct sbom_index *x, size_t i, size_t *ret_count)
{
	const struct sbom_package *p = &x->sbom.packages[i];
	size_t *to = mem_alloc_array(p->depend_count, sizeof(*to)), n = 0, unique = 0;

	for (size_t k = 0; k < p->depend_count; k++) {
		to[n] = find_package(x, p->depends[k], p->architecture);
		n += to[n] != SBOM_NONE && to[n] != i;
	}
	qsort(to, n, sizeof(*to), compare_numbers);
	for (size_t k = 0; k < n; k++)
		if (unique == 0 || to[unique - 1] != to[k])
			to[unique++] = to[k];
	*ret_count = unique;
	return to;
}

bool sbom_is_uri(const char *text)
{
	static const char *const schemes[] = {"https://", "http://", "ftp://"};
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789-._~:/?#@!$&'()*+,;=";
	static const char digits[] = "0123456789abcdefABCDEF";
	size_t after = 0, fragments = 0;

	for (size_t i = 0; i < ARRAY_SIZE(schemes) && !after; i++)
		if (str_has_prefix(text, schemes[i]))
			after = strlen(schemes[i]);
	if (!after || !text[after] || strchr("/?#:@", text[after]))
		return false;
	for (const char *p = text + after; *p; p++) {
		if (*p == '%' && p[1] && p[2] && strchr(digits, p[1]) && strchr(digits, p[2]))
			p += 2;
		else if (!strchr(plain, *p))
			return false;
		fragments += *p == '#';
	}
	return fragments <= 1;
}

const char *sbom_uuid(const json_t *value, const char *purpose, struct mem_arena *arena)
{
	CLEANUP_FREE char *line = json_line(value);
	char text[GUID_TEXT_SIZE];
	struct digest digest;
	struct guid guid;

	digest_bytes(line, strlen(line), &digest);
	guid_derive(purpose, &digest, &guid);
	return mem_arena_strdup(arena, guid_format(&guid, text));
}

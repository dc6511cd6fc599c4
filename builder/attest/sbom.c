/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A name for each part of an SBOM that depends on nothing but the part, and which part means which.
 */
#include "attest/sbom_parts.h"

#include "attest/purl.h"
#include "base/str.h"
#include "disk/gpt.h"

#include <stdarg.h>
#include <string.h>

#define LABEL_MAX 64 /* characters of a name in an id; the digest behind it tells them apart */
#define ID_DIGITS 32

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
			.origin = p->origin,
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
	int order = strcmp(x->name, y->name);

	order = order ? order : strcmp(x->version, y->version);
	return order ? order : strcmp(x->ref.id, y->ref.id);
}

static int compare_sources(const void *a, const void *b)
{
	const struct sbom_source *x = a, *y = b;
	int order = compare_source_refs(a, b);

	return order ? order : strcmp(x->origin ? x->origin : "", y->origin ? y->origin : "");
}

/* name_packages left one source for each package. One that is known to be from somewhere says it. */
static void merge_sources(struct sbom_index *x)
{
	size_t count = x->sbom.package_count, n = 0;
	CLEANUP_FREE struct sbom_source *of = mem_alloc_array(count, sizeof(*of));

	if (count)
		memcpy(of, x->sources, count * sizeof(*of));
	qsort(x->sources, count, sizeof(*x->sources), compare_sources);
	for (size_t i = 0; i < count; i++) {
		bool same = n > 0 && compare_source_refs(&x->sources[n - 1], &x->sources[i]) == 0;

		x->sources[same ? n - 1 : n++] = x->sources[i];
	}
	x->source_count = n;
	for (size_t i = 0; i < count; i++) {
		const struct sbom_source *found =
			bsearch(&of[i], x->sources, n, sizeof(*of), compare_source_refs);

		x->package_sources[i] = (size_t)(found - x->sources);
	}
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

static void name_containers(struct sbom_index *x)
{
	size_t count = x->sbom.container_count;

	x->containers = mem_arena_alloc(x->arena, (count + 1) * sizeof(*x->containers));
	for (size_t i = 0; i < count; i++) {
		const struct sbom_container *c = &x->sbom.containers[i];
		struct str purl = {0};

		purl_add_oci(&purl, c->reference, c->digest);
		x->containers[i].purl = keep(x->arena, &purl);
		x->containers[i].id =
			make_id(x->arena, "container", c->reference, c->reference, c->digest, NULL);
	}
}

static void name_root(struct sbom_index *x)
{
	const struct sbom *s = &x->sbom;
	struct str purl = {0};

	purl_add(&purl, "generic", NULL, s->name, s->version,
		 (const struct purl_qualifier[]){{"arch", s->architecture}, {NULL, NULL}});
	x->root.purl = keep(x->arena, &purl);
	x->root.id =
		make_id(x->arena, "image", s->name, s->name, s->version, s->architecture, NULL);
}

int sbom_index_make(const struct sbom *sbom, struct sbom_index *x, struct err *err)
{
	*x = (struct sbom_index){.arena = mem_arena_new(), .sbom = *sbom};
	if (sbom_index_copy(sbom, x, err) < 0)
		return -1;
	name_root(x);
	name_packages(x);
	merge_sources(x);
	name_files(x);
	name_containers(x);
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

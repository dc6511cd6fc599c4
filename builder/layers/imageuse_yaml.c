/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images of Compose files and stacks (compose-spec: services.NAME.image) and of Kubernetes objects
 * (containers and initContainers of pods, alone or in lists and templates).
 */
#include "layers/imageuse_parts.h"

#include "base/mem.h"
#include "base/path.h"
#include "profile/foreign.h"

#include <string.h>

struct reading {
	struct imageuse_finder *f;
	struct imageuse_site site; /* of the file itself */
	enum imageuse_kind kind;
	bool services;
	struct strv images; /* "LINE image": only added when it is a Compose file */
	struct strv more;   /* "LINE path": Compose files that this one takes in */
};

static bool key_is(const struct foreign_value *value, size_t index, const char *name)
{
	return index < value->key_count && strcmp(value->keys[index], name) == 0;
}

/* "include: [FILE]", "include: [{path: FILE}]" or "include: [{path: [FILE]}]". */
static bool is_include(const struct foreign_value *value)
{
	size_t n = value->key_count;

	if (n < 2 || n > 4 || !key_is(value, 0, "include") || !key_is(value, 1, "[]"))
		return false;
	return n == 2 || (key_is(value, 2, "path") && (n == 3 || key_is(value, 3, "[]")));
}

static void visit(const struct foreign_value *value, void *context)
{
	struct reading *r = context;
	size_t n = value->key_count;

	if (r->kind == IMAGEUSE_KUBE) {
		if (n >= 3 && key_is(value, n - 1, "image") && key_is(value, n - 2, "[]") &&
		    (key_is(value, n - 3, "containers") || key_is(value, n - 3, "initContainers")))
			strv_addf(&r->images, "%u %s", value->line, value->text);
		return;
	}
	r->services |= key_is(value, 0, "services") && n >= 3;
	if (n == 3 && key_is(value, 0, "services") && key_is(value, 2, "image"))
		strv_addf(&r->images, "%u %s", value->line, value->text);
	if (is_include(value) || (n == 4 && key_is(value, 0, "services") &&
				  key_is(value, 2, "extends") && key_is(value, 3, "file")))
		strv_addf(&r->more, "%u %s", value->line, value->text);
}

/* Compose reads ".env" beside its file; what the unit sets wins. docker stack deploy does not. */
static void add_dotenv(const struct tree *tree, const char *path, const struct imageuse_site *by,
		       struct strv *variables)
{
	CLEANUP_FREE char *folder = path_parent(path);
	CLEANUP_FREE char *dotenv = path_join(folder, ".env");
	const char *why;
	CLEANUP_FREE char *text = imageuse_read(tree, dotenv, &why);

	if (text)
		imageuse_environment(text, variables);
	for (size_t i = 0; by && by->variables && i < by->variables->count; i++)
		strv_add(variables, by->variables->items[i]);
}

static void add_images(struct reading *r)
{
	for (size_t i = 0; i < r->images.count; i++) {
		char *end;

		r->site.line = (uint32_t)strtoul(r->images.items[i], &end, 10);
		if (r->kind == IMAGEUSE_KUBE) {
			imageuse_add(r->f, &r->site, end + 1);
		} else {
			CLEANUP_FREE char *image = imageuse_expand(end + 1, r->site.variables);

			imageuse_add(r->f, &r->site, image);
		}
	}
}

/* Each file once, so that a circle ends. */
static void read_more(struct reading *r, const char *path, const char *engine)
{
	CLEANUP_FREE char *folder = path_parent(path);

	r->f->depth++;
	for (size_t i = 0; i < r->more.count; i++) {
		char *end;
		CLEANUP_FREE char *name = NULL;
		CLEANUP_FREE char *full = NULL;

		r->site.line = (uint32_t)strtoul(r->more.items[i], &end, 10);
		name = imageuse_expand(end + 1, r->site.variables);
		full = path_join(folder, str_has_prefix(name, "./") ? name + 2 : name);
		if (strpbrk(full, "$") || strstr(full, "://"))
			imageuse_add_unknown(r->f, &r->site, "it is not known where '%s' is", name);
		else if (r->f->depth > IMAGEUSE_FILE_DEPTH)
			imageuse_add_unknown(r->f, &r->site, "'%s' is too deep in others", full);
		else if (!strv_has(&r->f->seen, full))
			imageuse_yaml(r->f, full, r->kind, &r->site, engine);
	}
	r->f->depth--;
}

void imageuse_yaml(struct imageuse_finder *f, const char *path, enum imageuse_kind kind,
		   const struct imageuse_site *by, const char *engine)
{
	CLEANUP(strv_free) struct strv variables = {0};
	struct reading r = {.f = f, .kind = kind};
	struct err err = {0};
	const char *why;
	CLEANUP_FREE char *text = imageuse_read(f->tree, path, &why);

	if (!text && by)
		imageuse_add_unknown(f, by, "'%s' %s", path, why);
	if (!text || (!by && strv_has(&f->seen, path)))
		return;
	strv_add(&f->seen, path);
	if (kind == IMAGEUSE_COMPOSE)
		add_dotenv(f->tree, path, by, &variables);
	r.site = (struct imageuse_site){.file = path, .engine = engine, .variables = &variables};
	if (kind == IMAGEUSE_STACK)
		r.site.variables = by ? by->variables : NULL;
	if (foreign_walk(path, text, strlen(text), visit, &r, &err) < 0) {
		imageuse_add_unknown(f, &r.site, "%s", err.msg);
	} else if (kind == IMAGEUSE_KUBE || r.services || by) {
		f->list->compose |= kind != IMAGEUSE_KUBE;
		add_images(&r);
		read_more(&r, path, engine);
	}
	strv_free(&r.images);
	strv_free(&r.more);
}

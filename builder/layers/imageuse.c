/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding which container images a tree uses: the places to look at, and the list that comes of it.
 */
#include "layers/imageuse.h"

#include "base/mem.h"
#include "base/path.h"
#include "layers/imageuse_parts.h"
#include "layers/packages.h"

#include <ctype.h>
#include <fnmatch.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define CONTAINERS "/usr/share/ingot/containers"
#define MANIFESTS "/etc/kubernetes/manifests"
#define CONTAINERD_CONFIG "/etc/containerd/config.toml"

void imageuse_list_free(struct imageuse_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		free(list->items[i].image);
		free(list->items[i].why);
		free(list->items[i].file);
	}
	free(list->items);
	*list = (struct imageuse_list){0};
}

static bool same(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

/* Takes image and why. */
static void add(struct imageuse_finder *f, const struct imageuse_site *site, char *image, char *why)
{
	struct imageuse use = {.image = image,
			       .why = why,
			       .file = mem_strdup(site->file),
			       .line = site->line,
			       .engine = site->engine};

	for (size_t i = 0; i < f->list->count; i++) {
		const struct imageuse *have = &f->list->items[i];

		if (have->line == use.line && same(have->image, image) && same(have->why, why) &&
		    same(have->engine, use.engine) && strcmp(have->file, use.file) == 0) {
			free(image);
			free(why);
			free(use.file);
			return;
		}
	}
	VEC_ADD(f->list->items, f->list->count, f->list->room, use);
}

void imageuse_add(struct imageuse_finder *f, const struct imageuse_site *site, const char *image)
{
	if (!*image)
		imageuse_add_unknown(f, site, "the name of the image is empty");
	else if (strpbrk(image, "$%`{}"))
		imageuse_add_unknown(f, site, "'%s' has no value in the image", image);
	else if (f->list->count < IMAGEUSE_ITEMS_MAX)
		add(f, site, mem_strdup(image), NULL);
}

void imageuse_add_unknown(struct imageuse_finder *f, const struct imageuse_site *site,
			  const char *fmt, ...)
{
	char why[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	if (f->list->count < IMAGEUSE_ITEMS_MAX)
		add(f, site, NULL, mem_strdup(why));
}

char *imageuse_read(const struct tree *tree, const char *path, const char **ret_why)
{
	const struct tree_node *node = tree_resolve(tree, path);
	char *text = NULL;
	size_t len = 0;

	*ret_why = "is not in the image";
	if (!node)
		return NULL;
	*ret_why = "is not a file of at most 1 MiB of text";
	if (node->inode->type != TREE_FILE ||
	    tree_read(node, IMAGEUSE_FILE_MAX, &text, &len, NULL) < 0)
		return NULL;
	if (memchr(text, '\0', len)) {
		free(text);
		return NULL;
	}
	return text;
}

static bool is_yaml(const char *name)
{
	return str_has_suffix(name, ".yaml") || str_has_suffix(name, ".yml");
}

/* Static pods; the kubelet passes over hidden files. */
static void look_at_manifests(struct imageuse_finder *f)
{
	const struct tree_node *dir = tree_resolve(f->tree, MANIFESTS);

	for (size_t i = 0; dir && i < dir->child_count; i++) {
		const char *name = dir->children[i]->name;
		CLEANUP_FREE char *path = path_join(MANIFESTS, name);

		if (name[0] != '.' && (is_yaml(name) || str_has_suffix(name, ".json")))
			imageuse_yaml(f, path, IMAGEUSE_KUBE, NULL, "containerd");
	}
}

/* containerd starts each pod by an image of its own, which its configuration names. */
static void look_at_sandbox(struct imageuse_finder *f)
{
	const char *why;
	CLEANUP_FREE char *text = imageuse_read(f->tree, CONTAINERD_CONFIG, &why);
	struct imageuse_site site = {.file = CONTAINERD_CONFIG, .engine = "containerd"};
	char *save = NULL;

	for (char *p = text; p && *p;) {
		size_t len = strcspn(p, "\n");
		CLEANUP_FREE char *line = mem_strndup(p, len);
		char *key = strtok_r(line, " \t=", &save), *value = strtok_r(NULL, "\"'\n", &save);

		site.line++;
		p += len + (p[len] == '\n');
		while (value && *value && strspn(value, " \t=") == strlen(value))
			value = strtok_r(NULL, "\"'\n", &save);
		if (key && value && strcmp(key, "sandbox_image") == 0)
			imageuse_add(f, &site, value);
	}
}

struct named {
	struct imageuse_finder *f;
	struct strv paths;
};

/* Of the profile, and called like a Compose file. */
static int take_named(const struct tree_node *node, const char *path, void *context,
		      struct err *err)
{
	struct named *named = context;

	(void)err;
	if (node->inode->type != TREE_FILE || !is_yaml(node->name) ||
	    str_has_prefix(path, CONTAINERS "/") ||
	    (fnmatch("*compose*", node->name, FNM_CASEFOLD) != 0 &&
	     fnmatch("*stack*", node->name, FNM_CASEFOLD) != 0) ||
	    (node->inode->origin && strcmp(node->inode->origin, PACKAGES_ORIGIN) == 0))
		return 0;
	strv_add(&named->paths, path);
	return 0;
}

static int look_at_named(struct imageuse_finder *f, struct err *err)
{
	struct named named = {.f = f};
	int r = tree_walk(f->tree, take_named, &named, err);

	for (size_t i = 0; r == 0 && i < named.paths.count; i++)
		imageuse_yaml(f, named.paths.items[i], IMAGEUSE_COMPOSE, NULL, NULL);
	strv_free(&named.paths);
	return r;
}

int imageuse_find(const struct tree *tree, const struct profile *profile, struct imageuse_list *ret,
		  struct err *err)
{
	struct imageuse_finder f = {.tree = tree, .list = ret};
	int r;

	*ret = (struct imageuse_list){0};
	imageuse_units(&f, profile);
	look_at_manifests(&f);
	for (size_t i = 0; i < profile->containers.engines.count; i++)
		if (strcmp(profile->containers.engines.items[i], "containerd") == 0)
			look_at_sandbox(&f);
	r = look_at_named(&f, err);
	strv_free(&f.seen);
	return r;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Comparing the images that a tree uses with those that are preloaded.
 */
#include "layers/imageuse.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

#include <string.h>

#define LISTED_MAX 10

struct check {
	const struct imageuse_known *known;
	bool *used; /* per preloaded image */
	struct str text;
	size_t count;
};

static bool in_list(const struct profile_list *list, const char *word)
{
	for (size_t i = 0; i < list->count; i++)
		if (strcmp(list->items[i], word) == 0)
			return true;
	return false;
}

static bool is_elsewhere(const struct imageuse_known *known, const char *name)
{
	for (size_t i = 0; i < known->elsewhere->count; i++) {
		CLEANUP_FREE char *other = known->normalise(known->elsewhere->items[i], NULL);

		if (other && strcmp(other, name) == 0)
			return true;
	}
	return false;
}

static bool is_preloaded(struct check *c, const char *name)
{
	bool found = false;

	for (size_t i = 0; i < c->known->image_count; i++)
		for (const char *const *n = c->known->images[i].names; *n; n++)
			if (strcmp(*n, name) == 0)
				found = c->used[i] = true;
	return found;
}

/* Where: "/etc/x.service:12", or only the file. Caller frees. */
static char *place_of(const struct imageuse *use)
{
	return use->line ? mem_printf("%s:%u", use->file, use->line) : mem_strdup(use->file);
}

static void add_finding(struct check *c, const struct imageuse *use, const char *problem)
{
	CLEANUP_FREE char *place = place_of(use);

	if (c->count++ < LISTED_MAX)
		str_addf(&c->text, "\n    %.200s: %.120s: %s", place, use->image, problem);
}

static void check_use(struct check *c, const struct imageuse *use)
{
	CLEANUP_FREE char *place = place_of(use);
	CLEANUP_FREE char *name = NULL;
	struct err err = {0};
	bool preloaded;

	if (!use->image) {
		log_warn("cannot tell which image '%s' uses: %s", place, use->why);
		return;
	}
	name = c->known->normalise(use->image, &err);
	if (!name) {
		log_warn("cannot tell which image '%s' uses: '%s': %s", place, use->image, err.msg);
		return;
	}
	if (is_elsewhere(c->known, name))
		return;
	preloaded = is_preloaded(c, name);
	if (use->engine && strcmp(use->engine, "podman") == 0)
		add_finding(c, use, "podman has no preloaded images");
	else if (!preloaded)
		add_finding(c, use, "not preloaded");
	else if (use->engine && !in_list(c->known->engines, use->engine))
		add_finding(c, use,
			    strcmp(use->engine, "docker") == 0
				    ? "preloaded, but not for docker (containers.engine)"
				    : "preloaded, but not for containerd (containers.engine)");
}

int imageuse_check(const struct imageuse_list *uses, const struct imageuse_known *known,
		   struct err *err)
{
	struct check c = {.known = known};
	int r = 0;

	if (!known->engines->count && !uses->compose)
		return 0;
	c.used = mem_alloc_array(known->image_count, sizeof(*c.used));
	for (size_t i = 0; i < uses->count; i++)
		check_use(&c, &uses->items[i]);
	for (size_t i = 0; i < known->image_count; i++)
		if (!c.used[i])
			log_info("nothing in the image uses the container image '%s'",
				 known->images[i].text);
	if (c.count) {
		r = err_set(err, ERR_LINT,
			    "the image uses %zu container image%s that it does not have:%s%s",
			    c.count, c.count == 1 ? "" : "s", c.text.data,
			    c.count > LISTED_MAX ? "\n    ..." : "");
		err_hint(err, "add them to containers.images, or to containers.elsewhere when the "
			      "machine gets them by itself");
	}
	str_free(&c.text);
	free(c.used);
	return r;
}

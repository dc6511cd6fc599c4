/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loads a profile: its files with their parents, then --set, then the stages that follow.
 */
#include "profile/load.h"

#include "base/fd.h"
#include "base/path.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void load_parents(struct profile_loader *loader, struct profile_file_seen *file,
			 const struct doc_node *root);

/* Opens a regular file; the caller closes *ret_fd also after an error. */
static int open_file(const char *path, int *ret_fd, struct stat *ret_st, struct err *err)
{
	/* Not blocking: the path may name a FIFO. */
	*ret_fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (*ret_fd < 0 || fstat(*ret_fd, ret_st) < 0)
		return err_set(err, ERR_PROFILE, "cannot read '%s': %s", path, strerror(errno));
	if (!S_ISREG(ret_st->st_mode))
		return err_set(err, ERR_PROFILE, "cannot read '%s': not a regular file", path);
	if (ret_st->st_size > (off_t)DOC_BYTES_MAX)
		return err_set(err, ERR_PROFILE, "cannot read '%s': larger than 1 MiB", path);
	return 0;
}

/* Reads what the file had when it was opened; it may have become shorter. */
static int read_text(int fd, const char *path, size_t size, struct str *text, struct err *err)
{
	char buffer[65536];

	while (text->len < size) {
		ssize_t n = read(fd, buffer, sizeof(buffer));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(err, ERR_PROFILE, "cannot read '%s': %s", path,
				       strerror(errno));
		if (n == 0)
			break;
		str_add_bytes(text, buffer, (size_t)n);
	}
	return 0;
}

static struct profile_file_seen *find_seen(struct profile_loader *loader, const struct stat *st)
{
	for (size_t i = 0; i < loader->seen_count; i++)
		if (loader->seen[i].device == st->st_dev && loader->seen[i].inode == st->st_ino)
			return &loader->seen[i];
	return NULL;
}

static struct profile_file_seen *add_seen(struct profile_loader *loader, const char *label,
					  const struct stat *st)
{
	struct profile_file_seen *file;

	if (loader->seen_count == PROFILE_FILES_MAX)
		return NULL;
	file = &loader->seen[loader->seen_count++];
	file->label = label;
	file->device = st->st_dev;
	file->inode = st->st_ino;
	return file;
}

/* Parses a file, loads what it extends and checks it; then it is next in the order of merging. */
static void load_text(struct profile_loader *loader, struct profile_file_seen *file,
		      const char *text, size_t len)
{
	struct doc_place origin = {file->label, 1, 1};

	file->root = doc_parse(loader->arena, text, len, origin, &loader->report);
	if (file->root) {
		if (file->root->kind == DOC_MAP)
			load_parents(loader, file, file->root);
		profile_check(loader, profile_folder(loader->arena, file->label), file->root);
		loader->order[loader->order_count++] = file;
	}
	file->done = true;
}

static int load_file(struct profile_loader *loader, const char *path, struct err *err)
{
	CLEANUP(str_free) struct str text = {0};
	CLEANUP_FD int fd = -1;
	struct profile_file_seen *file;
	struct stat st = {0};

	if (open_file(path, &fd, &st, err) < 0 ||
	    read_text(fd, path, (size_t)st.st_size, &text, err) < 0)
		return -1;
	file = add_seen(loader, path, &st);
	if (!file)
		return err_set(err, ERR_PROFILE, "more than %zu files", PROFILE_FILES_MAX);
	/* While this file is loaded no other with so many parents is open. */
	fd_close(&fd);
	load_text(loader, file, text.data ? text.data : "", text.len);
	return 0;
}

/* The files from the first that is extended again to the last are a circle. */
static void report_circle(struct profile_loader *loader, const struct profile_file_seen *first,
			  const struct doc_place *place)
{
	const struct profile_file_seen *end = loader->seen + loader->seen_count;

	doc_error(&loader->report, place, "'%s' extends itself", first->label);
	for (const struct profile_file_seen *file = first + 1; file < end; file++)
		if (!file->done)
			doc_note(&loader->report, &file->extended, "'%s' is extended here",
				 file->label);
	doc_note(&loader->report, place, "and '%s' again here", first->label);
}

static void load_parent(struct profile_loader *loader, const char *folder,
			const struct doc_node *item)
{
	const char *path, *nearest;
	struct profile_file_seen *seen;
	struct err err = {0};
	struct stat st;
	size_t index = loader->seen_count;

	if (item->kind != DOC_SCALAR || doc_node_is_null(item)) {
		doc_error(&loader->report, &item->place, "expected a profile, this is %s",
			  doc_node_what(item));
		return;
	}
	path = profile_find_file(loader, folder, item->text);
	if (!path) {
		doc_error(&loader->report, &item->place, "cannot find profile '%s'",
			  doc_show(loader->arena, item->text));
		nearest = profile_find_nearest(loader, folder, item->text, false);
		if (nearest)
			doc_note(&loader->report, &item->place, "did you mean '%s'?", nearest);
		else
			doc_note(&loader->report, &item->place, "expected %s",
				 schema_type_parent.expected);
		return;
	}
	seen = stat(path, &st) == 0 ? find_seen(loader, &st) : NULL;
	if (seen && !seen->done)
		report_circle(loader, seen, &item->place);
	if (seen)
		return;
	if (index < PROFILE_FILES_MAX)
		loader->seen[index].extended = item->place;
	if (load_file(loader, path, &err) < 0)
		doc_error(&loader->report, &item->place, "%s", err.msg);
}

static void load_parents(struct profile_loader *loader, struct profile_file_seen *file,
			 const struct doc_node *root)
{
	const struct doc_node *extends = doc_node_get(root, "extends");
	const char *folder = profile_folder(loader->arena, file->label);

	if (!extends)
		return;
	if (extends->kind != DOC_LIST) {
		load_parent(loader, folder, extends);
		return;
	}
	for (size_t i = 0; i < extends->count; i++)
		load_parent(loader, folder, extends->items[i]);
}

/* Turns "disk.var.minimum=8G" into the map that a file would have; keys of sysctl have dots. */
static int load_set(struct profile_loader *loader, const char *text, uint32_t number,
		    const struct profile_file_seen *leaf, struct doc_node *merged, struct err *err)
{
	const char *equals = strchr(text, '='), *key = text;
	struct doc_place place = {"--set", number, 1};
	struct doc_node *root = doc_node_new(loader->arena, DOC_MAP, place);
	struct doc_node *map = root, *value;
	const struct schema_row *row = NULL;
	size_t before = loader->report.count;

	if (!equals || equals == text)
		return err_set(err, ERR_USAGE, "cannot use --set '%s': expected KEY=VALUE", text);
	for (;;) {
		size_t len = strcspn(key, ".=");
		const char *name;

		place.column = (uint32_t)(key - text) + 1;
		if (row && row->shape == SCHEMA_SETTINGS)
			len = (size_t)(equals - key);
		name = mem_arena_strndup(loader->arena, key, len);
		row = schema_child(row, name);
		key += len + 1;
		if (key > equals)
			key = equals;
		if (key == equals) {
			struct doc_place at = place;

			at.column = (uint32_t)(equals - text) + 2;
			value = doc_parse(loader->arena, equals + 1, strlen(equals + 1), at,
					  &loader->report);
			if (value)
				doc_node_set(loader->arena, map, name, place, value);
			break;
		}
		value = doc_node_new(loader->arena, DOC_MAP, place);
		doc_node_set(loader->arena, map, name, place, value);
		map = value;
	}
	if (doc_node_get(root, "extends"))
		doc_error(&loader->report, &place, "'extends' cannot be set");
	profile_check(loader, profile_folder(loader->arena, leaf->label), root);
	if (loader->report.count == before)
		profile_merge(loader, merged, root);
	return 0;
}

/* Merges all files and settings and builds the result. Returns NULL when there are problems. */
static struct profile *finish(struct profile_loader *loader, const struct profile_file_seen *leaf,
			      struct err *err)
{
	const char *const *set = loader->options ? loader->options->set : NULL;
	struct doc_place top = {leaf->label, 1, 1};
	struct doc_node *merged = doc_node_new(loader->arena, DOC_MAP, top), *root;
	struct profile *profile;

	for (size_t i = 0; i < loader->order_count && !loader->report.count; i++)
		profile_merge(loader, merged, loader->order[i]->root);
	for (uint32_t i = 0; set && set[i]; i++)
		if (load_set(loader, set[i], i + 1, leaf, merged, err) < 0)
			return NULL;
	if (loader->report.count)
		return NULL;
	root = profile_resolve(loader, merged, &top);
	if (!loader->report.count)
		profile_check_rules(loader, root);
	if (loader->report.count)
		return NULL;
	profile = mem_arena_alloc(loader->arena, sizeof(*profile));
	profile->source = leaf->label;
	profile_fill(loader, root, profile);
	return profile;
}

/* What is common to both ways of loading; text NULL means to read the file. */
static struct profile *load(const char *label, const char *text, size_t len,
			    const struct profile_options *options,
			    struct profile_problems *problems, struct err *err)
{
	CLEANUP_ARENA struct mem_arena *arena = mem_arena_new();
	struct profile_loader *loader = mem_arena_alloc(arena, sizeof(*loader));
	struct profile *profile = NULL;
	struct stat nowhere = {0};
	const char *path = label;
	int r = 0;

	loader->arena = arena;
	loader->options = options;
	loader->report.text = problems ? &problems->text : NULL;
	if (text) {
		load_text(loader, add_seen(loader, mem_arena_strdup(arena, label), &nowhere), text,
			  len);
	} else {
		path = profile_find_file(loader, NULL, label);
		r = load_file(loader, path ? path : mem_arena_strdup(arena, label), err);
	}
	if (r == 0) {
		/* Parents come behind it. */
		profile = finish(loader, &loader->seen[0], err);
		if (!profile && loader->report.count)
			err_set(err, ERR_PROFILE, "%zu error%s in '%s'%s", loader->report.count,
				loader->report.count == 1 ? "" : "s", loader->seen[0].label,
				loader->report.count > DOC_PROBLEMS_MAX ? ", the first 20 are shown"
									: "");
	} else if (!path && !profile_is_path(label)) {
		const char *nearest = profile_find_nearest(loader, NULL, label, false);

		err_set(err, ERR_PROFILE, "cannot find profile '%s'", label);
		if (nearest)
			err_hint(err, "did you mean '%s'?", nearest);
	}
	if (problems)
		problems->count = loader->report.count;
	schema_patterns_free(&loader->patterns);
	if (profile)
		arena = NULL; /* the profile owns it now */
	return profile;
}

struct profile *profile_load(const char *file_or_name, const struct profile_options *options,
			     struct profile_problems *problems, struct err *err)
{
	return load(file_or_name, NULL, 0, options, problems, err);
}

struct profile *profile_load_text(const char *label, const char *text, size_t len,
				  const struct profile_options *options,
				  struct profile_problems *problems, struct err *err)
{
	return load(label, text, len, options, problems, err);
}

void profile_free(struct profile *profile)
{
	if (!profile)
		return;
	json_decref(profile->json);
	mem_arena_free(profile->doc->arena);
}

void profile_problems_free(struct profile_problems *problems)
{
	if (!problems)
		return;
	str_free(&problems->text);
	problems->count = 0;
}

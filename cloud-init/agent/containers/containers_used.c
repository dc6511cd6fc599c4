/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which images of an earlier system are still used: by a container, by a tag that the user made, by an image that the
 * user built or pulled and that stands on one of ours. Looked at only after an update.
 */
#include "agent/containers/containers_parts.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/path.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define CONTAINER_MAX ((size_t)4 << 20) /* bytes of a container's config.v2.json */

struct used {
	const char *data_root;
	const struct containers *containers;
	const json_t *repositories;
	const struct containers_state *old;
	struct containers_state *keep;
	struct containers_done *done;
	int layerdb;
	json_t *users; /* hex of an image ID to who uses it */
};

/* The image's diff_ids, from docker's store; -1 when it is not there as its ID says. */
static ssize_t read_image(const char *data_root, const char *id, struct digest **ret)
{
	CLEANUP_FREE char *path =
		mem_printf("%s/image/overlay2/imagedb/content/sha256/%s", data_root, id);
	CLEANUP(str_free) struct str text = {0};
	struct digest want, have;

	if (digest_parse(id, &want, NULL) < 0 ||
	    fd_read_file(path, CONTAINERS_DOCUMENT_MAX, &text, NULL) < 0)
		return -1;
	digest_bytes(text.data, text.len, &have);
	if (memcmp(&want, &have, sizeof(want)) != 0)
		return -1;
	return containers_diff_ids(text.data, text.len, ret);
}

/* The hex digits of "sha256:HEX" as it stands in docker's files, or NULL; borrowed. */
static const char *id_of(const char *text)
{
	return text && str_has_prefix(text, "sha256:") && strlen(text) == 7 + 64 ? text + 7 : NULL;
}

/* Containers say which image they are of. One that cannot be read might use any: then nothing is removed. */
static int find_containers(struct used *used, struct err *err)
{
	CLEANUP_FREE char *folder = path_join(used->data_root, "containers");
	const struct dirent *entry;
	DIR *dir = opendir(folder);
	int r = 0;

	if (!dir)
		return errno == ENOENT ? 0 : err_sys(err, errno, "cannot read folder '%s'", folder);
	while (r == 0 && (entry = readdir(dir))) {
		CLEANUP_FREE char *path = mem_printf("%s/%s/config.v2.json", folder, entry->d_name);
		CLEANUP_JSON json_t *config = NULL;
		CLEANUP(str_free) struct str text = {0};
		struct err why = {0};
		const char *id;

		if (entry->d_name[0] == '.')
			continue;
		if (fd_read_file(path, CONTAINER_MAX, &text, &why) == 0)
			config = json_parse(text.data ? text.data : "", text.len, path, &why);
		id = id_of(json_member_string(config, "Image"));
		/* A folder without that file is what docker leaves of a container half made. */
		if (!config && access(path, F_OK) == 0)
			r = err_set(err, ERR_OTHER, "cannot tell what a container uses: %s",
				    why.msg);
		if (id && !json_object_get(used->users, id))
			json_object_set_new(used->users, id,
					    json_sprintf("container %.12s", entry->d_name));
	}
	closedir(dir);
	return r;
}

/* Tags and digests that are not ours. */
static void find_references(struct used *used)
{
	json_t *repository, *value;
	const char *name, *reference;

	json_object_foreach((json_t *)used->repositories, name, repository)
	{
		json_object_foreach(repository, reference, value)
		{
			const char *id = id_of(json_string_value(value));

			if (id && !json_object_get(used->old->references, reference) &&
			    !json_object_get(used->users, id))
				json_object_set_new(used->users, id,
						    json_sprintf("the tag %s", reference));
		}
	}
}

/* True when a layer of the chain is neither in this root nor the user's own. */
static bool is_lost(const struct used *used, const char *chain, const struct digest *diff_id)
{
	const struct containers_layer *layer = containers_layer_find(used->containers, diff_id);

	return !(layer && layer->present) && !containers_overlay_foreign(used->layerdb, chain);
}

/* Keeps those of our chains that the user's image has; true when one of them is lost. */
static bool keep_chains(struct used *used, const struct digest *ids, size_t count)
{
	struct digest chain = {0};
	bool lost = false;

	for (size_t i = 0; i < count; i++) {
		char hex[DIGEST_HEX_SIZE], diff[DIGEST_HEX_SIZE];

		containers_chain_next(i ? &chain : NULL, &ids[i], &chain);
		digest_hex(&chain, hex);
		if (!json_object_get(used->old->chains, hex))
			continue;
		if (!json_object_get(used->keep->chains, hex))
			json_object_set_new(used->keep->chains, hex,
					    json_string(digest_hex(&ids[i], diff)));
		lost |= is_lost(used, hex, &ids[i]);
	}
	return lost;
}

static bool stands_on(const struct digest *upper, ssize_t upper_count, const struct digest *lower,
		      ssize_t lower_count)
{
	return lower && lower_count > 0 && lower_count <= upper_count &&
	       memcmp(upper, lower, (size_t)lower_count * sizeof(*lower)) == 0;
}

/* One image that is not ours. */
static void look_at_image(struct used *used, const char *id)
{
	CLEANUP_FREE struct digest *ids = NULL;
	ssize_t count = read_image(used->data_root, id, &ids);
	json_t *value;
	const char *ours;

	if (count < 0)
		return;
	if (keep_chains(used, ids, (size_t)count))
		strv_addf(&used->done->missing,
			  "image %.12s (not of this system): it stands on layers of an earlier one",
			  id);
	json_object_foreach(used->old->images, ours, value)
	{
		CLEANUP_FREE struct digest *base = NULL;

		if (json_object_get(used->keep->images, ours) || json_object_get(used->users, ours))
			continue;
		if (stands_on(ids, count, base, read_image(used->data_root, ours, &base)))
			json_object_set_new(used->users, ours, json_sprintf("image %.12s", id));
	}
}

static int look_at_images(struct used *used, struct err *err)
{
	CLEANUP_FREE char *folder =
		path_join(used->data_root, "image/overlay2/imagedb/content/sha256");
	const struct dirent *entry;
	DIR *dir = opendir(folder);

	if (!dir)
		return err_sys(err, errno, "cannot read folder '%s'", folder);
	while ((entry = readdir(dir)))
		if (strlen(entry->d_name) == 64 &&
		    !json_object_get(used->old->images, entry->d_name) &&
		    !json_object_get(used->keep->images, entry->d_name))
			look_at_image(used, entry->d_name);
	closedir(dir);
	return 0;
}

/* Removed and pulled again since: its layers are the user's now. */
static bool was_pulled(const struct used *used, const char *id)
{
	CLEANUP_FREE struct digest *ids = NULL;
	ssize_t count = read_image(used->data_root, id, &ids);
	struct digest chain = {0};
	char hex[DIGEST_HEX_SIZE];

	for (ssize_t i = 0; i < count; i++)
		containers_chain_next(i ? &chain : NULL, &ids[i], &chain);
	return count > 0 && containers_overlay_foreign(used->layerdb, digest_hex(&chain, hex));
}

static const char *reference_now(const json_t *repositories, const char *reference)
{
	json_t *repository;
	const char *name;

	json_object_foreach((json_t *)repositories, name, repository)
	{
		const char *value = json_member_string(repository, reference);

		if (value)
			return id_of(value);
	}
	return NULL;
}

static void keep_image(struct used *used, const char *id, const char *user)
{
	CLEANUP_FREE struct digest *ids = NULL;
	ssize_t count = read_image(used->data_root, id, &ids);
	const char *reference, *label = NULL;
	json_t *value;

	if (count < 0)
		return; /* the user removed it, or the disk lost it */
	json_object_set_new(used->keep->images, id, json_true());
	keep_chains(used, ids, (size_t)count);
	json_object_foreach(used->old->references, reference, value)
	{
		const char *now = reference_now(used->repositories, reference);

		if (strcmp(json_string_value(value), id) != 0)
			continue;
		if (!label || strchr(label, '@'))
			label = reference;
		/* A name that this root wants for another image moves on. */
		if (now && strcmp(now, id) == 0 &&
		    !json_object_get(used->keep->references, reference))
			json_object_set(used->keep->references, reference, value);
	}
	strv_addf(&used->done->kept, "%.*s: %s uses it", label ? 300 : 12, label ? label : id,
		  user);
}

static bool has_stale(const json_t *old, const json_t *keep)
{
	json_t *value;
	const char *key;

	json_object_foreach((json_t *)old, key, value) if (!json_object_get(keep, key)) return true;
	return false;
}

int containers_used(const char *data_root, const struct containers *containers,
		    const json_t *repositories, const struct containers_state *old,
		    struct containers_state *keep, struct containers_done *done, struct err *err)
{
	CLEANUP_FREE char *layerdb = path_join(data_root, "image/overlay2/layerdb/sha256");
	CLEANUP_JSON json_t *users = json_object();
	CLEANUP_FD int fd = -1;
	struct used used = {data_root, containers, repositories, old, keep, done, -1, users};
	const char *id;
	json_t *value;

	if (!has_stale(old->images, keep->images) && !has_stale(old->chains, keep->chains))
		return 0;
	fd = open(layerdb, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, errno, "cannot open the folder '%s'", layerdb);
	used.layerdb = fd;
	if (find_containers(&used, err) < 0)
		return -1;
	find_references(&used);
	if (look_at_images(&used, err) < 0)
		return -1;
	json_object_foreach(old->images, id, value)
	{
		const char *user = json_member_string(users, id);

		if (json_object_get(keep->images, id))
			continue;
		if (!user && was_pulled(&used, id))
			user = "who pulled it here";
		if (user)
			keep_image(&used, id, user);
	}
	return 0;
}

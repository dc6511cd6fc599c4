/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layers in docker's store: moby's layer/filestore.go and daemon/graphdriver/overlay2. What would be the layer's
 * folder is a symbolic link into the read-only root; nothing is copied.
 */
#include "agent/containers/containers_parts.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/path.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINK_LETTERS \
	26 /* moby, overlay2: so many, that 128 of them fit into a page of mount options */

void containers_overlay_names(const struct digest *chain, char cache_id[DIGEST_HEX_SIZE],
			      char link_name[27])
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
	struct digest_ctx *ctx = digest_start();
	struct digest digest;

	/* Salted, so that nobody else's name can be the same. */
	digest_add(ctx, "ingot overlay2 1\n", 17);
	digest_add(ctx, chain->bytes, sizeof(chain->bytes));
	digest_finish(ctx, &digest);
	digest_hex(&digest, cache_id);
	for (size_t i = 0; i < LINK_LETTERS; i++)
		link_name[i] = alphabet[digest.bytes[i] & 31];
	link_name[LINK_LETTERS] = '\0';
}

/* ---- folders --------------------------------------------------------------------------------- */

struct folder {
	const char *name;
	mode_t mode;
};

/* Opens (and makes) the folders of a path below dir, one after the other. */
static int open_below(int dir, const struct folder *folders, size_t count, int *ret,
		      size_t *written, struct err *err)
{
	CLEANUP_FD int at = -1;

	for (size_t i = 0; i < count; i++) {
		int next;

		if (containers_put_folder(at < 0 ? dir : at, folders[i].name, folders[i].mode,
					  &next, written, err) < 0)
			return -1;
		fd_close(&at);
		at = next;
	}
	*ret = fd_steal(&at);
	return 0;
}

void containers_store_none(struct containers_store *store)
{
	*store = (struct containers_store){.overlay = -1,
					   .links = -1,
					   .layerdb = -1,
					   .content = -1,
					   .image = -1,
					   .by_digest = -1,
					   .by_diff = -1};
}

int containers_store_open(struct containers_store *store, const char *data_root, struct err *err)
{
	static const struct folder image[] = {{"image", 0700}, {"overlay2", 0700}},
				   overlay[] = {{"overlay2", 0710}}, links[] = {{"l", 0700}},
				   layerdb[] = {{"layerdb", 0700}, {"sha256", 0755}},
				   content[] = {{"imagedb", 0700},
						{"content", 0700},
						{"sha256", 0700}},
				   by_digest[] = {{"distribution", 0700},
						  {"diffid-by-digest", 0755},
						  {"sha256", 0755}},
				   by_diff[] = {{"distribution", 0700},
						{"v2metadata-by-diffid", 0755},
						{"sha256", 0755}};
	CLEANUP_FD int root = -1;
	size_t *n = &store->written;

	containers_store_none(store);
	store->data_root = mem_strdup(data_root);
	store->overlay_path = path_join(data_root, "overlay2");
	store->layerdb_path = path_join(data_root, "image/overlay2/layerdb/sha256");
	store->content_path = path_join(data_root, "image/overlay2/imagedb/content/sha256");
	store->metadata_path = path_join(data_root, "image/overlay2/imagedb/metadata/sha256");
	if (containers_put_path(data_root, 0710, &root, n, err) < 0 ||
	    open_below(root, image, ARRAY_SIZE(image), &store->image, n, err) < 0 ||
	    open_below(root, overlay, ARRAY_SIZE(overlay), &store->overlay, n, err) < 0 ||
	    open_below(store->overlay, links, ARRAY_SIZE(links), &store->links, n, err) < 0 ||
	    open_below(store->image, layerdb, ARRAY_SIZE(layerdb), &store->layerdb, n, err) < 0 ||
	    open_below(store->image, content, ARRAY_SIZE(content), &store->content, n, err) < 0 ||
	    open_below(store->image, by_digest, ARRAY_SIZE(by_digest), &store->by_digest, n, err) <
		    0 ||
	    open_below(store->image, by_diff, ARRAY_SIZE(by_diff), &store->by_diff, n, err) < 0)
		return err_wrap(err, "cannot write docker's store '%s'", data_root);
	return 0;
}

void containers_store_close(struct containers_store *store)
{
	int *const fds[] = {&store->overlay, &store->links,     &store->layerdb, &store->content,
			    &store->image,   &store->by_digest, &store->by_diff};

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fd_close(fds[i]);
	free(store->data_root);
	free(store->overlay_path);
	free(store->layerdb_path);
	free(store->content_path);
	free(store->metadata_path);
}

/* ---- layers ---------------------------------------------------------------------------------- */

/* Reads the cache-id of a layer in layerdb into id; false when it has none that docker would take. */
static bool read_cache_id(int layerdb, const char *chain_hex, char id[DIGEST_HEX_SIZE])
{
	char name[DIGEST_HEX_SIZE + 16];
	CLEANUP_FD int fd = -1;
	ssize_t len;

	snprintf(name, sizeof(name), "%s/cache-id", chain_hex);
	fd = openat(layerdb, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	len = fd < 0 ? -1 : read(fd, id, DIGEST_HEX_SIZE);
	if (len < DIGEST_HEX_SIZE - 1 || (len == DIGEST_HEX_SIZE && id[len - 1] != '\n'))
		return false;
	id[DIGEST_HEX_SIZE - 1] = '\0';
	return strspn(id, "0123456789abcdef") == DIGEST_HEX_SIZE - 1;
}

bool containers_overlay_foreign(int layerdb, const char *chain_hex)
{
	char own[DIGEST_HEX_SIZE], have[DIGEST_HEX_SIZE], link_name[27];
	struct digest chain;

	if (digest_parse(chain_hex, &chain, NULL) < 0 || !read_cache_id(layerdb, chain_hex, have))
		return false;
	containers_overlay_names(&chain, own, link_name);
	return strcmp(own, have) != 0;
}

static int put_text(int dir, const char *name, mode_t mode, const char *text,
		    struct containers_store *store, struct err *err)
{
	return containers_put_file(dir, name, text, strlen(text), mode, &store->written, err);
}

/* What overlay2 knows of the layer; lower is NULL for the one at the bottom. */
static int write_overlay(struct containers_store *store, const char *cache_id,
			 const char *link_name, const char *lower, const char *tree,
			 struct err *err)
{
	CLEANUP_FREE char *target = mem_printf("../%s/diff", cache_id);
	CLEANUP_FD int dir = -1;
	bool new;

	if (containers_put_begin(store->overlay, cache_id, 0710, &dir, &new, err) < 0 ||
	    containers_put_link(dir, "diff", tree, &store->written, err) < 0 ||
	    put_text(dir, "link", 0644, link_name, store, err) < 0 ||
	    (lower && put_text(dir, "lower", 0644, lower, store, err) < 0) ||
	    /* Without it docker would want to write into the layer when it mounts it alone. */
	    put_text(dir, "committed", 0600, "", store, err) < 0 ||
	    containers_put_link(store->links, link_name, target, &store->written, err) < 0)
		return -1;
	return new ? containers_put_done(store->overlay, cache_id, err) : 0;
}

static int write_layerdb(struct containers_store *store, const struct containers_layer *layer,
			 const char *chain_hex, const char *parent_hex, const char *cache_id,
			 struct err *err)
{
	CLEANUP_FREE char *split = containers_split_path(&layer->diff_id);
	CLEANUP_FREE char *parent = parent_hex ? mem_printf("sha256:%s", parent_hex) : NULL;
	CLEANUP_FREE char *size = mem_printf("%llu", (unsigned long long)layer->size);
	CLEANUP_FREE char *diff = NULL;
	CLEANUP_FD int dir = -1;
	char hex[DIGEST_HEX_SIZE];
	bool new;

	diff = mem_printf("sha256:%s", digest_hex(&layer->diff_id, hex));
	if (containers_put_begin(store->layerdb, chain_hex, 0755, &dir, &new, err) < 0 ||
	    put_text(dir, "diff", 0644, diff, store, err) < 0 ||
	    put_text(dir, "size", 0644, size, store, err) < 0 ||
	    (parent && put_text(dir, "parent", 0644, parent, store, err) < 0) ||
	    containers_put_link(dir, "tar-split.json.gz", split, &store->written, err) < 0 ||
	    put_text(dir, "cache-id", 0644, cache_id, store, err) < 0)
		return -1;
	return new ? containers_put_done(store->layerdb, chain_hex, err) : 0;
}

int containers_overlay_write(struct containers_store *store,
			     const struct containers_layer *const *layers,
			     const struct digest *chains, size_t count, json_t *done,
			     struct err *err)
{
	CLEANUP_FREE char *lower = NULL;
	char below[DIGEST_HEX_SIZE] = "";

	for (size_t i = 0; i < count; i++) {
		CLEANUP_FREE char *tree = containers_layer_nth_path(layers, i);
		char hex[DIGEST_HEX_SIZE], cache_id[DIGEST_HEX_SIZE], link_name[27];
		char *above;

		digest_hex(&chains[i], hex);
		containers_overlay_names(&chains[i], cache_id, link_name);
		if (!json_object_get(done, hex)) {
			if (write_overlay(store, cache_id, link_name, lower, tree, err) < 0 ||
			    (!containers_overlay_foreign(store->layerdb, hex) &&
			     write_layerdb(store, layers[i], hex, *below ? below : NULL, cache_id,
					   err) < 0))
				return err_wrap(err, "cannot write layer sha256:%s", hex);
			json_object_set_new(done, hex, json_true());
		}
		above = mem_printf("l/%s%s%s", link_name, lower ? ":" : "", lower ? lower : "");
		free(lower);
		lower = above;
		memcpy(below, hex, sizeof(below));
	}
	return 0;
}

int containers_overlay_remove(struct containers_store *store, const char *chain_hex, bool needed,
			      struct err *err)
{
	char cache_id[DIGEST_HEX_SIZE], theirs[DIGEST_HEX_SIZE], link_name[27];
	struct digest chain;
	bool foreign = containers_overlay_foreign(store->layerdb, chain_hex);
	size_t *n = &store->written;

	if (digest_parse(chain_hex, &chain, err) < 0)
		return -1;
	containers_overlay_names(&chain, cache_id, link_name);
	/* The order in which nothing is left that points to what is gone. */
	if ((!foreign &&
	     containers_put_remove(store->layerdb, store->layerdb_path, chain_hex, n, err) < 0) ||
	    containers_put_remove(store->overlay, store->overlay_path, cache_id, n, err) < 0)
		return -1;
	if (foreign && needed && read_cache_id(store->layerdb, chain_hex, theirs)) {
		CLEANUP_FREE char *target = mem_printf("../%s/diff", theirs);

		return containers_put_link(store->links, link_name, target, n, err);
	}
	if (unlinkat(store->links, link_name, 0) == 0)
		++*n;
	else if (errno != ENOENT)
		return err_sys(err, errno, "cannot remove the link '%s'", link_name);
	return 0;
}

int containers_overlay_find(struct containers_store *store, json_t *chains, struct err *err)
{
	const struct dirent *entry;
	DIR *dir = opendir(store->layerdb_path);

	if (!dir)
		return err_sys(err, errno, "cannot read folder '%s'", store->layerdb_path);
	while ((entry = readdir(dir))) {
		char own[DIGEST_HEX_SIZE], have[DIGEST_HEX_SIZE], link_name[27];
		struct digest chain;

		if (strspn(entry->d_name, "0123456789abcdef") != strlen(entry->d_name) ||
		    digest_parse(entry->d_name, &chain, NULL) < 0)
			continue;
		containers_overlay_names(&chain, own, link_name);
		if (read_cache_id(store->layerdb, entry->d_name, have) && strcmp(own, have) == 0)
			json_object_set_new(chains, entry->d_name, json_string(entry->d_name));
	}
	closedir(dir);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The package layer: its key, and opening what the cache holds. layers/bootstrap.c makes it.
 */
#include "layers/packages.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/proc.h"
#include "layers/bootstrap.h"
#include "tree/archive.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define INDEX_MAX ((size_t)512 << 20)
#define INFO_MAX ((size_t)32 << 20)

static int add_file(struct cache_key *key, const char *name, const char *path, struct err *err)
{
	struct digest d;

	if (digest_file(path, &d, err) < 0)
		return -1;
	cache_key_add_digest(key, name, &d);
	return 0;
}

static int add_program(struct cache_key *key, const char *name, struct err *err)
{
	CLEANUP_FREE char *path = proc_find(name);

	if (!path) {
		err_set(err, ERR_TOOL, "cannot install packages: '%s' is not installed", name);
		return err_hint(err, "install the package %s", name);
	}
	return add_file(key, name, path, err);
}

void packages_requested(const struct profile *profile, struct strv *names)
{
	CLEANUP(strv_free) struct strv all = {0};

	for (size_t i = 0; i < profile->packages.count; i++)
		strv_add(&all, profile->packages.items[i]);
	if (profile->kernel.package)
		strv_add(&all, profile->kernel.package);
	strv_sort(&all);
	for (size_t i = 0; i < all.count; i++)
		if (i == 0 || strcmp(all.items[i], all.items[i - 1]) != 0)
			strv_add(names, all.items[i]);
}

static void add_packages(struct cache_key *key, const struct profile *profile)
{
	CLEANUP(strv_free) struct strv names = {0};

	packages_requested(profile, &names);
	for (size_t i = 0; i < names.count; i++) {
		CLEANUP_FREE char *name = mem_printf("package %s", names.items[i]);

		cache_key_add(key, name, "");
	}
}

int packages_key(const struct profile *profile, const struct repositories *repositories,
		 const char *data, struct cache_key *key, struct err *err)
{
	/* Raise it when the same inputs would give other bytes. */
	cache_key_add(key, "format", "2");
	cache_key_add(key, "distribution", profile->base.distribution);
	cache_key_add(key, "release", profile->base.release);
	cache_key_add(key, "architecture", profile->base.architecture);
	cache_key_add(key, "var file system", profile->disk.var.filesystem);
	if (profile->base.keyring && add_file(key, "keyring", profile->base.keyring, err) < 0)
		return -1;
	for (size_t i = 0; i < repositories->count; i++) {
		CLEANUP_FREE char *source = mem_printf("source %zu", i);
		CLEANUP_FREE char *suite = mem_printf("suite %s", repositories->items[i].suite);

		cache_key_add(key, source, repositories->items[i].line);
		cache_key_add_digest(key, suite, &repositories->items[i].digest);
	}
	for (const char *const *script = bootstrap_scripts; *script; script++) {
		CLEANUP_FREE char *name = mem_printf("script %s", *script);
		CLEANUP_FREE char *path = mem_printf("%s/firmware/packages/%s", data, *script);

		if (add_file(key, name, path, err) < 0)
			return -1;
	}
	if (profile->base.image) {
		CLEANUP_FREE char *path =
			mem_printf("%s/firmware/packages/%s", data, bootstrap_image_script);

		cache_key_add(key, "image", profile->base.sha256);
		if (add_file(key, "script image", path, err) < 0)
			return -1;
	}
	if (add_program(key, "mmdebstrap", err) < 0)
		return -1;
	add_packages(key, profile);
	return 0;
}

static int read_info(const char *dir, struct packages_layer *layer, struct err *err)
{
	CLEANUP_FREE char *path = path_join(dir, BOOTSTRAP_INFO);
	CLEANUP_JSON json_t *info = json_read_file(path, INFO_MAX, err);
	const char *hex = json_member_string(info, "digest");

	if (!info)
		return -1;
	layer->packages = json_incref(json_object_get(info, "packages"));
	layer->build_packages = json_incref(json_object_get(info, "build_packages"));
	layer->epoch = json_integer_value(json_object_get(info, "epoch"));
	if (!hex || !json_is_array(layer->packages) || !json_is_array(layer->build_packages))
		return err_set(err, ERR_VERIFY, "cannot read '%s': it is damaged", path);
	return digest_parse(hex, &layer->digest, err);
}

int packages_open(const char *dir, struct packages_layer *layer, struct err *err)
{
	CLEANUP_FREE char *tar = path_join(dir, BOOTSTRAP_TAR);
	CLEANUP_FREE char *index = path_join(dir, BOOTSTRAP_INDEX);
	CLEANUP(str_free) struct str text = {0};
	uint64_t size;

	*layer = (struct packages_layer){.tar_fd = -1};
	layer->tar_fd = open(tar, O_RDONLY | O_CLOEXEC);
	if (layer->tar_fd < 0)
		return err_sys(err, errno, "cannot open '%s'", tar);
	layer->tree = tree_new();
	layer->dir = mem_strdup(dir);
	if (fd_size(layer->tar_fd, tar, &size, err) < 0 ||
	    fd_read_file(index, INDEX_MAX, &text, err) < 0 ||
	    tree_read_index(text.data ? text.data : "", text.len, layer->tar_fd, size,
			    PACKAGES_ORIGIN, layer->tree, err) < 0 ||
	    read_info(dir, layer, err) < 0) {
		packages_close(layer);
		return err_wrap(err, "cannot open the package layer");
	}
	return 0;
}

void packages_close(struct packages_layer *layer)
{
	tree_free(layer->tree);
	if (layer->tar_fd > 0)
		fd_close(&layer->tar_fd);
	json_decref(layer->packages);
	json_decref(layer->build_packages);
	free(layer->dir);
	*layer = (struct packages_layer){.tar_fd = -1};
}

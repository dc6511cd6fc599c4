/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: what is to be compared, of unknown origin. A squashfs or JSON is opened as a file is; other
 * input is a tree: PATH NUL TEXT NUL..., where a path with "@" before it is a link to TEXT.
 */
#include "base/fd.h"
#include "base/mem.h"
#include "inspect/diff.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct inventory *open_bytes(const uint8_t *data, size_t size)
{
	CLEANUP_FD int fd = memfd_create("input", MFD_CLOEXEC);
	CLEANUP_FREE char *path = mem_printf("/proc/self/fd/%d", fd);
	struct err err = {0};

	if (fd < 0 || fd_write(fd, data, size, "input", &err) < 0)
		abort();
	return inventory_open(path, &err);
}

static int add_entry(struct inventory *inv, const char *path, const char *text, size_t len)
{
	struct inventory_file file = {.path = path, .mode = S_IFREG | 04755, .size = len};
	struct err err = {0};

	if (*path == '@') {
		file.path++;
		file.mode = S_IFLNK | 0777;
		file.target = text;
		file.size = 0;
	}
	if (inventory_add(inv, &file, &err) < 0)
		return -1;
	return !file.target && inventory_wants_text(path, len)
		       ? inventory_add_text(inv, path, text, len, &err)
		       : 0;
}

static struct inventory *make_tree(const uint8_t *data, size_t size)
{
	CLEANUP_FREE char *copy = mem_strndup((const char *)data, size);
	struct inventory *inv = inventory_begin("input", "disk");
	const struct inventory_file root = {.path = "/", .mode = S_IFDIR | 0755};
	const char *at = copy, *end = copy + size;
	struct err err = {0};
	int result = inventory_add(inv, &root, &err);

	while (result == 0 && at < end) {
		const char *path = at, *text = path + strlen(path) + 1;

		if (text > end)
			break;
		result = add_entry(inv, path, text, strlen(text));
		at = text + strlen(text) + 1;
	}
	if (result == 0)
		result = inventory_finish(inv, &err);
	if (result < 0) {
		inventory_free(inv);
		return NULL;
	}
	return inv;
}

static struct inventory *make(const uint8_t *data, size_t size)
{
	bool file = size >= 4 && (memcmp(data, "hsqs", 4) == 0 || *data == '{');

	return file ? open_bytes(data, size) : make_tree(data, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(inventory_cleanup) struct inventory *a = make(data, size), *b = NULL;
	CLEANUP(inventory_cleanup) struct inventory *none = inventory_begin("none", "disk");
	CLEANUP_JSON json_t *same = NULL, *all = NULL;
	struct strv only = {0};
	struct err err = {0};

	if (!a)
		return 0;
	/* What is read twice is the same, and everything in it has a text. */
	b = make(data, size);
	if (!b)
		abort();
	same = diff_inventories(a, b, &only, &err);
	if (same && !json_is_true(json_object_get(same, "same")))
		abort();
	if (inventory_finish(none, &err) < 0)
		abort();
	all = diff_inventories(none, a, &only, &err);
	if (all) {
		CLEANUP_FREE char *text = json_text(all);

		if (!text)
			abort();
	}
	return 0;
}

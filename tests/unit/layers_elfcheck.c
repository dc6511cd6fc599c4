/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The test program itself, with the libraries that it is running with, is what is checked.
 */
#include "tap.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/path.h"
#include "layers/elfcheck.h"

#define LIBS "/usr/lib/x86_64-linux-gnu/"

static void put_file(struct tree *tree, const char *from, const char *to)
{
	struct str bytes = {0};
	struct err err = {0};

	CHECK_OK(fd_read_file(from, (size_t)256 << 20, &bytes, &err), &err);
	CHECK_OK(tree_put_file(tree, to, 0755, bytes.data, bytes.len, "t", &err), &err);
	str_free(&bytes);
}

/* All libraries in our address space; names as the loader asked for them are those of the files, but for
 * links, which the system's own folder resolves. */
static struct tree *own_tree(void)
{
	struct tree *tree = tree_new();
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[4096];

	put_file(tree, "/proc/self/exe", "/usr/bin/program");
	while (fgets(line, sizeof(line), maps)) {
		char *path = strchr(line, '/');
		char to[300];
		char *version;

		if (!path || !strstr(path, ".so"))
			continue;
		path[strcspn(path, "\n")] = '\0';
		snprintf(to, sizeof(to), LIBS "%s", path_base(path));
		/* "libjansson.so.4.14.0" is asked for as "libjansson.so.4". */
		version = strstr(to, ".so.");
		if (version)
			version[4 + strcspn(version + 4, ".")] = '\0';
		if (!tree_find(tree, to))
			put_file(tree, path, to);
	}
	fclose(maps);
	return tree;
}

TEST(own_libraries_fit)
{
	struct tree *tree = own_tree();
	struct err err = {0};

	CHECK_OK(elfcheck_program(tree, "/usr/bin/program", NULL, &err), &err);
	CHECK_ERR(elfcheck_program(tree, "/usr/bin/other", NULL, &err), &err, ERR_VERIFY, "has no");
	tree_free(tree);
}

TEST(a_missing_library_is_named)
{
	struct tree *tree = own_tree();
	struct err err = {0};

	tree_remove(tree, LIBS "libc.so.6");
	CHECK_ERR(elfcheck_program(tree, "/usr/bin/program", NULL, &err), &err, ERR_VERIFY,
		  "'libc.so.6'");
	CHECK_CONTAINS(err.hint, "package");
	tree_free(tree);
}

TEST(a_library_that_is_loaded_later_counts)
{
	static const char *const there[] = {"libc.so.6", NULL}, *const absent[] = {"libx.so.9",
										   NULL};
	struct tree *tree = own_tree();
	struct err err = {0};

	CHECK_OK(elfcheck_program(tree, "/usr/bin/program", there, &err), &err);
	CHECK_ERR(elfcheck_program(tree, "/usr/bin/program", absent, &err), &err, ERR_VERIFY,
		  "'libx.so.9'");
	tree_free(tree);
}

TEST(a_missing_version_is_named)
{
	struct tree *tree = own_tree();
	struct err err = {0};
	struct tree_node *libc = tree_find(tree, LIBS "libc.so.6");
	char *bytes;
	size_t len;

	/* A library that is older: one version that is asked for has another name in it. */
	CHECK_OK(tree_read(libc, (size_t)64 << 20, &bytes, &len, &err), &err);
	for (size_t i = 0; i + 12 < len; i++)
		if (memcmp(bytes + i, "\0GLIBC_2.34\0", 12) == 0)
			bytes[i + 10] = '9';
	CHECK_OK(tree_put_file(tree, LIBS "libc.so.6", 0755, bytes, len, "t", &err), &err);
	free(bytes);
	CHECK_ERR(elfcheck_program(tree, "/usr/bin/program", NULL, &err), &err, ERR_VERIFY,
		  "needs version GLIBC_2.34 of 'libc.so.6'");
	tree_free(tree);
}

TEST(broken_files_are_refused)
{
	struct tree *tree = own_tree();
	struct err err = {0};
	char *bytes;
	size_t len;

	CHECK_OK(tree_read(tree_find(tree, "/usr/bin/program"), (size_t)256 << 20, &bytes, &len,
			   &err),
		 &err);
	CHECK_OK(tree_put_file(tree, "/short", 0755, bytes, 20, "t", &err), &err);
	CHECK_ERR(elfcheck_program(tree, "/short", NULL, &err), &err, ERR_VERIFY, "too short");
	CHECK_OK(tree_put_file(tree, "/cut", 0755, bytes, len / 2, "t", &err), &err);
	CHECK_ERR(elfcheck_program(tree, "/cut", NULL, &err), &err, ERR_VERIFY, "section headers");
	CHECK_OK(tree_put_file(tree, "/text", 0755,
			       "#!/bin/sh\necho this is no program at all, but it is long enough\n",
			       64, "t", &err),
		 &err);
	CHECK_ERR(elfcheck_program(tree, "/text", NULL, &err), &err, ERR_VERIFY, "not 64 bit");
	free(bytes);
	tree_free(tree);
}

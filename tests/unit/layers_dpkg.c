/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dpkg status file: what it lists, and that a package that is not quite installed is named.
 */
#include "tap.h"

#include "base/mem.h"
#include "layers/dpkg.h"

static const char two[] = "Package: zlib1g\n"
			  "Status: install ok installed\n"
			  "Priority: required\n"
			  "Source: zlib (1:1.3-1)\n"
			  "Version: 1:1.3-1+b1\n"
			  "Architecture: amd64\n"
			  "Description: library\n"
			  " Status: this is text\n"
			  "\n"
			  "Package: adduser\n"
			  "Status: install ok installed\n"
			  "Architecture: all\n"
			  "Version: 3.152\n";

TEST(lists_sorted_with_sources)
{
	struct err err = {0};
	CLEANUP_JSON json_t *list = dpkg_parse(two, strlen(two), &err);
	CLEANUP_FREE char *text = NULL;

	CHECK_OK_PTR(list, &err);
	text = json_line(list);
	CHECK_STR(text, "[{\"architecture\":\"all\",\"name\":\"adduser\",\"source\":\"adduser\","
			"\"source_version\":\"3.152\",\"version\":\"3.152\"},"
			"{\"architecture\":\"amd64\",\"name\":\"zlib1g\",\"source\":\"zlib\","
			"\"source_version\":\"1:1.3-1\",\"version\":\"1:1.3-1+b1\"}]");
}

static void refuse(const char *text, int code, const char *part)
{
	struct err err = {0};

	CHECK_ERR_PTR(dpkg_parse(text, strlen(text), &err), &err, code, part);
}

TEST(half_installed_packages_are_named)
{
	refuse("Package: a\nStatus: install ok half-configured\nVersion: 1\nArchitecture: all\n",
	       ERR_OTHER,
	       "package 'a' is not installed completely: its status is 'install ok "
	       "half-configured'");
	refuse("Package: b\nStatus: install reinstreq half-installed\nVersion: 1\n", ERR_OTHER,
	       "'b'");
	refuse("Package: c\nStatus: deinstall ok config-files\nVersion: 1\n", ERR_OTHER, "'c'");
	refuse("Package: d\nStatus: install ok triggers-pending\nVersion: 1\n", ERR_OTHER, "'d'");
}

TEST(purged_packages_are_not_listed)
{
	CLEANUP_FREE char *text =
		mem_printf("Package: gone\nStatus: purge ok not-installed\n\n%s", two);
	struct err err = {0};
	CLEANUP_JSON json_t *list = dpkg_parse(text, strlen(text), &err);

	CHECK_OK_PTR(list, &err);
	CHECK_INT(json_array_size(list), 2);
}

TEST(damaged_files_are_refused)
{
	refuse("", ERR_VERIFY, "no package is installed");
	refuse("Package: a\nStatus: install ok installed\n", ERR_VERIFY, "'a' is damaged");
	refuse("Package: a\377\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n",
	       ERR_VERIFY, "is damaged");
}

TEST(reads_from_either_place_in_a_tree)
{
	static const char *const paths[] = {"/var/lib/dpkg/status",
					    "/usr/lib/sysimage/dpkg/status"};

	for (size_t i = 0; i < 2; i++) {
		struct tree *tree CLEANUP(tree_cleanup) = tree_new();
		struct err err = {0};
		CLEANUP_JSON json_t *list = NULL;

		CHECK_ERR_PTR(dpkg_list(tree, &err), &err, ERR_VERIFY, "no dpkg status file");
		CHECK_OK(tree_put_file(tree, paths[i], 0644, two, strlen(two), "test", &err), &err);
		list = dpkg_list(tree, &err);
		CHECK_OK_PTR(list, &err);
	}
}

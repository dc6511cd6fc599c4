/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dpkg status file: what it lists, and that a package that is not quite installed is named.
 */
#include "tap.h"

#include "base/mem.h"
#include "base/str.h"
#include "layers/dpkg.h"

static const char two[] = "Package: zlib1g\n"
			  "Status: install ok installed\n"
			  "Priority: required\n"
			  "Source: zlib (1:1.3-1)\n"
			  "Version: 1:1.3-1+b1\n"
			  "Architecture: amd64\n"
			  "Description: library\n"
			  " Status: this is text\n"
			  "Conffiles:\n"
			  " Version: 9\n"
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
			"\"source_version\":\"1:1.3-1\",\"summary\":\"library\","
			"\"version\":\"1:1.3-1+b1\"}]");
}

static json_t *parse(const char *text)
{
	struct err err = {0};
	json_t *list = dpkg_parse(text, strlen(text), &err);

	CHECK_OK_PTR(list, &err);
	return list;
}

#define RECORD(name, fields)                                            \
	"Package: " name "\nStatus: install ok installed\nVersion: 1\n" \
	"Architecture: amd64\n" fields "\n"

TEST(describes_packages)
{
	CLEANUP_JSON json_t *list = parse(RECORD("a", "Maintainer: J\xf6rg <j@example.org>\n"
						      "Homepage:https://example.org/a\n"
						      "section: libs\n"
						      "Description: a \x01 library\n more\n"));
	const json_t *p = json_array_get(list, 0);

	CHECK_STR(json_member_string(p, "maintainer"), "J\xef\xbf\xbdrg <j@example.org>");
	CHECK_STR(json_member_string(p, "homepage"), "https://example.org/a");
	CHECK_STR(json_member_string(p, "section"), "libs");
	CHECK_STR(json_member_string(p, "summary"), "a \xef\xbf\xbd library");
	CHECK(!json_object_get(p, "depends"));
}

static char *depends_of(const char *text, size_t i)
{
	CLEANUP_JSON json_t *list = parse(text);

	return json_line(json_object_get(json_array_get(list, i), "depends"));
}

TEST(finds_what_satisfies_dependencies)
{
	/* Installed under its name before provided, first alternative first; neither what is not
	 * installed nor the package itself; lists go over lines. */
	CLEANUP_FREE char *a = depends_of(
		RECORD("a",
		       "Depends: z (>= 1) | gone, gone | c:any [amd64],\n virtual | y,\n"
		       " mta, gone, a, z,, |\nPre-Depends: pre\n") RECORD("c", "Provides: mta\n")
			RECORD("pre", "") RECORD("v", "Provides: virtual (= 2),\n other\n")
				RECORD("x", "Provides: mta, z\n") RECORD("y", "") RECORD("z", ""),
		0);
	CLEANUP_FREE char *provided = depends_of(
		RECORD("a", "Depends: virtual | gone\n") RECORD("b", "Provides: virtual\n"), 0);

	CHECK_STR(a, "[\"c\",\"pre\",\"y\",\"z\"]");
	CHECK_STR(provided, "[\"b\"]");
}

TEST(tells_architectures_apart)
{
	static const char text[] =
		"Package: l\nStatus: install ok installed\nVersion: 1\nArchitecture: i386\n\n"
		"Package: b\nStatus: install ok installed\nVersion: 1\nArchitecture: i386\n"
		"Depends: l\n\n" RECORD("l", "") RECORD("a", "Depends: l\n");
	CLEANUP_FREE char *a = depends_of(text, 0), *b = depends_of(text, 1);

	CHECK_STR(a, "[\"l:amd64\"]");
	CHECK_STR(b, "[\"l:i386\"]");
}

/* Time and memory must not grow with the square of a list. */
TEST_TIMEOUT(reads_hostile_lists, 20)
{
	CLEANUP(str_free) struct str text = {0};
	CLEANUP_JSON json_t *list = NULL;

	str_add(&text, "Package: a\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n"
		       "Depends: a\n");
	for (int i = 0; i < 1000000; i++)
		str_add(&text, " ,b|\n");
	str_add(&text, "Provides: a\n");
	for (int i = 0; i < 1000000; i++)
		str_addf(&text, " ,\xff%d\n", i);
	list = parse(text.data);
	CHECK_INT(json_array_size(list), 1);
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
	refuse("Package: a\nStatus: install ok installed\nVersion: \nArchitecture: all\n",
	       ERR_VERIFY, "'a' is damaged");
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

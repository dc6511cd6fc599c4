/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Comparing inventories: every category changes, what only one side knows is said, bounds hold.
 */
#include "inventorytree.h"

static json_t *compare(struct inventory *a, struct inventory *b, const char *category)
{
	CLEANUP(strv_free) struct strv only = {0};
	struct err err = {0};
	json_t *diff;

	if (category)
		strv_add(&only, category);
	diff = diff_inventories(a, b, &only, &err);
	CHECK_OK_PTR(diff, &err);
	return diff;
}

/* The value of one category. */
static void check(struct inventory *a, struct inventory *b, const char *category, const char *want)
{
	CLEANUP_JSON json_t *diff = compare(a, b, category);

	CHECK_STR(line(json_object_get(diff, category)), want);
}

static void set(struct inventory *inv, const char *category, const char *name, json_t *value)
{
	struct err err = {0};

	CHECK_OK(inventory_set(inv, category, name, value, &err), &err);
}

TEST(rows)
{
	CLEANUP(inventory_cleanup) struct inventory *a = inventory_begin("a", "disk");
	CLEANUP(inventory_cleanup) struct inventory *b = inventory_begin("b", "disk");

	set(a, "users", "kept", json_pack("{s:i}", "uid", 1));
	set(b, "users", "kept", json_pack("{s:i}", "uid", 1));
	set(a, "users", "moved", json_pack("{s:i, s:s, s:i}", "uid", 1, "shell", "x", "old", 1));
	set(b, "users", "moved", json_pack("{s:i, s:s, s:[]}", "uid", 2, "shell", "x", "new"));
	set(a, "users", "z-gone", json_pack("{s:i}", "uid", 3));
	set(a, "users", "gone", json_true());
	set(b, "users", "come", json_string("text"));
	check(a, b, "users",
	      "{\"added\":[{\"name\":\"come\",\"value\":\"text\"}],"
	      "\"changed\":[{\"from\":{\"old\":1,\"uid\":1},\"name\":\"moved\","
	      "\"to\":{\"new\":[],\"uid\":2}}],"
	      "\"removed\":[{\"name\":\"gone\",\"value\":true},"
	      "{\"name\":\"z-gone\",\"value\":{\"uid\":3}}]}");
}

/* A lock knows digests of packages, an image does not: that is no change. */
TEST(members_that_one_side_cannot_know)
{
	CLEANUP(inventory_cleanup) struct inventory *a = inventory_begin("a", "lock");
	CLEANUP(inventory_cleanup) struct inventory *b = inventory_begin("b", "image");

	set(a, "packages", "p", json_pack("{s:s, s:s}", "version", "1", "sha256", "00"));
	set(b, "packages", "p", json_pack("{s:s}", "version", "1"));
	set(a, "image", "name", json_string("x"));
	set(b, "image", "kernel", json_string("6"));
	set(a, "sizes", "file raw", json_integer(1));
	set(b, "sizes", "file qcow2", json_integer(2));
	CLEANUP_JSON json_t *diff = compare(a, b, NULL);

	CHECK(json_is_true(json_object_get(diff, "same")));
	set(b, "packages", "p", json_pack("{s:s}", "version", "2"));
	check(a, b, "packages",
	      "{\"added\":[],\"changed\":[{\"from\":{\"version\":\"1\"},\"name\":\"p\","
	      "\"to\":{\"version\":\"2\"}}],\"removed\":[]}");
}

TEST(what_is_not_known_is_said)
{
	CLEANUP(inventory_cleanup) struct inventory *a = inventory_begin("a", "lock");
	CLEANUP(inventory_cleanup) struct inventory *b = MAKE(FILE("/x", "1"));
	CLEANUP_JSON json_t *diff = NULL, *files = NULL, *keys = NULL;

	set(a, "repositories", "r", json_string("d"));
	set(a, "sysctl", "k", json_string("1"));
	diff = compare(a, b, NULL);
	CHECK(json_object_get(diff, "sysctl") && !json_object_get(diff, "files"));
	CHECK_CONTAINS(line(json_object_get(diff, "unknown")),
		       "{\"a\":true,\"b\":false,\"category\":\"repositories\"}");
	CHECK_CONTAINS(line(json_object_get(diff, "unknown")),
		       "{\"a\":false,\"b\":true,\"category\":\"files\"}");
	files = compare(a, b, "files");
	CHECK_STR(line(json_object_get(files, "unknown")),
		  "[{\"a\":false,\"b\":true,\"category\":\"files\"}]");
	keys = compare(a, b, "keys");
	CHECK_STR(line(json_object_get(keys, "unknown")),
		  "[{\"a\":false,\"b\":false,\"category\":\"keys\"}]");
}

#define LAYERS "/usr/share/ingot/containers/layers/"

/* A layer that comes or goes is one row; inside of one that both have every file counts. */
TEST(container_layers_come_and_go_as_one)
{
	CLEANUP(inventory_cleanup)
	struct inventory *a = MAKE(FILE(LAYERS "old/bin/x", "x"), FILE(LAYERS "both/y", "1"),
				   FILE(LAYERS "both/gone", "1"));
	CLEANUP(inventory_cleanup)
	struct inventory *b = MAKE(FILE(LAYERS "new/bin/x", "x"), FILE(LAYERS "new/bin/z", "x"),
				   FILE(LAYERS "both/y", "2"));
	CLEANUP_JSON json_t *diff = compare(a, b, "files");
	const json_t *files = json_object_get(diff, "files"), *list;

	list = json_object_get(files, "added");
	CHECK_INT(json_array_size(list), 1);
	CHECK_STR(json_member_string(json_array_get(list, 0), "path"), LAYERS "new");
	list = json_object_get(files, "removed");
	CHECK_INT(json_array_size(list), 2);
	CHECK_STR(json_member_string(json_array_get(list, 0), "path"), LAYERS "both/gone");
	CHECK_STR(json_member_string(json_array_get(list, 1), "path"), LAYERS "old");
	list = json_object_get(files, "changed");
	CHECK_INT(json_array_size(list), 1);
	CHECK_STR(json_member_string(json_array_get(list, 0), "path"), LAYERS "both/y");
	CHECK_INT(json_integer_value(json_object_get(files, "added_count")), 1);
	CHECK(json_is_false(json_object_get(diff, "same")));
}

TEST(locks_and_images_share_digests_of_containers)
{
	CLEANUP(inventory_cleanup) struct inventory *a = inventory_begin("a", "lock");
	CLEANUP(inventory_cleanup) struct inventory *b = inventory_begin("b", "image");

	set(a, "containers", "app:1", json_pack("{s:s}", "digest", "sha256:1"));
	set(b, "containers", "app:1",
	    json_pack("{s:s, s:s, s:i}", "digest", "sha256:1", "image", "sha256:2", "bytes", 3));
	CLEANUP_JSON json_t *diff = compare(a, b, NULL);

	CHECK(json_is_true(json_object_get(diff, "same")));
	set(a, "containers", "app:1", json_pack("{s:s}", "digest", "sha256:9"));
	check(a, b, "containers",
	      "{\"added\":[],\"changed\":[{\"from\":{\"digest\":\"sha256:9\"},\"name\":\"app:1\","
	      "\"to\":{\"digest\":\"sha256:1\"}}],\"removed\":[]}");
}

TEST(files_change_in_every_way)
{
	CLEANUP(inventory_cleanup)
	struct inventory *a =
		MAKE(FILE("/content", "abc"), FILE("/longer", "abc"), FILE("/gone", "x"),
		     LINK("/link", "one"), FILE("/type", "x"),
		     {"/mode", S_IFREG | 0644, "x", 0, 0, NULL},
		     {"/owner", S_IFREG | 0644, "x", 1, 2, NULL}, FILE("/caps", "x"), DIR("/dir"));
	CLEANUP(inventory_cleanup)
	struct inventory *b = MAKE(FILE("/content", "abd"), FILE("/longer", "abcd"),
				   FILE("/come", "yy"), LINK("/link", "two"), LINK("/type", "x"),
				   {"/mode", S_IFREG | 0600, "x", 0, 0, NULL},
				   {"/owner", S_IFREG | 0644, "x", 3, 2, NULL},
				   {"/caps", S_IFREG | 0644, "x", 0, 0, "00"}, DIR("/dir"));
	CLEANUP_JSON json_t *diff = compare(a, b, "files");
	const json_t *files = json_object_get(diff, "files"), *file;
	static const char *const kinds[][2] = {
		{"/caps", "[\"xattrs\"]"},
		{"/content", "[\"content\"]"},
		{"/link", "[\"target\"]"},
		{"/longer", "[\"content\",\"size\"]"},
		{"/mode", "[\"mode\"]"},
		{"/owner", "[\"owner\"]"},
		{"/type", "[\"type\",\"mode\",\"target\"]"},
	};
	size_t i;

	CHECK_INT(json_array_size(json_object_get(files, "changed")), ARRAY_SIZE(kinds));
	json_array_foreach(json_object_get(files, "changed"), i, file)
	{
		CHECK_STR(json_member_string(file, "path"), kinds[i][0]);
		CHECK_STR(line(json_object_get(file, "what")), kinds[i][1]);
	}
	file = json_array_get(json_object_get(files, "changed"), 4);
	CHECK_STR(line(json_object_get(file, "from")), "{\"mode\":\"0644\"}");
	CHECK_STR(line(json_object_get(file, "to")), "{\"mode\":\"0600\"}");
	/* printf yy | sha256sum */
	CHECK_STR(line(json_object_get(files, "added")),
		  "[{\"gid\":0,\"mode\":\"0644\",\"path\":\"/come\",\"sha256\":"
		  "\"ef90d9c1ec76b1edc9edfaf2c0c05359c10ccc49ae8ecf7b7fd25ce9c02e86a4\","
		  "\"size\":2,\"type\":\"file\",\"uid\":0}]");
	CHECK_STR(line(json_object_get(files, "removed_count")), "1");
	CHECK(json_is_false(json_object_get(diff, "same")));
}

TEST(devices)
{
	CLEANUP(inventory_cleanup) struct inventory *a = inventory_begin("a", "disk");
	CLEANUP(inventory_cleanup) struct inventory *b = inventory_begin("b", "disk");
	struct inventory_file file = {.path = "/null", .mode = S_IFCHR | 0666, .device = 0x103};
	struct err err = {0};

	CHECK_OK(inventory_add(a, &file, &err), &err);
	file.device = 0x105;
	CHECK_OK(inventory_add(b, &file, &err), &err);
	CHECK_OK(inventory_finish(a, &err), &err);
	CHECK_OK(inventory_finish(b, &err), &err);
	check(a, b, "files",
	      "{\"added\":[],\"added_count\":0,\"changed\":[{\"from\":{\"device\":\"1:3\"},"
	      "\"path\":\"/null\",\"to\":{\"device\":\"1:5\"},\"what\":[\"device\"]}],"
	      "\"changed_count\":1,\"content_unknown\":0,\"removed\":[],\"removed_count\":0}");
}

/* A reader that gives no digests: equal sizes do not mean equal contents. */
TEST(contents_that_are_not_known)
{
	CLEANUP(inventory_cleanup) struct inventory *a = MAKE(FILE("/x", "1"), FILE("/empty", ""));
	CLEANUP(inventory_cleanup) struct inventory *b = inventory_begin("b", "disk");
	CLEANUP_JSON json_t *diff = NULL;
	struct inventory_file root = {.path = "/", .mode = S_IFDIR | 0755};
	struct inventory_file x = {.path = "/x", .mode = S_IFREG | 0644, .size = 1};
	struct inventory_file empty = {.path = "/empty", .mode = S_IFREG | 0644};
	struct err err = {0};

	CHECK_OK(inventory_add(b, &root, &err), &err);
	CHECK_OK(inventory_add(b, &x, &err), &err);
	CHECK_OK(inventory_add(b, &empty, &err), &err);
	CHECK_OK(inventory_finish(b, &err), &err);
	diff = compare(a, b, "files");
	CHECK(json_is_true(json_object_get(diff, "same")));
	CHECK_STR(line(value_at(diff, "files", "content_unknown", NULL)), "1");
}

/* The order in which entries come does not matter; make_inventory takes the last one first. */
TEST(order_of_entries)
{
	CLEANUP(inventory_cleanup)
	struct inventory *a = MAKE(FILE("/etc/passwd", "a:x:1:1::/:/\n"),
				   FILE("/etc/group", "g:x:1:a\n"), FILE("/b", ""));
	CLEANUP(inventory_cleanup)
	struct inventory *b = MAKE(FILE("/b", ""), FILE("/etc/group", "g:x:1:a\n"),
				   FILE("/etc/passwd", "a:x:1:1::/:/\n"));
	CLEANUP_JSON json_t *diff = compare(a, b, NULL);

	CHECK(json_is_true(json_object_get(diff, "same")));
}

TEST(lists_are_bounded_and_counts_are_not)
{
	CLEANUP(inventory_cleanup) struct inventory *a = inventory_begin("a", "disk");
	CLEANUP(inventory_cleanup) struct inventory *b = inventory_begin("b", "disk");
	CLEANUP_JSON json_t *diff = NULL;
	struct inventory_file root = {.path = "/", .mode = S_IFDIR | 0755};
	struct err err = {0};

	CHECK_OK(inventory_add(a, &root, &err), &err);
	CHECK_OK(inventory_add(b, &root, &err), &err);
	for (int i = 0; i < 120000; i++) {
		CLEANUP_FREE char *path = mem_printf("/%d", i);
		struct inventory_file file = {.path = path, .mode = S_IFREG};

		CHECK_OK(inventory_add(b, &file, &err), &err);
	}
	CHECK_OK(inventory_finish(a, &err), &err);
	CHECK_OK(inventory_finish(b, &err), &err);
	diff = compare(a, b, "files");
	CHECK_INT(json_array_size(value_at(diff, "files", "added", NULL)), 100000);
	CHECK_STR(line(value_at(diff, "files", "added_count", NULL)), "120000");
}

static void write_text(const char *path, const char *text)
{
	struct err err = {0};

	CHECK_OK(outfile_write(path, text, strlen(text), false, &err), &err);
}

TEST(opening_both)
{
	CLEANUP(inventory_cleanup) struct inventory *a = NULL, *b = NULL;
	CLEANUP(inventory_cleanup) struct inventory *c = NULL, *d = NULL;
	struct err err = {0};

	write_text("a", "{\"artifacts\": [], \"version\": \"1\"}");
	write_text("b", "{\"artifacts\": [], \"version\": \"2\"}");
	CHECK_OK(diff_open("a", "b", &a, &b, &err), &err);
	check(a, b, "image",
	      "{\"added\":[],\"changed\":[{\"from\":\"1\",\"name\":\"version\",\"to\":\"2\"}],"
	      "\"removed\":[]}");
	CHECK_ERR(diff_open("a", "none", &c, &d, &err), &err, ERR_OTHER,
		  "cannot open 'none': No such file or directory");
	CHECK(c && !d);
}

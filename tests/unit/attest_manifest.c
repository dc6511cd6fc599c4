/* SPDX-License-Identifier: Apache-2.0 */
/*
 * manifest.json: all members, their types and the values that went in.
 */
#include "tap.h"

#include "base/mem.h"
#include "base/size.h"
#include "attest/manifest.h"

static struct disk disk;

static struct manifest sample(void)
{
	static const struct manifest_key keys[] = {{"packages", "00aa"}, {"root", "bb11"}};
	static const struct manifest_package packages[] = {
		{"bash", "5.2.37-2+b1", "amd64"},
		{"docker.io", "26.1.5+dfsg1-9+b9", "amd64"},
	};
	static struct manifest_artifact artifacts[] = {
		{"raw", "demo.raw", (uint64_t)3 << 30, (uint64_t)3 << 30, {{1}}},
		{"qcow2", "demo.qcow2", (uint64_t)3 << 30, 12345, {{2}}},
	};
	struct manifest m = {
		.name = "demo",
		.version = "1.0",
		.architecture = "amd64",
		.created = 1700000000,
		.profile = {{0xab}},
		.root_hash = {{0xcd}},
		.content = {{0xee}},
		.keys = keys,
		.key_count = 2,
		.packages = packages,
		.package_count = 2,
		.disk = &disk,
		.artifacts = artifacts,
		.artifact_count = 2,
	};
	struct region root = {.length = 4096, .bytes = "", .fd = -1};
	struct region_list roots = {.items = &root, .count = 1, .size = 4096};
	struct region_list esp = {.size = 64 * MIB}, verity = {.size = 4096};
	struct disk_input input = {.name = "demo",
				   .version = "1.0",
				   .architecture = "amd64",
				   .esp = &esp,
				   .root = &roots,
				   .verity = &verity,
				   .root_hash = {{0xcd}},
				   .root_slot = 2 * GIB};
	struct err err = {0};

	CHECK_OK(disk_plan(&input, &disk, &err), &err);
	return m;
}

TEST(the_manifest_holds_it_all)
{
	struct manifest m = sample();
	CLEANUP_JSON json_t *v = NULL;
	struct err err = {0};
	json_t *item;

	v = manifest_json(&m, &err);
	CHECK_OK_PTR(v, &err);
	CHECK_INT(json_integer_value(json_object_get(v, "schema")), 1);
	CHECK_STR(json_member_string(v, "name"), "demo");
	CHECK_STR(json_member_string(v, "version"), "1.0");
	CHECK_STR(json_member_string(v, "architecture"), "amd64");
	CHECK_STR(json_member_string(v, "created"), "2023-11-14T22:13:20Z");
	CHECK_INT(strncmp(json_member_string(v, "root_hash"), "cd0000", 6), 0);
	CHECK_INT(strncmp(json_member_string(v, "disk_sha256"), "ee0000", 6), 0);
	CHECK(!json_object_get(v, "lock"));
	CHECK_INT(strlen(json_member_string(v, "profile")), 64);
	CHECK_STR(json_member_string(json_object_get(v, "keys"), "root"), "bb11");

	item = json_array_get(json_object_get(v, "packages"), 1);
	CHECK_STR(json_member_string(item, "name"), "docker.io");
	CHECK_STR(json_member_string(item, "version"), "26.1.5+dfsg1-9+b9");
	CHECK_STR(json_member_string(item, "architecture"), "amd64");

	item = json_array_get(json_object_get(v, "artifacts"), 1);
	CHECK_STR(json_member_string(item, "format"), "qcow2");
	CHECK_STR(json_member_string(item, "file"), "demo.qcow2");
	CHECK_INT(json_integer_value(json_object_get(item, "bytes")), 12345);
	CHECK_INT(json_integer_value(json_object_get(item, "size")), (json_int_t)3 << 30);
	CHECK_INT(strncmp(json_member_string(item, "sha256"), "0200", 4), 0);
	CHECK_STR(json_member_string(item, "architecture"), "amd64");
	CHECK_STR(json_member_string(item, "boot_mode"), "uefi");
	CHECK_STR(json_member_string(item, "root_hash"), json_member_string(v, "root_hash"));

	item = json_object_get(v, "disk");
	CHECK_INT(json_integer_value(json_object_get(item, "size")), (json_int_t)3 << 30);
	item = json_array_get(json_object_get(item, "partitions"), 2);
	CHECK_STR(json_member_string(item, "name"), "root");
	CHECK_STR(json_member_string(item, "label"), "demo_1.0");
	CHECK_STR(json_member_string(item, "uuid"), "cd000000-0000-0000-0000-000000000000");
	CHECK_INT(json_integer_value(json_object_get(item, "size")), (json_int_t)2 << 30);
	CHECK_INT(json_integer_value(json_object_get(item, "used")), 4096);
	disk_free(&disk);
}

TEST(containers_are_there_or_an_empty_list)
{
	struct manifest m = sample();
	CLEANUP_JSON json_t *list = json_pack("[{s:s}]", "reference", "app:1");
	CLEANUP_JSON json_t *none = NULL, *some = NULL;
	struct err err = {0};

	none = manifest_json(&m, &err);
	CHECK_OK_PTR(none, &err);
	CHECK(json_is_array(json_object_get(none, "containers")));
	CHECK_INT(json_array_size(json_object_get(none, "containers")), 0);
	m.containers = list;
	some = manifest_json(&m, &err);
	CHECK_OK_PTR(some, &err);
	CHECK(json_equal(json_object_get(some, "containers"), list));
	disk_free(&disk);
}

TEST(equal_values_give_equal_bytes)
{
	struct manifest m = sample();
	CLEANUP_FREE char *first = NULL, *second = NULL;
	CLEANUP_JSON json_t *v = NULL;
	struct err err = {0};

	CHECK_OK(manifest_write(&m, "a.json", &err), &err);
	CHECK_OK(manifest_write(&m, "b.json", &err), &err);
	first = tap_slurp("a.json", NULL);
	second = tap_slurp("b.json", NULL);
	CHECK_STR(first, second);
	v = json_read_file("a.json", 1 << 20, &err);
	CHECK_OK_PTR(v, &err);
	CHECK_INT(json_array_size(json_object_get(v, "artifacts")), 2);
	disk_free(&disk);
}

TEST(bad_text_is_refused)
{
	struct manifest m = sample();
	struct err err = {0};
	const struct manifest_package bad = {"ba\xff", "1", "all"};

	m.packages = &bad;
	m.package_count = 1;
	CHECK_ERR_PTR(manifest_json(&m, &err), &err, ERR_OTHER, "no UTF-8");
	m.package_count = 0;
	m.version = "\xff";
	CHECK_ERR_PTR(manifest_json(&m, &err), &err, ERR_OTHER, "no UTF-8");
	CHECK_ERR(manifest_write(&m, "c.json", &err), &err, ERR_OTHER, "no UTF-8");
	CHECK_MISSING("c.json");
	disk_free(&disk);
}

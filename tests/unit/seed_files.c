/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of seeds: what every format of the table promises, the files of each, and input that is refused.
 */
#include "base/doc.h"
#include "base/json.h"
#include "base/mem.h"
#include "seed/seed.h"
#include "tap.h"

static struct err err;

#define KEY "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 a@b"
#define SECRET "#cloud-config\npassword: hunter2\n"

static struct seed_blob blob(const char *text)
{
	return (struct seed_blob){text, strlen(text)};
}

static const struct seed_format *format(const char *name)
{
	const struct seed_format *f = seed_format_find(name, &err);

	if (!f)
		FAIL("%s", err.msg);
	return f;
}

static const struct seed_file *find(const struct seed *seed, const char *path)
{
	for (size_t i = 0; i < seed->count; i++)
		if (strcmp(seed->files[i].path, path) == 0)
			return &seed->files[i];
	return NULL;
}

static void check_file(const struct seed *seed, const char *path, const char *want)
{
	const struct seed_file *file = find(seed, path);

	if (!file)
		FAIL("no '%s'", path);
	CHECK_STR(file->bytes, want);
	CHECK_INT(file->len, strlen(want));
}

static struct seed make(const char *name, const struct seed_input *input)
{
	struct seed seed;

	CHECK_OK(seed_make(format(name), input, &seed, &err), &err);
	return seed;
}

static void same_seed(const struct seed *a, const struct seed *b)
{
	CHECK_INT(a->count, b->count);
	for (size_t i = 0; i < a->count; i++) {
		CHECK_STR(a->files[i].path, b->files[i].path);
		CHECK_INT(a->files[i].len, b->files[i].len);
		CHECK(memcmp(a->files[i].bytes, b->files[i].bytes, a->files[i].len) == 0);
	}
}

/* What every row must do: deterministic, clean paths, the user-data byte for byte, a label for a file system. */
TEST(every_format)
{
	char bytes[256];
	const struct seed_input input = {.hostname = "m1", .user_data = {bytes, sizeof(bytes)}};
	size_t count = 0;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i * 7);
	for (const struct seed_format *f = seed_formats; f->name; f++, count++) {
		struct seed seed, again;
		bool found = false;

		CHECK_OK(seed_make(f, &input, &seed, &err), &err);
		CHECK_OK(seed_make(f, &input, &again, &err), &err);
		same_seed(&seed, &again);
		CHECK(strncmp(seed.instance_id, "ingot-", 6) == 0 &&
		      strlen(seed.instance_id) == 22);
		for (size_t i = 0; i < seed.count; i++) {
			CHECK(seed.files[i].path[0] != '/' && !strstr(seed.files[i].path, ".."));
			found = found || (seed.files[i].len == sizeof(bytes) &&
					  memcmp(seed.files[i].bytes, bytes, sizeof(bytes)) == 0);
		}
		CHECK(found);
		CHECK((f->medium == SEED_FOLDER) == (f->label == NULL));
		CHECK((f->medium == SEED_FOLDER) == (*f->suffix == '\0'));
		CHECK(*f->summary);
		CHECK(seed_format_find(f->name, &err) == f);
		seed_free(&seed);
		seed_free(&again);
	}
	CHECK_INT(count, 4);
	CHECK(!seed_format_find("nocloud", &err));
	CHECK_INT(err.code, ERR_USAGE);
	CHECK_STR(err.msg, "unknown format 'nocloud'");
	CHECK(strstr(err.hint, "there are: nocloud-iso, nocloud-disk, configdrive, credentials"));
}

TEST(nocloud)
{
	struct strv meta = {0}, keys = {0};
	struct seed_input input = {.hostname = "m1.example.com",
				   .instance_id = "i-1",
				   .user_data = blob(SECRET),
				   .meta = &meta,
				   .ssh_keys = &keys};
	struct seed seed;

	strv_add(&meta, "availability-zone=a");
	strv_add(&meta, "note=yes: \"#{\\");
	strv_add(&keys, KEY);
	seed = make("nocloud-iso", &input);
	CHECK_INT(seed.count, 2);
	check_file(&seed, "user-data", SECRET);
	check_file(&seed, "meta-data",
		   "instance-id: \"i-1\"\n"
		   "local-hostname: \"m1.example.com\"\n"
		   "availability-zone: \"a\"\n"
		   "note: \"yes: \\\"#{\\\\\"\n"
		   "public-keys:\n"
		   "  - \"" KEY "\"\n");
	seed_free(&seed);
	input.vendor_data = blob("#!/bin/sh\n");
	input.network_config = blob("version: 2\n");
	seed = make("nocloud-disk", &input);
	CHECK_INT(seed.count, 4);
	check_file(&seed, "vendor-data", "#!/bin/sh\n");
	check_file(&seed, "network-config", "version: 2\n");
	seed_free(&seed);
	strv_free(&meta);
	strv_free(&keys);
}

/* Another parser has the same idea of the values, whatever is in them. */
TEST(meta_data_is_yaml)
{
	static const char *const values[] = {"true", "1e3", "null", "~", "- x", "a: b", "'", "\"",
					     "\\n",  "{}",  "é😀",   "",  " x ", "#",    "%"};
	struct strv meta = {0};
	const struct seed_input input = {.meta = &meta};
	struct mem_arena *arena = mem_arena_new();
	struct str text = {0};
	struct doc_report report = {.text = &text};
	struct doc_node *root;
	const struct seed_file *file;
	struct seed seed;

	for (size_t i = 0; i < ARRAY_SIZE(values); i++)
		strv_addf(&meta, "k%zu=%s", i, values[i]);
	seed = make("nocloud-iso", &input);
	file = find(&seed, "meta-data");
	root = doc_parse(arena, file->bytes, file->len, (struct doc_place){"meta-data", 1, 1},
			 &report);
	if (!root || report.count)
		FAIL("%s", text.data);
	CHECK(!doc_node_get(root, "local-hostname"));
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		char key[16];

		snprintf(key, sizeof(key), "k%zu", i);
		CHECK_STR(doc_node_string(root, key), values[i]);
		CHECK(!doc_node_get(root, key)->plain);
	}
	seed_free(&seed);
	strv_free(&meta);
	mem_arena_free(arena);
}

TEST(configdrive)
{
	struct strv meta = {0}, keys = {0};
	struct seed_input input = {.hostname = "m1",
				   .user_data = blob(SECRET),
				   .vendor_data = blob("#!/bin/sh\n"),
				   .meta = &meta,
				   .ssh_keys = &keys};
	const struct seed_file *file;
	struct seed seed;
	json_t *root;

	strv_add(&meta, "availability-zone=b");
	strv_add(&meta, "role=db");
	strv_add(&keys, KEY);
	seed = make("configdrive", &input);
	check_file(&seed, "openstack/latest/user_data", SECRET);
	file = find(&seed, "openstack/latest/meta_data.json");
	CHECK(file);
	root = json_parse(file->bytes, file->len, file->path, &err);
	CHECK(root);
	CHECK_STR(json_member_string(root, "uuid"), seed.instance_id);
	CHECK_STR(json_member_string(root, "hostname"), "m1");
	CHECK_STR(json_member_string(root, "availability_zone"), "b");
	CHECK_STR(json_member_string(json_object_get(root, "meta"), "role"), "db");
	CHECK_STR(json_member_string(json_object_get(root, "public_keys"), "key-0"), KEY);
	json_decref(root);
	file = find(&seed, "openstack/latest/vendor_data.json");
	CHECK(file);
	root = json_parse(file->bytes, file->len, file->path, &err);
	CHECK_STR(json_member_string(root, "cloud-init"), "#!/bin/sh\n");
	json_decref(root);
	seed_free(&seed);

	input.network_config = blob("{\"links\": [], \"networks\": []}");
	seed = make("configdrive", &input);
	check_file(&seed, "openstack/latest/network_data.json", input.network_config.bytes);
	seed_free(&seed);
	input.network_config = blob("version: 2\n");
	CHECK_ERR(seed_make(format("configdrive"), &input, &seed, &err), &err, ERR_USAGE, "");
	CHECK(strstr(err.hint, "network_data.json"));
	input.network_config = blob("{\"version\": 2}");
	CHECK_ERR(seed_make(format("configdrive"), &input, &seed, &err), &err, ERR_USAGE,
		  "network-config lacks the lists");
	strv_free(&meta);
	strv_free(&keys);
}

/* SMBIOS takes what fits, fw_cfg the rest, and what fits nowhere is refused with the limits. */
TEST(credentials)
{
	size_t large = 60000;
	char *bytes = mem_alloc(SEED_DATA_MAX);
	struct seed_input input = {.user_data = blob("#!x\n")};
	struct seed seed = make("credentials", &input);

	check_file(&seed, "ingot.user-data", "#!x\n");
	check_file(&seed, "ingot.user-data.smbios",
		   "io.systemd.credential.binary:ingot.user-data=IyF4Cg==");
	check_file(&seed, "qemu.args",
		   "-smbios\ntype=11,path=ingot.meta-data.smbios\n"
		   "-smbios\ntype=11,path=ingot.user-data.smbios\n");
	seed_free(&seed);

	input.folder = "a,b/c";
	seed = make("credentials", &input);
	check_file(&seed, "qemu.args",
		   "-smbios\ntype=11,path=a,,b/c/ingot.meta-data.smbios\n"
		   "-smbios\ntype=11,path=a,,b/c/ingot.user-data.smbios\n");
	seed_free(&seed);
	input.folder = NULL;

	memset(bytes, 'x', SEED_DATA_MAX);
	input.user_data = (struct seed_blob){bytes, large};
	seed = make("credentials", &input);
	CHECK(!find(&seed, "ingot.user-data.smbios"));
	check_file(
		&seed, "qemu.args",
		"-smbios\ntype=11,path=ingot.meta-data.smbios\n"
		"-fw_cfg\nname=opt/io.systemd.credentials/ingot.user-data,file=ingot.user-data\n");
	seed_free(&seed);

	input.user_data.len = SEED_DATA_MAX;
	CHECK_ERR(seed_make(format("credentials"), &input, &seed, &err), &err, ERR_USAGE,
		  "1024 KiB in all (of which 48 KiB by SMBIOS");
	free(bytes);
}

/* Whatever is told to the machine, another byte of it makes another instance; parts do not run together. */
TEST(instance_id)
{
	const struct seed_input inputs[] = {
		{0},
		{.hostname = "a"},
		{.user_data = blob("a")},
		{.vendor_data = blob("a")},
		{.network_config = blob("a")},
		{.user_data = blob("aa")},
		{.user_data = blob("a"), .vendor_data = blob("a")},
	};
	char ids[ARRAY_SIZE(inputs)][64];

	for (size_t i = 0; i < ARRAY_SIZE(inputs); i++) {
		struct seed seed = make("nocloud-iso", &inputs[i]);

		snprintf(ids[i], sizeof(ids[i]), "%s", seed.instance_id);
		for (size_t k = 0; k < i; k++)
			CHECK(strcmp(ids[i], ids[k]) != 0);
		seed_free(&seed);
	}
}

static void refuse(const struct seed_input *input, const char *why)
{
	struct seed seed;

	CHECK_ERR(seed_make(format("nocloud-iso"), input, &seed, &err), &err, ERR_USAGE, why);
	CHECK(seed.count == 0 && !seed.files);
}

TEST(bad_hostnames)
{
	static const char *const bad[] = {"",    "-a",  "a-", "a..b", ".a",          "a.",    "a b",
					  "a_b", "a/b", "ä",  "a\nb", "localhost:1", "a.-b.c"};
	char text[80];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		refuse(&(struct seed_input){.hostname = bad[i]}, "can be no host name");
	memset(text, 'a', sizeof(text));
	text[64] = '\0';
	refuse(&(struct seed_input){.hostname = text}, "can be no host name");
	text[63] = '\0';
	struct seed seed = make("nocloud-iso", &(struct seed_input){.hostname = text});

	seed_free(&seed);
}

TEST(bad_values)
{
	static const char *const bad[] = {
		"",       "=x",         "key",           "a b=c",      "a/b=c",
		"k=a\nb", "k=\xff\xfe", "instance-id=x", "hostname=x", "public-keys=x"};
	static const char *const ids[] = {"", "a b", "a/b", "ü", "a\n"};
	static const char *const ssh[] = {"", "AAAA", "ssh-rsa", "ssh-rsa AA\nssh-rsa BB",
					  "-----BEGIN OPENSSH PRIVATE KEY-----"};
	struct strv list = {0};
	char *large = mem_alloc(SEED_DATA_MAX + 1);

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		strv_add(&list, bad[i]);
		refuse(&(struct seed_input){.meta = &list}, "");
		strv_free(&list);
	}
	strv_add(&list, "a=1");
	strv_add(&list, "a=2");
	refuse(&(struct seed_input){.meta = &list}, "'a' is given twice");
	strv_free(&list);
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++)
		refuse(&(struct seed_input){.instance_id = ids[i]}, "can be no instance-id");
	for (size_t i = 0; i < ARRAY_SIZE(ssh); i++) {
		strv_add(&list, ssh[i]);
		refuse(&(struct seed_input){.ssh_keys = &list},
		       "is not one line as in a .pub file");
		strv_free(&list);
	}
	refuse(&(struct seed_input){.user_data = {large, SEED_DATA_MAX + 1}}, "at most 1048576");
	refuse(&(struct seed_input){.vendor_data = {large, SEED_DATA_MAX + 1}}, "vendor-data");
	refuse(&(struct seed_input){.network_config = {large, SEED_DATA_MAX + 1}},
	       "network-config");
	free(large);
}

static bool holds(const struct str *text, const char *word)
{
	return memmem(text->data, text->len, word, strlen(word));
}

/* The image is the same whenever it is made, and says so about the time that it was given. */
TEST(iso)
{
	const struct seed_input input = {.hostname = "m1", .user_data = blob(SECRET)};
	struct seed seed = make("configdrive", &input);
	struct str a = {0}, b = {0}, c = {0};

	CHECK_OK(seed_iso(format("configdrive"), &seed, 1700000000, &a, &err), &err);
	sleep(1); /* the clock's seconds must differ */
	CHECK_OK(seed_iso(format("configdrive"), &seed, 1700000000, &b, &err), &err);
	CHECK_OK(seed_iso(format("configdrive"), &seed, 1700000001, &c, &err), &err);
	CHECK_INT(a.len, b.len);
	CHECK(memcmp(a.data, b.data, a.len) == 0);
	CHECK(memcmp(a.data, c.data, a.len) != 0);
	CHECK(memcmp(a.data + 32768 + 40, "config-2 ", 9) == 0);
	CHECK(holds(&a, SECRET) && holds(&a, "2023111422132000") && !holds(&a, "libarchive"));
	CHECK(seed_iso(format("nocloud-disk"), &seed, 0, &(struct str){0}, &err) < 0);
	str_wipe(&a);
	str_wipe(&b);
	str_wipe(&c);
	seed_free(&seed);
}

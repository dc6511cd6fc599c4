/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a profile to layers in the cache and in a tree: what is fetched once, what is refused and leaves nothing behind,
 * what locks and the cache say, and the description that the agent gets.
 */
#include "tap.h"

#include "ocilayout.h"

#include "base/fd.h"
#include "oci/parts.h"
#include "oci/pull.h"
#include "oci/stored.h"
#include "profile/profile.h"

/* A profile of local images, for amd64. */
static struct profile profile_of(struct profile_container *images, size_t count)
{
	struct profile profile = {.name = "test"};

	profile.base.architecture = "amd64";
	profile.containers.images = images;
	profile.containers.image_count = count;
	return profile;
}

static const struct oci_resolve_options no_options;

static struct oci_resolved *resolve(const struct profile *profile)
{
	struct oci_resolved *resolved = NULL;
	struct err err = {0};

	CHECK_OK(oci_resolve(cache, profile, &no_options, &resolved, &err), &err);
	return resolved;
}

static int fetch(const struct profile *profile, struct oci_pulled *ret, struct err *err)
{
	struct oci_resolved *resolved = resolve(profile);
	struct log_step step = {.name = "containers"};
	int r = oci_fetch(cache, profile, resolved, false, 2, &step, ret, err);

	oci_resolved_free(resolved, profile->containers.image_count);
	return r;
}

static void check_fetched(const struct profile *profile, size_t layers, size_t fetched)
{
	struct oci_pulled pulled CLEANUP(oci_pulled_free) = {0};
	struct err err = {0};

	CHECK_OK(fetch(profile, &pulled, &err), &err);
	CHECK_U64(pulled.layers, layers);
	CHECK_U64(pulled.fetched, fetched);
}

static void check_not_fetched(const struct profile *profile, int code, const char *why)
{
	struct oci_pulled pulled CLEANUP(oci_pulled_free) = {0};
	struct err err = {0};

	CHECK_ERR(fetch(profile, &pulled, &err), &err, code, why);
}

/* Two images that share a layer. */
static void make_two(void)
{
	struct str shared = tar_of("etc/base", "base");
	struct str layers[3] = {shared, tar_of("usr/one", "one"), tar_of("usr/two", "two")};

	layout_finish("one", (json_t *[]){layout_named(layout_image("one", layers, 2, "amd64"),
						       "example.com/team/one:1"),
					  NULL});
	str_free(&layers[1]);
	layers[1] = layers[2];
	layout_finish("two", (json_t *[]){layout_image("two", layers, 2, "amd64"), NULL});
	str_free(&shared);
	str_free(&layers[2]);
}

static struct profile_container two[] = {{.oci = "one"}, {.oci = "two", .name = "team/two:2"}};

TEST(layers_are_fetched_once)
{
	struct profile profile = profile_of(two, 2);

	make_two();
	cache_here();
	check_fetched(&profile, 3, 3);
	check_fetched(&profile, 3, 0);
	CHECK_U64(count_names("cache/container-layer"), 3);
	CHECK_U64(count_names("cache/tmp"), 0);
	/* What is in the cache needs nobody. */
	cache_here();
	struct oci_resolved *resolved = resolve(&profile);
	struct oci_pulled pulled CLEANUP(oci_pulled_free) = {0};
	struct log_step step = {.name = "containers"};
	struct err err = {0};

	CHECK_INT(rename("one", "gone"), 0);
	CHECK_OK(oci_fetch(cache, &profile, resolved, true, 2, &step, &pulled, &err), &err);
	oci_resolved_free(resolved, 2);
}

TEST(the_description_is_what_the_agent_reads)
{
	struct profile_container images[] = {two[1], two[0], {.oci = "two", .name = "alias:1"}};
	struct profile profile = profile_of(images, 3);
	struct oci_pulled pulled CLEANUP(oci_pulled_free) = {0};
	CLEANUP_JSON json_t *index = NULL;
	const json_t *list, *image;
	CLEANUP_FREE char *line = NULL;
	struct err err = {0};
	const char *name;
	json_t *value;

	make_two();
	cache_here();
	CHECK_OK(fetch(&profile, &pulled, &err), &err);
	CHECK_INT(json_integer_value(json_object_get(pulled.images, "version")), 1);
	list = json_object_get(pulled.images, "images");
	/* One image under two names is one; they are in order. */
	CHECK_U64(json_array_size(list), 2);
	image = json_array_get(list, 0);
	line = json_line(json_object_get(image, "names"));
	CHECK_STR(line, "[\"docker.io/library/alias:1\",\"docker.io/team/two:2\"]");
	CHECK_U64(json_array_size(json_object_get(image, "repositories")), 0);
	image = json_array_get(list, 1);
	CHECK_STR(json_string_value(json_array_get(json_object_get(image, "names"), 0)),
		  "example.com/team/one:1");
	CHECK(json_equal(json_object_get(image, "target"), json_object_get(image, "manifest")));
	index = json_read_file("one/index.json", 1000, &err);
	CHECK_STR(json_member_string(json_object_get(image, "target"), "digest"),
		  json_member_string(json_array_get(json_object_get(index, "manifests"), 0),
				     "digest"));
	CHECK_U64(json_array_size(json_object_get(image, "blobs")), 2);
	CHECK_U64(json_array_size(json_object_get(image, "layers")), 2);
	CHECK_U64(json_object_size(json_object_get(pulled.images, "layers")), 3);
	json_object_foreach(json_object_get(pulled.images, "layers"), name, value)
	{
		CHECK(str_has_prefix(name, "sha256:"));
		CHECK_INT(json_integer_value(json_object_get(value, "tar")), 2048);
		CHECK_INT(json_integer_value(json_object_get(value, "entries")), 1);
	}
	/* Two manifests and two configurations. */
	CHECK_U64(json_object_size(pulled.blobs), 4);
}

TEST(a_wrong_diff_id_leaves_nothing)
{
	struct str layer = tar_of("file", "one"), other = tar_of("file", "two");
	CLEANUP_JSON json_t *config = layout_config(&other, 1, "amd64");
	CLEANUP_JSON json_t *manifest =
		json_pack("{s:i, s:o, s:[o]}", "schemaVersion", 2, "config",
			  layout_json_blob("one", OCI_TYPE_CONFIG, config), "layers",
			  layout_blob("one", OCI_TYPE_LAYER, layer.data, layer.len));
	struct profile profile = profile_of(two, 1);

	layout_finish("one",
		      (json_t *[]){layout_json_blob("one", OCI_TYPE_MANIFEST, manifest), NULL});
	cache_here();
	check_not_fetched(&profile, ERR_VERIFY,
			  "layer 1 of 'oci:one' is not what the configuration");
	CHECK_U64(count_names("cache/container-layer"), 0);
	CHECK_U64(count_names("cache/tmp"), 0);
	CHECK_U64(count_names("cache/lock"), 0);
	CHECK_U64(count_names("cache/container-ref"), 0);
	str_free(&layer);
	str_free(&other);
}

TEST(a_damaged_blob_leaves_nothing)
{
	struct profile profile = profile_of(two, 1);
	struct str layer = tar_of("file", "one");
	CLEANUP_FREE char *digest = layout_digest_text(layer.data, layer.len);
	CLEANUP_FREE char *path = mem_printf("one/blobs/sha256/%s", digest + 7);

	layout_finish("one", (json_t *[]){layout_image("one", &layer, 1, "amd64"), NULL});
	cache_here();
	layer.data[512] ^= 1;
	tap_spew(path, layer.data, layer.len);
	check_not_fetched(&profile, ERR_VERIFY, "is damaged: its digest is another");
	/* Where it ends the damage cannot be told from a broken tar, but by the digest. */
	memset(layer.data, 'x', layer.len);
	tap_spew(path, layer.data, layer.len);
	check_not_fetched(&profile, ERR_VERIFY, "is damaged: its digest is another");
	tap_spew(path, layer.data, 700);
	check_not_fetched(&profile, ERR_VERIFY, "has 700 bytes");
	CHECK_INT(unlink(path), 0);
	check_not_fetched(&profile, ERR_VERIFY, "cannot read 'one/blobs/sha256/");
	CHECK_U64(count_names("cache/container-layer"), 0);
	CHECK_U64(count_names("cache/tmp"), 0);
	str_free(&layer);
}

TEST(a_layer_that_is_no_tar)
{
	struct str layer = {0};
	struct profile profile = profile_of(two, 1);

	tar_add(&layer, "../escape", '0', NULL, "x", 1);
	tar_end(&layer);
	layout_finish("one", (json_t *[]){layout_image("one", &layer, 1, "amd64"), NULL});
	cache_here();
	check_not_fetched(&profile, ERR_VERIFY, "layer 1 of 'oci:one'");
	CHECK_U64(count_names("cache/container-layer"), 0);
	str_free(&layer);
}

TEST(images_of_another_platform)
{
	struct str layer = tar_of("file", "one");
	struct profile profile = profile_of(two, 1);
	CLEANUP_JSON json_t *index = NULL;
	json_t *arm;

	arm = layout_image("one", &layer, 1, "arm64");
	layout_finish("one", (json_t *[]){json_incref(arm), NULL});
	cache_here();
	check_not_fetched(&profile, ERR_VERIFY,
			  "the image is for linux/arm64, not for linux/amd64");
	index = json_pack("{s:i, s:[o]}", "schemaVersion", 2, "manifests",
			  layout_platform(arm, "arm64"));
	layout_finish("one", (json_t *[]){layout_json_blob("one", OCI_TYPE_INDEX, index), NULL});
	check_not_fetched(&profile, ERR_VERIFY, "only for linux/arm64");
	str_free(&layer);
}

/* An index in an index is taken, one more is not. */
TEST(indexes_in_indexes)
{
	struct str layer = tar_of("file", "one");
	struct profile profile = profile_of(two, 1);
	json_t *entry = layout_platform(layout_image("one", &layer, 1, "amd64"), "amd64");

	for (int depth = 1; depth <= 3; depth++) {
		CLEANUP_JSON json_t *index =
			json_pack("{s:i, s:[o]}", "schemaVersion", 2, "manifests", entry);

		entry = layout_json_blob("one", OCI_TYPE_INDEX, index);
		layout_finish("one", (json_t *[]){json_incref(entry), NULL});
		cache_here();
		if (depth <= 2)
			check_fetched(&profile, 1, depth == 1);
		else
			check_not_fetched(&profile, ERR_VERIFY, "nested too deeply");
	}
	json_decref(entry);
	str_free(&layer);
}

TEST(two_images_of_one_name)
{
	struct profile_container images[] = {{.oci = "one", .name = "x:1"},
					     {.oci = "two", .name = "x:1"}};
	struct profile profile = profile_of(images, 2);
	struct oci_resolved *resolved;
	struct err err = {0};

	make_two();
	cache_here();
	CHECK_ERR(oci_resolve(cache, &profile, &no_options, &resolved, &err), &err, ERR_PROFILE,
		  "two container images are called 'docker.io/library/x:1'");
}

TEST(locks)
{
	struct profile profile = profile_of(two, 2);
	struct oci_resolved *resolved;
	CLEANUP_JSON json_t *lock = NULL, *other = NULL, *none = json_array();
	struct oci_resolve_options options = {0};
	struct err err = {0};

	make_two();
	cache_here();
	resolved = resolve(&profile);
	lock = oci_resolved_lock(resolved, 2);
	oci_resolved_free(resolved, 2);
	CHECK_U64(json_array_size(lock), 2);
	CHECK_STR(json_member_string(json_array_get(lock, 0), "reference"),
		  "oci:docker.io/team/two:2");
	CHECK_STR(json_member_string(json_array_get(lock, 1), "reference"),
		  "oci:example.com/team/one:1");
	options.locked = lock;
	CHECK_OK(oci_resolve(cache, &profile, &options, &resolved, &err), &err);
	oci_resolved_free(resolved, 2);
	options.locked = none;
	CHECK_ERR(oci_resolve(cache, &profile, &options, &resolved, &err), &err, ERR_VERIFY,
		  "it is not in the lock");
	other = json_deep_copy(lock);
	json_object_set(json_array_get(other, 0), "digest",
			json_object_get(json_array_get(lock, 1), "digest"));
	options.locked = other;
	CHECK_ERR(
		oci_resolve(cache, &profile, &options, &resolved, &err), &err, ERR_VERIFY,
		"container image 'oci:docker.io/team/two:2' is not as the lock says: locked is sha256:");
	CHECK_CONTAINS(err.hint, "ingot lock --update");
}

#define PIN "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

TEST(tags_offline)
{
	struct profile_container images[] = {{.image = "example.com/team/app:1"}};
	struct profile profile = profile_of(images, 1);
	struct oci_resolve_options options = {.offline = true};
	struct oci_descriptor target = {.media_type = OCI_TYPE_INDEX, .size = 7};
	struct oci_resolved *resolved;
	struct oci_pulled pulled;
	struct log_step step = {.name = "containers"};
	struct err err = {0};

	cache_here();
	CHECK_ERR(oci_resolve(cache, &profile, &options, &resolved, &err), &err, ERR_NETWORK,
		  "the cache does not know what 'example.com/team/app:1' stands for");
	for (int i = 0; i < 2; i++) {
		target.digest.bytes[0] = (uint8_t)i;
		CHECK_OK(oci_remember_ref(cache, "example.com/team/app:1", &target, &err), &err);
		CHECK_OK(oci_resolve(cache, &profile, &options, &resolved, &err), &err);
		CHECK_MEM(&resolved->target.digest, &target.digest, sizeof(target.digest));
		CHECK_STR(resolved->name, "example.com/team/app:1");
		CHECK_STR(resolved->repository, "example.com/team/app");
		if (i == 0)
			oci_resolved_free(resolved, 1);
	}
	CHECK_ERR(oci_fetch(cache, &profile, resolved, true, 1, &step, &pulled, &err), &err,
		  ERR_NETWORK, "the cache does not have the manifest of 'example.com/team/app:1'");
	oci_resolved_free(resolved, 1);
}

TEST(pins_ask_nobody)
{
	struct profile_container images[] = {{.image = "example.com/team/app:1@" PIN},
					     {.image = "example.com/team/app@" PIN}};
	struct profile profile = profile_of(images, 2);
	struct oci_resolved *resolved;
	CLEANUP_JSON json_t *lock = NULL;
	struct oci_resolve_options options = {0};
	struct err err = {0};

	cache_here();
	resolved = resolve(&profile);
	CHECK_STR(resolved[0].reference, "example.com/team/app:1");
	CHECK_STR(resolved[0].remembered, "example.com/team/app:1@" PIN);
	CHECK(resolved[1].name == NULL);
	CHECK_STR(resolved[1].reference, "example.com/team/app");
	CHECK_INT(resolved[1].target.digest.bytes[0], 0xaa);
	lock = oci_resolved_lock(resolved, 2);
	oci_resolved_free(resolved, 2);
	CHECK_U64(json_array_size(lock), 2);
	/* A lock says what a tag is, so that nobody is asked either. */
	images[0].image = "example.com/team/app:1";
	options.locked = lock;
	CHECK_OK(oci_resolve(cache, &profile, &options, &resolved, &err), &err);
	CHECK_INT(resolved[0].target.digest.bytes[0], 0xaa);
	CHECK_STR(resolved[0].remembered, "example.com/team/app:1@" PIN);
	oci_resolved_free(resolved, 2);
}

static void pull_here(const struct profile *profile)
{
	struct oci_resolved *resolved = resolve(profile);
	struct log_step step = {.name = "containers"};
	struct err err = {0};

	mkdir("set", 0755);
	CHECK_OK(oci_pull(cache, profile, resolved, false, 2, "set", &step, &err), &err);
	oci_resolved_free(resolved, profile->containers.image_count);
}

static void check_mode(const struct tree *tree, const char *path, enum tree_type type,
		       uint32_t mode)
{
	const struct tree_node *node = tree_find(tree, path);

	CHECK(node != NULL);
	CHECK_INT(node->inode->type, type);
	CHECK_INT(node->inode->mode, mode);
}

TEST(a_set_is_laid_into_the_tree)
{
	static const char folder[] = "/usr/share/ingot/containers";
	struct profile profile = profile_of(two, 2);
	CLEANUP(tree_cleanup) struct tree *tree = tree_new();
	CLEANUP_JSON json_t *engines = json_pack("{s:{s:s}}", "docker", "version", "26.1.5");
	CLEANUP_JSON json_t *images = NULL;
	struct oci_set set CLEANUP(oci_set_close) = {0};
	const char *dirs[] = {"layers", "split", "blobs"};
	CLEANUP_FREE char *bytes = NULL;
	struct err err = {0};
	size_t len, files = 0;
	char hex[DIGEST_HEX_SIZE];

	make_two();
	cache_here();
	pull_here(&profile);
	CHECK_OK(oci_set_open(cache, "set", &set, &err), &err);
	CHECK_U64(set.layer_count, 3);
	CHECK(memcmp(&set.layers[0].diff_id, &set.layers[1].diff_id, DIGEST_SIZE) < 0);
	CHECK_OK(oci_set_install(&set, engines, 1234, tree, &err), &err);
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		CLEANUP_FREE char *path = mem_printf("%s/%s", folder, dirs[i]);

		check_mode(tree, path, TREE_DIR, 0700);
		CHECK_INT(tree_find(tree, path)->inode->mtime, 1234);
	}
	for (size_t i = 0; i < set.layer_count; i++) {
		CLEANUP_FREE char *path = mem_printf("%s/layers/%s/usr/one", folder,
						     digest_hex(&set.layers[i].diff_id, hex));
		CLEANUP_FREE char *split = mem_printf("%s/split/%s.json.gz", folder, hex);
		const struct tree_node *node = tree_find(tree, path);
		struct digest content;

		check_mode(tree, split, TREE_FILE, 0644);
		CHECK_OK(digest_file("set/images.json", &content, &err), &err);
		if (!node)
			continue;
		files++;
		CHECK_INT(node->inode->mtime, 1700000000);
		CHECK_OK(tree_read(node, 100, &bytes, &len, &err), &err);
		CHECK_STR(bytes, "one");
	}
	CHECK_U64(files, 1);
	free(bytes);
	CHECK_OK(tree_read(tree_find(tree, "/usr/share/ingot/containers/images.json"), 100000,
			   &bytes, &len, &err),
		 &err);
	images = json_parse(bytes, len, "images.json", &err);
	CHECK_STR(json_member_string(json_object_get(json_object_get(images, "engines"), "docker"),
				     "version"),
		  "26.1.5");
	CHECK_U64(tree_find(tree, "/usr/share/ingot/containers/blobs/sha256")->child_count, 4);
	/* Each document lies under its digest. */
	for (size_t i = 0; i < 4; i++) {
		const struct tree_node *node =
			tree_find(tree, "/usr/share/ingot/containers/blobs/sha256")->children[i];
		struct digest have;

		digest_bytes(node->inode->data.bytes, node->inode->data.size, &have);
		CHECK_STR(digest_hex(&have, hex), node->name);
	}
}

TEST(a_set_without_a_layer_is_made_again)
{
	struct profile profile = profile_of(two, 2);
	struct oci_set set CLEANUP(oci_set_close) = {0};
	struct err err = {0};
	char *names[4] = {0};
	size_t count = 0;
	DIR *dir;

	make_two();
	cache_here();
	CHECK_ERR(oci_set_open(cache, "set", &set, &err), &err, ERR_VERIFY, "the description");
	pull_here(&profile);
	dir = opendir("cache/container-layer");
	for (struct dirent *e; (e = readdir(dir));)
		if (e->d_name[0] != '.')
			names[count++] = mem_printf("cache/container-layer/%s", e->d_name);
	closedir(dir);
	CHECK_U64(count, 3);
	/* Absent. */
	CHECK_OK(path_remove_all(names[0], &err), &err);
	CHECK_ERR(oci_set_open(cache, "set", &set, &err), &err, ERR_VERIFY,
		  "the cache does not have container layer sha256:");
	check_fetched(&profile, 3, 1);
	/* As long as it was, but not what it was. */
	for (int i = 0; i < 2; i++) {
		CLEANUP_FREE char *path =
			mem_printf("%s/%s", names[i], i ? OCI_LAYER_INDEX : OCI_LAYER_FILE);
		size_t len;
		char *text = tap_slurp(path, &len);

		memset(text, 'x', len);
		tap_spew(path, text, len);
		free(text);
		CHECK_ERR(oci_set_open(cache, "set", &set, &err), &err, ERR_VERIFY, "is damaged");
		CHECK_MISSING(names[i]);
		pull_here(&profile);
	}
	CHECK_OK(oci_set_open(cache, "set", &set, &err), &err);
	for (size_t i = 0; i < count; i++)
		free(names[i]);
}

TEST(engines_that_are_known)
{
	static const struct {
		const char *engine, *version;
		bool known;
	} rows[] = {
		{"docker", "26.1.5+dfsg1-9+b9", true},
		{"docker", "20.10.24+dfsg1-1+deb12u1+b2", true},
		{"docker", "5:26.1.4-1~debian.12~bookworm", true},
		{"docker", "26.10.0", false},
		{"docker", "29.0.1", false},
		{"docker", "", false},
		{"containerd", "1.7.24~ds1-6+deb13u1", true},
		{"containerd", "1.6.20~ds1-1+b1", true},
		{"containerd", "1.70.0", false},
		{"containerd", "2.0.2", false},
	};
	CLEANUP_JSON json_t *images = json_pack("{s:[]}", "images");

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err err = {0};
		const struct oci_engine *engine = oci_engine_find(rows[i].engine);
		int r;

		CHECK(engine);
		r = oci_engine_check(engine, rows[i].version, images, &err);
		if (rows[i].known)
			CHECK_OK(r, &err);
		else
			CHECK_ERR(r, &err, ERR_PROFILE, rows[i].engine);
	}
	CHECK(!oci_engine_find("podman"));
}

TEST(engines_that_take_fewer_layers)
{
	json_t *layers = json_array();
	CLEANUP_JSON json_t *images = json_pack("{s:[{s:[s], s:o}]}", "images", "names",
						"example.com/deep:1", "layers", layers);
	struct err err = {0};

	for (int i = 0; i < 125; i++)
		json_array_append_new(layers, json_string("x"));
	CHECK_OK(oci_engine_check(oci_engine_find("docker"), "26.1.5", images, &err), &err);
	json_array_append_new(layers, json_string("x"));
	CHECK_ERR(oci_engine_check(oci_engine_find("docker"), "26.1.5", images, &err), &err,
		  ERR_PROFILE,
		  "container image 'example.com/deep:1' has 126 layers, docker takes 125");
	CHECK_OK(oci_engine_check(oci_engine_find("containerd"), "1.7.24", images, &err), &err);
}

TEST(the_cache_lists_and_forgets_images)
{
	struct profile profile = profile_of(two, 2);
	CLEANUP_JSON json_t *list = NULL, *rest = NULL, *none = NULL;
	struct timespec old[2] = {{1000, 0}, {1000, 0}};
	CLEANUP_FREE char *path = NULL;
	struct digest key;
	char hex[DIGEST_HEX_SIZE];
	uint64_t freed;
	struct err err = {0};

	make_two();
	cache_here();
	check_fetched(&profile, 3, 3);
	list = oci_stored_list(cache, &err);
	CHECK_OK_PTR(list, &err);
	CHECK_U64(json_array_size(list), 2);
	CHECK_STR(json_member_string(json_array_get(list, 0), "reference"),
		  "oci:docker.io/team/two:2");
	CHECK(json_is_true(json_object_get(json_array_get(list, 0), "complete")));
	CHECK_U64(json_array_size(json_object_get(json_array_get(list, 1), "layers")), 2);
	/* A build holds them all. */
	CHECK_OK(oci_stored_gc(cache, 0, &freed, &err), &err);
	CHECK_U64(freed, 0);
	CHECK_U64(count_names("cache/container-layer"), 3);
	/* All are needed. */
	cache_here();
	CHECK_OK(oci_stored_gc(cache, UINT64_MAX, &freed, &err), &err);
	CHECK_U64(freed, 0);
	/* The one that was used last stays, with the layer that both need. */
	oci_ref_key("oci:example.com/team/one:1", &key);
	path = mem_printf("cache/container-ref/%s", digest_hex(&key, hex));
	CHECK_INT(utimensat(AT_FDCWD, path, old, 0), 0);
	CHECK_OK(oci_stored_gc(cache, 100000, &freed, &err), &err);
	CHECK(freed > 0);
	rest = oci_stored_list(cache, &err);
	CHECK_U64(json_array_size(rest), 1);
	CHECK_STR(json_member_string(json_array_get(rest, 0), "reference"),
		  "oci:docker.io/team/two:2");
	CHECK(json_is_true(json_object_get(json_array_get(rest, 0), "complete")));
	CHECK_U64(count_names("cache/container-layer"), 2);
	/* An image that moved on leaves what nobody needs. */
	CHECK_OK(oci_remember_ref(cache, "oci:docker.io/team/two:2",
				  &(struct oci_descriptor){.media_type = OCI_TYPE_MANIFEST}, &err),
		 &err);
	cache_here();
	CHECK_OK(oci_stored_gc(cache, UINT64_MAX, &freed, &err), &err);
	CHECK_U64(count_names("cache/container-layer"), 0);
	CHECK_U64(count_names("cache/blob"), 0);
	none = oci_stored_list(cache, &err);
	CHECK_U64(json_array_size(none), 1);
	CHECK(json_is_false(json_object_get(json_array_get(none, 0), "complete")));
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Local places of images: which image of a layout or archive is meant, what manifest an archive without one gets, and
 * that what lies there is not believed.
 */
#include "tap.h"

#include "ocilayout.h"

#include "base/fd.h"
#include "oci/source.h"
#include "tree/archive.h"

static const struct oci_platform amd64 = {.architecture = "amd64"};

static struct oci_source *open_place(const char *path)
{
	struct oci_source *source = NULL;
	struct err err = {0};

	cache_here();
	CHECK_OK(oci_source_open_local(cache, path, &amd64, &source, &err), &err);
	return source;
}

static void check_refused(const char *path, int code, const char *why)
{
	struct oci_source *source = NULL;
	struct err err = {0};

	cache_here();
	CHECK_ERR(oci_source_open_local(cache, path, &amd64, &source, &err), &err, code, why);
}

/* Chooses and checks the name; returns the digest as text. */
static char *choose(const struct oci_source *source, const char *wanted, const char *name)
{
	struct oci_descriptor target;
	CLEANUP_FREE char *got = NULL;
	struct err err = {0};
	char hex[DIGEST_HEX_SIZE];

	CHECK_OK(oci_source_choose(source, wanted, &target, &got, &err), &err);
	CHECK_STR(got ? got : "(none)", name ? name : "(none)");
	return mem_printf("sha256:%s", digest_hex(&target.digest, hex));
}

static void check_choice(const struct oci_source *source, const char *wanted, const char *name,
			 const json_t *want)
{
	CLEANUP_FREE char *got = choose(source, wanted, name);

	CHECK_STR(got, json_member_string(want, "digest"));
}

static void check_no_choice(const struct oci_source *source, const char *wanted, const char *why)
{
	struct oci_descriptor target;
	char *name = NULL;
	struct err err = {0};

	CHECK_ERR(oci_source_choose(source, wanted, &target, &name, &err), &err, ERR_PROFILE, why);
}

static json_t *image(const char *dir, const char *content, const char *architecture)
{
	struct str tar CLEANUP(str_free) = tar_of("file", content);

	return layout_image(dir, &tar, 1, architecture);
}

TEST(the_only_image_needs_no_choice)
{
	json_t *one = image("layout", "one", "amd64");
	struct oci_source *source CLEANUP(oci_source_cleanup) = NULL;

	layout_finish("layout", (json_t *[]){json_incref(one), NULL});
	source = open_place("layout");
	CHECK_STR(source->type->name, "OCI layout");
	check_choice(source, NULL, NULL, one);
	/* A name says what it is called. */
	check_choice(source, "team/app:1", "docker.io/team/app:1", one);
	json_decref(one);
}

TEST(names_of_a_layout)
{
	json_t *one = layout_named(image("layout", "one", "amd64"), "example.com/team/app:1");
	json_t *two = layout_named(image("layout", "two", "amd64"), "2");
	struct oci_source *source CLEANUP(oci_source_cleanup) = NULL;

	layout_finish("layout", (json_t *[]){json_incref(one), json_incref(two), NULL});
	source = open_place("layout");
	check_choice(source, "example.com/team/app:1", "example.com/team/app:1", one);
	check_choice(source, "1", "example.com/team/app:1", one);
	/* A tag alone is no name, but it tells which one is meant. */
	check_choice(source, "2", NULL, two);
	check_choice(source, "other:2", "docker.io/library/other:2", two);
	check_no_choice(source, NULL, "there are: example.com/team/app:1, 2");
	check_no_choice(source, "other:3",
			"for other:3 is meant: there are: example.com/team/app:1, 2");
	json_decref(one);
	json_decref(two);
}

TEST(several_platforms_side_by_side)
{
	json_t *arm = layout_platform(image("layout", "arm", "arm64"), "arm64");
	json_t *amd = layout_platform(image("layout", "amd", "amd64"), "amd64");
	struct oci_source *source CLEANUP(oci_source_cleanup) = NULL;

	layout_finish("layout", (json_t *[]){json_incref(arm), json_incref(amd), NULL});
	source = open_place("layout");
	check_choice(source, NULL, NULL, amd);
	json_decref(arm);
	json_decref(amd);
}

TEST(one_image_with_two_names)
{
	json_t *one = image("layout", "one", "amd64");
	json_t *first = layout_named(json_deep_copy(one), "team/app:1");
	json_t *second = layout_named(json_deep_copy(one), "team/app:latest");
	struct oci_source *source CLEANUP(oci_source_cleanup) = NULL;

	layout_finish("layout", (json_t *[]){first, second, NULL});
	source = open_place("layout");
	check_no_choice(source, NULL, "it has several names: docker.io/team/app:1, docker.io/team");
	check_choice(source, "latest", "docker.io/team/app:latest", one);
	check_choice(source, "mine:1", "docker.io/library/mine:1", one);
	json_decref(one);
}

TEST(what_is_no_image)
{
	CHECK_INT(mkdir("empty", 0755), 0);
	CHECK_INT(mkfifo("pipe", 0644), 0);
	tap_spew("text", "no tar\n", 7);
	check_refused("absent", ERR_PROFILE, "cannot open container image 'absent'");
	check_refused("empty", ERR_VERIFY, "cannot open container image 'empty': it is none");
	check_refused("pipe", ERR_PROFILE, "neither a folder nor a file");
	check_refused("text", ERR_VERIFY, "no tar archive");
}

TEST(broken_layouts)
{
	static const struct {
		const char *mark, *index, *why;
	} rows[] = {
		{"{\"imageLayoutVersion\":\"2.0.0\"}", "{}", "not an OCI layout of version 1"},
		{"{}", "{}", "not an OCI layout of version 1"},
		{"{\"imageLayoutVersion\":\"1.0.0\"}", "{", "not valid JSON"},
		{"{\"imageLayoutVersion\":\"1.0.0\"}", "{}", "index.json has no manifests"},
		{"{\"imageLayoutVersion\":\"1.0.0\"}", "{\"manifests\":[{}]}",
		 "bad entry of index.json"},
	};
	struct oci_source *source CLEANUP(oci_source_cleanup) = NULL;

	CHECK_INT(mkdir("layout", 0755), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		tap_spew("layout/oci-layout", rows[i].mark, strlen(rows[i].mark));
		tap_spew("layout/index.json", rows[i].index, strlen(rows[i].index));
		check_refused("layout", ERR_VERIFY, rows[i].why);
	}
	tap_spew("layout/index.json", "{\"manifests\":[]}", 16);
	source = open_place("layout");
	check_no_choice(source, NULL, "there is no container image in 'layout'");
}

TEST(documents_are_verified)
{
	json_t *one = image("layout", "one", "amd64");
	CLEANUP_FREE char *path =
		mem_printf("layout/blobs/sha256/%s", json_member_string(one, "digest") + 7);
	struct oci_document document CLEANUP(oci_document_free) = {0};
	struct oci_source *source CLEANUP(oci_source_cleanup) = NULL;
	struct oci_descriptor want;
	CLEANUP_FREE char *name = NULL;
	struct err err = {0};

	layout_finish("layout", (json_t *[]){one, NULL});
	source = open_place("layout");
	CHECK_OK(oci_source_choose(source, NULL, &want, &name, &err), &err);
	CHECK_OK(oci_source_document(source, &want, false, &document, &err), &err);
	CHECK_STR(document.descriptor.media_type, OCI_TYPE_MANIFEST);
	CHECK_U64(document.descriptor.size, want.size);
	oci_document_free(&document);
	want.size++;
	CHECK_ERR(oci_source_document(source, &want, false, &document, &err), &err, ERR_VERIFY,
		  "its descriptor says");
	oci_document_free(&document);
	want.size = 0;
	tap_spew(path, "{}", 2);
	CHECK_ERR(oci_source_document(source, &want, false, &document, &err), &err, ERR_VERIFY,
		  "is damaged");
	oci_document_free(&document);
	CHECK_INT(unlink(path), 0);
	CHECK_ERR(oci_source_document(source, &want, false, &document, &err), &err, ERR_VERIFY,
		  "cannot read 'layout/blobs/sha256/");
}

static int keep(void *context, const void *bytes, size_t len, struct err *err)
{
	(void)err;
	str_add_bytes(context, bytes, len);
	return 0;
}

TEST(blobs_are_verified)
{
	struct str got CLEANUP(str_free) = {0};
	const struct oci_sink sink = {keep, NULL, &got};
	CLEANUP_JSON json_t *blob = NULL;
	CLEANUP_FREE char *path = NULL;
	struct oci_source *source CLEANUP(oci_source_cleanup) = NULL;
	struct oci_descriptor want;
	struct err err = {0};

	layout_finish("layout", (json_t *[]){image("layout", "one", "amd64"), NULL});
	blob = layout_blob("layout", OCI_TYPE_LAYER, "content", 7);
	path = mem_printf("layout/blobs/sha256/%s", json_member_string(blob, "digest") + 7);
	CHECK_OK(oci_descriptor_read(blob, "blob", 100, &want, &err), &err);
	source = open_place("layout");
	CHECK_OK(oci_source_blob(source, &want, &sink, &err), &err);
	CHECK_STR(got.data, "content");
	tap_spew(path, "Content", 7);
	CHECK_ERR(oci_source_blob(source, &want, &sink, &err), &err, ERR_VERIFY, "is damaged");
	tap_spew(path, "content!", 8);
	CHECK_ERR(oci_source_blob(source, &want, &sink, &err), &err, ERR_VERIFY, "has 8 bytes");
}

/* docker-archive of the images, each with one layer under its own name. */
static void write_archive(const char *path, const char *list, const struct str *layers,
			  size_t count, const char *config)
{
	struct str tar CLEANUP(str_free) = {0};

	for (size_t i = 0; i < count; i++) {
		CLEANUP_FREE char *name = mem_printf("%zu/layer.tar", i);

		tar_add(&tar, name, '0', NULL, layers[i].data, layers[i].len);
	}
	tar_add(&tar, "link/layer.tar", '2', "../0/layer.tar", NULL, 0);
	tar_add(&tar, "config.json", '0', NULL, config, strlen(config));
	tar_add(&tar, "manifest.json", '0', NULL, list, strlen(list));
	tar_end(&tar);
	tap_spew(path, tar.data, tar.len);
}

TEST(an_archive_gets_a_manifest)
{
	struct str layer CLEANUP(str_free) = tar_of("file", "content");
	CLEANUP_JSON json_t *config = layout_config((struct str[]){layer, layer}, 2, "amd64");
	CLEANUP_FREE char *config_text = json_line(config);
	CLEANUP_FREE char *diff_id = layout_digest_text(layer.data, layer.len);
	struct oci_manifest manifest CLEANUP(oci_manifest_free) = {0};
	struct oci_document document CLEANUP(oci_document_free) = {0};
	struct str got CLEANUP(str_free) = {0};
	const struct oci_sink sink = {keep, NULL, &got};
	struct oci_source *source CLEANUP(oci_source_cleanup) = NULL;
	CLEANUP_FREE char *name = NULL, *first = NULL, *again = NULL;
	CLEANUP_JSON json_t *json = NULL;
	struct oci_descriptor want;
	char hex[DIGEST_HEX_SIZE];
	struct err err = {0};

	write_archive("a.tar",
		      "[{\"Config\":\"config.json\",\"RepoTags\":[\"team/app:1\"],"
		      "\"Layers\":[\"0/layer.tar\",\"link/layer.tar\"]}]",
		      &layer, 1, config_text);
	source = open_place("a.tar");
	CHECK_STR(source->type->name, "docker archive");
	CHECK_OK(oci_source_choose(source, NULL, &want, &name, &err), &err);
	CHECK_STR(name, "docker.io/team/app:1");
	CHECK_OK(oci_source_document(source, &want, false, &document, &err), &err);
	json = json_parse(document.body.data, document.body.len, "manifest", &err);
	CHECK_OK(oci_manifest_read(json, &manifest, &err), &err);
	CHECK_U64(manifest.layer_count, 2);
	CHECK_STR(digest_hex(&manifest.layers[1].digest, hex), diff_id + 7);
	CHECK_U64(manifest.layers[0].size, layer.len);
	oci_document_free(&document);
	CHECK_OK(oci_source_document(source, &manifest.config, true, &document, &err), &err);
	CHECK_STR(document.body.data, config_text);
	CHECK_OK(oci_source_blob(source, &manifest.layers[1], &sink, &err), &err);
	CHECK_U64(got.len, layer.len);
	CHECK_MEM(got.data, layer.data, layer.len);
	/* The same image in other clothes has the same manifest. */
	first = choose(source, NULL, "docker.io/team/app:1");
	oci_source_free(source);
	write_archive("b.tar",
		      "[{\"Layers\":[\"link/layer.tar\",\"./0/layer.tar\"],\"RepoTags\":null,"
		      "\"Config\":\"config.json\"}]",
		      &layer, 1, config_text);
	source = NULL;
	source = open_place("b.tar");
	again = choose(source, NULL, NULL);
	CHECK_STR(again, first);
}

TEST(archives_with_several_images)
{
	struct str layers[2] = {tar_of("file", "one"), tar_of("file", "two")};
	CLEANUP_JSON json_t *config = layout_config(layers, 1, "amd64");
	CLEANUP_FREE char *text = json_line(config);
	struct oci_source *source CLEANUP(oci_source_cleanup) = NULL;
	CLEANUP_FREE char *one = NULL;

	write_archive("a.tar",
		      "[{\"Config\":\"config.json\",\"RepoTags\":[\"a:1\",\"b:1\"],"
		      "\"Layers\":[\"0/layer.tar\"]}]",
		      layers, 2, text);
	source = open_place("a.tar");
	check_no_choice(source, NULL, "docker.io/library/a:1, docker.io/library/b:1");
	one = choose(source, "b:1", "docker.io/library/b:1");
	str_free(&layers[0]);
	str_free(&layers[1]);
}

TEST(bad_archives)
{
	struct str layer CLEANUP(str_free) = tar_of("file", "content");
	CLEANUP_JSON json_t *config = layout_config(&layer, 1, "amd64");
	CLEANUP_FREE char *text = json_line(config);
	static const struct {
		const char *list, *why;
	} rows[] = {
		{"{}", "no list of images"},
		{"[", "not valid JSON"},
		{"[{}]", "has no configuration"},
		{"[{\"Config\":\"absent.json\",\"Layers\":[\"0/layer.tar\"]}]", "it is not there"},
		{"[{\"Config\":\"../../etc/passwd\",\"Layers\":[]}]", "a path that leaves it"},
		{"[{\"Config\":\"/etc/passwd\",\"Layers\":[]}]", "a path that leaves it"},
		{"[{\"Config\":\"manifest.json\",\"Layers\":[]}]", "bad configuration"},
		{"[{\"Config\":\"config.json\",\"Layers\":[]}]",
		 "its configuration has 1 layers and manifest.json 0"},
		{"[{\"Config\":\"config.json\",\"Layers\":[7]}]",
		 "a layer of manifest.json has no name"},
		{"[{\"Config\":\"config.json\",\"Layers\":[\"absent.tar\"]}]", "it is not there"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		write_archive("a.tar", rows[i].list, &layer, 1, text);
		check_refused("a.tar", ERR_VERIFY, rows[i].why);
	}
}

TEST(a_layer_of_an_archive_is_what_its_configuration_says)
{
	struct str layer CLEANUP(str_free) = tar_of("file", "content");
	struct str other CLEANUP(str_free) = tar_of("file", "Content");
	CLEANUP_JSON json_t *config = layout_config(&layer, 1, "amd64");
	CLEANUP_FREE char *text = json_line(config);
	struct str got CLEANUP(str_free) = {0};
	const struct oci_sink sink = {keep, NULL, &got};
	struct oci_source *source CLEANUP(oci_source_cleanup) = NULL;
	struct oci_descriptor want = {.size = layer.len};
	struct err err = {0};

	write_archive("a.tar", "[{\"Config\":\"config.json\",\"Layers\":[\"0/layer.tar\"]}]",
		      &other, 1, text);
	digest_bytes(layer.data, layer.len, &want.digest);
	source = open_place("a.tar");
	CHECK_ERR(oci_source_blob(source, &want, &sink, &err), &err, ERR_VERIFY, "is damaged");
}

TEST(tars_that_are_read_where_they_lie)
{
	CLEANUP(tree_cleanup) struct tree *tree = tree_new();
	struct str tar CLEANUP(str_free) = {0};
	CLEANUP_FREE char *bytes = NULL;
	const struct tree_node *node;
	CLEANUP_FD int fd = -1;
	struct err err = {0};
	size_t len;

	tar_add(&tar, "././@LongLink", 'L', NULL, "long/name", 10);
	tar_add(&tar, "short", '0', NULL, "one", 3);
	tar_add(&tar, "pax", 'x', NULL, "16 path=pax/nam\n21 linkpath=../there\n", 37);
	tar_add(&tar, "short", '2', "x", NULL, 0);
	tar_add(&tar, "dir/", '5', NULL, NULL, 0);
	tar_add(&tar, "dir/hard", '1', "long/name", NULL, 0);
	tar_end(&tar);
	tap_spew("a.tar", tar.data, tar.len);
	fd = open("a.tar", O_RDONLY);
	CHECK_OK(tree_scan_tar(fd, "a.tar", tree, &err), &err);
	node = tree_find(tree, "long/name");
	CHECK(node != NULL);
	CHECK_OK(tree_read(node, 100, &bytes, &len, &err), &err);
	CHECK_STR(bytes, "one");
	node = tree_find(tree, "dir/hard");
	CHECK(node && node->inode->links == 2);
	node = tree_find(tree, "pax/nam");
	CHECK(node != NULL);
	CHECK_STR(node->inode->target, "../there");
}

TEST(damaged_tars_are_refused)
{
	struct str tar CLEANUP(str_free) = {0};
	size_t refused = 0;

	tar_add(&tar, "pax", 'x', NULL, "16 path=pax/nam\n", 16);
	tar_add(&tar, "file", '0', NULL, "content", 7);
	tar_end(&tar);
	/* Every byte that counts, and every length: an error or a tree, never a crash. */
	for (size_t i = 0; i < tar.len; i++) {
		CLEANUP(tree_cleanup) struct tree *tree = tree_new();
		struct err err = {0};
		CLEANUP_FD int fd = -1;

		tar.data[i] ^= 0x41;
		tap_spew("a.tar", tar.data, i % 2 ? tar.len : i);
		tar.data[i] ^= 0x41;
		fd = open("a.tar", O_RDONLY);
		if (tree_scan_tar(fd, "a.tar", tree, &err) < 0) {
			CHECK_INT(err.code, ERR_VERIFY);
			refused++;
		}
	}
	CHECK(refused > 1024);
}

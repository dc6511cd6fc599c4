/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The list of containers: what it may say and what is refused; layers put together again; archives.
 */
#include "tap.h"
#include "fake/containers.h"

#include "agent/containers/containers_parts.h"

#include "base/fd.h"

static struct containers load(struct agent *agent)
{
	struct containers containers;
	struct err err = {0};

	(void)agent_open(agent, FAKE_ROOT, &err);
	CHECK_OK(containers_load(agent, &containers, &err), &err);
	return containers;
}

TEST(list_is_read)
{
	struct agent agent;
	struct containers containers;
	char *layers[3], *id, hex[DIGEST_HEX_SIZE];
	const char want[] = "sha256:%s %s";
	char *text, *chain;

	fake_containers_begin("26.1.5+dfsg1");
	layers[0] = fake_layer("etc/a", "first");
	layers[1] = fake_layer("etc/b", "second");
	id = fake_image("registry.example.com:5000/team/app:1.4", layers, 2);
	fake_containers_end();
	containers = load(&agent);
	CHECK_STR(containers.docker, "26.1.5+dfsg1");
	CHECK_STR(containers.containerd, "");
	CHECK_INT(containers.image_count, 1);
	CHECK_INT(containers.layer_count, 2);
	CHECK_STR(containers.images[0].names.items[0], "registry.example.com:5000/team/app:1.4");
	CHECK_STR(containers.images[0].repositories.items[0], "registry.example.com:5000/team/app");
	CHECK_STR(digest_hex(&containers.images[0].config.digest, hex), id);
	CHECK_STR(digest_hex(&containers.images[0].chains[0], hex), layers[0] + 7);
	/* The chain ID by the specification's own formula. */
	text = mem_printf(want, layers[0] + 7, layers[1]);
	chain = fake_hex(text, strlen(text));
	CHECK_STR(digest_hex(&containers.images[0].chains[1], hex), chain);
	CHECK(containers.images[0].layers[1]->present);
	CHECK_U64(containers.images[0].layers[1]->size, 6);
	containers_free(&containers);
	agent_close(&agent);
	free(text);
}

TEST(no_list_is_no_containers)
{
	struct agent agent;
	struct containers containers;

	fake_machine("{\"kind\":\"none\"}");
	containers = load(&agent);
	CHECK_INT(containers.image_count, 0);
	CHECK_STR(containers.docker, "");
	containers_free(&containers);
	agent_close(&agent);
}

TEST(absent_layer_is_noticed)
{
	struct agent agent;
	struct containers containers;
	char *layers[1], *path;
	struct err err = {0};

	fake_containers_begin("26.1.5");
	layers[0] = fake_layer("a", "text");
	fake_image("docker.io/library/app:1", layers, 1);
	fake_containers_end();
	path = mem_printf(FAKE_CONTAINERS "/layers/%s", layers[0] + 7);
	CHECK_OK(path_remove_all(path, &err), &err);
	free(path);
	containers = load(&agent);
	CHECK(!containers.images[0].layers[0]->present);
	containers_free(&containers);
	agent_close(&agent);
}

#define HEX "0123456789012345678901234567890123456789012345678901234567890123"
#define BLOB "{\"mediaType\":\"x\",\"digest\":\"sha256:" HEX "\",\"size\":1}"
#define LAYERS "\"layers\":{\"sha256:" HEX "\":{\"size\":1,\"tar\":2,\"entries\":3}}"
#define IMAGE(names, repositories, layers, blobs)                                             \
	"\"images\":[{\"names\":" names ",\"repositories\":" repositories ",\"target\":" BLOB \
	",\"manifest\":" BLOB ",\"config\":" BLOB ",\"layers\":" layers ",\"blobs\":" blobs "}]"
#define ENGINES "\"engines\":{\"docker\":{\"version\":\"26.1.5\"}}"
#define LIST(images) "{\"version\":1," ENGINES "," images "," LAYERS "}"
#define NAMED(name) LIST(IMAGE("[\"" name "\"]", "[]", "[]", "[]"))

static int parse(const char *text, struct err *err)
{
	struct agent agent = {.root = FAKE_ROOT};
	struct containers containers;
	int r = containers_parse(&agent, text, strlen(text), &containers, err);

	containers_free(&containers);
	return r;
}

TEST(good_lists_are_taken)
{
	static const char *const good[] = {
		"{\"version\":1," ENGINES ",\"images\":[],\"layers\":{}}",
		"{\"version\":1,\"engines\":{},\"images\":[],\"layers\":{}}",
		NAMED("docker.io/library/debian:12"),
		NAMED("localhost:5000/a:b_C.9-x"),
		LIST(IMAGE("[]", "[\"host:1/a/b\"]", "[\"sha256:" HEX "\"]", "[" BLOB "]")),
	};
	struct err err = {0};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		CHECK_OK(parse(good[i], &err), &err);
}

TEST(hostile_lists_are_refused)
{
	static const char *const bad[] = {
		"",
		"[]",
		"{",
		"{\"version\":2," ENGINES ",\"images\":[],\"layers\":{}}",
		"{\"version\":1,\"images\":[],\"layers\":{}}",
		"{\"version\":1," ENGINES ",\"images\":{},\"layers\":{}}",
		"{\"version\":1," ENGINES ",\"images\":[],\"layers\":[]}",
		"{\"version\":1,\"engines\":{\"docker\":7},\"images\":[],\"layers\":{}}",
		"{\"version\":1,\"engines\":{\"docker\":{\"version\":\"1 2\"}},\"images\":[],\"layers\":{}}",
		"{\"version\":1,\"engines\":{\"docker\":{}},\"images\":[],\"layers\":{}}",
		"{\"version\":1,\"engines\":{\"containerd\":{\"version\":\"1\",\"namespace\":\"a/b\"}},"
		"\"images\":[],\"layers\":{}}",
		/* digests become names of files */
		"{\"version\":1," ENGINES
		",\"images\":[],\"layers\":{\"sha256:../../../etc\":{\"size\":1,"
		"\"tar\":2,\"entries\":3}}}",
		"{\"version\":1," ENGINES ",\"images\":[],\"layers\":{\"sha512:" HEX
		"\":{\"size\":1,\"tar\":2,"
		"\"entries\":3}}}",
		"{\"version\":1," ENGINES ",\"images\":[],\"layers\":{\"sha256:" HEX
		"\":{\"size\":-1,\"tar\":2,"
		"\"entries\":3}}}",
		"{\"version\":1," ENGINES ",\"images\":[],\"layers\":{\"sha256:" HEX
		"\":{\"size\":1,\"tar\":99999999999999999,\"entries\":3}}}",
		"{\"version\":1," ENGINES ",\"images\":[7]," LAYERS "}",
		LIST(IMAGE("[\"a/b:c\"]", "[]", "[\"sha256:" HEX "\"]", "[]")),
		LIST(IMAGE("[\"a/b:c\"]", "[]", "[\"sha256:1\"]", "[" BLOB "]")),
		LIST(IMAGE("[\"a/b:c\"]", "[]", "[\"sha256:" HEX "\"]", "[{}]")),
		/* of a layer that the list does not describe */
		LIST(IMAGE(
			"[\"a/b:c\"]", "[]",
			"[\"sha256:ff23456789012345678901234567890123456789012345678901234567890123\"]",
			"[" BLOB "]")),
		LIST(IMAGE("[\"a/b:c\"]", "[\"a/b:c\"]", "[]", "[]")),
		LIST(IMAGE("[7]", "[]", "[]", "[]")),
		LIST(IMAGE("7", "[]", "[]", "[]")),
		NAMED("app:1"),
		NAMED("a/b"),
		NAMED("a/b:"),
		NAMED("a/:b"),
		NAMED("/b:c"),
		NAMED("a//b:c"),
		NAMED("a/../b:c"),
		NAMED("a/B:c"),
		NAMED("a/b:-c"),
		NAMED("a/b:c/d"),
		NAMED("a/b:c d"),
		NAMED("a/b\\n:c"),
		NAMED("a/b@sha256:c"),
	};
	struct err err = {0};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		err_clear(&err);
		if (parse(bad[i], &err) == 0)
			FAIL("taken: %s", bad[i]);
		CHECK_INT(err.code, ERR_VERIFY);
	}
}

TEST(lists_beyond_the_limits_are_refused)
{
	struct err err = {0};
	struct str text = {0};

	str_add(&text, "{\"version\":1," ENGINES ",\"layers\":{},\"images\":[");
	for (int i = 0; i < 1001; i++)
		str_addf(&text,
			 "%s{\"names\":[],\"repositories\":[],\"target\":" BLOB
			 ",\"manifest\":" BLOB ",\"config\":" BLOB ",\"layers\":[],\"blobs\":[]}",
			 i ? "," : "");
	str_add(&text, "]}");
	CHECK_ERR(parse(text.data, &err), &err, ERR_VERIFY, "damaged");
	str_free(&text);
	str_add(&text, "{\"version\":1," ENGINES ",\"images\":[],\"layers\":{");
	for (int i = 0; i < 10001; i++)
		str_addf(&text, "%s\"sha256:%064d\":{\"size\":1,\"tar\":2,\"entries\":3}",
			 i ? "," : "", i);
	str_add(&text, "}}");
	CHECK_ERR(parse(text.data, &err), &err, ERR_VERIFY, "damaged");
	str_free(&text);
}

TEST(familiar_names)
{
	static const char *const rows[][2] = {
		{"docker.io/library/debian:12", "debian:12"},
		{"docker.io/team/app:1", "team/app:1"},
		{"docker.io/library/a/b:1", "library/a/b:1"},
		{"registry.example.com:5000/a/b:1", "registry.example.com:5000/a/b:1"},
		{"docker.io.example.com/a:1", "docker.io.example.com/a:1"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char *name = containers_familiar(rows[i][0]);

		CHECK_STR(name, rows[i][1]);
		free(name);
	}
}

/* ---- layers put together again --------------------------------------------------------------- */

static int assemble(struct containers *containers, struct err *err)
{
	struct agent agent = {.root = FAKE_ROOT};
	int fd = open("out.tar", O_RDWR | O_CREAT | O_TRUNC, 0644);
	int r;

	CHECK(fd >= 0);
	err_clear(err);
	r = containers_split_write(&agent, &containers->layers[0], fd, err);
	close(fd);
	return r;
}

static struct containers one_layer(const char *name, const char *text, char **ret_hex)
{
	char *layers[1];
	struct agent agent;
	struct containers containers;

	fake_containers_begin("26.1.5");
	layers[0] = fake_layer(name, text);
	fake_image("docker.io/library/app:1", layers, 1);
	fake_containers_end();
	*ret_hex = layers[0] + 7;
	containers = load(&agent);
	agent_close(&agent);
	return containers;
}

TEST(layer_is_assembled)
{
	char *hex, *got;
	size_t len;
	struct containers containers = one_layer("etc/motd", "hello\n", &hex);
	struct err err = {0};
	char *tar;

	CHECK_OK(assemble(&containers, &err), &err);
	tar = tap_slurp("out.tar", &len);
	got = fake_hex(tar, len);
	CHECK_STR(got, hex);
	CHECK_STR(tar, "etc/motd");
	containers_free(&containers);
	free(tar);
}

static void spew_split(const char *hex, const char *text)
{
	char *path = mem_printf(FAKE_CONTAINERS "/split/%s.json.gz", hex);

	tap_spew(path, text, strlen(text));
	free(path);
}

TEST(damaged_layers_are_refused)
{
	static const char *const bad[] = {
		"",
		"\n",
		"{}\n",
		"[]\n",
		"{\"type\":1}\n{",
		"{\"type\":3,\"payload\":\"AAAA\"}\n",
		"{\"type\":2,\"payload\":\"?\"}\n",
		"{\"type\":2}\n",
		"{\"type\":1,\"size\":-1,\"name\":\"a\"}\n",
		"{\"type\":1,\"size\":5}\n",
		"{\"type\":1,\"size\":5,\"name_raw\":\"AAAA\"}\n",
		"{\"type\":1,\"size\":5,\"name\":\"absent\"}\n",
		"{\"type\":1,\"size\":4,\"name\":\"a\"}\n",
		"{\"type\":1,\"size\":5,\"name\":\"a\"}\n",
		/* out of the tree, by path and by link */
		"{\"type\":1,\"size\":5,\"name\":\"../../../../../secret\"}\n",
		"{\"type\":1,\"size\":5,\"name\":\"link/secret\"}\n",
		"{\"type\":1,\"size\":5,\"name\":\"to-secret\"}\n",
	};
	char *hex, *path;
	struct containers containers = one_layer("a", "hello", &hex);
	struct err err = {0};

	CHECK_OK(assemble(&containers, &err), &err);
	tap_spew("secret", "12345", 5);
	path = mem_printf(FAKE_CONTAINERS "/layers/%s/link", hex);
	CHECK(symlink("../../../../../../..", path) == 0);
	free(path);
	path = mem_printf(FAKE_CONTAINERS "/layers/%s/to-secret", hex);
	CHECK(symlink("../../../../../../../secret", path) == 0);
	free(path);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		size_t len;
		char *tar;

		spew_split(hex, bad[i]);
		if (assemble(&containers, &err) == 0)
			FAIL("taken: %s", bad[i]);
		tar = tap_slurp("out.tar", &len);
		CHECK(!strstr(tar, "12345"));
		free(tar);
	}
	/* One byte of a file's content. */
	containers_free(&containers);
	containers = one_layer("a", "hello", &hex);
	path = mem_printf(FAKE_CONTAINERS "/layers/%s/a", hex);
	tap_spew(path, "hellp", 5);
	free(path);
	CHECK_ERR(assemble(&containers, &err), &err, ERR_VERIFY, "is damaged");
	containers_free(&containers);
}

TEST(truncated_split_data_are_refused)
{
	char *hex, *path, *data;
	struct containers containers = one_layer("a", "hello", &hex);
	struct err err = {0};
	size_t len;

	path = mem_printf(FAKE_CONTAINERS "/split/%s.json.gz", hex);
	data = tap_slurp(path, &len);
	for (size_t cut = 0; cut < len; cut++) {
		char *tar, *got;
		size_t tar_len;

		tap_spew(path, data, cut);
		if (assemble(&containers, &err) < 0)
			continue;
		/* Only what ends the gzip stream was cut off: all of the layer is there. */
		CHECK(cut + 12 > len);
		tar = tap_slurp("out.tar", &tar_len);
		got = fake_hex(tar, tar_len);
		CHECK_STR(got, hex);
		free(tar);
	}
	containers_free(&containers);
	free(path);
	free(data);
}

/* ---- archives -------------------------------------------------------------------------------- */

TEST(archive_has_layouts_of_both_engines)
{
	struct agent agent;
	struct containers containers;
	char *layers[2], *ids[2], command[600];
	struct err err = {0};
	int fd;

	fake_containers_begin("26.1.5");
	layers[0] = fake_layer("a", "first");
	layers[1] = fake_layer("b", "second");
	ids[0] = fake_image("registry.example.com/app:1", layers, 2);
	ids[1] = fake_image("docker.io/library/other:2", layers, 1);
	fake_containers_end();
	containers = load(&agent);
	fd = open("out.tar", O_RDWR | O_CREAT | O_TRUNC, 0644);
	CHECK_OK(containers_archive_write(&agent, &containers, NULL, 0, fd, &err), &err);
	close(fd);
	/* Another reader than ours: names, digests of blobs, each once. */
	snprintf(
		command, sizeof(command),
		"mkdir x && tar -xf out.tar -C x && cd x && test $(tar -tf ../out.tar | sort | uniq -d | wc -l) = 0 && "
		"cd blobs/sha256 && test $(ls | wc -l) = 6 && sha256sum * | while read d n; do [ $d = $n ] || exit 1; done && "
		"ls %s %s %s %s >/dev/null",
		layers[0] + 7, layers[1] + 7, ids[0], ids[1]);
	CHECK_INT(system(command), 0);
	CHECK_INT(
		system("grep -q '\"io.containerd.image.name\":\"registry.example.com/app:1\"' x/index.json &&"
		       "grep -q '\"RepoTags\":\\[\"other:2\"\\]' x/manifest.json && grep -q 1.0.0 x/oci-layout"),
		0);
	containers_free(&containers);
	agent_close(&agent);
}

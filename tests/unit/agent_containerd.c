/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store that the agent writes for containerd, on machines made of files: what its databases say then, what stays the
 * user's, and when the store is left alone. The real containerd reads it in tests/build/containerd-store.t.
 */
#include "tap.h"

#include "agent/containers/containerd_parts.h"
#include "agent/containers/containers_parts.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/path.h"

#include <sys/file.h>

#define META "root" CONTAINERD_META_DIR "/meta.db"
#define OVERLAY "root" CONTAINERD_OVERLAY_DIR "/metadata.db"
#define CONFIG "root/etc/containerd/config.toml"
#define NAME "registry.example.com/team/app:1"

static const struct agent agent = {.root = "root"};
static struct err err;
static json_t *list; /* images.json while it is made */

static void spew(const char *path, const char *text)
{
	CLEANUP_FREE char *parent = path_parent(path);

	CHECK_OK(path_make_dirs(parent, &err), &err);
	tap_spew(path, text, strlen(text));
}

/* Writes a document as a blob and returns its descriptor. */
static json_t *blob(const char *type, json_t *value)
{
	CLEANUP_FREE char *text = json_line(value), *path = NULL;
	char digest[CONTAINERD_DIGEST_SIZE];
	struct digest sum;

	digest_bytes(text, strlen(text), &sum);
	path = mem_printf("root" CONTAINERS_DIR "/blobs/sha256/%s",
			  containerd_digest(&sum, digest) + 7);
	spew(path, text);
	json_decref(value);
	return json_pack("{s:s,s:s,s:I}", "mediaType", type, "digest", digest, "size",
			 (json_int_t)strlen(text));
}

/* A layer: its diff_id is the digest of its name. It has a folder for each time that the image has it. */
static json_t *layer(const char *name, unsigned nth)
{
	char digest[CONTAINERD_DIGEST_SIZE];
	CLEANUP_FREE char *tree = NULL, *split = NULL;
	struct digest sum;

	digest_bytes(name, strlen(name), &sum);
	containerd_digest(&sum, digest);
	tree = nth == 1 ? mem_printf("root" CONTAINERS_DIR "/layers/%s/file", digest + 7)
			: mem_printf("root" CONTAINERS_DIR "/layers/%s.%u/file", digest + 7, nth);
	split = mem_printf("root" CONTAINERS_DIR "/split/%s.json.gz", digest + 7);
	spew(tree, name);
	spew(split, "");
	json_object_set_new(json_object_get(list, "layers"), digest,
			    json_pack("{s:i,s:i,s:i}", "size", 300, "tar", 2048, "entries", 2));
	return json_string(digest);
}

/* Adds an image of these layers (their names, each one letter) to the list; with index also an index. */
static void image(const char *name, const char *layers, bool index)
{
	json_t *diff_ids = json_array(), *blobs = json_array(), *config, *manifest, *target;
	CLEANUP_FREE char *repository = mem_strndup(name, (size_t)(strrchr(name, ':') - name));

	for (const char *l = layers; *l; l++) {
		char text[] = {*l, '\0'};
		unsigned nth = 1;

		for (const char *below = layers; below < l; below++)
			nth += *below == *l;
		json_array_append_new(diff_ids, layer(text, nth));
		json_array_append_new(blobs, blob("application/vnd.oci.image.layer.v1.tar+gzip",
						  json_pack("{s:s}", "compressed", text)));
	}
	config = blob("application/vnd.oci.image.config.v1+json",
		      json_pack("{s:s,s:s,s:{s:s,s:O}}", "architecture", "amd64", "os", "linux",
				"rootfs", "type", "layers", "diff_ids", diff_ids));
	manifest = blob(
		"application/vnd.oci.image.manifest.v1+json",
		json_pack("{s:i,s:O,s:O}", "schemaVersion", 2, "config", config, "layers", blobs));
	target = json_incref(manifest);
	if (index) {
		json_t *other = json_deep_copy(manifest);

		json_object_set_new(other, "digest",
				    json_string("sha256:0123456789012345678901234567890123456789012"
						"345678901234567890123"));
		json_decref(target);
		target = blob("application/vnd.oci.image.index.v1+json",
			      json_pack("{s:i,s:[o,O]}", "schemaVersion", 2, "manifests", other,
					manifest));
	}
	json_array_append_new(json_object_get(list, "images"),
			      json_pack("{s:[s],s:[s],s:o,s:o,s:o,s:o,s:o}", "names", name,
					"repositories", repository, "target", target, "manifest",
					manifest, "config", config, "blobs", blobs, "layers",
					diff_ids));
}

/* A root without images; what an earlier one had is gone. */
static void new_root(void)
{
	CHECK_OK(path_remove_all("root/usr", &err), &err);
	json_decref(list);
	list = json_pack("{s:i,s:{s:{s:s}},s:[],s:{}}", "version", 1, "engines", "containerd",
			 "version", "1.7.24", "images", "layers");
}

static struct containers_done done;

/* Runs the agent on what was made of image(). */
static int run(void)
{
	CLEANUP(containers_free) struct containers containers = {0};
	const struct report report = {.quiet = true};

	CHECK_OK(path_make_dirs("root" CONTAINERS_DIR, &err), &err);
	CHECK_OK(json_write_file("root" CONTAINERS_LIST, list, false, &err), &err);
	containers_done_free(&done);
	done = (struct containers_done){0};
	CHECK_OK(containers_load(&agent, &containers, &err), &err);
	return containers_containerd_write(&agent, &containers, &report, &done, &err);
}

static void run_ok(size_t images)
{
	CHECK_OK(run(), &err);
	CHECK_STR(done.why, "");
	CHECK(!done.fallback);
	CHECK_U64(done.images, images);
}

static struct bolt *open_db(const char *path)
{
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct bolt *bolt = bolt_read(fd, path, &err);

	CHECK_OK_PTR(bolt, &err);
	return bolt;
}

static void save_db(struct bolt *bolt, const char *path)
{
	CLEANUP(str_free) struct str file = {0};

	CHECK_OK(bolt_write(bolt, &file, &err), &err);
	tap_spew(path, file.data, file.len);
	bolt_free(bolt);
}

/* What a path of buckets (ended by NULL) leads to, or NULL. */
static struct bolt_bucket *at(struct bolt *bolt, const char *const *path)
{
	struct bolt_bucket *bucket = bolt_root(bolt);

	for (; bucket && *path; path++)
		bucket = bolt_bucket(bucket, *path);
	return bucket;
}

#define AT(bolt, ...) at(bolt, (const char *const[]){"v1", __VA_ARGS__, NULL})

static const char *member(size_t i, const char *object, const char *key)
{
	json_t *value = json_array_get(json_object_get(list, "images"), i);

	return json_member_string(json_object_get(value, object), key);
}

TEST(all_that_an_image_needs)
{
	struct bolt *meta, *overlay;
	struct bolt_bucket *bucket, *snapshots;
	char first[CONTAINERD_DIGEST_SIZE], second[CONTAINERD_DIGEST_SIZE], target[512];
	CLEANUP_FREE char *name = NULL, *by_digest = NULL, *both = NULL, *tree = NULL;
	struct digest sum, chain;
	uint64_t number;
	ssize_t len;

	new_root();
	image(NAME, "ab", true);
	run_ok(1);
	meta = open_db(META);
	overlay = open_db(OVERLAY);
	CHECK(bolt_value_is(at(meta, (const char *[]){"v1", NULL}), "version", "\x06"));

	/* Three names. */
	by_digest = mem_printf("registry.example.com/team/app@%s", member(0, "target", "digest"));
	CHECK_U64(AT(meta, "k8s.io", "images")->count, 3);
	bucket = AT(meta, "k8s.io", "images", NAME);
	CHECK(bolt_value_is(bolt_bucket(bucket, "target"), "digest",
			    member(0, "target", "digest")));
	CHECK(bolt_value_is(bolt_bucket(bucket, "target"), "mediatype",
			    "application/vnd.oci.image.index.v1+json"));
	CHECK(bolt_value_is(bolt_bucket(bucket, "labels"), "io.cri-containerd.image", "managed"));
	CHECK(bolt_value_is(bolt_bucket(bucket, "labels"), "io.cri-containerd.pinned", "pinned"));
	CHECK_U64(bolt_value(bucket, "createdat")->value_size, 15);
	CHECK(AT(meta, "k8s.io", "images", by_digest) != NULL);
	CHECK(AT(meta, "k8s.io", "images", member(0, "config", "digest")) != NULL);

	/* Content, from the index to the snapshot. */
	CHECK_U64(AT(meta, "k8s.io", "content", "blob")->count, 3);
	bucket = AT(meta, "k8s.io", "content", "blob", member(0, "target", "digest"), "labels");
	CHECK(bolt_value_is(bucket, "containerd.io/gc.ref.content.m.1",
			    member(0, "manifest", "digest")));
	bucket = AT(meta, "k8s.io", "content", "blob", member(0, "manifest", "digest"), "labels");
	CHECK(bolt_value_is(bucket, "containerd.io/gc.ref.content.config",
			    member(0, "config", "digest")));
	CHECK(bolt_value(bucket, "containerd.io/gc.ref.content.l.0") != NULL);
	CHECK(bolt_value(bucket, "containerd.io/gc.ref.content.l.1") != NULL);
	digest_bytes("a", 1, &sum);
	containerd_digest(&sum, first);
	digest_bytes("b", 1, &chain);
	both = mem_printf("%s %s", first, containerd_digest(&chain, second));
	digest_bytes(both, strlen(both), &chain);
	containerd_digest(&chain, second);
	bucket = AT(meta, "k8s.io", "content", "blob", member(0, "config", "digest"));
	CHECK(bolt_value_is(bolt_bucket(bucket, "labels"),
			    "containerd.io/gc.ref.snapshot.overlayfs", second));
	CHECK(containerd_get_number(bucket, "size", &number));
	CHECK_INT(number,
		  2 * json_integer_value(json_object_get(
			      json_object_get(json_array_get(json_object_get(list, "images"), 0),
					      "config"),
			      "size")));

	/* Snapshots, and what the snapshotter has for them. */
	snapshots = AT(meta, "k8s.io", "snapshots", "overlayfs");
	CHECK_U64(snapshots->count, 2);
	CHECK_U64(snapshots->sequence, 2);
	bucket = bolt_bucket(snapshots, second);
	CHECK(bolt_value_is(bucket, "parent", first));
	CHECK(bolt_value(bolt_bucket(bolt_bucket(snapshots, first), "children"), second) != NULL);
	name = containerd_get_text(bucket, "name");
	CHECK_CONTAINS(name, "k8s.io/2/sha256:");
	bucket = AT(overlay, "snapshots", name);
	CHECK(bolt_value_is(bucket, "kind", "\x03"));
	CHECK(bolt_value_is(bucket, "id", "\x02"));
	CHECK(containerd_get_number(bucket, "size", &number));
	CHECK_U64(number, 600); /* zigzag */
	CHECK(bolt_find(AT(overlay, "parents"), "\x01\x00\x02", 3) != NULL);
	len = readlink("root" CONTAINERD_OVERLAY_DIR "/snapshots/1/fs", target, sizeof(target) - 1);
	CHECK(len > 0);
	target[len] = '\0';
	tree = containers_layer_path(&sum);
	CHECK_STR(target, tree);
	bolt_free(meta);
	bolt_free(overlay);
}

TEST(a_second_run_writes_nothing)
{
	struct stat before, after;

	new_root();
	image(NAME, "ab", false);
	image("example.com/b:2", "ac", true);
	run_ok(2);
	CHECK(done.written > 0);
	CHECK(stat(META, &before) == 0);
	run_ok(2);
	CHECK_U64(done.written, 0);
	CHECK(stat(META, &after) == 0);
	CHECK_U64(before.st_ino, after.st_ino);
}

TEST(what_a_killed_agent_left)
{
	new_root();
	image(NAME, "a", false);
	run_ok(1);
	/* Killed between the databases, and while it wrote the second one. */
	CHECK(unlink(META) == 0);
	spew(META ".4711.1.tmp", "half");
	run_ok(1);
	CHECK_MISSING(META ".4711.1.tmp");
	CHECK_EXISTS("root" CONTAINERD_OVERLAY_DIR "/snapshots/1");
	CHECK_MISSING("root" CONTAINERD_OVERLAY_DIR "/snapshots/2");
}

TEST(layers_are_shared)
{
	struct bolt *meta;

	new_root();
	image(NAME, "abc", false);
	image("example.com/b:2", "abd", false);
	run_ok(2);
	meta = open_db(META);
	CHECK_U64(AT(meta, "k8s.io", "snapshots", "overlayfs")->count, 4);
	bolt_free(meta);
}

/* Makes a record of the user, with that target. */
static void user_record(const char *name, const char *digest)
{
	struct bolt *meta = open_db(META);
	struct bolt_bucket *record =
		bolt_make_bucket(meta, AT(meta, "k8s.io", "images"), name, &err);
	struct bolt_bucket *target = bolt_make_bucket(meta, record, "target", &err);

	CHECK_OK(bolt_put_text(meta, target, "digest", digest, &err), &err);
	bolt_delete(meta, record, "labels", 6);
	save_db(meta, META);
}

#define OTHER "sha256:ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"

TEST(a_name_that_the_user_moved_stays)
{
	struct bolt *meta;

	new_root();
	image(NAME, "a", false);
	run_ok(1);
	user_record(NAME, OTHER);
	run_ok(1);
	CHECK_U64(done.missing.count, 1);
	CHECK_CONTAINS(done.missing.items[0], "another image of that name");
	meta = open_db(META);
	CHECK(bolt_value_is(AT(meta, "k8s.io", "images", NAME, "target"), "digest", OTHER));
	bolt_free(meta);
	/* Also after an update to an image without it. */
	new_root();
	run_ok(0);
	meta = open_db(META);
	CHECK(bolt_value_is(AT(meta, "k8s.io", "images", NAME, "target"), "digest", OTHER));
	CHECK_U64(AT(meta, "k8s.io", "images")->count, 1);
	bolt_free(meta);
}

TEST(a_new_image_of_the_same_name)
{
	struct bolt *meta;
	CLEANUP_FREE char *old = NULL;

	new_root();
	image(NAME, "ab", false);
	run_ok(1);
	old = mem_strdup(member(0, "config", "digest"));
	new_root();
	image(NAME, "ac", false);
	run_ok(1);
	CHECK_U64(done.missing.count, 0);
	meta = open_db(META);
	CHECK(bolt_value_is(AT(meta, "k8s.io", "images", NAME, "target"), "digest",
			    member(0, "target", "digest")));
	CHECK_U64(AT(meta, "k8s.io", "images")->count, 3);
	CHECK(AT(meta, "k8s.io", "images", old) == NULL);
	bolt_free(meta);
}

static void add_container(const char *name, const char *image_name, const char *parent)
{
	struct bolt *meta = open_db(META);
	static const char *const path[] = {"containers", NULL};
	struct bolt_bucket *ns = AT(meta, "k8s.io");
	struct bolt_bucket *container =
		bolt_make_bucket(meta, containerd_make(meta, ns, path, &err), name, &err);
	struct bolt_bucket *snapshot =
		bolt_make_bucket(meta, AT(meta, "k8s.io", "snapshots", "overlayfs"), name, &err);
	struct bolt_bucket *children = bolt_make_bucket(
		meta, AT(meta, "k8s.io", "snapshots", "overlayfs", parent), "children", &err);

	CHECK_OK(bolt_put_text(meta, container, "image", image_name, &err), &err);
	CHECK_OK(bolt_put_text(meta, container, "snapshotKey", name, &err), &err);
	CHECK_OK(bolt_put_text(meta, snapshot, "parent", parent, &err), &err);
	CHECK_OK(bolt_put_text(meta, snapshot, "name", "none", &err), &err);
	CHECK_OK(bolt_put_text(meta, children, name, "", &err), &err);
	save_db(meta, META);
}

TEST(what_a_container_uses_stays)
{
	char chain[CONTAINERD_DIGEST_SIZE];
	struct digest sum;
	struct bolt *meta;

	new_root();
	image(NAME, "a", false);
	run_ok(1);
	digest_bytes("a", 1, &sum);
	add_container("user", "something", containerd_digest(&sum, chain));
	/* The layer stays, as part of another image. */
	new_root();
	image("example.com/b:2", "ab", false);
	run_ok(1);
	CHECK_U64(done.removed.count, 0);
	CHECK(strv_has(&done.kept, NAME));
	meta = open_db(META);
	CHECK(AT(meta, "k8s.io", "images", NAME) != NULL);
	bolt_delete(meta, AT(meta, "k8s.io", "containers"), "user", 4);
	save_db(meta, META);
	run_ok(1);
	CHECK(strv_has(&done.removed, NAME));
	CHECK_U64(done.kept.count, 0);
}

TEST(a_container_on_layers_that_are_gone)
{
	char chain[CONTAINERD_DIGEST_SIZE], lost[128];
	struct digest sum;
	struct bolt *meta;

	new_root();
	image(NAME, "a", false);
	run_ok(1);
	digest_bytes("a", 1, &sum);
	add_container("user", NAME, containerd_digest(&sum, chain));
	new_root();
	image("example.com/b:2", "b", false);
	run_ok(1);
	CHECK(strv_has(&done.removed, NAME));
	meta = open_db(META);
	CHECK(AT(meta, "k8s.io", "snapshots", "overlayfs", chain) == NULL);
	snprintf(lost, sizeof(lost), "lost-2-%s", chain);
	CHECK(AT(meta, "k8s.io", "snapshots", "overlayfs", lost) != NULL);
	CHECK(bolt_value_is(AT(meta, "k8s.io", "snapshots", "overlayfs", "user"), "parent", lost));
	CHECK(bolt_value(AT(meta, "k8s.io", "snapshots", "overlayfs", lost, "children"), "user"));
	bolt_free(meta);
	/* Back in the earlier root it works again. */
	new_root();
	image(NAME, "a", false);
	run_ok(1);
	meta = open_db(META);
	CHECK(AT(meta, "k8s.io", "snapshots", "overlayfs", chain) != NULL);
	bolt_free(meta);
}

TEST(an_image_of_the_user_on_layers_that_are_gone)
{
	struct bolt *meta;

	new_root();
	image(NAME, "ab", false);
	run_ok(1);
	user_record("example.com/user:1", member(0, "target", "digest"));
	new_root();
	image("example.com/b:2", "b", false);
	run_ok(1);
	CHECK_U64(done.missing.count, 1);
	CHECK_CONTAINS(done.missing.items[0], "example.com/user:1: ");
	meta = open_db(META);
	CHECK(AT(meta, "k8s.io", "images", "example.com/user:1") == NULL);
	bolt_free(meta);
}

TEST(the_id_stays_for_a_tag_of_the_user)
{
	struct bolt *meta;
	CLEANUP_FREE char *id = NULL;

	new_root();
	image(NAME, "a", false);
	run_ok(1);
	id = mem_strdup(member(0, "config", "digest"));
	user_record("example.com/user:1", member(0, "target", "digest"));
	new_root();
	image("example.com/b:2", "ab", false);
	run_ok(1);
	meta = open_db(META);
	CHECK(AT(meta, "k8s.io", "images", NAME) == NULL);
	CHECK(AT(meta, "k8s.io", "images", "example.com/user:1") != NULL);
	CHECK(AT(meta, "k8s.io", "images", id) != NULL);
	bolt_free(meta);
}

TEST(damaged_documents_are_one_image_s_failure)
{
	CLEANUP_FREE char *path = NULL;

	new_root();
	image(NAME, "a", false);
	image("example.com/b:2", "b", false);
	path = mem_printf("root" CONTAINERS_DIR "/blobs/sha256/%s",
			  member(0, "config", "digest") + 7);
	spew(path, "something else");
	run_ok(1);
	CHECK_U64(done.missing.count, 1);
	CHECK_CONTAINS(done.missing.items[0], NAME ": ");
}

TEST(a_layer_that_is_not_there)
{
	CLEANUP_FREE char *path = NULL;

	new_root();
	image(NAME, "aba", false);
	image("example.com/b:2", "ab", false);
	path = mem_printf(
		"root" CONTAINERS_DIR "/layers/%s.2",
		json_string_value(json_array_get(
			json_object_get(json_array_get(json_object_get(list, "images"), 0),
					"layers"),
			0)) +
			7);
	CHECK_OK(path_remove_all(path, &err), &err);
	run_ok(1);
	CHECK_U64(done.missing.count, 1);
	CHECK_CONTAINS(done.missing.items[0], "is not there");
}

TEST(stores_that_are_left_alone)
{
	struct bolt *meta;

	new_root();
	image(NAME, "a", false);
	run_ok(1);
	/* A version of the future. */
	meta = open_db(META);
	CHECK_OK(containerd_put_number(meta, at(meta, (const char *[]){"v1", NULL}), "version", 4,
				       true, &err),
		 &err);
	save_db(meta, META);
	CHECK_OK(run(), &err);
	CHECK(done.fallback);
	CHECK_CONTAINS(done.why, "version");
	/* A schema of the future. */
	meta = bolt_new();
	CHECK_OK_PTR(bolt_make_bucket(meta, bolt_root(meta), "v2", &err), &err);
	save_db(meta, META);
	CHECK_OK(run(), &err);
	CHECK(done.fallback);
	CHECK_CONTAINS(done.why, "schema");
	/* An empty file is a new database for bbolt. */
	spew(META, "");
	run_ok(1);
	/* Something else where a bucket should be. */
	meta = open_db(META);
	bolt_delete(meta, AT(meta, "k8s.io"), "images", 6);
	CHECK_OK(bolt_put_text(meta, AT(meta, "k8s.io"), "images", "none", &err), &err);
	save_db(meta, META);
	CHECK_OK(run(), &err);
	CHECK(done.fallback);
	CHECK_CONTAINS(done.why, "'images' is not a bucket");
}

TEST(a_running_containerd_is_an_error)
{
	int fd;

	new_root();
	image(NAME, "a", false);
	run_ok(1);
	fd = open(META, O_RDWR | O_CLOEXEC);
	CHECK(flock(fd, LOCK_EX) == 0);
	CHECK_ERR(run(), &err, ERR_OTHER, "containerd runs");
	close(fd);
	run_ok(1);
}

struct config_row {
	const char *text;
	const char *why; /* NULL: it fits */
};

static const struct config_row configs[] = {
	{"", NULL},
	{"# nothing\n\nversion = 2\n", NULL},
	{"root = \"/var/lib/containerd\"\nstate = '/run/containerd'\n", NULL},
	{"root = \"/data/containerd\"\n", "sets root to '/data/containerd'"},
	{"root = '/data'", "sets root to '/data'"},
	{"\"root\" = \"/data\"", "sets root to"},
	{"root = \"\"\"/var/lib/containerd\"\"\"\n", "not understood"},
	{"root = 7\n", "not understood"},
	{"root\n", "not understood"},
	{"[grpc]\nroot = \"/elsewhere\"\n", NULL},
	{"[plugins.\"io.containerd.grpc.v1.cri\".containerd]\nsnapshotter = \"overlayfs\" # yes\n",
	 NULL},
	{"[plugins.\"io.containerd.grpc.v1.cri\".containerd]\n  snapshotter = \"zfs\"\n",
	 "sets snapshotter to 'zfs'"},
	{"[plugins.'io.containerd.grpc.v1.cri']\n[plugins.'io.containerd.grpc.v1.cri'.containerd]\n"
	 "snapshotter='zfs'",
	 "sets snapshotter to 'zfs'"},
	{"[plugins]\n[plugins.\"io.containerd.grpc.v1.cri\"]\ncontainerd.snapshotter = \"zfs\"\n",
	 "sets snapshotter to 'zfs'"},
	{"[plugins]\n\"io.containerd.grpc.v1.cri\" = { containerd = { snapshotter = \"zfs\" } }\n",
	 "not understood"},
	{"[plugins.cri.containerd]\nsnapshotter = \"native\"\n", "sets snapshotter to 'native'"},
	{"[plugins.\"io.containerd.snapshotter.v1.overlayfs\"]\nroot_path = \"/x\"\n",
	 "sets root_path to '/x'"},
	{"disabled_plugins = [\"cri\",\n  # and\n \"io.containerd.snapshotter.v1.overlayfs\"]\n",
	 "disables overlayfs"},
	{"disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n", NULL},
	{"[a]\nx = [[1, 2], [\n3]]\n[[b]]\ny = { z = \"]\" }\n", NULL},
	{"x = [\n", "not understood"},
	{"x = ]\n", "not understood"},
	{"[a\n", "not understood"},
	{"x = \"unfinished\n", "not understood"},
	{"imports = [\"/etc/containerd/conf.d/*.toml\"]\n", "sets root to '/imported'"},
	{"imports = [\"conf.d/*.toml\"]\n", "sets root to '/imported'"},
	{"imports = [\"/etc/containerd/none/*.toml\"]\n", NULL},
	{"imports = [\"config.toml\"]\n", "import files"},
};

TEST(how_containerd_is_set_up)
{
	char why[512];

	spew("root/etc/containerd/conf.d/root.toml", "version = 2\nroot = \"/imported\"\n");
	for (size_t i = 0; i < ARRAY_SIZE(configs); i++) {
		bool fits;

		why[0] = '\0';
		spew(CONFIG, configs[i].text);
		fits = containerd_config_fits(&agent, "1.7.24", why, sizeof(why));
		if (fits != !configs[i].why || (configs[i].why && !strstr(why, configs[i].why)))
			FAIL("%s\n  fits %d, why: %s", configs[i].text, fits, why);
	}
	CHECK(unlink(CONFIG) == 0);
	CHECK(containerd_config_fits(&agent, "1.6.20~ds1", why, sizeof(why)));
	CHECK(!containerd_config_fits(&agent, "2.0.1", why, sizeof(why)));
	CHECK_CONTAINS(why, "containerd 2.0.1 is not known");
	CHECK(!containerd_config_fits(&agent, "1.70.1", why, sizeof(why)));
	spew("root/etc/systemd/system/containerd.service.d/10.conf",
	     "[Service]\nExecStart=\nExecStart=/usr/bin/containerd --root /data\n");
	CHECK(!containerd_config_fits(&agent, "1.7.24", why, sizeof(why)));
	CHECK_CONTAINS(why, "starts containerd with --root");
}

TEST(nothing_is_wanted_and_nothing_was_written)
{
	new_root();
	CHECK_OK(run(), &err);
	CHECK_MISSING("root/var/lib/containerd");
	new_root();
	image(NAME, "a", false);
	json_object_del(json_object_get(list, "engines"), "containerd");
	json_object_set_new(json_object_get(list, "engines"), "docker",
			    json_pack("{s:s}", "version", "26.1.5"));
	CHECK_OK(run(), &err);
	CHECK_MISSING("root/var/lib/containerd");
}

/* Reads where the tree of a snapshot is. */
static bool link_of(unsigned id, char target[512])
{
	CLEANUP_FREE char *path = mem_printf("root" CONTAINERD_OVERLAY_DIR "/snapshots/%u/fs", id);
	ssize_t len = readlink(path, target, 511);

	target[len > 0 ? len : 0] = '\0';
	return len > 0;
}

TEST(hundred_layers)
{
	char target[512], again[512];
	char letters[101];
	struct bolt *overlay;

	new_root();
	for (unsigned i = 0; i < 100; i++)
		letters[i] = (char)(33 + i % 90);
	letters[100] = '\0';
	/* Some layers twice: other chains. */
	image(NAME, letters, false);
	run_ok(1);
	overlay = open_db(OVERLAY);
	CHECK_U64(AT(overlay, "snapshots")->count, 100);
	CHECK_U64(AT(overlay, "parents")->count, 99);
	/* A layer that is there again is there by another folder: overlayfs mounts none twice. */
	CHECK(link_of(1, target) && link_of(91, again));
	CHECK(str_has_prefix(again, target));
	CHECK_STR(again + strlen(target), ".2");
	bolt_free(overlay);
	run_ok(1);
	CHECK_U64(done.written, 0);
}

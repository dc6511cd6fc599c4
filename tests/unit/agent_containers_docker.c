/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Docker's store as the agent writes it: its form, the second run, updates, what the user did meanwhile, and what a
 * power cut left.
 */
#include "tap.h"
#include "fake/dockerstore.h"

TEST(store_has_dockers_form)
{
	char *id = preload(), *upper, *cache[2], *link_name[2], *text, *want, target[4096];
	ssize_t len;
	struct stat st;

	CHECK(boot() > 0);
	CHECK_INT(run_result.images, 1);
	CHECK_INT(run_result.missing.count, 0);
	upper = chain_of(base + 7, top);
	cache[0] = cache_of(base + 7);
	cache[1] = cache_of(upper);
	CHECK_INT(strlen(cache[0]), 64);
	CHECK(strcmp(cache[0], cache[1]) != 0);
	text = slurp(LAYERDB "/%s/diff", upper);
	CHECK_STR(text, top);
	text = slurp(LAYERDB "/%s/size", upper);
	CHECK_STR(text, "6");
	text = slurp(LAYERDB "/%s/parent", upper);
	want = text_of("sha256:%s", base + 7);
	CHECK_STR(text, want);
	text = text_of(LAYERDB "/%s/parent", base + 7);
	CHECK_MISSING(text);
	text = text_of(LAYERDB "/%s/tar-split.json.gz", upper);
	len = readlink(text, target, sizeof(target) - 1);
	CHECK(len > 0);
	target[len] = '\0';
	want = text_of("/usr/share/ingot/containers/split/%s.json.gz", top + 7);
	CHECK_STR(target, want);

	link_name[0] = slurp(DOCKER "/overlay2/%s/link", cache[0]);
	link_name[1] = slurp(DOCKER "/overlay2/%s/link", cache[1]);
	CHECK_INT(strlen(link_name[1]), 26);
	text = slurp(DOCKER "/overlay2/%s/lower", cache[1]);
	want = text_of("l/%s", link_name[0]);
	CHECK_STR(text, want);
	text = text_of(DOCKER "/overlay2/%s/lower", cache[0]);
	CHECK_MISSING(text);
	text = slurp(DOCKER "/overlay2/%s/committed", cache[1]);
	CHECK_STR(text, "");
	text = text_of(DOCKER "/overlay2/%s/diff", cache[1]);
	len = readlink(text, target, sizeof(target) - 1);
	CHECK(len > 0);
	target[len] = '\0';
	want = text_of("/usr/share/ingot/containers/layers/%s", top + 7);
	CHECK_STR(target, want);
	text = text_of(DOCKER "/overlay2/l/%s", link_name[1]);
	len = readlink(text, target, sizeof(target) - 1);
	CHECK(len > 0);
	target[len] = '\0';
	want = text_of("../%s/diff", cache[1]);
	CHECK_STR(target, want);

	text = slurp(CONTENT "/%s", id);
	want = fake_hex(text, strlen(text));
	CHECK_STR(want, id);
	CHECK_REFERENCE(APP, id);
	want = fake_hex(APP, strlen(APP)); /* the fake manifest is the name */
	text = text_of("registry.example.com/team/app@sha256:%s", want);
	CHECK_REFERENCE(text, id);
	CHECK(stat(REPOSITORIES, &st) == 0 && (st.st_mode & 0777) == 0600);
	CHECK(stat(DOCKER, &st) == 0 && (st.st_mode & 0777) == 0710);
	want = fake_hex(top, strlen(top)); /* the fake digest of the compressed layer */
	text = slurp(DOCKER "/image/overlay2/distribution/diffid-by-digest/sha256/%s", want);
	CHECK_STR(text, top);
	text = slurp(DOCKER "/image/overlay2/distribution/v2metadata-by-diffid/sha256/%s", top + 7);
	CHECK_CONTAINS(text, "\"SourceRepository\":\"registry.example.com/team/app\"");
	CHECK_CONTAINS(text, want);
}

TEST(second_boot_writes_nothing)
{
	struct stat before, after;

	preload();
	CHECK(boot() > 0);
	CHECK(stat(REPOSITORIES, &before) == 0);
	CHECK_INT(boot(), 0);
	CHECK_INT(run_result.images, 1);
	CHECK(stat(REPOSITORIES, &after) == 0);
	CHECK_INT(before.st_ino, after.st_ino);
}

/* Everything that was written is made empty, one after the other, and is right again after the next boot. */
static char **files;
static size_t file_count, file_room;

static int note_file(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)ftw;
	if (flag == FTW_F && st->st_size > 0)
		VEC_ADD(files, file_count, file_room, copy_of(path));
	return 0;
}

TEST(empty_files_are_mended)
{
	char *id = preload();

	boot();
	CHECK(nftw(DOCKER, note_file, 16, FTW_PHYS) == 0);
	CHECK(file_count > 10);
	for (size_t i = 0; i < file_count; i++) {
		char *before = fake_keep(tap_slurp(files[i], NULL)), *after;

		CHECK(truncate(files[i], 0) == 0);
		CHECK(boot() >= 1);
		after = fake_keep(tap_slurp(files[i], NULL));
		CHECK_STR(after, before);
		CHECK_INT(boot(), 0);
	}
	/* And all at once, with the state. */
	for (size_t i = 0; i < file_count; i++)
		CHECK(truncate(files[i], 0) == 0);
	CHECK(truncate(FAKE_ROOT "/var/lib/ingot/containers.json", 0) == 0);
	boot();
	CHECK_REFERENCE(APP, id);
	CHECK_INT(boot(), 0);
}

/* The agent is killed at any of its system calls that change something: the next run ends in the same state. */
TEST_TIMEOUT(kill_at_any_point, 120)
{
	char *id = preload();
	struct err err = {0};
	bool ended = false;

	need_file_system();
	for (useconds_t delay = 100; !ended && delay < 60000; delay += 137) {
		int status;
		pid_t pid;

		CHECK_OK(path_remove_all(FAKE_ROOT "/var/lib", &err), &err);
		pid = fork();
		CHECK(pid >= 0);
		if (pid == 0) {
			boot();
			_exit(0);
		}
		usleep(delay);
		kill(pid, SIGKILL);
		CHECK(waitpid(pid, &status, 0) == pid);
		ended = WIFEXITED(status);
		boot();
		CHECK_REFERENCE(APP, id);
		CHECK(system("test -z \"$(find root/var/lib/docker -name '*.ingot')\"") == 0);
		CHECK_INT(boot(), 0);
	}
	CHECK(ended);
}

/* The same for an update: the next run ends with the new system's images and nothing of the old one's. */
TEST_TIMEOUT(kill_in_an_update, 120)
{
	char *old = preload(), *new = NULL, *layers[1];
	struct err err = {0};
	bool ended = false;

	need_file_system();
	boot();
	CHECK(system("cp -a root/var/lib before") == 0);
	update();
	layers[0] = fake_layer("etc/new", "new");
	new = fake_image(APP, layers, 1);
	fake_containers_end();
	for (useconds_t delay = 100; !ended && delay < 60000; delay += 137) {
		int status;
		pid_t pid;

		CHECK_OK(path_remove_all(FAKE_ROOT "/var/lib", &err), &err);
		CHECK(system("cp -a before root/var/lib") == 0);
		pid = fork();
		CHECK(pid >= 0);
		if (pid == 0) {
			boot();
			_exit(0);
		}
		usleep(delay);
		kill(pid, SIGKILL);
		CHECK(waitpid(pid, &status, 0) == pid);
		ended = WIFEXITED(status);
		boot();
		CHECK_REFERENCE(APP, new);
		CHECK(!exists(CONTENT, old));
		CHECK(!exists(LAYERDB, base + 7));
		CHECK(exists(LAYERDB, layers[0] + 7));
		CHECK_INT(boot(), 0);
	}
	CHECK(ended);
}

TEST(removed_image_comes_back)
{
	char *id = preload(), *path;
	struct err err = {0};

	boot();
	tag(APP, NULL);
	path = path_of(CONTENT, id);
	CHECK(unlink(path) == 0);
	CHECK_OK(path_remove_all(LAYERDB, &err), &err);
	CHECK(boot() > 0);
	CHECK_REFERENCE(APP, id);
	CHECK(exists(CONTENT, id));
	CHECK(exists(LAYERDB, base + 7));
}

TEST(tag_that_the_user_moved_stays)
{
	static const char mine[] =
		"5555555555555555555555555555555555555555555555555555555555555555";
	char *layers[1];

	preload();
	boot();
	tag(APP, mine);
	boot();
	CHECK_REFERENCE(APP, mine);
	CHECK_CONTAINS(run_result.missing.items[0], "given to another image");
	/* Also over an update. */
	update();
	layers[0] = fake_layer("etc/new", "new");
	fake_image(APP, layers, 1);
	fake_containers_end();
	boot();
	CHECK_REFERENCE(APP, mine);
}

TEST(names_of_the_user_are_left_alone)
{
	static const char mine[] =
		"5555555555555555555555555555555555555555555555555555555555555555";

	preload();
	boot();
	tag("mine:1", mine);
	tag("registry.example.com/team/app:own", mine);
	CHECK_INT(boot(), 0);
	update();
	fake_containers_end();
	boot();
	CHECK_REFERENCE("mine:1", mine);
	CHECK_REFERENCE("registry.example.com/team/app:own", mine);
	CHECK_REFERENCE(APP, "");
}

TEST(update_moves_names_and_removes_what_nobody_uses)
{
	char *old = preload(), *new, *layers[2], *upper = chain_of(base + 7, top), *cache,
	     *link_name;

	boot();
	cache = cache_of(upper);
	link_name = slurp(DOCKER "/overlay2/%s/link", cache);
	update();
	layers[0] = fake_layer("bin/base", "base");
	layers[1] = other = fake_layer("etc/top", "newer");
	new = fake_image(APP, layers, 2);
	fake_containers_end();
	boot();
	CHECK_REFERENCE(APP, new);
	CHECK(!exists(CONTENT, old));
	CHECK(exists(CONTENT, new));
	CHECK(exists(LAYERDB, base + 7)); /* both have it */
	CHECK(!exists(LAYERDB, upper));
	CHECK(!exists(DOCKER "/overlay2", cache));
	CHECK(!exists(DOCKER "/overlay2/l", link_name));
	CHECK_INT(run_result.kept.count, 0);
	CHECK_INT(boot(), 0);
	/* And back. */
	update();
	layers[0] = fake_layer("bin/base", "base");
	layers[1] = fake_layer("etc/top", "on top");
	fake_image(APP, layers, 2);
	fake_containers_end();
	boot();
	CHECK_REFERENCE(APP, old);
	CHECK(exists(LAYERDB, upper));
	CHECK(!exists(CONTENT, new));
}

TEST(image_without_containers_clears_those_of_the_last)
{
	char *old = preload();
	struct err err = {0};

	boot();
	CHECK_OK(path_remove_all(FAKE_CONTAINERS, &err), &err);
	boot();
	CHECK_REFERENCE(APP, "");
	CHECK(!exists(CONTENT, old));
	CHECK(!exists(LAYERDB, base + 7));
	CHECK_STR(run_result.removed.items[0], APP);
	CHECK_INT(boot(), 0);
}

TEST(state_that_is_lost_does_not_leave_broken_layers)
{
	struct err err = {0};
	char *upper;

	preload();
	boot();
	upper = chain_of(base + 7, top);
	tap_spew(FAKE_ROOT "/var/lib/ingot/containers.json", "{", 1);
	CHECK_OK(path_remove_all(FAKE_CONTAINERS, &err), &err);
	boot();
	CHECK(!exists(LAYERDB, base + 7));
	CHECK(!exists(LAYERDB, upper));
}

static void make_container(const char *image)
{
	char *text = text_of("{\"ID\":\"c0ffee\",\"Image\":\"sha256:%s\"}", image);

	fake_machine_file("/var/lib/docker/containers/c0ffee0123456789/config.v2.json", text);
}

TEST(image_of_a_container_is_kept)
{
	char *old = preload(), *upper = chain_of(base + 7, top), *layers[1], *new;

	boot();
	make_container(old);
	update();
	layers[0] = fake_layer("etc/new", "new");
	new = fake_image("registry.example.com/team/other:2", layers, 1);
	fake_containers_end();
	boot();
	CHECK_REFERENCE(APP, old);
	CHECK_REFERENCE("registry.example.com/team/other:2", new);
	CHECK(exists(CONTENT, old));
	/* Its layers are not in this root: docker must not think that it has them. */
	CHECK(!exists(LAYERDB, upper));
	CHECK(!exists(LAYERDB, base + 7));
	CHECK_STR(run_result.kept.items[0], APP ": container c0ffee012345 uses it");
	CHECK_INT(boot(), 0);
	CHECK_INT(run_result.kept.count, 1);
	/* When the container is gone, so is the image. */
	CHECK(unlink(DOCKER "/containers/c0ffee0123456789/config.v2.json") == 0);
	boot();
	CHECK_REFERENCE(APP, "");
	CHECK(!exists(CONTENT, old));
}

TEST(kept_image_is_whole_while_its_layers_are_here)
{
	char *old = preload(), *upper = chain_of(base + 7, top), *layers[2], *new;

	boot();
	make_container(old);
	update();
	/* The same layers, in another image. */
	layers[0] = fake_layer("etc/top", "on top");
	layers[1] = fake_layer("bin/base", "base");
	new = fake_image("registry.example.com/team/other:2", layers, 2);
	fake_containers_end();
	boot();
	CHECK(exists(CONTENT, old));
	CHECK(exists(CONTENT, new));
	CHECK(exists(LAYERDB, upper));
	CHECK_REFERENCE(APP, old);
	CHECK_INT(boot(), 0);
}

TEST(damaged_container_keeps_everything)
{
	struct agent agent;
	struct containers containers;
	struct containers_done done = {0};
	struct report report = {.quiet = true};
	struct err err = {0};
	char *old = preload();

	boot();
	fake_machine_file("/var/lib/docker/containers/c0ffee/config.v2.json", "{");
	update();
	fake_containers_end();
	(void)agent_open(&agent, FAKE_ROOT, &err);
	CHECK_OK(containers_load(&agent, &containers, &err), &err);
	CHECK_ERR(containers_docker_write(&agent, &containers, &report, &done, &err), &err,
		  ERR_OTHER, "cannot tell what a container uses");
	CHECK_REFERENCE(APP, old);
	containers_free(&containers);
	agent_close(&agent);
}

/* As docker stores an image that the user built on layers of ours, or pulled. */
static char *make_image(char *const *layers, size_t count)
{
	json_t *ids = json_array(), *config;
	char *text, *id, *path;

	for (size_t i = 0; i < count; i++)
		json_array_append_new(ids, json_string(layers[i]));
	config = json_pack("{s:s, s:{s:o}}", "author", "me", "rootfs", "diff_ids", ids);
	text = fake_keep(json_line(config));
	id = fake_hex(text, strlen(text));
	path = path_of(CONTENT, id);
	tap_spew(path, text, strlen(text));
	json_decref(config);
	return id;
}

TEST(image_under_an_image_of_the_user_is_kept)
{
	char *old = preload(), *layers[3], *mine;
	char third[] = "sha256:3333333333333333333333333333333333333333333333333333333333333333";

	boot();
	layers[0] = base;
	layers[1] = top;
	layers[2] = third;
	mine = make_image(layers, 3);
	update();
	fake_containers_end();
	boot();
	CHECK(exists(CONTENT, mine));
	CHECK(exists(CONTENT, old));
	CHECK_REFERENCE(APP, old);
	CHECK_CONTAINS(run_result.kept.items[0], "image ");
	CHECK_CONTAINS(run_result.missing.items[0], "layers of an earlier one");
	CHECK_INT(boot(), 0);
}

TEST(image_with_a_tag_of_the_user_is_kept)
{
	char *old = preload();

	boot();
	tag("mine:1", old);
	update();
	fake_containers_end();
	boot();
	CHECK(exists(CONTENT, old));
	CHECK_REFERENCE("mine:1", old);
	CHECK_CONTAINS(run_result.kept.items[0], "the tag mine:1 uses it");
}

/* A layer that docker itself pulled: another cache-id than ours. */
static void make_layer(const char *chain, const char *diff)
{
	static const char cache[] =
		"9999999999999999999999999999999999999999999999999999999999999999";
	char *path = text_of("/var/lib/docker/image/overlay2/layerdb/sha256/%s/cache-id", chain);

	fake_machine_file(path, cache);
	path = text_of("/var/lib/docker/image/overlay2/layerdb/sha256/%s/diff", chain);
	fake_machine_file(path, diff);
	fake_machine_file(
		"/var/lib/docker/overlay2/9999999999999999999999999999999999999999999999999999999999999999/link",
		"MINE");
}

TEST(layer_of_the_user_stays_the_users)
{
	char *cache;

	preload();
	make_layer(base + 7, base);
	boot();
	cache = cache_of(base + 7);
	CHECK_STR(cache, "9999999999999999999999999999999999999999999999999999999999999999");
	CHECK_INT(boot(), 0);
	update();
	fake_containers_end();
	boot();
	CHECK(exists(LAYERDB, base + 7));
	CHECK(exists(DOCKER "/overlay2",
		     "9999999999999999999999999999999999999999999999999999999999999999"));
}

TEST(pulled_layer_takes_the_place_of_ours)
{
	char *layers[3], *cache, *link_name, *path, target[200];
	char third[] = "sha256:3333333333333333333333333333333333333333333333333333333333333333";
	struct err err = {0};
	ssize_t len;

	preload();
	boot();
	cache = cache_of(base + 7);
	link_name = slurp(DOCKER "/overlay2/%s/link", cache);
	layers[0] = base;
	layers[1] = third;
	make_image(layers, 2);
	update();
	fake_containers_end();
	boot();
	CHECK(!exists(DOCKER "/overlay2/l", link_name));
	/* The user pulls the base; the image on it finds it by the old short link. */
	make_layer(base + 7, base);
	boot();
	path = path_of(DOCKER "/overlay2/l", link_name);
	len = readlink(path, target, sizeof(target) - 1);
	CHECK(len > 0);
	target[len] = '\0';
	CHECK_STR(target,
		  "../9999999999999999999999999999999999999999999999999999999999999999/diff");
	CHECK_INT(run_result.missing.count, 0);
	CHECK_INT(boot(), 0);
	CHECK_OK(path_remove_all(FAKE_ROOT, &err), &err);
}

TEST(image_that_was_removed_and_pulled_is_the_users)
{
	char *old = preload(), *upper = chain_of(base + 7, top);
	struct err err = {0};

	boot();
	CHECK_OK(path_remove_all(LAYERDB, &err), &err);
	make_layer(base + 7, base);
	make_layer(upper, top);
	boot();
	update();
	fake_containers_end();
	boot();
	CHECK_REFERENCE(APP, old);
	CHECK(exists(CONTENT, old));
	CHECK(exists(LAYERDB, upper));
}

TEST(damaged_repositories_are_put_aside)
{
	char *id = preload();

	boot();
	tap_spew(REPOSITORIES, "{\"Repos", 7);
	boot();
	CHECK_REFERENCE(APP, id);
	CHECK_FILE(REPOSITORIES ".damaged", "{\"Repos");
}

/* overlayfs mounts no folder twice: a layer that an image has again has a second one. */
TEST(layer_that_is_there_twice_has_two_folders)
{
	char *layers[3], *again, *chain, target[4096];
	struct err err = {0};
	ssize_t len;

	fake_containers_begin("26.1.5");
	layers[0] = layers[2] = fake_layer("a", "1");
	layers[1] = fake_layer("b", "2");
	fake_image("docker.io/library/twice:1", layers, 3);
	fake_containers_end();
	boot();
	CHECK_STR(run_result.missing.items[0],
		  "docker.io/library/twice:1: a layer is not in this root");
	again = text_of(FAKE_CONTAINERS "/layers/%s.2", layers[0] + 7);
	CHECK_OK(path_make_dirs(again, &err), &err);
	boot();
	CHECK_INT(run_result.missing.count, 0);
	chain = chain_of(chain_of(layers[0] + 7, layers[1]), layers[2]);
	len = readlink(text_of(DOCKER "/overlay2/%s/diff", cache_of(chain)), target,
		       sizeof(target) - 1);
	CHECK(len > 0);
	target[len] = '\0';
	CHECK_CONTAINS(target, text_of("%s.2", layers[0] + 7));
}

TEST(broken_images_are_missing_and_the_others_work)
{
	char *good, *ids[4], *layers[2], *path, *many[126];
	struct err err = {0};

	fake_containers_begin("26.1.5");
	layers[0] = fake_layer("a", "1");
	layers[1] = fake_layer("b", "2");
	good = fake_image("docker.io/library/good:1", layers, 1);
	ids[0] = fake_image("docker.io/library/absent:1", layers, 2);
	ids[1] = fake_image("docker.io/library/config:1", layers, 1);
	for (size_t i = 0; i < 126; i++)
		many[i] = layers[0]; /* how many is looked at first */
	ids[2] = fake_image("docker.io/library/deep:1", many, 126);
	/* The list says other layers than the configuration. */
	ids[3] = fake_image("docker.io/library/liar:1", layers, 1);
	json_object_set_new(json_array_get(json_object_get(fake_list, "images"), 4), "layers",
			    json_array());
	json_object_set_new(json_array_get(json_object_get(fake_list, "images"), 4), "blobs",
			    json_array());
	fake_containers_end();
	path = text_of(FAKE_CONTAINERS "/layers/%s", layers[1] + 7);
	CHECK_OK(path_remove_all(path, &err), &err);
	path = text_of(FAKE_CONTAINERS "/blobs/sha256/%s", ids[1]);
	tap_spew(path, "other", 5);
	boot();
	CHECK_INT(run_result.images, 1);
	CHECK_INT(run_result.missing.count, 4);
	CHECK_STR(run_result.missing.items[0],
		  "docker.io/library/absent:1: a layer is not in this root");
	CHECK_STR(run_result.missing.items[1],
		  "docker.io/library/config:1: its configuration is damaged");
	CHECK_STR(run_result.missing.items[2],
		  "docker.io/library/deep:1: it has more layers than docker takes");
	CHECK_STR(run_result.missing.items[3],
		  "docker.io/library/liar:1: its configuration has other layers");
	CHECK_REFERENCE("good:1", good);
	CHECK_REFERENCE("absent:1", "");
	CHECK(!exists(CONTENT, ids[2]));
}

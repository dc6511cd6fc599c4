/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Docker's store in tests of the agent: one boot, and what docker or its user would do to the files.
 */
#ifndef TESTS_FAKE_DOCKERSTORE_H
#define TESTS_FAKE_DOCKERSTORE_H

#include "fake/containers.h"

#include "agent/containers/containers_parts.h"

#include "base/fd.h"

#include <stdarg.h>

#define text_of(...) fake_keep(mem_printf(__VA_ARGS__))
#define path_of(a, b) fake_keep(path_join(a, b))
#define copy_of(text) fake_keep(mem_strdup(text))
#define copy_part(text, len) fake_keep(mem_strndup(text, len))

#define DOCKER FAKE_ROOT "/var/lib/docker"
#define LAYERDB DOCKER "/image/overlay2/layerdb/sha256"
#define CONTENT DOCKER "/image/overlay2/imagedb/content/sha256"
#define REPOSITORIES DOCKER "/image/overlay2/repositories.json"
#define APP "registry.example.com/team/app:1.4"

/* A file system that a store may be on; tests may run where /tmp is an overlay. */
__attribute__((unused)) static void need_file_system(void)
{
	struct containers_setup setup;
	struct agent agent = {.root = FAKE_ROOT};

	containers_setup_read(&agent, "26.1.5", &setup);
	free(setup.data_root);
	if (*setup.why)
		FAIL("TMPDIR must be on a file system that docker's store can be on: %s",
		     setup.why);
}

static struct containers_done run_result;

/* One boot; returns how many files were written. */
__attribute__((unused)) static size_t boot(void)
{
	struct agent agent;
	struct containers containers;
	struct report report = {.quiet = true};
	struct err err = {0};

	need_file_system();
	containers_done_free(&run_result);
	run_result = (struct containers_done){0};
	(void)agent_open(&agent, FAKE_ROOT, &err);
	err_clear(&err);
	CHECK_OK(containers_load(&agent, &containers, &err), &err);
	CHECK_OK(containers_docker_write(&agent, &containers, &report, &run_result, &err), &err);
	CHECK(!run_result.fallback);
	containers_free(&containers);
	agent_close(&agent);
	return run_result.written;
}

__attribute__((unused, format(printf, 1, 2))) static char *slurp(const char *fmt, ...)
{
	char *path, *text;
	va_list ap;

	va_start(ap, fmt);
	CHECK(vasprintf(&path, fmt, ap) > 0);
	va_end(ap);
	text = fake_keep(tap_slurp(path, NULL));
	free(path);
	return text;
}

__attribute__((unused)) static bool exists(const char *folder, const char *name)
{
	char *path = path_of(folder, name);
	struct stat st;
	bool r = lstat(path, &st) == 0;

	return r;
}

/* What docker takes a name for: the image's ID, or "". */
__attribute__((unused)) static const char *reference(const char *name)
{
	struct err err = {0};
	json_t *file = json_read_file(REPOSITORIES, 1 << 20, &err), *repository;
	const char *key, *value = NULL;

	CHECK_OK_PTR(file, &err);
	json_object_foreach(json_object_get(file, "Repositories"), key, repository) if (!value)
		value = json_member_string(repository, name);
	value = copy_of(value ? value + 7 : "");
	json_decref(file);
	return value;
}

#define CHECK_REFERENCE(name, want) CHECK_STR(reference(name), want)

/* As docker does it for `docker tag` and `docker rmi`. */
__attribute__((unused)) static void tag(const char *name, const char *id)
{
	struct err err = {0};
	json_t *file = json_read_file(REPOSITORIES, 1 << 20, &err), *all, *repository;
	char *key = copy_part(name, (size_t)(strrchr(name, ':') - name));

	CHECK_OK_PTR(file, &err);
	all = json_object_get(file, "Repositories");
	repository = json_object_get(all, key);
	if (!repository) {
		repository = json_object();
		json_object_set_new(all, key, repository);
	}
	if (id)
		json_object_set_new(repository, name, json_sprintf("sha256:%s", id));
	else
		json_object_del(repository, name);
	CHECK_OK(json_write_file(REPOSITORIES, file, false, &err), &err);
	json_decref(file);
}

__attribute__((unused)) static char *cache_of(const char *chain)
{
	return slurp(LAYERDB "/%s/cache-id", chain);
}

__attribute__((unused)) static char *chain_of(const char *below, const char *diff_id)
{
	char *text = text_of("sha256:%s %s", below, diff_id), *hex = fake_hex(text, strlen(text));

	return hex;
}

__attribute__((unused)) static char *base, *top, *other; /* layers */

/* The image of two layers that most tests have. */
__attribute__((unused)) static char *preload(void)
{
	char *layers[2], *id;

	fake_containers_begin("26.1.5+dfsg1");
	layers[0] = base = fake_layer("bin/base", "base");
	layers[1] = top = fake_layer("etc/top", "on top");
	id = fake_image(APP, layers, 2);
	fake_containers_end();
	return id;
}

/* The next system: without the layers of the last one, unless they are made again. */
__attribute__((unused)) static void update(void)
{
	struct err err = {0};

	CHECK_OK(path_remove_all(FAKE_CONTAINERS, &err), &err);
	fake_containers_begin("26.1.5+dfsg1");
}

#endif

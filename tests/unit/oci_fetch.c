/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One layer that is unpacked while it comes: downloads that start again, end early or are not wanted any more, and the
 * workers that do several.
 */
#include "tap.h"

#include "ocilayout.h"

#include "oci/fetch.h"
#include "oci/parts.h"

#include <sys/resource.h>

/* A source that plays a script of bytes, errors and new starts. */
static struct script {
	const struct str *wrong, *right;
	bool fail;
} script;

static int play(struct oci_source *source, const struct oci_descriptor *blob,
		const struct oci_sink *sink, struct err *err)
{
	(void)source, (void)blob;
	for (int i = 0; script.wrong && i < 3; i++) {
		if (sink->write(sink->context, script.wrong->data, script.wrong->len, err) < 0 ||
		    sink->restart(sink->context, err) < 0)
			return -1;
	}
	for (size_t at = 0; at < script.right->len; at += 100) {
		size_t left = script.right->len - at;

		if (script.fail && at > script.right->len / 2)
			return err_set(err, ERR_NETWORK, "the cable is cut");
		if (sink->write(sink->context, script.right->data + at, left < 100 ? left : 100,
				err) < 0)
			return -1;
	}
	return 0;
}

static void count_progress(int64_t bytes, void *context)
{
	*(int64_t *)context += bytes;
}

static int play_layer(const struct str *layer, int64_t *progress, const bool *stop, struct err *err)
{
	static const struct oci_source_type type = {.name = "script", .blob = play};
	struct oci_source source = {.type = &type};
	struct oci_fetch fetch = {
		.cache = cache,
		.source = &source,
		.origin = "the layer",
		.stop = stop,
		.progress = count_progress,
		.context = progress,
	};

	digest_bytes(layer->data, layer->len, &fetch.diff_id);
	*progress = 0;
	return oci_fetch_layer(&fetch, err);
}

TEST(a_download_that_starts_again)
{
	struct str layer CLEANUP(str_free) = {0};
	struct str junk CLEANUP(str_free) = {0};
	struct str other CLEANUP(str_free) = tar_of("wrong", "content");
	CLEANUP_FREE char *content = mem_alloc(6000000);
	const struct str *wrongs[] = {&junk, &other, &layer};
	static const bool go;
	struct err err = {0};
	int64_t progress;

	/* More than fits between the threads. */
	memset(content, 'c', 6000000);
	tar_add(&layer, "large", '0', NULL, content, 6000000);
	tar_end(&layer);
	for (int i = 0; i < 20000; i++)
		str_add(&junk, "no tar at all ");
	for (size_t i = 0; i < ARRAY_SIZE(wrongs); i++) {
		cache_here();
		script = (struct script){.wrong = wrongs[i], .right = &layer};
		CHECK_OK(play_layer(&layer, &progress, &go, &err), &err);
		CHECK_INT(progress, (int64_t)layer.len);
		CHECK_U64(count_names("cache/container-layer"), 1);
		CHECK_OK(path_remove_all("cache", &err), &err);
	}
}

TEST(a_download_that_ends_early)
{
	struct str layer CLEANUP(str_free) = tar_of("file", "content");
	static const bool go, stop = true;
	struct err err = {0};
	int64_t progress;

	cache_here();
	script = (struct script){.right = &layer, .fail = true};
	CHECK_ERR(play_layer(&layer, &progress, &go, &err), &err, ERR_NETWORK,
		  "cannot fetch the layer: the cable is cut");
	script.fail = false;
	CHECK_ERR(play_layer(&layer, &progress, &stop, &err), &err, ERR_INTERRUPTED, "not wanted");
	CHECK_U64(count_names("cache/container-layer"), 0);
	CHECK_U64(count_names("cache/tmp"), 0);
	CHECK_U64(count_names("cache/lock"), 0);
	CHECK_OK(play_layer(&layer, &progress, &go, &err), &err);
	CHECK_U64(count_names("cache/container-layer"), 1);
}

TEST(a_full_disk_stops_the_download)
{
	struct str layer CLEANUP(str_free) = {0};
	CLEANUP_FREE char *content = mem_alloc(6000000);
	struct rlimit limit = {100000, 100000};
	static const bool go;
	struct err err = {0};
	int64_t progress;

	tar_add(&layer, "large", '0', NULL, memset(content, 'c', 6000000), 6000000);
	tar_end(&layer);
	cache_here();
	script = (struct script){.right = &layer};
	signal(SIGXFSZ, SIG_IGN);
	CHECK_INT(setrlimit(RLIMIT_FSIZE, &limit), 0);
	CHECK(play_layer(&layer, &progress, &go, &err) < 0);
	CHECK_CONTAINS(err.msg, "File too large");
	CHECK_U64(count_names("cache/tmp"), 0);
}

static int fail_at(size_t index, void *context, struct err *err)
{
	__atomic_add_fetch((int *)context, 1, __ATOMIC_RELAXED);
	return index == 10 ? err_set(err, ERR_TOOL, "number ten") : 0;
}

TEST(workers_stop_at_the_first_error)
{
	struct err err = {0};
	bool stop = false;
	int calls = 0;

	CHECK_ERR(oci_each(1000, 4, &stop, fail_at, &calls, &err), &err, ERR_TOOL, "number ten");
	CHECK(stop);
	CHECK(calls >= 11 && calls < 1000);
	calls = 0;
	CHECK_OK(oci_each(10, 4, NULL, fail_at, &calls, &err), &err);
	CHECK_INT(calls, 10);
	CHECK_OK(oci_each(0, 4, NULL, fail_at, &calls, &err), &err);
}

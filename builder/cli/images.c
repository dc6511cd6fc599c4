/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingot images: container images in the cache: list them, fetch them before a build needs them, remove them.
 */
#include "cli/profiles.h"

#include "attest/lock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/size.h"
#include "cache/cache.h"
#include "cli/text.h"
#include "oci/pull.h"
#include "oci/reference.h"
#include "oci/stored.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

static const struct cli_option options[] = {
	{"platform", 0, "ARCH", "pull: amd64 or arm64 (default: that of this machine)"},
	{"ca", 0, "FILE", "pull: certificates (PEM) to trust for the registries of IMAGE"},
	{"insecure", 0, NULL, "pull: plain HTTP for the registries of IMAGE"},
	{"name", 0, "NAME", "pull: which image of an oci:PATH, and what it is called"},
	{"set", 's', "KEY=VALUE", "pull: override a value of PROFILE; may be repeated"},
	{"lock", 0, "FILE", "pull: the digests that this lock of PROFILE has"},
	{"offline", 0, NULL, "pull: ask no registry; fails unless the cache has everything"},
	{"max", 'm', "SIZE", "gc: how much may stay, such as 10G (default: all that is needed)"},
	{0},
};

static void close_cache(struct cache **cache)
{
	cache_close(*cache);
}

static void print_image(const json_t *row)
{
	time_t used = (time_t)json_integer_value(json_object_get(row, "used"));
	uint64_t bytes = (uint64_t)json_integer_value(json_object_get(row, "bytes"));
	CLEANUP(str_free) struct str line = {0};
	char size[16], day[24] = "";
	struct tm tm;

	if (localtime_r(&used, &tm))
		strftime(day, sizeof(day), "%Y-%m-%d %H:%M", &tm);
	str_addf(&line, "%-48s %.19s %4zu layers %12s  %s%s", json_member_string(row, "reference"),
		 json_member_string(row, "digest"), json_array_size(json_object_get(row, "layers")),
		 size_format(bytes, size), day,
		 json_is_true(json_object_get(row, "complete")) ? "" : "  incomplete");
	text_print(line.data);
	putchar('\n');
}

/* Layers that several images share count once. */
static uint64_t layer_bytes(const json_t *list)
{
	CLEANUP_JSON json_t *layers = json_object();
	const char *diff_id;
	uint64_t total = 0;
	json_t *row, *value;
	size_t i, n;

	json_array_foreach(list, i, row)
	{
		json_t *layer;

		json_array_foreach(json_object_get(row, "layers"), n, layer)
			json_object_set(layers, json_member_string(layer, "diff_id"),
					json_object_get(layer, "bytes"));
	}
	json_object_foreach(layers, diff_id, value) total += (uint64_t)json_integer_value(value);
	return total;
}

static int run_list(struct cache *cache, const struct cli *cli, struct err *err)
{
	CLEANUP_JSON json_t *list = oci_stored_list(cache, err);
	json_t *row;
	size_t i;

	if (!list)
		return -1;
	if (cli->json) {
		log_event("images", json_pack("{s:s, s:O, s:I}", "path", cache_dir(cache), "images",
					      list, "bytes", (json_int_t)layer_bytes(list)));
		return 0;
	}
	json_array_foreach(list, i, row) print_image(row);
	printf("%zu images, %s\n", json_array_size(list),
	       size_format(layer_bytes(list), (char[16]){0}));
	return 0;
}

static int run_gc(struct cache *cache, const struct cli *cli, const struct cli_args *args,
		  struct err *err)
{
	const char *max = cli_get(args, "max");
	uint64_t limit = UINT64_MAX, freed;
	char text[16];

	if (max && size_parse(max, &limit, err) < 0) {
		err_wrap(err, "--max");
		if (err)
			err->code = ERR_USAGE;
		return -1;
	}
	if (oci_stored_gc(cache, limit, &freed, err) < 0)
		return err_wrap(err, "cannot remove container images");
	if (cli->json)
		log_event("cache-gc", json_pack("{s:I}", "freed", (json_int_t)freed));
	else
		printf("freed %s\n", size_format(freed, text));
	return 0;
}

/* The architecture of this machine as Debian and Go name it. */
static const char *own_architecture(void)
{
	static struct utsname name;

	if (uname(&name) == 0 && strcmp(name.machine, "aarch64") == 0)
		return "arm64";
	return "amd64";
}

/* Operands that are references or local images, as a profile that has nothing else. */
struct wanted {
	struct profile profile;
	size_t image_room, registry_room;
	struct strv texts; /* owns the names of registries */
};

static void wanted_free(struct wanted *wanted)
{
	free(wanted->profile.containers.images);
	free(wanted->profile.containers.registries);
	strv_free(&wanted->texts);
}

static int add_registry(struct wanted *wanted, const struct cli_args *args, const char *name)
{
	struct profile *p = &wanted->profile;
	struct profile_registry row = {.ca = cli_get(args, "ca"),
				       .insecure = cli_has(args, "insecure")};

	for (size_t i = 0; i < p->containers.registry_count; i++)
		if (strcmp(p->containers.registries[i].name, name) == 0)
			return 0;
	row.name = mem_strdup(name);
	VEC_ADD(wanted->texts.items, wanted->texts.count, wanted->texts.room, (char *)row.name);
	VEC_ADD(p->containers.registries, p->containers.registry_count, wanted->registry_room, row);
	return 0;
}

static int add_wanted(struct wanted *wanted, const struct cli_args *args, const char *operand,
		      struct err *err)
{
	struct oci_reference ref CLEANUP(oci_reference_free) = {0};
	struct profile_container image = {0};

	if (str_has_prefix(operand, "oci:")) {
		image.oci = operand + strlen("oci:");
		image.name = cli_get(args, "name");
	} else {
		image.image = operand;
		if (oci_reference_parse(operand, &ref, err) < 0) {
			if (err)
				err->code = ERR_USAGE;
			return -1;
		}
		add_registry(wanted, args, ref.registry);
	}
	VEC_ADD(wanted->profile.containers.images, wanted->profile.containers.image_count,
		wanted->image_room, image);
	/* What the step is about. */
	if (!wanted->profile.name)
		wanted->profile.name = operand;
	return 0;
}

static bool is_profile(const struct cli *cli, const char *operand)
{
	if (str_has_prefix(operand, "oci:"))
		return false;
	if (str_has_suffix(operand, ".yaml") || str_has_suffix(operand, ".yml"))
		return true;
	for (const char *const *dir = cli->search; !strpbrk(operand, ":@/") && *dir; dir++) {
		CLEANUP_FREE char *path = mem_printf("%s/%s.yaml", *dir, operand);

		if (access(path, F_OK) == 0)
			return true;
	}
	return false;
}

static void tell_pulled(const struct cli *cli, const struct oci_resolved *resolved, size_t count,
			const struct oci_pulled *pulled)
{
	CLEANUP_JSON json_t *list = oci_resolved_lock(resolved, count);
	json_t *row;
	size_t i;

	if (cli->json) {
		log_event("images-pulled", json_pack("{s:O, s:I, s:I}", "images", list, "layers",
						     (json_int_t)pulled->layers, "fetched",
						     (json_int_t)pulled->fetched));
		return;
	}
	if (log_verbosity() < 0)
		return;
	json_array_foreach(list, i, row)
	{
		CLEANUP_FREE char *line = mem_printf("%s %s", json_member_string(row, "reference"),
						     json_member_string(row, "digest"));

		text_print(line);
		putchar('\n');
	}
}

static int pull(struct cache *cache, const struct cli *cli, const struct cli_args *args,
		const struct profile *profile, const json_t *locked, struct err *err)
{
	const struct oci_resolve_options how = {.offline = cli_has(args, "offline"),
						.locked = locked};
	struct oci_pulled pulled CLEANUP(oci_pulled_free) = {0};
	size_t count = profile->containers.image_count;
	struct oci_resolved *resolved;
	struct log_step step;
	int r = oci_resolve(cache, profile, &how, &resolved, err);

	if (r < 0)
		return -1;
	log_step_begin(&step, "containers", profile->name);
	r = oci_fetch(cache, profile, resolved, how.offline, cli->jobs, &step, &pulled, err);
	log_step_end(&step, r < 0 ? LOG_FAILED : pulled.fetched ? LOG_DONE : LOG_CACHED);
	if (r == 0)
		tell_pulled(cli, resolved, count, &pulled);
	oci_resolved_free(resolved, count);
	return r;
}

static int pull_profile(struct cache *cache, const struct cli *cli, const struct cli_args *args,
			const char *operand, struct err *err)
{
	struct profile *profile = cli_load_profile(cli, args, operand, err);
	struct lock lock CLEANUP(lock_free) = {0};
	const char *file = cli_get(args, "lock");
	int r = 0;

	if (!profile)
		return -1;
	if (file)
		r = lock_read(file, &lock, NULL, err);
	if (r == 0)
		r = pull(cache, cli, args, profile, lock.containers, err);
	profile_free(profile);
	return r;
}

static int check_platform(const char *platform, struct err *err)
{
	if (strcmp(platform, "amd64") == 0 || strcmp(platform, "arm64") == 0)
		return 0;
	err_set(err, ERR_USAGE, "unknown platform '%s'", platform);
	return err_hint(err, "there are: amd64, arm64");
}

static int run_pull(struct cache *cache, const struct cli *cli, const struct cli_args *args,
		    struct err *err)
{
	struct wanted wanted CLEANUP(wanted_free) = {0};
	const char *platform = cli_get(args, "platform");
	size_t profiles = 0;

	wanted.profile.base.architecture = platform ? platform : own_architecture();
	if (check_platform(wanted.profile.base.architecture, err) < 0)
		return -1;
	for (size_t i = 1; i < args->operand_count; i++) {
		if (is_profile(cli, args->operands[i]))
			profiles++;
		else if (add_wanted(&wanted, args, args->operands[i], err) < 0)
			return -1;
	}
	if (profiles && wanted.profile.containers.image_count == 0 &&
	    (platform || cli_has(args, "ca") || cli_has(args, "insecure") || cli_has(args, "name")))
		return err_set(err, ERR_USAGE,
			       "--platform, --ca, --insecure and --name are not for profiles: they "
			       "say it themselves");
	if (cli_get(args, "lock") && profiles != 1)
		return err_set(err, ERR_USAGE, "--lock is for one profile");
	for (size_t i = 1; i < args->operand_count; i++)
		if (is_profile(cli, args->operands[i]) &&
		    pull_profile(cache, cli, args, args->operands[i], err) < 0)
			return -1;
	return wanted.profile.containers.image_count
		       ? pull(cache, cli, args, &wanted.profile, NULL, err)
		       : 0;
}

/* Options that belong to another operand than the one that was given. */
static int check_options(const struct cli_args *args, const char *what, struct err *err)
{
	for (const struct cli_option *option = options; option->name; option++) {
		int len = (int)strcspn(option->help, ":");

		if (cli_has(args, option->name) && strncmp(option->help, what, (size_t)len) != 0)
			return err_set(err, ERR_USAGE, "--%s is only for 'images %.*s'",
				       option->name, len, option->help);
	}
	return 0;
}

static int run(const struct cli *cli, const struct cli_args *args, struct err *err)
{
	const char *what = args->operand_count ? args->operands[0] : "list";
	static const char *const names[] = {"list", "pull", "gc"};
	CLEANUP(close_cache) struct cache *cache = NULL;
	const char *near = str_nearest(what, names, ARRAY_SIZE(names));
	bool pulls = strcmp(what, "pull") == 0;

	if (!near || strcmp(near, what) != 0) {
		err_set(err, ERR_USAGE, "unknown operand '%s' (list, pull or gc)", what);
		return near ? err_hint(err, "did you mean '%s'?", near) : -1;
	}
	if (check_options(args, what, err) < 0)
		return -1;
	if (pulls != (args->operand_count > 1)) {
		err_set(err, ERR_USAGE,
			pulls ? "'images pull' needs an image or a profile"
			      : "'images %s' takes nothing more",
			what);
		return err_hint(err, "usage: ingot images [list|pull IMAGE|PROFILE...|gc]");
	}
	cache = cache_open(cli->cache, err);
	if (!cache)
		return -1;
	if (pulls)
		return run_pull(cache, cli, args, err);
	return strcmp(what, "gc") == 0 ? run_gc(cache, cli, args, err) : run_list(cache, cli, err);
}

const struct cli_verb cli_images = {
	.name = "images",
	.operands = "[list|pull IMAGE|PROFILE...|gc]",
	.summary = "list, fetch or remove container images of the cache",
	.details =
		"pull takes references (registry.example.com/team/app:1.4), oci:PATH for an OCI layout\n"
		"or an archive of docker save, and profiles, whose images it fetches. Credentials are\n"
		"those of docker and podman: $REGISTRY_AUTH_FILE, $DOCKER_CONFIG, ~/.docker/config.json.\n"
		"gc removes layers that no reference needs; with --max also the images that were not\n"
		"used for longest. Without an operand: list.",
	.options = options,
	.operands_min = 0,
	.operands_max = SIZE_MAX,
	.run = run,
};

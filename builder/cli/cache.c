/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingot cache: what the cache holds, and making it smaller.
 */
#include "cli/cli.h"

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/size.h"
#include "cache/cache.h"
#include "layers/sandbox.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static const struct cli_option options[] = {
	{"max", 'm', "SIZE", "gc: how much may stay, such as 10G (default: 20G)"},
	{0},
};

static void print_list(const json_t *list)
{
	uint64_t total = 0;
	json_t *row;
	size_t i;

	json_array_foreach(list, i, row)
	{
		time_t used = (time_t)json_integer_value(json_object_get(row, "used"));
		const char *key = json_member_string(row, "key");
		uint64_t bytes = (uint64_t)json_integer_value(json_object_get(row, "bytes"));
		char size[16], day[24] = "";
		struct tm tm;

		total += bytes;
		if (localtime_r(&used, &tm))
			strftime(day, sizeof(day), "%Y-%m-%d %H:%M", &tm);
		/* Of a digest the beginning is enough; as plan shows it. */
		printf("%-10s %-24.*s %12s  %s\n", json_member_string(row, "kind"),
		       strlen(key) == DIGEST_HEX_SIZE - 1 ? 16 : 255, key, size_format(bytes, size),
		       day);
	}
	printf("%zu entries, %s\n", json_array_size(list), size_format(total, (char[16]){0}));
}

static int run_list(struct cache *cache, const struct cli *cli, struct err *err)
{
	CLEANUP_JSON json_t *list = cache_list(cache, err);

	if (!list)
		return -1;
	if (cli->json)
		log_event("cache",
			  json_pack("{s:s, s:O}", "path", cache_dir(cache), "entries", list));
	else
		print_list(list);
	return 0;
}

static int run_gc(struct cache *cache, const struct cli *cli, const char *max, struct err *err)
{
	uint64_t limit, freed;
	char text[16];

	if (size_parse(max ? max : "20G", &limit, err) < 0) {
		err_wrap(err, "--max");
		if (err)
			err->code = ERR_USAGE;
		return -1;
	}
	sandbox_sweep(cache);
	if (cache_gc(cache, limit, &freed, err) < 0)
		return -1;
	if (cli->json)
		log_event("cache-gc", json_pack("{s:I}", "freed", (json_int_t)freed));
	else
		printf("freed %s\n", size_format(freed, text));
	return 0;
}

static int run_path(struct cache *cache, const struct cli *cli)
{
	if (cli->json)
		log_event("cache", json_pack("{s:s}", "path", cache_dir(cache)));
	else
		puts(cache_dir(cache));
	return 0;
}

static void close_cache(struct cache **cache)
{
	cache_close(*cache);
}

static int run(const struct cli *cli, const struct cli_args *args, struct err *err)
{
	const char *what = args->operand_count ? args->operands[0] : "list";
	static const char *const names[] = {"list", "gc", "path"};
	CLEANUP(close_cache) struct cache *cache = NULL;
	const char *near;

	if (cli_has(args, "max") && strcmp(what, "gc") != 0)
		return err_set(err, ERR_USAGE, "--max is only for 'cache gc'");
	near = str_nearest(what, names, ARRAY_SIZE(names));
	if (!near || strcmp(near, what) != 0) {
		err_set(err, ERR_USAGE, "unknown operand '%s' (list, gc or path)", what);
		return near ? err_hint(err, "did you mean '%s'?", near) : -1;
	}
	cache = cache_open(cli->cache, err);
	if (!cache)
		return -1;
	if (strcmp(what, "gc") == 0)
		return run_gc(cache, cli, cli_get(args, "max"), err);
	return strcmp(what, "path") == 0 ? run_path(cache, cli) : run_list(cache, cli, err);
}

const struct cli_verb cli_cache = {
	.name = "cache",
	.operands = "[list|gc|path]",
	.summary = "show what the cache holds, or remove what was not used for longest",
	.details =
		"gc keeps what a running build uses, and removes what killed builds left. Without an\n"
		"operand: list.",
	.options = options,
	.operands_min = 0,
	.operands_max = 1,
	.run = run,
};

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingot schema: the profile format, the events of --json and manifest.json as JSON Schema, for editors,
 * CI and programs that read them.
 */
#include "cli/cli.h"

#include "base/mem.h"
#include "profile/profile.h"

#include <stdio.h>
#include <string.h>

/* events.schema.json, linked into the program (Makefile). */
extern const char events_schema_start[] __asm__("_binary_events_schema_json_start");
extern const char events_schema_end[] __asm__("_binary_events_schema_json_end");

static json_t *events_schema(void)
{
	return json_parse(events_schema_start, (size_t)(events_schema_end - events_schema_start),
			  "events.schema.json", NULL);
}

/* The manifest is a member of an event, so its schema is a part of theirs. */
static json_t *manifest_schema(void)
{
	CLEANUP_JSON json_t *events = events_schema();

	return json_pack("{s:O, s:s, s:s, s:O}", "$schema", json_object_get(events, "$schema"),
			 "title", "manifest.json of ingot, version 1", "$ref", "#/$defs/manifest",
			 "$defs", json_object_get(events, "$defs"));
}

static const struct kind {
	const char *name;
	json_t *(*make)(void);
} kinds[] = {
	{"profile", profile_json_schema},
	{"events", events_schema},
	{"manifest", manifest_schema},
};

static int run(const struct cli *cli, const struct cli_args *args, struct err *err)
{
	const char *name = args->operand_count ? args->operands[0] : kinds[0].name;
	CLEANUP_JSON json_t *schema = NULL;
	size_t i = 0;

	(void)cli;
	while (i < ARRAY_SIZE(kinds) && strcmp(kinds[i].name, name) != 0)
		i++;
	if (i == ARRAY_SIZE(kinds))
		return err_set(err, ERR_USAGE, "unknown operand '%s' (profile, events or manifest)",
			       name);
	schema = kinds[i].make();
	if (!schema || json_dumpf(schema, stdout, JSON_INDENT(2)) < 0)
		return err_set(err, ERR_OTHER, "cannot write the schema to standard output");
	putchar('\n');
	return 0;
}

const struct cli_verb cli_schema = {
	.name = "schema",
	.operands = "[profile|events|manifest]",
	.summary = "print the JSON Schema (2020-12) of profiles, --json events or manifest.json",
	.details = "Without an operand: profile.",
	.operands_min = 0,
	.operands_max = 1,
	.run = run,
};

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The formats of user-data, one row each, and the readers of those that need no file of their own.
 */
#include "agent/userdata/userdata_parts.h"

#include "base/json.h"
#include "base/str.h"

#include <string.h>

/* ---- cloud-config ---------------------------------------------------------------------------- */

static size_t count_nodes(const struct doc_node *node)
{
	size_t count = 1;

	for (size_t i = 0; node->kind != DOC_SCALAR && i < node->count; i++)
		count += count_nodes(node->kind == DOC_MAP ? node->pairs[i].value : node->items[i]);
	return count;
}

struct doc_node *userdata_parse(struct userdata_reader *reader, const struct userdata_part *part)
{
	size_t before = reader->report.count;
	struct doc_node *node = NULL;

	if (part->len > DOC_BYTES_MAX)
		doc_error(&reader->report, &part->place, "YAML of more than %zu MiB",
			  DOC_BYTES_MAX >> 20);
	else if (reader->nodes > USERDATA_NODES_MAX)
		doc_error(&reader->report, &part->place, "more than %zu values in all parts",
			  USERDATA_NODES_MAX);
	else
		node = doc_parse(reader->arena, part->text, part->len, part->place,
				 &reader->report);
	if (node)
		reader->nodes += count_nodes(node);
	if (reader->report.count > before)
		userdata_lost(reader);
	return node;
}

static void read_config(struct userdata_reader *reader, const struct userdata_part *part,
			const struct userdata_format *format)
{
	struct doc_node *config = userdata_parse(reader, part);

	(void)format;
	if (!config || doc_node_is_null(config))
		return;
	if (config->kind != DOC_MAP) {
		doc_error(&reader->report, &config->place,
			  "a cloud-config must be a map, this is %s", doc_node_what(config));
		userdata_lost(reader);
		return;
	}
	userdata_merge(reader, config, part);
}

/* ---- scripts --------------------------------------------------------------------------------- */

static bool has_name(const struct userdata *out, const char *name)
{
	for (size_t i = 0; i < out->script_count; i++)
		if (strcmp(out->scripts[i].name, name) == 0)
			return true;
	return false;
}

/* A name that is only a name: no folder, nothing hidden, nothing that a shell or terminal would read. */
static const char *script_name(struct userdata_reader *reader, const struct userdata_part *part)
{
	const char *vendor = reader->vendor ? "vendor-" : "";
	const char *plain = mem_arena_printf(reader->arena, "%spart-%03zu", vendor,
					     part->number ? part->number : 1);
	char *name, *p;

	if (!part->filename)
		return plain;
	name = mem_arena_printf(reader->arena, "%s%.64s", vendor, part->filename);
	for (p = name; *p; p++)
		if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-",
			    *p))
			*p = '_';
	if (name[0] == '.' || name[0] == '-')
		name[0] = '_';
	if (!*name || has_name(reader->out, name))
		return mem_arena_printf(reader->arena, "%s-%s", plain, name);
	return name;
}

static void add_script(struct userdata_reader *reader, const struct userdata_part *part,
		       const char *text, size_t len, enum userdata_when when)
{
	struct userdata *out = reader->out;
	const char *end = memchr(text, '\n', len), *name;
	size_t first = end ? (size_t)(end - text) : len;

	if (len < 2 || text[0] != '#' || text[1] != '!') {
		doc_error(&reader->report, &part->place, "a script must begin with '#!'");
		doc_note(&reader->report, &part->place,
			 "expected a first line such as '#!/bin/sh'");
		return;
	}
	if (first && text[first - 1] == '\r') {
		doc_error(&reader->report, &part->place,
			  "the lines of this script end in CR LF: its program would not be found");
		return;
	}
	name = script_name(reader, part);
	VEC_ADD(out->scripts, out->script_count, out->script_room,
		((struct userdata_script){
			.when = when,
			.name = name,
			.text = mem_arena_strndup(reader->arena, text, len),
			.len = len,
		}));
}

static void read_script(struct userdata_reader *reader, const struct userdata_part *part,
			const struct userdata_format *format)
{
	add_script(reader, part, part->text, part->len, format->when);
}

/* "#cloud-boothook" is a line of its own before the script; with the MIME type it may be absent. */
static void read_boothook(struct userdata_reader *reader, const struct userdata_part *part,
			  const struct userdata_format *format)
{
	const char *text = part->text, *end = text + part->len;

	if (part->len >= strlen(format->mark) && text[1] != '!') {
		text = memchr(text, '\n', part->len);
		text = text ? text : end;
	}
	while (text < end && strchr(" \t\r\n", *text) && *text)
		text++;
	add_script(reader, part, text, (size_t)(end - text), USERDATA_BOOTHOOK);
}

/* ---- what is refused ------------------------------------------------------------------------- */

void userdata_refuse(struct userdata_reader *reader, const struct userdata_part *part,
		     const struct userdata_format *format)
{
	doc_error(&reader->report, &part->place, "%s is not supported", format->refused);
	userdata_lost(reader);
}

/* Platforms put their own data for several programs into vendor-data: what is for us is under "cloud-init". */
static void read_vendor_json(struct userdata_reader *reader, const struct userdata_part *part,
			     const json_t *json)
{
	const char *text = json_member_string(json, "cloud-init");

	if (text)
		userdata_read_child(reader, part,
				    &(struct userdata_part){
					    .text = mem_arena_strdup(reader->arena, text),
					    .len = strlen(text),
				    });
}

static void read_json(struct userdata_reader *reader, const struct userdata_part *part,
		      const struct userdata_format *format)
{
	struct err err = {0};
	CLEANUP_JSON json_t *json = json_parse(part->text, part->len, "", &err);
	struct userdata_format refused = *format;

	if (json && reader->vendor && part->number == 0) {
		read_vendor_json(reader, part, json);
		return;
	}
	refused.refused = json_is_object(json) && json_object_get(json, "ignition")
				  ? "an Ignition config"
				  : "JSON";
	userdata_refuse(reader, part, &refused);
	doc_note(&reader->report, &part->place, "expected '#cloud-config' in the first line");
}

/* ---- the table ------------------------------------------------------------------------------- */

/* clang-format off: one row, one line */
const struct userdata_format userdata_formats[] = {
	{.mark = "#cloud-config", .type = "text/cloud-config", .read = read_config},
	{.mark = "#cloud-boothook", .type = "text/cloud-boothook", .read = read_boothook},
	{.mark = "#!",
	 .type = "text/x-shellscript",
	 .read = read_script,
	 .when = USERDATA_PER_INSTANCE},
	{.type = "text/x-shellscript-per-boot", .read = read_script, .when = USERDATA_PER_BOOT},
	{.type = "text/x-shellscript-per-instance",
	 .read = read_script,
	 .when = USERDATA_PER_INSTANCE},
	{.type = "text/x-shellscript-per-once", .read = read_script, .when = USERDATA_ONCE},
	{.mark = "#cloud-config-archive",
	 .type = "text/cloud-config-archive",
	 .read = userdata_read_archive},
	{.mark = "#include", .type = "text/x-include-url", .read = userdata_read_include},
	{.mark = "#include-once", .type = "text/x-include-once-url", .read = userdata_read_include},
	{.mark = "## template: jinja",
	 .type = "text/jinja2",
	 .read = userdata_read_jinja,
	 .any_type = true},
	{.detect = userdata_is_mime, .read = userdata_read_mime},
	{.mark = "#cloud-config-jsonp",
	 .type = "text/cloud-config-jsonp",
	 .read = userdata_refuse,
	 .refused = "a patch of a cloud-config (JSON Patch)"},
	{.mark = "#part-handler",
	 .type = "text/part-handler",
	 .read = userdata_refuse,
	 .refused = "a handler of parts (a Python program)"},
	{.mark = "#upstart-job",
	 .type = "text/upstart-job",
	 .read = userdata_refuse,
	 .refused = "an Upstart job"},
	{.mark = "{", .read = read_json},
	{0},
};
/* clang-format on */

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads user-data: vendor-data first, user-data over it, each part by its format; then checks our own
 * settings in the result.
 */
#include "agent/userdata/userdata_parts.h"

#include "agent/userdata/settings.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- bounds ---------------------------------------------------------------------------------- */

void userdata_lost(struct userdata_reader *reader)
{
	reader->out->settings_wrong = true;
}

bool userdata_count(struct userdata_reader *reader, const struct doc_place *place, size_t len)
{
	if (len > USERDATA_PART_MAX || len > USERDATA_DECODED_MAX - reader->decoded) {
		doc_error(&reader->report, place, "larger than %zu MiB",
			  (len > USERDATA_PART_MAX ? USERDATA_PART_MAX : USERDATA_DECODED_MAX) >>
				  20);
		userdata_lost(reader);
		return false;
	}
	reader->decoded += len;
	return true;
}

/* ---- parts ----------------------------------------------------------------------------------- */

/* Types that say nothing, so that the text has to. */
static bool is_open_type(const char *type)
{
	static const char *const open[] = {
		"text/plain",
		"text/x-not-multipart",
		"application/octet-stream",
		"application/gzip",
		"application/x-gzip",
		"application/x-compressed",
		"application/x-gunzip",
		"application/x-gzip-compressed",
		/* Programs that put parts together give this type to everything. */
		"text/x-shellscript",
	};

	for (size_t i = 0; type && i < ARRAY_SIZE(open); i++)
		if (strcmp(type, open[i]) == 0)
			return true;
	return !type;
}

static bool has_mark(const struct userdata_part *part, const char *mark)
{
	size_t len = strlen(mark);
	char next;

	if (part->len < len || strncasecmp(part->text, mark, len) != 0)
		return false;
	next = part->len > len ? part->text[len] : '\n';
	/* A word ends where it ends: "#cloud-configs" is none. */
	return !strchr("abcdefghijklmnopqrstuvwxyz", mark[len - 1]) || !next ||
	       !strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-", next);
}

static const struct userdata_format *find_format(const struct userdata_part *part)
{
	const struct userdata_format *format, *by_type = NULL;

	for (format = userdata_formats; format->read; format++) {
		if (format->detect && is_open_type(part->type) && format->detect(part))
			return format;
		if (format->mark && has_mark(part, format->mark) &&
		    (is_open_type(part->type) || format->any_type))
			return format;
		if (!by_type && format->type && part->type && strcmp(format->type, part->type) == 0)
			by_type = format;
	}
	return by_type;
}

bool userdata_is_marked(const char *text, size_t len)
{
	/* A brace alone says little: a cloud-config may begin with one. */
	return text[0] != '{' && find_format(&(struct userdata_part){.text = text, .len = len});
}

static void report_unknown(struct userdata_reader *reader, const struct userdata_part *part)
{
	static const char *const first_lines[] = {"#cloud-config", "#include", "#cloud-boothook",
						  "#cloud-config-archive", "## template: jinja"};
	char line[32] = "";
	size_t len = 0;

	userdata_lost(reader);
	if (part->type && !is_open_type(part->type)) {
		doc_error(&reader->report, &part->place, "type '%s' is not supported",
			  doc_show(reader->arena, part->type));
		return;
	}
	doc_error(&reader->report, &part->place, "the first line does not say what this is");
	for (size_t i = 0; i < part->len && part->text[i] != '\n' && len < sizeof(line) - 1; i++)
		if (part->text[i] > ' ')
			line[len++] = part->text[i];
	line[len] = '\0';
	doc_note_nearest(&reader->report, &part->place, line, first_lines, ARRAY_SIZE(first_lines),
			 false);
	if (!str_nearest(line, first_lines, ARRAY_SIZE(first_lines)))
		doc_note(&reader->report, &part->place,
			 "expected '#cloud-config', or '#!' and a program for a script");
}

/* Steps over a byte order mark, empty lines and spaces in front. */
static void skip_space(struct userdata_part *part)
{
	if (part->len >= 3 && memcmp(part->text, "\xef\xbb\xbf", 3) == 0) {
		part->text += 3;
		part->len -= 3;
	}
	while (part->len && strchr(" \t\r\n", part->text[0]) && part->text[0]) {
		if (part->text[0] == '\n')
			part->place.line++;
		part->text++;
		part->len--;
	}
}

void userdata_read_part(struct userdata_reader *reader, const struct userdata_part *part)
{
	struct userdata_part inner = *part;
	const struct userdata_format *format;

	if (part->depth > USERDATA_DEPTH_MAX) {
		doc_error(&reader->report, &part->place, "parts are nested deeper than %u levels",
			  USERDATA_DEPTH_MAX);
		userdata_lost(reader);
		return;
	}
	if (!userdata_decode(reader, &inner))
		return;
	skip_space(&inner);
	if (inner.len == 0)
		return;
	format = find_format(&inner);
	if (!format) {
		report_unknown(reader, &inner);
		return;
	}
	format->read(reader, &inner, format);
}

void userdata_read_child(struct userdata_reader *reader, const struct userdata_part *parent,
			 const struct userdata_part *child)
{
	struct userdata_part part = *child;

	part.depth = parent->depth + 1;
	if (reader->parts == USERDATA_PARTS_MAX) {
		if (!reader->full)
			doc_error(&reader->report, &parent->place, "more than %zu parts",
				  USERDATA_PARTS_MAX);
		reader->full = true;
		userdata_lost(reader);
		return;
	}
	part.number = ++reader->parts;
	part.place = (struct doc_place){
		.file = mem_arena_printf(reader->arena, "%s part-%03zu", reader->source,
					 part.number),
		.line = 1,
		.column = 1,
	};
	userdata_read_part(reader, &part);
}

/* ---- the whole ------------------------------------------------------------------------------- */

/* Reads the data of one source; its configs merged, or NULL. */
static struct doc_node *read_source(struct userdata_reader *reader, const struct str *data,
				    const char *name)
{
	struct userdata_part part = {.place = {name, 1, 1}};

	reader->source = name;
	reader->config = NULL;
	if (data->len == 0)
		return NULL;
	/* Scripts and values stay, whatever becomes of the instance. */
	part.text = mem_arena_strndup(reader->arena, data->data, data->len);
	part.len = data->len;
	if (userdata_count(reader, &part.place, part.len))
		userdata_read_part(reader, &part);
	return reader->config;
}

/* User-data may refuse what the platform gives: "vendor_data: {enabled: false}". */
static bool wants_vendor(struct doc_node *config)
{
	struct doc_node *vendor = config ? doc_node_get(config, "vendor_data") : NULL;
	const char *enabled = vendor ? doc_node_string(vendor, "enabled") : NULL;

	if (config)
		doc_node_unset(config, "vendor_data");
	return !enabled || (strcasecmp(enabled, "false") != 0 && strcasecmp(enabled, "no") != 0 &&
			    strcasecmp(enabled, "off") != 0);
}

static void check_settings(struct userdata *out, struct doc_report *report)
{
	struct doc_node *settings = out->config ? doc_node_get(out->config, "ingot") : NULL;
	size_t before = report->count;

	if (!settings || doc_node_is_null(settings))
		return;
	settings_check(settings, report);
	if (report->count > before)
		out->settings_wrong = true;
	if (!out->settings_wrong)
		out->settings = settings;
}

/* Vendor-data's scripts run first, as its config is below. */
static void vendor_first(struct userdata *out, size_t user_count)
{
	size_t count = out->script_count - user_count;
	struct userdata_script *all = mem_alloc_array(out->script_count, sizeof(*all));

	if (count && user_count) {
		memcpy(all, out->scripts + user_count, count * sizeof(*all));
		memcpy(all + count, out->scripts, user_count * sizeof(*all));
		memcpy(out->scripts, all, out->script_count * sizeof(*all));
	}
	free(all);
}

void userdata_read(const struct userdata_input *input, struct userdata *ret)
{
	struct userdata_reader reader = {
		.input = input,
		.out = ret,
		.report = {.text = &ret->problems, .secret = true},
	};
	const char *name = input->name ? input->name : "user-data";
	struct doc_node *vendor = NULL;
	size_t user_count;

	*ret = (struct userdata){.arena = mem_arena_new()};
	reader.arena = ret->arena;
	ret->config = read_source(&reader, &input->instance->user_data, name);
	user_count = ret->script_count;
	if (wants_vendor(ret->config)) {
		reader.vendor = true;
		vendor = read_source(&reader, &input->instance->vendor_data, "vendor-data");
		wants_vendor(vendor);
		vendor_first(ret, user_count);
	}
	ret->config = userdata_merge_under(reader.arena, ret->config, vendor);
	check_settings(ret, &reader.report);
	ret->problem_count = reader.report.count;
}

json_t *userdata_settings(const struct userdata *userdata)
{
	CLEANUP_FREE char *first = NULL;

	if (!userdata->settings_wrong)
		return settings_json(userdata->settings);
	first = mem_strndup(userdata->problems.data ? userdata->problems.data : "",
			    userdata->problems.data ? strcspn(userdata->problems.data, "\n") : 0);
	return settings_json_wrong(first);
}

void userdata_free(struct userdata *userdata)
{
	mem_arena_wipe(userdata->arena);
	free(userdata->scripts);
	str_wipe(&userdata->problems);
	*userdata = (struct userdata){0};
}

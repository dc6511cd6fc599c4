/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "## template: jinja": puts what is known of the instance in the place of {{ v1.instance_id }} and the like.
 * Control structures and filters are a programming language, and are refused with their line.
 */
#include "agent/userdata/userdata_parts.h"

#include <stdlib.h>
#include <string.h>

static const struct variable {
	const char *name;
	size_t offset;
} variables[] = {
	{"v1.instance_id", offsetof(struct instance, id)},
	{"v1.local_hostname", offsetof(struct instance, hostname)},
	{"v1.availability_zone", offsetof(struct instance, zone)},
	{"v1.region", offsetof(struct instance, region)},
	{"v1.cloud_name", offsetof(struct instance, source)},
	{"v1.machine_type", offsetof(struct instance, kind)},
	{"ds.meta_data.instance_id", offsetof(struct instance, id)},
	{"ds.meta_data.local_hostname", offsetof(struct instance, hostname)},
	{"ds.meta_data.local_ipv4", offsetof(struct instance, address)},
};

struct jinja {
	struct userdata_reader *reader;
	struct doc_place place; /* of what is read */
	struct str *text;
	bool wrong;
};

static void refuse(struct jinja *j, const char *message)
{
	doc_error(&j->reader->report, &j->place, "%s", message);
	j->wrong = true;
}

static const struct variable *find_variable(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(variables); i++) {
		const char *known = variables[i].name;

		/* Those of v1 have a short name, too. */
		if (strcmp(known, name) == 0 ||
		    (str_has_prefix(known, "v1.") && strcmp(known + 3, name) == 0))
			return &variables[i];
	}
	return NULL;
}

static void report_variable(struct jinja *j, const char *name)
{
	const char *names[ARRAY_SIZE(variables)];

	for (size_t i = 0; i < ARRAY_SIZE(variables); i++)
		names[i] = variables[i].name;
	doc_error(&j->reader->report, &j->place, "the variable '%s' is not supported",
		  doc_show(j->reader->arena, name));
	doc_note_nearest(&j->reader->report, &j->place, name, names, ARRAY_SIZE(names), true);
	j->wrong = true;
}

static void put_variable(struct jinja *j, const char *p, const char *end)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.";
	const struct variable *variable;
	const char *name, *value;

	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	while (end > p && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	name = mem_arena_strndup(j->reader->arena, p, (size_t)(end - p));
	if (!*name || strspn(name, allowed) != (size_t)(end - p)) {
		refuse(j, "only the name of a variable is supported between {{ and }}");
		return;
	}
	variable = find_variable(name);
	if (!variable) {
		report_variable(j, name);
		return;
	}
	value = *(char *const *)(const void *)((const char *)j->reader->input->instance +
					       variable->offset);
	if (!value) {
		doc_error(&j->reader->report, &j->place, "'%s' is not known on this machine", name);
		j->wrong = true;
		return;
	}
	for (const char *c = value; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f) {
			refuse(j, "the value of this variable is not one line of text");
			return;
		}
	str_add(j->text, value);
}

/* What begins with {{, {% or {# at p; returns where the text goes on. */
static const char *read_mark(struct jinja *j, const char *p, const char *end)
{
	const char close[3] = {p[1] == '{' ? '}' : p[1], '}', '\0'};
	const char *stop = memmem(p + 2, (size_t)(end - p - 2), close, 2);

	if (p[1] == '%') {
		refuse(j, "control structures of jinja are not supported");
		return end;
	}
	if (!stop) {
		refuse(j, p[1] == '{' ? "{{ without }}" : "{# without #}");
		return end;
	}
	if (p[1] == '{')
		put_variable(j, p + 2, stop);
	for (; p < stop; p++)
		j->place.line += *p == '\n';
	return stop + 2;
}

static void render(struct jinja *j, const char *p, const char *end)
{
	while (p < end && !j->wrong && j->text->len <= USERDATA_PART_MAX) {
		const char *from = p;

		while (p < end && (*p != '{' || end - p < 2 || !strchr("{%#", p[1]) || !p[1])) {
			j->place.line += *p == '\n';
			p++;
		}
		str_add_bytes(j->text, from, (size_t)(p - from));
		if (p < end)
			p = read_mark(j, p, end);
	}
}

void userdata_read_jinja(struct userdata_reader *reader, const struct userdata_part *part,
			 const struct userdata_format *format)
{
	const char *end = part->text + part->len;
	const char *first = memchr(part->text, '\n', part->len);
	CLEANUP(str_wipe) struct str text = {0};
	struct jinja j = {.reader = reader, .place = part->place, .text = &text};
	struct userdata_part inner = *part;

	if (!first)
		return;
	j.place.line++;
	j.place.column = 1;
	inner.place = j.place;
	str_reserve(&text, (size_t)(end - first) * 2);
	render(&j, first + 1, end);
	if (j.wrong) {
		userdata_lost(reader);
		return;
	}
	if (!userdata_count(reader, &part->place, text.len))
		return;
	inner.text = mem_arena_strndup(reader->arena, text.data, text.len);
	inner.len = text.len;
	if (inner.type && strcmp(inner.type, format->type) == 0)
		inner.type = NULL;
	inner.depth++;
	userdata_read_part(reader, &inner);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values of cloud-config: reads what a node holds and says, with its line, when it holds something else.
 */
#include "agent/provision/cloudconfig.h"

#include "base/mem.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define TEXTS_MAX ((size_t)4000)

void cc_remark(struct cc *cc, const char *fmt, ...)
{
	CLEANUP(str_free) struct str clean = {0};
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	str_add_utf8(&clean, text, strlen(text));
	json_array_append_new(cc->notes, json_string(clean.data));
}

void cc_failed(struct cc *cc, const struct doc_node *node, struct err *err)
{
	/* The rest of the message is output of a program: lines of their own. */
	err->msg[strcspn(err->msg, "\n")] = '\0';
	cc_problem(cc, node, "%s", err->msg);
	err_clear(err);
}

const char *cc_show(struct cc *cc, const char *text)
{
	return doc_show(cc->arena, text);
}

const char *cc_text(struct cc *cc, const struct doc_node *node, const char *what)
{
	if (node->kind == DOC_SCALAR && !doc_node_is_null(node))
		return node->text;
	cc_problem(cc, node, "%s must be text, not %s", what,
		   node->kind == DOC_SCALAR ? "nothing" : doc_node_what(node));
	return NULL;
}

bool cc_bool(struct cc *cc, const struct doc_node *node, const char *what, bool *ret)
{
	static const char *const yes[] = {"true", "yes", "on", "1", "y"};
	static const char *const no[] = {"false", "no", "off", "0", "n"};

	for (size_t i = 0; node->kind == DOC_SCALAR && i < ARRAY_SIZE(yes); i++) {
		bool is_yes = strcasecmp(node->text, yes[i]) == 0;

		if (is_yes || strcasecmp(node->text, no[i]) == 0) {
			*ret = is_yes;
			return true;
		}
	}
	cc_problem(cc, node, "%s must be true or false", what);
	return false;
}

bool cc_flag(struct cc *cc, const struct doc_node *map, const char *key, bool otherwise)
{
	const struct doc_node *node = doc_node_get(map, key);
	bool value = otherwise;

	if (node)
		cc_bool(cc, node, key, &value);
	return value;
}

bool cc_number(struct cc *cc, const struct doc_node *node, const char *what, uint64_t min,
	       uint64_t max, uint64_t *ret)
{
	const char *text = node->kind == DOC_SCALAR ? node->text : "";
	size_t digits = strspn(text, "0123456789");
	unsigned long long value;

	errno = 0;
	value = strtoull(text, NULL, 10);
	if (!digits || text[digits] || errno || value < min || value > max) {
		cc_problem(cc, node, "%s must be a number from %llu to %llu", what,
			   (unsigned long long)min, (unsigned long long)max);
		return false;
	}
	*ret = value;
	return true;
}

static void add_parts(const char *text, char separator, struct strv *ret)
{
	while (*text && ret->count < TEXTS_MAX) {
		const char *end = strchr(text, separator);
		size_t len = end ? (size_t)(end - text) : strlen(text), blank;

		blank = strspn(text, " \t");
		if (blank < len) {
			size_t last = len;

			while (last > blank && (text[last - 1] == ' ' || text[last - 1] == '\t'))
				last--;
			strv_addf(ret, "%.*s", (int)(last - blank), text + blank);
		}
		text += len + (end != NULL);
	}
}

bool cc_texts(struct cc *cc, const struct doc_node *node, const char *what, char separator,
	      struct strv *ret)
{
	bool right = true;

	if (node->kind == DOC_MAP || doc_node_is_null(node)) {
		cc_problem(cc, node, "%s must be a list", what);
		return false;
	}
	if (node->kind == DOC_SCALAR) {
		if (separator)
			add_parts(node->text, separator, ret);
		else
			strv_add(ret, node->text);
		return true;
	}
	for (size_t i = 0; i < node->count && ret->count < TEXTS_MAX; i++) {
		const char *text = cc_text(cc, node->items[i], what);

		if (text)
			strv_add(ret, text);
		right = right && text;
	}
	return right;
}

bool cc_is(struct cc *cc, const struct doc_node *node, enum doc_kind kind, const char *what)
{
	static const char *const names[] = {"text", "a list", "a map"};

	if (node->kind == kind)
		return true;
	cc_problem(cc, node, "%s must be %s, not %s", what, names[kind],
		   doc_node_is_null(node) ? "nothing" : doc_node_what(node));
	return false;
}

void cc_check_keys(struct cc *cc, const struct doc_node *map, const char *what,
		   const char *const *known, size_t count)
{
	for (size_t i = 0; i < map->count; i++) {
		const struct doc_pair *pair = &map->pairs[i];
		bool found = false;

		for (size_t k = 0; !found && k < count; k++)
			found = strcmp(pair->key, known[k]) == 0;
		if (found)
			continue;
		doc_error(&cc->problems, &pair->place, "%s: unknown key '%s'", what,
			  cc_show(cc, pair->key));
		doc_note_nearest(&cc->problems, &pair->place, pair->key, known, count, false);
	}
}

void cc_restart(struct cc *cc, const char *unit)
{
	if (!strv_has(&cc->restart, unit))
		strv_add(&cc->restart, unit);
}

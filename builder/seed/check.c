/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first line of user-data decides what it is; the table has the kinds that cloud-init and ingot-agent
 * know, and those that the agent refuses.
 */
#include "seed/check.h"

#include "base/base64.h"
#include "base/doc.h"
#include "base/mem.h"
#include "base/size.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#define WORD_MAX 40

enum content { CONTENT_ANY, CONTENT_MAP, CONTENT_LIST, CONTENT_SCRIPT };

static const struct kind {
	const char *start;    /* of the first line */
	bool word;            /* a space or the end of the line follows */
	enum content content; /* what the rest must be */
	const char *refused;  /* why no machine takes it, or NULL */
} kinds[] = {
	{"#cloud-config-archive", true, CONTENT_LIST, NULL},
	{"#cloud-config", true, CONTENT_MAP, NULL},
	{"#cloud-boothook", true, CONTENT_ANY, NULL},
	{"#include-once", true, CONTENT_ANY, NULL},
	{"#include", true, CONTENT_ANY, NULL},
	{"#part-handler", true, CONTENT_ANY,
	 "part handlers are Python, which an image need not have"},
	{"#!", false, CONTENT_SCRIPT, NULL},
	{"## template:", false, CONTENT_ANY, NULL}, /* YAML only when it is filled in */
	{"Content-Type:", false, CONTENT_ANY, NULL},
	{"MIME-Version:", false, CONTENT_ANY, NULL},
	{"\x1f\x8b", false, CONTENT_ANY, NULL}, /* gzip */
	{"{", false, CONTENT_ANY, "this is JSON, perhaps for Ignition, which is not supported"},
};

struct check {
	const char *file, *bytes;
	size_t len;
	struct doc_report report;
	struct mem_arena *arena;
};

/* The largest user-data that others take, as they document it. */
static const struct limit {
	size_t bytes;
	const char *text;
} limits[] = {
	{16384, "EC2 takes 16 KiB"},
	{49149, "Azure and OpenStack take 64 KiB of base64 (48 KiB)"},
	{262144, "GCE takes 256 KiB"},
};

void seed_check_size(size_t len, struct str *text)
{
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++)
		if (len > limits[i].bytes)
			str_addf(text, "%s%s", i ? ", " : "", limits[i].text);
}

static void error_at(struct check *c, uint32_t line, uint32_t column, const char *text)
{
	const struct doc_place place = {c->file, line, column};

	doc_error(&c->report, &place, "%s", text);
}

static struct doc_node *parse(struct check *c)
{
	return doc_parse(c->arena, c->bytes, c->len, (struct doc_place){c->file, 1, 1}, &c->report);
}

static void check_yaml(struct check *c, enum doc_kind want)
{
	const struct doc_node *root = parse(c);

	/* A file of comments only is empty, which is no mistake. */
	if (!root || root->kind == want || doc_node_is_null(root))
		return;
	doc_error(&c->report, &root->place, "expected %s, this is %s",
		  want == DOC_MAP ? "keys with values" : "a list of parts", doc_node_what(root));
}

/* What the kernel makes of the first line: a carriage return becomes part of the program's name. */
static void check_script(struct check *c)
{
	const char *end = memchr(c->bytes, '\n', c->len);
	size_t line = end ? (size_t)(end - c->bytes) : c->len, at = 2;

	while (at < line && (c->bytes[at] == ' ' || c->bytes[at] == '\t'))
		at++;
	if (at == line || c->bytes[at] != '/')
		error_at(c, 1, (uint32_t)at + 1, "'#!' needs the path of a program");
	else if (c->bytes[line - 1] == '\r')
		error_at(c, 1, (uint32_t)line,
			 "lines end with a carriage return: no such program will be found");
}

static const struct kind *find_kind(const char *bytes, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		size_t n = strlen(kinds[i].start);

		if (len >= n && memcmp(bytes, kinds[i].start, n) == 0 &&
		    (!kinds[i].word || len == n || strchr(" \t\r\n", bytes[n])))
			return &kinds[i];
	}
	return NULL;
}

/* True when all of it is base64, as clouds want it: then what it stands for decides. */
static bool decode(const char *bytes, size_t len, struct str *decoded)
{
	CLEANUP(str_wipe) struct str text = {0};

	for (size_t i = 0; i < len; i++)
		if (bytes[i] != '\n' && bytes[i] != '\r')
			str_add_bytes(&text, bytes + i, 1);
	return text.len >= 4 && base64_decode(text.data, text.len, decoded) == 0 &&
	       decoded->len > 0 && find_kind(decoded->data, decoded->len);
}

static void unknown(struct check *c)
{
	const struct doc_place place = {c->file, 1, 1};
	const char *words[ARRAY_SIZE(kinds)], *near;
	char word[WORD_MAX + 1] = "";
	size_t count = 0, n = 0;

	/* "# cloud-config" and "#Cloud-Config" are the usual mistakes. */
	for (size_t i = 0; i < c->len && n < WORD_MAX && c->bytes[i] != '\n'; i++)
		if (!strchr(" \t\r", c->bytes[i]))
			word[n++] = c->bytes[i] >= 'A' && c->bytes[i] <= 'Z'
					    ? (char)(c->bytes[i] + 32)
					    : c->bytes[i];
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (kinds[i].word)
			words[count++] = kinds[i].start;
	near = str_nearest(word, words, count);
	doc_error(&c->report, &place,
		  "the first line does not say what this is: '#cloud-config', '#!/bin/sh' or "
		  "another start that cloud-init knows");
	if (near)
		doc_note(&c->report, &place, "did you mean '%s'?", near);
	else if (memchr(word, ':', n))
		doc_note(&c->report, &place, "YAML needs '#cloud-config' as its first line");
}

static void check_user_data(struct check *c)
{
	const struct kind *kind = find_kind(c->bytes, c->len);

	if (c->len == 0)
		return error_at(c, 1, 1, "the file is empty");
	if (c->len >= 3 && memcmp(c->bytes, "\xef\xbb\xbf", 3) == 0)
		return error_at(c, 1, 1, "a byte order mark stands in front of the first line");
	if (!kind)
		return unknown(c);
	if (kind->refused)
		return error_at(c, 1, 1, kind->refused);
	if (kind->content == CONTENT_SCRIPT)
		check_script(c);
	else if (kind->content != CONTENT_ANY)
		check_yaml(c, kind->content == CONTENT_MAP ? DOC_MAP : DOC_LIST);
}

static size_t check(const char *file, const char *bytes, size_t len, struct str *problems,
		    void (*run)(struct check *c))
{
	CLEANUP_ARENA struct mem_arena *arena = mem_arena_new();
	struct check c = {.file = file,
			  .bytes = bytes,
			  .len = len,
			  .report = {.text = problems},
			  .arena = arena};

	run(&c);
	return c.report.count;
}

size_t seed_check_user_data(const char *file, const char *bytes, size_t len, struct str *problems)
{
	CLEANUP(str_wipe) struct str decoded = {0};

	if (find_kind(bytes, len) || !decode(bytes, len, &decoded))
		return check(file, bytes, len, problems, check_user_data);
	return check(file, decoded.data, decoded.len, problems, check_user_data);
}

static void check_network(struct check *c)
{
	const struct doc_node *root = parse(c), *inner;
	const char *version;

	if (!root)
		return;
	inner = doc_node_get(root, "network");
	if (inner)
		root = inner;
	version = doc_node_string(root, "version");
	if (root->kind != DOC_MAP)
		doc_error(&c->report, &root->place, "expected keys with values, this is %s",
			  doc_node_what(root));
	else if (!version || (strcmp(version, "1") != 0 && strcmp(version, "2") != 0))
		doc_error(&c->report,
			  version ? &doc_node_get(root, "version")->place : &root->place,
			  "expected 'version: 2' (or 1)");
}

size_t seed_check_network(const char *file, const char *bytes, size_t len, struct str *problems)
{
	return check(file, bytes, len, problems, check_network);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parts from elsewhere: #include (URLs, one per line) and #include-once, and #cloud-config-archive. What was
 * fetched is kept for the instance (mode 0600): a boot without the network still has it, and what is to be
 * fetched once is.
 */
#include "agent/userdata/userdata_parts.h"

#include "base/digest.h"
#include "base/fd.h"
#include "base/path.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define INCLUDES_MAX ((size_t)64)
#define URL_MAX ((size_t)2048)
#define KEPT AGENT_STATE "/include"

/* ---- what was fetched before ----------------------------------------------------------------- */

static void name_of(const char *text, char hex[DIGEST_HEX_SIZE])
{
	struct digest digest;

	digest_bytes(text, strlen(text), &digest);
	digest_hex(&digest, hex);
}

/* The folder of this instance; NULL when nothing is kept. Caller frees. */
static char *kept_folder(const struct userdata_reader *reader)
{
	const struct userdata_input *input = reader->input;
	char hex[DIGEST_HEX_SIZE];

	if (!input->agent || !input->instance->id)
		return NULL;
	name_of(input->instance->id, hex);
	return mem_printf("%s%s/%s", input->agent->root, KEPT, hex);
}

static bool read_kept(const struct userdata_reader *reader, const char *url, struct str *text)
{
	CLEANUP_FREE char *folder = kept_folder(reader), *path = NULL;
	char hex[DIGEST_HEX_SIZE];

	if (!folder)
		return false;
	name_of(url, hex);
	path = mem_printf("%s/%s", folder, hex);
	text->len = 0;
	return fd_read_file(path, INSTANCE_DATA_MAX, text, NULL) == 0;
}

static bool is_kept(const struct userdata_reader *reader, const char *url, const struct str *text)
{
	CLEANUP(str_wipe) struct str kept = {0};

	return read_kept(reader, url, &kept) && kept.len == text->len &&
	       (text->len == 0 || memcmp(kept.data, text->data, text->len) == 0);
}

/* What another instance has left goes first. */
static int keep(const struct userdata_reader *reader, const char *url, const struct str *text,
		struct err *err)
{
	CLEANUP_FREE char *folder = kept_folder(reader), *path = NULL, *all = NULL;
	CLEANUP(outfile_abandon) struct outfile out = OUTFILE_NONE;
	char hex[DIGEST_HEX_SIZE];

	if (!folder || is_kept(reader, url, text))
		return 0;
	all = path_parent(folder);
	if (access(folder, F_OK) < 0 && path_remove_all(all, err) < 0)
		return -1;
	name_of(url, hex);
	path = mem_printf("%s/%s", folder, hex);
	if (path_make_dirs(folder, err) < 0 || outfile_open_private(&out, path, err) < 0 ||
	    fd_write(out.fd, text->data ? text->data : "", text->len, path, err) < 0)
		return -1;
	return outfile_finish(&out, true, err);
}

/* ---- fetching -------------------------------------------------------------------------------- */

/* A URL as it may be shown: without a user, a query and what is behind that. */
static const char *show_url(struct mem_arena *arena, const char *url)
{
	const char *host = strstr(url, "://"), *path, *at = NULL;
	size_t len = strcspn(url, "?#");

	if (!host || (size_t)(host - url) > len)
		return doc_show(arena, mem_arena_strndup(arena, url, len));
	host += 3;
	path = host + strcspn(host, "/?#");
	for (const char *p = host; p < path; p++)
		if (*p == '@')
			at = p;
	if (at)
		host = at + 1;
	return doc_show(arena,
			mem_arena_printf(arena, "%.*s://%.*s", (int)(strstr(url, "://") - url), url,
					 (int)(url + len - host), host));
}

/* The cause of an error, without the URL that it may name. */
static const char *show_cause(struct mem_arena *arena, const char *message, const char *url)
{
	const char *at = strstr(message, url);

	if (!at)
		return message;
	return mem_arena_printf(arena, "%.*s...%s", (int)(at - message), message, at + strlen(url));
}

/* Gets the text from the network, or from what is kept. */
static bool fetch(struct userdata_reader *reader, const struct doc_place *place, const char *url,
		  bool once, struct str *text)
{
	struct err err = {0};

	reader->out->includes = true;
	if (once && read_kept(reader, url, text))
		return true;
	if (!reader->input->include)
		err_set(&err, ERR_NETWORK, "the network is not there yet");
	else if (reader->input->include(url, text, &err) == 0) {
		if (keep(reader, url, text, &err) < 0)
			doc_error(&reader->report, place, "%s", err.msg);
		return true;
	}
	if (read_kept(reader, url, text))
		return true;
	reader->out->missed = true;
	doc_error(&reader->report, place, "cannot include '%s': %s", show_url(reader->arena, url),
		  show_cause(reader->arena, err.msg, url));
	userdata_lost(reader);
	return false;
}

static void include(struct userdata_reader *reader, const struct userdata_part *part,
		    const char *url, bool once)
{
	CLEANUP(str_wipe) struct str text = {0};

	if (strlen(url) > URL_MAX ||
	    (strncasecmp(url, "http://", 7) != 0 && strncasecmp(url, "https://", 8) != 0)) {
		doc_error(&reader->report, &part->place, "only http and https can be included");
		userdata_lost(reader);
		return;
	}
	if (++reader->includes > INCLUDES_MAX) {
		if (reader->includes == INCLUDES_MAX + 1)
			doc_error(&reader->report, &part->place, "more than %zu includes",
				  INCLUDES_MAX);
		userdata_lost(reader);
		return;
	}
	if (!fetch(reader, &part->place, url, once, &text) ||
	    !userdata_count(reader, &part->place, text.len))
		return;
	userdata_read_child(reader, part,
			    &(struct userdata_part){
				    .text = mem_arena_strndup(reader->arena,
							      text.data ? text.data : "", text.len),
				    .len = text.len,
			    });
}

/* Steps over word and the blanks behind it when the line begins with it. */
static bool takes(const char **line, const char *word)
{
	if (strncasecmp(*line, word, strlen(word)) != 0)
		return false;
	*line += strlen(word);
	*line += strspn(*line, " \t");
	return true;
}

void userdata_read_include(struct userdata_reader *reader, const struct userdata_part *part,
			   const struct userdata_format *format)
{
	const char *p = part->text, *end = part->text + part->len;
	bool once = format->type && strcmp(format->type, "text/x-include-once-url") == 0;
	struct userdata_part at = *part;

	for (; p < end; at.place.line++) {
		const char *newline = memchr(p, '\n', (size_t)(end - p));
		const char *stop = newline ? newline : end;
		const char *line = mem_arena_strndup(reader->arena, p, (size_t)(stop - p));
		size_t len;

		p = newline ? newline + 1 : end;
		line += strspn(line, " \t");
		if (takes(&line, "#include-once"))
			once = true;
		else if (takes(&line, "#include"))
			once = false;
		len = strcspn(line, " \t\r");
		if (len == 0 || *line == '#')
			continue;
		include(reader, &at, mem_arena_strndup(reader->arena, line, len), once);
	}
}

/* ---- archives -------------------------------------------------------------------------------- */

static const char *const item_keys[] = {"type", "content", "filename"};

static bool is_item_key(const char *key)
{
	for (size_t i = 0; i < ARRAY_SIZE(item_keys); i++)
		if (strcmp(item_keys[i], key) == 0)
			return true;
	return false;
}

static void read_item(struct userdata_reader *reader, const struct userdata_part *part,
		      const struct doc_node *item)
{
	struct userdata_part at = *part;
	const char *content = item->text, *type = NULL, *filename = NULL;

	at.place = item->place;
	for (size_t i = 0; item->kind == DOC_MAP && i < item->count; i++) {
		const struct doc_pair *pair = &item->pairs[i];

		if (pair->value->kind == DOC_SCALAR && is_item_key(pair->key))
			continue;
		doc_error(&reader->report, &pair->place, "unknown key '%s' in an archive",
			  doc_show(reader->arena, pair->key));
		doc_note_nearest(&reader->report, &pair->place, pair->key, item_keys,
				 ARRAY_SIZE(item_keys), true);
		userdata_lost(reader);
		return;
	}
	if (item->kind == DOC_MAP) {
		content = doc_node_string(item, "content");
		type = doc_node_string(item, "type");
		filename = doc_node_string(item, "filename");
	}
	if (!content) {
		doc_error(&reader->report, &item->place, "required key 'content' is missing");
		userdata_lost(reader);
		return;
	}
	if (!type && !userdata_is_marked(content, strlen(content)))
		type = "text/cloud-config";
	userdata_read_child(reader, &at,
			    &(struct userdata_part){
				    .text = content,
				    .len = strlen(content),
				    .type = type,
				    .filename = filename,
			    });
}

void userdata_read_archive(struct userdata_reader *reader, const struct userdata_part *part,
			   const struct userdata_format *format)
{
	struct doc_node *list = userdata_parse(reader, part);

	(void)format;
	if (!list || doc_node_is_null(list))
		return;
	if (list->kind != DOC_LIST) {
		doc_error(&reader->report, &list->place, "an archive must be a list, this is %s",
			  doc_node_what(list));
		userdata_lost(reader);
		return;
	}
	for (size_t i = 0; i < list->count; i++)
		read_item(reader, part, list->items[i]);
}

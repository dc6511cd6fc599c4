/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Words from outside: identities, host names, SSH keys. They end in files, in the journal and in names of files, so what
 * is not plain is left out.
 */
#include "agent/source/source_parts.h"

#include "base/mem.h"

#include <ctype.h>
#include <string.h>

#define HOSTNAME_MAX 253
#define LABEL_MAX 63
#define ID_MAX 128
#define TAG_MAX 512

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void trim(const char **text, size_t *len)
{
	while (*len && is_blank(**text)) {
		(*text)++;
		(*len)--;
	}
	while (*len && is_blank((*text)[*len - 1]))
		(*len)--;
}

/* Printable ASCII; blanks inside only when they are allowed. */
static bool is_plain(const char *text, size_t len, bool blanks)
{
	for (size_t i = 0; i < len; i++)
		if (text[i] < (blanks ? ' ' : '!') || text[i] > '~')
			return false;
	return true;
}

char *source_word(const char *text, size_t len)
{
	trim(&text, &len);
	if (len == 0 || len > SOURCE_LINE_MAX || !is_plain(text, len, false))
		return NULL;
	return mem_strndup(text, len);
}

char *source_id(const char *text, size_t len)
{
	trim(&text, &len);
	if (len > ID_MAX || (len && *text == '.') || memchr(text, '/', len))
		return NULL;
	return source_word(text, len);
}

char *source_hostname(const char *text, size_t len)
{
	char *name;
	size_t label = 0;

	trim(&text, &len);
	if (len && text[len - 1] == '.')
		len--;
	if (len == 0 || len > HOSTNAME_MAX)
		return NULL;
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '.') {
			if (label == 0 || text[i - 1] == '-')
				return NULL;
			label = 0;
			continue;
		}
		if (!isascii((unsigned char)text[i]) ||
		    (!isalnum((unsigned char)text[i]) && (text[i] != '-' || label == 0)))
			return NULL;
		if (++label > LABEL_MAX)
			return NULL;
	}
	if (label == 0 || text[len - 1] == '-')
		return NULL;
	name = mem_strndup(text, len);
	for (char *p = name; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	return name;
}

static void add_key(struct instance *instance, const char *line, size_t len)
{
	CLEANUP_FREE char *key = NULL;

	trim(&line, &len);
	/* "ssh-ed25519 AAAA...": type, blank, base64. */
	if (len < 16 || len > SOURCE_KEY_MAX || !isalpha((unsigned char)*line) ||
	    !memchr(line, ' ', len) || !is_plain(line, len, true))
		return;
	key = mem_strndup(line, len);
	if (instance->ssh_keys.count < SOURCE_KEYS_MAX && !strv_has(&instance->ssh_keys, key))
		strv_add(&instance->ssh_keys, key);
}

void source_add_keys(struct instance *instance, const char *text, size_t len)
{
	while (len) {
		const char *end = memchr(text, '\n', len);
		size_t line = end ? (size_t)(end - text) : len;

		add_key(instance, text, line);
		if (!end)
			break;
		text = end + 1;
		len -= line + 1;
	}
}

void source_add_tag(struct instance *instance, const char *key, const char *value)
{
	if (!key || !value || !*key || instance->tags.count >= SOURCE_KEYS_MAX)
		return;
	if (strlen(key) + strlen(value) > TAG_MAX || strchr(key, '=') ||
	    !is_plain(key, strlen(key), true) || !is_plain(value, strlen(value), true))
		return;
	strv_addf(&instance->tags, "%s=%s", key, value);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SHA256SUMS. The reader is strict: what is signed must have one meaning only.
 */
#include "attest/sums.h"

#include "base/fd.h"
#include "base/mem.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define ENTRIES_MAX 4096
#define NAME_MAX_BYTES 255

void sums_free(struct sums *sums)
{
	for (size_t i = 0; i < sums->count; i++)
		free(sums->items[i].name);
	free(sums->items);
	*sums = (struct sums){0};
}

/* Length of the UTF-8 character at p (RFC 3629), or 0. */
static size_t utf8_length(const unsigned char *p)
{
	static const struct {
		unsigned char first, last, second_first, second_last;
		size_t len;
	} rows[] = {{0x20, 0x7e, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2},
		    {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
		    {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
		    {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4},
		    {0xf4, 0xf4, 0x80, 0x8f, 4}};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (p[0] < rows[i].first || p[0] > rows[i].last)
			continue;
		if (rows[i].len > 1 && (p[1] < rows[i].second_first || p[1] > rows[i].second_last))
			return 0;
		for (size_t k = 2; k < rows[i].len; k++)
			if (p[k] < 0x80 || p[k] > 0xbf)
				return 0;
		/* C1 controls would reach a terminal. */
		return p[0] == 0xc2 && p[1] < 0xa0 ? 0 : rows[i].len;
	}
	return 0;
}

bool sums_is_name(const char *name)
{
	size_t len = strlen(name), n;

	if (len == 0 || len > NAME_MAX_BYTES || strchr(name, '/') || strcmp(name, ".") == 0 ||
	    strcmp(name, "..") == 0)
		return false;
	for (const unsigned char *p = (const unsigned char *)name; *p; p += n) {
		n = utf8_length(p);
		if (n == 0)
			return false;
	}
	return true;
}

const struct sums_entry *sums_find(const struct sums *sums, const char *name)
{
	for (size_t i = 0; i < sums->count; i++)
		if (strcmp(sums->items[i].name, name) == 0)
			return &sums->items[i];
	return NULL;
}

int sums_add(struct sums *sums, const char *name, const struct digest *digest, struct err *err)
{
	struct sums_entry entry = {.digest = *digest};

	if (!sums_is_name(name))
		return err_set(err, ERR_OTHER, "the name is not that of a file in the same folder");
	if (sums_find(sums, name))
		return err_set(err, ERR_OTHER, "'%s' is named twice", name);
	if (sums->count == ENTRIES_MAX)
		return err_set(err, ERR_OTHER, "more than %d files", ENTRIES_MAX);
	entry.name = mem_strdup(name);
	VEC_ADD(sums->items, sums->count, sums->room, entry);
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct sums_entry *)a)->name, ((const struct sums_entry *)b)->name);
}

/* A name with a backslash is escaped, and the line says so by beginning with one. (Newlines would be,
 * but no name has any.) */
static void add_line(const struct sums_entry *entry, struct str *text)
{
	char hex[DIGEST_HEX_SIZE];
	bool escaped = strchr(entry->name, '\\') != NULL;

	str_addf(text, "%s%s  ", escaped ? "\\" : "", digest_hex(&entry->digest, hex));
	for (const char *p = entry->name; *p; p++) {
		if (*p == '\\')
			str_add(text, "\\");
		str_add_bytes(text, p, 1);
	}
	str_add(text, "\n");
}

void sums_text(const struct sums *sums, struct str *text)
{
	CLEANUP_FREE struct sums_entry *sorted = mem_alloc_array(sums->count, sizeof(*sums->items));

	str_add(text, "");
	if (sums->count == 0)
		return;
	memcpy(sorted, sums->items, sums->count * sizeof(*sorted));
	qsort(sorted, sums->count, sizeof(*sorted), by_name);
	for (size_t i = 0; i < sums->count; i++)
		add_line(&sorted[i], text);
}

/* Takes GNU's escapes off; an unknown one, or a letter that stands for itself, is false. */
static bool unescape(char *name)
{
	char *to = name;

	for (const char *from = name; *from; from++) {
		char c = *from;

		if (c == '\\') {
			from++;
			if (*from != '\\' && *from != 'n' && *from != 'r')
				return false;
			c = *from == 'n' ? '\n' : *from == 'r' ? '\r' : '\\';
		}
		*to++ = c;
	}
	*to = 0;
	return true;
}

static bool is_lower_hex(const char *text)
{
	return strspn(text, "0123456789abcdef") >= 64;
}

/* "HEX  NAME", "HEX *NAME", with a backslash before it when the name is escaped. */
static int parse_line(const char *line, size_t len, struct sums *ret, struct err *err)
{
	const size_t head = DIGEST_HEX_SIZE - 1 + 2;
	bool escaped = len > 0 && line[0] == '\\';
	CLEANUP_FREE char *text = NULL;
	char hex[DIGEST_HEX_SIZE];
	struct digest digest;

	if (escaped) {
		line++;
		len--;
	}
	if (len <= head || len > head + 2 * NAME_MAX_BYTES || memchr(line, 0, len))
		return err_set(err, ERR_VERIFY, "it is not '<SHA-256>  <name>'");
	text = mem_strndup(line, len);
	if (!is_lower_hex(text) || text[64] != ' ' || (text[65] != ' ' && text[65] != '*'))
		return err_set(err, ERR_VERIFY, "it is not '<SHA-256>  <name>'");
	memcpy(hex, text, 64);
	hex[64] = 0;
	if (digest_parse(hex, &digest, err) < 0)
		return -1;
	if (escaped ? !unescape(text + head) : strchr(text + head, '\\') != NULL)
		return err_set(err, ERR_VERIFY, "the name is escaped in a wrong way");
	if (sums_add(ret, text + head, &digest, err) < 0) {
		if (err)
			err->code = ERR_VERIFY;
		return -1;
	}
	return 0;
}

int sums_parse(const char *text, size_t len, const char *name, struct sums *ret, struct err *err)
{
	size_t number = 0;

	*ret = (struct sums){0};
	if (len == 0)
		return err_set(err, ERR_VERIFY, "cannot read '%s': it names no file", name);
	for (const char *line = text, *end; line < text + len; line = end + 1) {
		struct err problem = {0};

		number++;
		end = memchr(line, '\n', (size_t)(text + len - line));
		if (end && parse_line(line, (size_t)(end - line), ret, &problem) == 0)
			continue;
		sums_free(ret);
		return err_set(err, ERR_VERIFY, "cannot read '%s': line %zu: %s", name, number,
			       end ? problem.msg : "it does not end");
	}
	return 0;
}

/* True when the file at path is a signature of the key over the text already. */
static bool is_signed(const char *path, const struct sign_key *key, const struct str *text)
{
	CLEANUP(str_free) struct str signature = {0};

	return access(path, F_OK) == 0 &&
	       fd_read_file(path, SIGN_SIGNATURE_MAX, &signature, NULL) == 0 &&
	       sign_verify(key, text->data, text->len, signature.data, signature.len);
}

int sums_sign(const char *path, const struct sign_key *key, struct err *err)
{
	CLEANUP_FREE char *path_signature = mem_printf("%s%s", path, SUMS_SIGNATURE_SUFFIX);
	CLEANUP(str_free) struct str text = {0}, signature = {0};

	str_add(&text, "");
	if (fd_read_file(path, SUMS_MAX, &text, err) < 0)
		return -1;
	if (is_signed(path_signature, key, &text))
		return 0;
	if (sign_bytes(key, text.data, text.len, &signature, err) < 0)
		return err_wrap(err, "cannot sign '%s'", path);
	return outfile_write(path_signature, signature.data, signature.len, true, err);
}

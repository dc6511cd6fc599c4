/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Variables, specifiers and words: as Compose (compose-spec, interpolation), shells and systemd
 * (systemd.unit(5), systemd.exec(5)) write them.
 */
#include "layers/imageuse_parts.h"

#include "base/mem.h"

#include <ctype.h>
#include <string.h>

#define EXPAND_DEPTH 8

static void expand(const char *text, size_t len, const struct strv *variables, int depth,
		   struct str *out);

static const char *value_of(const struct strv *variables, const char *name, size_t len)
{
	for (size_t i = variables ? variables->count : 0; i-- > 0;) {
		const char *item = variables->items[i];

		if (strncmp(item, name, len) == 0 && item[len] == '=')
			return item + len + 1;
	}
	return NULL;
}

static size_t name_length(const char *text, size_t len)
{
	size_t n = 0;

	if (!len || isdigit((unsigned char)text[0]))
		return 0;
	while (n < len && (isalnum((unsigned char)text[n]) || text[n] == '_'))
		n++;
	return n;
}

/* Length of "{...}" with the braces inside it, or 0 when it does not end. */
static size_t brace_length(const char *text, size_t len)
{
	size_t open = 0;

	for (size_t i = 0; i < len; i++) {
		open += text[i] == '{';
		open -= text[i] == '}';
		if (!open)
			return i + 1;
	}
	return 0;
}

/* What is in the braces; false when it has no value. */
static bool expand_braces(const char *text, size_t len, const struct strv *variables, int depth,
			  struct str *out)
{
	size_t n = name_length(text, len), at = n;
	const char *value = n ? value_of(variables, text, n) : NULL;
	bool colon = at < len && text[at] == ':', has;
	char op = '\0';

	at += colon;
	if (at < len)
		op = text[at++];
	has = value && (!colon || *value);
	if (!n || (colon && !op))
		return false;
	if (op == '\0' || op == '?') {
		if (has)
			str_add(out, value);
		return has;
	}
	if (op != '-' && op != '+')
		return false;
	if (has && op == '-')
		str_add(out, value);
	else if (has == (op == '+'))
		expand(text + at, len - at, variables, depth + 1, out);
	return true;
}

static void expand(const char *text, size_t len, const struct strv *variables, int depth,
		   struct str *out)
{
	for (size_t i = 0; i < len;) {
		size_t rest = len - i - 1, n = 0;
		const char *next = text + i + 1, *value;

		if (text[i] != '$' || !rest || depth > EXPAND_DEPTH) {
			str_add_bytes(out, text + i++, 1);
			continue;
		}
		if (*next == '$') {
			str_add(out, "$");
			i += 2;
			continue;
		}
		if (*next == '{') {
			n = brace_length(next, rest);
			if (n && expand_braces(next + 1, n - 2, variables, depth, out)) {
				i += 1 + n;
				continue;
			}
		} else {
			n = name_length(next, rest);
			value = n ? value_of(variables, next, n) : NULL;
			if (value) {
				str_add(out, value);
				i += 1 + n;
				continue;
			}
		}
		str_add_bytes(out, text + i, 1 + n);
		i += 1 + n;
	}
}

char *imageuse_expand(const char *text, const struct strv *variables)
{
	struct str out = {0};

	expand(text, strlen(text), variables, 0, &out);
	return str_steal(&out);
}

/* "name@instance.type" in its parts. */
struct unit_name {
	size_t prefix, stem;  /* lengths: before the '@', before the type */
	const char *instance; /* "" without one */
	size_t instance_len;
};

static struct unit_name split_name(const char *unit)
{
	const char *dot = strrchr(unit, '.'), *at = strchr(unit, '@');
	struct unit_name n = {.stem = dot ? (size_t)(dot - unit) : strlen(unit), .instance = ""};

	n.prefix = n.stem;
	if (at && (size_t)(at - unit) < n.stem) {
		n.prefix = (size_t)(at - unit);
		n.instance = at + 1;
		n.instance_len = n.stem - n.prefix - 1;
	}
	return n;
}

char *imageuse_specifiers(const char *text, const char *unit)
{
	struct unit_name n = split_name(unit);
	struct str out = {0};

	for (const char *p = text; *p; p++) {
		size_t from;

		if (*p != '%' || !p[1]) {
			str_add_bytes(&out, p, 1);
			continue;
		}
		switch (*++p) {
		case '%':
			str_add(&out, "%");
			break;
		case 'i':
		case 'I':
			/* A template of which nobody has named an instance. */
			if (n.instance_len)
				str_add_bytes(&out, n.instance, n.instance_len);
			else
				str_addf(&out, "%%%c", *p);
			break;
		case 'j':
			for (from = n.prefix; from > 0 && unit[from - 1] != '-';)
				from--;
			str_add_bytes(&out, unit + from, n.prefix - from);
			break;
		case 'n':
			str_add(&out, unit);
			break;
		case 'N':
			str_add_bytes(&out, unit, n.stem);
			break;
		case 'p':
		case 'P':
			str_add_bytes(&out, unit, n.prefix);
			break;
		default:
			str_addf(&out, "%%%c", *p);
		}
	}
	return str_steal(&out);
}

void imageuse_environment(const char *text, struct strv *variables)
{
	CLEANUP_FREE char *copy = mem_strdup(text);
	char *save = NULL;

	for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *equals, *value;
		size_t len;

		line += strspn(line, " \t");
		if (str_has_prefix(line, "export "))
			line += strlen("export ");
		equals = strchr(line, '=');
		if (*line == '#' || *line == ';' || !equals ||
		    name_length(line, strlen(line)) != (size_t)(equals - line))
			continue;
		value = equals + 1;
		len = strlen(value);
		while (len && isspace((unsigned char)value[len - 1]))
			value[--len] = '\0';
		if (len > 1 && (value[0] == '"' || value[0] == '\'') &&
		    value[len - 1] == value[0]) {
			value[len - 1] = '\0';
			value++;
		}
		strv_addf(variables, "%.*s=%s", (int)(equals - line), line, value);
	}
}

/* ---- words ---- */

struct splitter {
	bool shell;
	const struct strv *variables;
	struct strv *words;
	struct str word;
	bool open, quoted; /* a word was begun; a part of it had quotes */
};

static bool is_one_variable(const char *word)
{
	return word[0] == '$' && word[1] &&
	       name_length(word + 1, strlen(word + 1)) == strlen(word + 1);
}

static void end_word(struct splitter *s)
{
	CLEANUP_FREE char *raw = str_steal(&s->word);
	CLEANUP_FREE char *value = imageuse_expand(raw, s->variables);
	char *save = NULL;

	if (!s->open)
		return;
	s->open = false;
	if (s->quoted || !is_one_variable(raw) || strcmp(raw, value) == 0)
		strv_add(s->words, value);
	else
		for (char *w = strtok_r(value, " \t\n", &save); w;
		     w = strtok_r(NULL, " \t\n", &save))
			strv_add(s->words, w);
	s->quoted = false;
}

static void end_command(struct splitter *s)
{
	end_word(s);
	strv_add(s->words, "\n");
}

static void add_byte(struct splitter *s, char c)
{
	str_add_bytes(&s->word, &c, 1);
	s->open = true;
}

/* From the opening quote to the closing one; what '...' holds in a shell has no variables, but an image there is one all
 * the same. */
static const char *add_quoted(struct splitter *s, const char *p)
{
	char quote = *p++;

	s->open = s->quoted = true;
	for (; *p && *p != quote; p++) {
		if (*p == '\\' && p[1] && (quote == '"' || !s->shell))
			p++;
		add_byte(s, *p);
	}
	return *p ? p : p - 1;
}

void imageuse_words(const char *text, bool shell, const struct strv *variables, struct strv *words)
{
	struct splitter s = {.shell = shell, .variables = variables, .words = words};

	for (const char *p = text; *p; p++) {
		if (*p == '\\' && p[1]) {
			p++;
			if (*p != '\n')
				add_byte(&s, *p);
		} else if (*p == '"' || *p == '\'') {
			p = add_quoted(&s, p);
		} else if (shell && strchr(";&|\n()", *p)) {
			end_command(&s);
		} else if (shell && *p == '#' && !s.open) {
			p += strcspn(p, "\n");
			end_command(&s);
			if (!*p)
				break;
		} else if (!shell && *p == ';' && !s.open && (!p[1] || strchr(" \t", p[1]))) {
			end_command(&s);
		} else if (strchr(" \t\n", *p)) {
			end_word(&s);
		} else {
			add_byte(&s, *p);
		}
	}
	end_word(&s);
	str_free(&s.word);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A scanner for the two small XML documents of Azure. It knows elements, attributes (which it checks and skips), comments
 * and the five entities, and refuses everything else: no document types, so no entities of its own and no expansion.
 */
#include "agent/source/source_parts.h"

#include "base/mem.h"

#include <ctype.h>
#include <string.h>

#define BYTES_MAX ((size_t)512 << 10)
#define DEPTH_MAX 16
#define NAME_MAX_BYTES 64
#define PATH_MAX_BYTES ((DEPTH_MAX + 1) * (NAME_MAX_BYTES + 1))

struct scanner {
	const char *text, *p, *end;
	struct {
		const char *name; /* with its prefix, in the text */
		size_t len, path; /* of the path before it */
		bool leaf;
	} open[DEPTH_MAX];
	size_t depth;
	char path[PATH_MAX_BYTES];
	size_t path_len;
	struct str value; /* of the innermost element, so far */
	bool seen_root;
	struct err *err;
};

static int refuse(const struct scanner *s, const char *what)
{
	size_t line = 1;

	for (const char *p = s->text; p < s->p; p++)
		line += *p == '\n';
	return err_set(s->err, ERR_OTHER, "line %zu of the XML document: %s", line, what);
}

static bool looking_at(const struct scanner *s, const char *what)
{
	size_t len = strlen(what);

	return (size_t)(s->end - s->p) >= len && memcmp(s->p, what, len) == 0;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void skip_space(struct scanner *s)
{
	while (s->p < s->end && is_space(*s->p))
		s->p++;
}

/* Moves behind the next what; false when there is none. */
static bool skip_past(struct scanner *s, const char *what)
{
	const char *at = memmem(s->p, (size_t)(s->end - s->p), what, strlen(what));

	if (at)
		s->p = at + strlen(what);
	return at != NULL;
}

/* A name: letters, digits, "_", "-", "." and at most one ":". 0 when it is none. */
static size_t scan_name(struct scanner *s)
{
	const char *start = s->p;

	while (s->p < s->end && (isalnum((unsigned char)*s->p) || (*s->p && strchr("_-.:", *s->p))))
		s->p++;
	if (s->p == start || !(isalpha((unsigned char)*start) || *start == '_'))
		return 0;
	return (size_t)(s->p - start) <= NAME_MAX_BYTES ? (size_t)(s->p - start) : 0;
}

/* Adds the character of "&#10;" or "&#xa;": ASCII only, which is all that base64 and host names need. */
static int take_number(struct scanner *s)
{
	int base = looking_at(s, "&#x") ? 16 : 10;
	char text[8] = "", *end, c;
	unsigned long value;
	size_t len = 0;

	s->p += base == 16 ? 3 : 2;
	while (s->p < s->end && len < sizeof(text) - 1 && isxdigit((unsigned char)*s->p))
		text[len++] = *s->p++;
	value = strtoul(text, &end, base);
	if (len == 0 || *end || s->p == s->end || *s->p++ != ';' || value > 126 ||
	    (value < ' ' && !is_space((char)value)))
		return refuse(s, "a character by number that is not allowed");
	c = (char)value;
	str_add_bytes(&s->value, &c, 1);
	return 0;
}

/* Adds the character of "&...;". */
static int take_entity(struct scanner *s)
{
	static const struct {
		const char *name;
		char c;
	} names[] = {
		{"&lt;", '<'}, {"&gt;", '>'}, {"&amp;", '&'}, {"&quot;", '"'}, {"&apos;", '\''}};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (looking_at(s, names[i].name)) {
			str_add_bytes(&s->value, &names[i].c, 1);
			s->p += strlen(names[i].name);
			return 0;
		}
	if (looking_at(s, "&#"))
		return take_number(s);
	return refuse(s, "an entity that is not known");
}

/* Text up to the next tag. */
static int take_text(struct scanner *s)
{
	while (s->p < s->end && *s->p != '<') {
		const char *start = s->p;

		if (*s->p == '&') {
			if (take_entity(s) < 0)
				return -1;
			continue;
		}
		while (s->p < s->end && *s->p != '<' && *s->p != '&') {
			if ((unsigned char)*s->p < ' ' && !is_space(*s->p))
				return refuse(s, "a control character");
			s->p++;
		}
		if (s->depth == 0) {
			for (; start < s->p; start++)
				if (!is_space(*start))
					return refuse(s, "text outside of the document");
			continue;
		}
		str_add_bytes(&s->value, start, (size_t)(s->p - start));
	}
	return 0;
}

static int skip_attributes(struct scanner *s)
{
	for (;;) {
		const char *before = s->p;
		char quote;

		skip_space(s);
		if (s->p == s->end)
			return refuse(s, "it ends in a tag");
		if (*s->p == '>' || *s->p == '/')
			return 0;
		if (s->p == before || scan_name(s) == 0)
			return refuse(s, "not a name of an attribute");
		skip_space(s);
		if (s->p == s->end || *s->p++ != '=')
			return refuse(s, "an attribute without a value");
		skip_space(s);
		if (s->p == s->end || (*s->p != '"' && *s->p != '\''))
			return refuse(s, "an attribute without quotes");
		quote = *s->p++;
		while (s->p < s->end && *s->p != quote && *s->p != '<')
			s->p++;
		if (s->p == s->end || *s->p++ != quote)
			return refuse(s, "an attribute that does not end");
	}
}

/* Goes into an element: its name without prefix is added to the path. */
static int push(struct scanner *s, const char *name, size_t len)
{
	const char *colon = memchr(name, ':', len);
	const char *local = colon ? colon + 1 : name;
	size_t local_len = len - (size_t)(local - name);

	if (s->depth == DEPTH_MAX)
		return refuse(s, "too many elements in each other");
	if (local_len == 0 || memchr(local, ':', local_len))
		return refuse(s, "not a name of an element");
	if (s->depth == 0 && s->seen_root)
		return refuse(s, "a second document");
	s->seen_root = true;
	if (s->depth)
		s->open[s->depth - 1].leaf = false;
	s->open[s->depth].name = name;
	s->open[s->depth].len = len;
	s->open[s->depth].path = s->path_len;
	s->open[s->depth].leaf = true;
	s->depth++;
	if (s->path_len)
		s->path[s->path_len++] = '/';
	memcpy(s->path + s->path_len, local, local_len);
	s->path_len += local_len;
	s->path[s->path_len] = '\0';
	/* What stood before a child is no value. */
	s->value.len = 0;
	return 0;
}

/* Leaves the innermost element; 1 when the caller has heard enough. */
static int pop(struct scanner *s, source_xml_fn *found, void *context)
{
	int r = 0;

	s->depth--;
	if (s->open[s->depth].leaf &&
	    !found(context, s->path, s->value.len ? s->value.data : "", s->value.len))
		r = 1;
	s->path_len = s->open[s->depth].path;
	s->path[s->path_len] = '\0';
	s->value.len = 0;
	return r;
}

static int take_start(struct scanner *s, source_xml_fn *found, void *context)
{
	const char *name = ++s->p;
	size_t len = scan_name(s);

	if (len == 0)
		return refuse(s, "not a name of an element");
	if (push(s, name, len) < 0 || skip_attributes(s) < 0)
		return -1;
	if (*s->p == '>') {
		s->p++;
		return 0;
	}
	if (!looking_at(s, "/>"))
		return refuse(s, "a tag that does not end");
	s->p += 2;
	return pop(s, found, context);
}

static int take_end(struct scanner *s, source_xml_fn *found, void *context)
{
	const char *name = s->p += 2;
	size_t len = scan_name(s);

	if (s->depth == 0 || len == 0 || len != s->open[s->depth - 1].len ||
	    memcmp(name, s->open[s->depth - 1].name, len) != 0)
		return refuse(s, "an end that does not match");
	skip_space(s);
	if (s->p == s->end || *s->p++ != '>')
		return refuse(s, "a tag that does not end");
	return pop(s, found, context);
}

static int take_tag(struct scanner *s, source_xml_fn *found, void *context)
{
	if (looking_at(s, "<!--")) {
		s->p += 4;
		return skip_past(s, "-->") ? 0 : refuse(s, "a comment that does not end");
	}
	if (looking_at(s, "<!") || looking_at(s, "<?"))
		return refuse(s, "document types, CDATA and instructions are not allowed");
	return looking_at(s, "</") ? take_end(s, found, context) : take_start(s, found, context);
}

int source_xml_read(const char *text, size_t len, source_xml_fn *found, void *context,
		    struct err *err)
{
	struct scanner s = {.text = text, .p = text, .end = text + len, .err = err};
	int r = 0;

	if (len > BYTES_MAX)
		return err_set(err, ERR_OTHER, "the XML document is larger than %zu bytes",
			       BYTES_MAX);
	str_reserve(&s.value, len);
	if (looking_at(&s, "\xef\xbb\xbf"))
		s.p += 3;
	skip_space(&s);
	if (looking_at(&s, "<?xml") && !skip_past(&s, "?>"))
		r = refuse(&s, "its first line does not end");
	while (r == 0 && s.p < s.end)
		r = *s.p == '<' ? take_tag(&s, found, context) : take_text(&s);
	if (r == 0 && (s.depth || !s.seen_root))
		r = refuse(&s, "it is cut off");
	str_wipe(&s.value);
	return r < 0 ? -1 : 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How containerd is set up here. Of its TOML only enough is understood to see that it uses the store that we write; what
 * is written in a way that is not understood is taken for something else.
 */
#include "agent/containers/containerd_parts.h"

#include "base/mem.h"
#include "base/path.h"

#include <dirent.h>
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CONFIG_FILE "/etc/containerd/config.toml"
#define CONFIG_MAX ((size_t)1 << 20)
#define IMPORTS_MAX 4 /* files that import files */

/* A key that matters, with the only value that fits; the parts of its path are joined by a newline. */
struct rule {
	const char *path, *value;
};

#define CRI "plugins\nio.containerd.grpc.v1.cri"

static const struct rule rules[] = {
	{"root", CONTAINERD_ROOT},
	{CRI "\ncontainerd\nsnapshotter", CONTAINERD_SNAPSHOTTER},
	{"plugins\ncri\ncontainerd\nsnapshotter", CONTAINERD_SNAPSHOTTER},
	{"plugins\nio.containerd.snapshotter.v1.overlayfs\nroot_path", ""},
	{"plugins\noverlayfs\nroot_path", ""},
};

struct scan {
	const struct agent *agent;
	const char *file;
	char *why;
	size_t size;
	unsigned depth;
};

static bool scan_file(struct scan *scan, const char *file);

__attribute__((format(printf, 2, 3))) static bool refuse(struct scan *scan, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(scan->why, scan->size, fmt, ap);
	va_end(ap);
	return false;
}

static bool not_understood(struct scan *scan)
{
	return refuse(scan, "'%s' is written in a way that is not understood", scan->file);
}

static const char *skip_space(const char *p)
{
	return p + strspn(p, " \t\r");
}

/* Reads a string at *p, which is at its quote, into text (appended); false when it does not end in its line. */
static bool read_string(const char **p, struct str *text)
{
	char quote = **p;
	const char *at = *p + 1;

	for (; *at && *at != quote && *at != '\n'; at++) {
		if (quote == '"' && *at == '\\') {
			at++;
			/* Other escapes are not in what we look for. */
			if (*at != '"' && *at != '\\')
				return false;
		}
		str_add_bytes(text, at, 1);
	}
	if (*at != quote)
		return false;
	*p = at + 1;
	str_add(text, "");
	return true;
}

/* Reads a dotted key at *p and appends its parts to path. */
static bool read_key(const char **p, struct str *path)
{
	static const char bare[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				   "0123456789_-";

	for (;;) {
		size_t len;

		*p = skip_space(*p);
		if (path->len)
			str_add(path, "\n");
		len = strspn(*p, bare);
		if (**p == '"' || **p == '\'') {
			if (!read_string(p, path))
				return false;
		} else if (len) {
			str_add_bytes(path, *p, len);
			*p += len;
		} else {
			return false;
		}
		*p = skip_space(*p);
		if (**p != '.')
			return true;
		++*p;
	}
}

/* Goes over a value at *p, over lines when it is an array. Its strings go to strings, inline tables to *ret_table. */
static bool read_value(const char **p, struct strv *strings, bool *ret_table)
{
	unsigned depth = 0;

	*ret_table = false;
	for (;;) {
		char c = **p;

		if (strncmp(*p, "\"\"\"", 3) == 0 || strncmp(*p, "'''", 3) == 0)
			return false;
		if (c == '"' || c == '\'') {
			CLEANUP(str_free) struct str text = {0};

			if (!read_string(p, &text))
				return false;
			strv_add(strings, text.data);
			continue;
		}
		if (c == '#') {
			*p += strcspn(*p, "\n");
			continue;
		}
		if (c == '\0' || (c == '\n' && depth == 0))
			return depth == 0;
		if (c == '[' || c == '{')
			depth++;
		if ((c == ']' || c == '}') && depth-- == 0)
			return false;
		*ret_table |= c == '{';
		++*p;
	}
}

/* Files that an import names; a pattern without a match is none. */
static bool follow_imports(struct scan *scan, const struct strv *patterns)
{
	const char *outer = scan->file;
	bool fits = true;

	if (patterns->count && ++scan->depth > IMPORTS_MAX)
		return refuse(scan, "'%s' imports files that import files", scan->file);
	for (size_t i = 0; fits && i < patterns->count; i++) {
		CLEANUP_FREE char *folder = path_parent(outer);
		CLEANUP_FREE char *pattern = path_join(folder, patterns->items[i]);
		CLEANUP_FREE char *full = agent_path(scan->agent, pattern);
		glob_t found = {0};
		int r = glob(full, GLOB_NOSORT, NULL, &found);

		if (r != 0 && r != GLOB_NOMATCH)
			fits = refuse(scan, "the imports of '%s' cannot be read", outer);
		for (size_t j = 0; fits && j < found.gl_pathc; j++)
			fits = scan_file(scan, found.gl_pathv[j] + strlen(scan->agent->root));
		globfree(&found);
	}
	scan->file = outer;
	return fits;
}

static bool check_disabled(struct scan *scan, const struct strv *names)
{
	static const char *const needed[] = {"overlayfs", "bolt", "content"};

	for (size_t i = 0; i < names->count; i++) {
		const char *dot = strrchr(names->items[i], '.');
		const char *last = dot ? dot + 1 : names->items[i];

		for (size_t j = 0; j < ARRAY_SIZE(needed); j++)
			if (strcmp(last, needed[j]) == 0)
				return refuse(scan, "'%s' disables %s", scan->file, needed[j]);
	}
	return true;
}

static bool check_key(struct scan *scan, const char *path, const struct strv *strings,
		      bool has_table)
{
	if (strcmp(path, "imports") == 0)
		return has_table ? not_understood(scan) : follow_imports(scan, strings);
	if (strcmp(path, "disabled_plugins") == 0)
		return check_disabled(scan, strings);
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		const struct rule *rule = &rules[i];
		size_t len = strlen(path);

		if (has_table && strncmp(rule->path, path, len) == 0 && rule->path[len] == '\n')
			return not_understood(scan);
		if (strcmp(path, rule->path) != 0)
			continue;
		if (strings->count != 1)
			return not_understood(scan);
		if (strcmp(strings->items[0], rule->value) != 0) {
			const char *name = strrchr(path, '\n');

			return refuse(scan, "'%s' sets %s to '%.100s'", scan->file,
				      name ? name + 1 : path, strings->items[0]);
		}
	}
	return true;
}

/* A line: a table's name, a key with its value, or nothing. */
static bool scan_line(struct scan *scan, const char **p, struct str *table)
{
	CLEANUP(str_free) struct str path = {0};
	CLEANUP(strv_free) struct strv strings = {0};
	bool has_table;

	if (**p == '[') {
		*p += strspn(*p, "[");
		str_free(table);
		if (!read_key(p, table) || **p != ']')
			return not_understood(scan);
		*p += strspn(*p, "]");
		*p = skip_space(*p);
		return **p == '\0' || **p == '\n' || **p == '#' ? true : not_understood(scan);
	}
	if (table->len)
		str_add_bytes(&path, table->data, table->len);
	if (!read_key(p, &path) || **p != '=')
		return not_understood(scan);
	++*p;
	if (!read_value(p, &strings, &has_table))
		return not_understood(scan);
	return check_key(scan, path.data, &strings, has_table);
}

static bool scan_file(struct scan *scan, const char *file)
{
	CLEANUP(str_free) struct str text = {0}, table = {0};
	struct err err = {0};
	const char *p;

	scan->file = file;
	if (agent_read(scan->agent, file, CONFIG_MAX, &text, &err) < 0)
		return refuse(scan, "%s", err.msg);
	if (!text.data || strlen(text.data) != text.len)
		return text.len == 0 ? true : not_understood(scan);
	for (p = text.data; *p; p += *p == '\n') {
		p = skip_space(p);
		if (*p == '#')
			p += strcspn(p, "\n");
		else if (*p && *p != '\n' && !scan_line(scan, &p, &table))
			return false;
		p += strcspn(p, "\n");
	}
	return true;
}

/* Options of the unit win over the file; then it is better not to guess. */
static bool check_unit(struct scan *scan, const char *file)
{
	static const char *const options[] = {"--root", "--config", " -c "};
	CLEANUP(str_free) struct str text = {0};
	struct err ignored = {0};
	char *save = NULL;

	if (agent_read(scan->agent, file, CONFIG_MAX, &text, &ignored) < 0 || !text.data)
		return true;
	for (char *line = strtok_r(text.data, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save))
		for (size_t i = 0; i < ARRAY_SIZE(options); i++)
			if (strncmp(line, "ExecStart=", 10) == 0 && strstr(line, options[i]))
				return refuse(scan, "'%s' starts containerd with%s%s", file,
					      *options[i] == ' ' ? "" : " ", options[i]);
	return true;
}

static bool check_units(struct scan *scan)
{
	static const char *const folders[] = {"/etc/systemd/system", "/run/systemd/system",
					      "/usr/lib/systemd/system"};

	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		CLEANUP_FREE char *unit = path_join(folders[i], "containerd.service");
		CLEANUP_FREE char *pattern = mem_printf("%s%s.d/*.conf", scan->agent->root, unit);
		glob_t found = {0};
		bool fits = check_unit(scan, unit);

		if (glob(pattern, GLOB_NOSORT, NULL, &found) == 0)
			for (size_t j = 0; fits && j < found.gl_pathc; j++)
				fits = check_unit(scan,
						  found.gl_pathv[j] + strlen(scan->agent->root));
		globfree(&found);
		if (!fits)
			return false;
	}
	return true;
}

bool containerd_config_fits(const struct agent *agent, const char *version, char *why, size_t size)
{
	struct scan scan = {.agent = agent, .why = why, .size = size};
	CLEANUP_FREE char *file = agent_path(agent, CONFIG_FILE);

	if (!str_has_prefix(version, "1.6.") && !str_has_prefix(version, "1.7."))
		return refuse(&scan, "the store of containerd %s is not known", version);
	if (access(file, F_OK) == 0 && !scan_file(&scan, CONFIG_FILE))
		return false;
	return check_units(&scan);
}

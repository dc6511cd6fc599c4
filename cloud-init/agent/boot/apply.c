/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Applies settings: what the profile sets itself is left alone, what is written is read back, and what
 * the kernel does not have is said.
 */
#include "agent/boot/tune.h"

#include "base/fd.h"
#include "base/mem.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SYSCTL_FILE_MAX ((size_t)1 << 20)

void tune_parse_sysctl(const char *text, struct strv *keys)
{
	while (*text) {
		size_t len = strcspn(text, "\n");
		const char *line = text, *end = text + len, *equals;
		char *key;

		text = end + (*end == '\n');
		while (line < end && (isblank((unsigned char)*line) || *line == '-'))
			line++;
		equals = memchr(line, '=', (size_t)(end - line));
		if (line == end || *line == '#' || *line == ';')
			continue;
		/* "-key" alone excludes a key from the wildcards of the file: it is the profile's too. */
		end = equals ? equals : end;
		while (end > line && isspace((unsigned char)end[-1]))
			end--;
		strv_addf(keys, "%.*s", (int)(end - line), line);
		/* The first separator says which of "." and "/" separates (sysctl.d(5)). */
		key = keys->items[keys->count - 1];
		if (key[strcspn(key, "./")] != '/')
			continue;
		for (char *p = key; *p; p++)
			*p = *p == '/' ? '.' : *p == '.' ? '/' : *p;
	}
}

static bool profile_sets(const struct strv *keys, const char *key)
{
	for (size_t i = 0; i < keys->count; i++)
		if (fnmatch(keys->items[i], key, 0) == 0)
			return true;
	return false;
}

/* "a.b" lies at /proc/sys/a/b; a "/" in a key is a "." of the name. Caller frees. */
static char *setting_path(const char *key)
{
	char *path;

	if (*key == '/')
		return mem_strdup(key);
	path = mem_printf("/proc/sys/%s", key);
	for (char *p = path + strlen("/proc/sys/"); *p; p++)
		*p = *p == '.' ? '/' : *p == '/' ? '.' : *p;
	return path;
}

/* Makes "4096\t131072 6" comparable: one space between words. */
static void squeeze(char *text)
{
	char *to = text;

	for (const char *from = text; *from;) {
		size_t word = strcspn(from, " \t\n");

		if (word) {
			if (to != text)
				*to++ = ' ';
			memmove(to, from, word);
			to += word;
		}
		from += word + strspn(from + word, " \t\n");
	}
	*to = '\0';
}

/* Of "always [madvise] never" the word in brackets. */
static void keep_chosen(char *text)
{
	char *open = strchr(text, '['), *close = open ? strchr(open, ']') : NULL;

	if (!close)
		return;
	*close = '\0';
	memmove(text, open + 1, strlen(open + 1) + 1);
}

static char *current_value(const struct agent *agent, const char *path)
{
	char *value = agent_read_line(agent, path);

	if (value) {
		keep_chosen(value);
		squeeze(value);
	}
	return value;
}

static bool is_enough(const struct tune_setting *s, const char *now)
{
	if (strcmp(now, s->value) == 0)
		return true;
	return s->tuner->mode == TUNE_RAISE &&
	       strtoull(now, NULL, 10) >= strtoull(s->value, NULL, 10);
}

static int write_value(const struct agent *agent, const char *path, const char *value)
{
	CLEANUP_FREE char *full = agent_path(agent, path);
	CLEANUP_FD int fd = open(full, O_WRONLY | O_TRUNC | O_CLOEXEC);
	size_t len = strlen(value);

	/* One write: the kernel takes each write for a whole value. */
	return fd >= 0 && write(fd, value, len) == (ssize_t)len ? 0 : -1;
}

/* Applies one setting. Returns its state; detail (freed by the caller) says more where there is more. */
static const char *apply_one(const struct agent *agent, const struct tune_setting *s, char **was,
			     char **detail)
{
	CLEANUP_FREE char *path = setting_path(s->tuner->key);
	CLEANUP_FREE char *now = NULL;

	if (s->tuner->needs) {
		CLEANUP_FREE char *needs = agent_path(agent, s->tuner->needs);
		struct stat st;

		if (stat(needs, &st) < 0 && errno == ENOENT) {
			*detail = mem_printf("the kernel has no %s", s->tuner->needs);
			return "absent";
		}
	}
	*was = current_value(agent, path);
	if (*was && is_enough(s, *was))
		return "kept";
	if (!*was || write_value(agent, path, s->value) < 0) {
		bool lacks = *was && s->tuner->mode == TUNE_CHOOSE &&
			     (errno == ENOENT || errno == EINVAL);

		*detail = lacks ? mem_printf("the kernel does not offer '%s'", s->value)
				: mem_printf("cannot %s '%s': %s", *was ? "write" : "read", path,
					     strerror(errno));
		return lacks ? "absent" : "failed";
	}
	now = current_value(agent, path);
	if (now && is_enough(s, now))
		return "set";
	*detail = mem_printf("'%s' reads '%s' after '%s' was written", path, now ? now : "nothing",
			     s->value);
	return "failed";
}

int tune_apply(const struct agent *agent, const struct tune_setting *settings, size_t count,
	       json_t *results, struct err *err)
{
	CLEANUP(str_free) struct str text = {0};
	CLEANUP(strv_free) struct strv profile = {0};
	CLEANUP_FREE char *file = agent_path(agent, AGENT_SYSCTL);
	size_t failed = 0;

	if (access(file, F_OK) == 0) {
		if (agent_read(agent, AGENT_SYSCTL, SYSCTL_FILE_MAX, &text, err) < 0)
			return err_wrap(err, "cannot tell what the profile sets itself");
		tune_parse_sysctl(text.data, &profile);
	}
	for (size_t i = 0; i < count; i++) {
		const struct tuner *t = settings[i].tuner;
		CLEANUP_FREE char *was = NULL, *detail = NULL;
		const char *state = "profile";
		json_t *row = json_object();

		if (!profile_sets(&profile, t->key))
			state = apply_one(agent, &settings[i], &was, &detail);
		json_object_set_new(row, "key", json_string(t->key));
		json_object_set_new(row, "value", json_string(settings[i].value));
		json_object_set_new(row, "why", json_string(t->why));
		json_object_set_new(row, "state", json_string(state));
		if (was)
			json_object_set_new(row, "was", json_string(was));
		if (detail)
			json_object_set_new(row, "detail", json_string(detail));
		json_array_append_new(results, row);
		if (strcmp(state, "failed") == 0 && failed++ == 0)
			err_set(err, ERR_OTHER, "cannot tune '%s': %s", t->key, detail);
	}
	return failed ? -1 : 0;
}

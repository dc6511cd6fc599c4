/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The image's own description, files below the agent's root, marks of how far the boot is.
 */
#include "agent/agent.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define JSON_MAX ((size_t)1 << 20)
#define LINE_MAX_BYTES ((size_t)64 << 10)
#define MARKS AGENT_RUN "/marks.json"

char *agent_path(const struct agent *agent, const char *path)
{
	return mem_printf("%s%s", agent->root, path);
}

int agent_read(const struct agent *agent, const char *path, size_t max, struct str *text,
	       struct err *err)
{
	CLEANUP_FREE char *full = agent_path(agent, path);

	text->len = 0;
	if (fd_read_file(full, max, text, err) < 0)
		return -1;
	str_add_bytes(text, "", 0); /* an empty file gives "" and not NULL */
	return 0;
}

char *agent_read_line(const struct agent *agent, const char *path)
{
	CLEANUP(str_free) struct str text = {0};

	if (agent_read(agent, path, LINE_MAX_BYTES, &text, NULL) < 0)
		return NULL;
	if (!text.data)
		return mem_strdup("");
	text.data[strcspn(text.data, "\n")] = '\0';
	return str_steal(&text);
}

json_t *agent_read_json(const struct agent *agent, const char *path, struct err *err)
{
	CLEANUP_FREE char *full = agent_path(agent, path);
	json_t *value = json_read_file(full, JSON_MAX, err);

	if (value && !json_is_object(value)) {
		json_decref(value);
		err_set(err, ERR_OTHER, "'%s' holds no JSON object", full);
		return NULL;
	}
	return value;
}

static void free_wiped(char **text)
{
	if (*text)
		mem_wipe(*text, strlen(*text));
	free(*text);
}

static int write_json(const struct agent *agent, const char *path, const json_t *value, mode_t mode,
		      bool sync, struct err *err)
{
	CLEANUP_FREE char *full = agent_path(agent, path), *folder = path_parent(full);
	CLEANUP(free_wiped) char *dump = json_dumps(value, AGENT_JSON);
	CLEANUP(outfile_abandon) struct outfile out = OUTFILE_NONE;

	if (!dump)
		return err_set(err, ERR_OTHER, "cannot write '%s': text is not UTF-8", full);
	if (path_make_dirs(folder, err) < 0)
		return -1;
	/* A secret is nobody's to open while it is unfinished either. */
	if ((mode & 077 ? outfile_open(&out, full, err) : outfile_open_private(&out, full, err)) <
	    0)
		return -1;
	/* Whatever the umask of who runs it. */
	if (fchmod(out.fd, mode) < 0)
		return err_sys(err, errno, "cannot write '%s'", full);
	if (fd_write(out.fd, dump, strlen(dump), full, err) < 0 ||
	    fd_write(out.fd, "\n", 1, full, err) < 0)
		return -1;
	return outfile_finish(&out, sync, err);
}

int agent_write_json(const struct agent *agent, const char *path, const json_t *value, bool sync,
		     struct err *err)
{
	/* `status` reads these as an ordinary user. */
	return write_json(agent, path, value, 0644, sync, err);
}

int agent_write_json_secret(const struct agent *agent, const char *path, const json_t *value,
			    bool sync, struct err *err)
{
	return write_json(agent, path, value, 0600, sync, err);
}

static const char *text_or(const json_t *object, const char *key, const char *otherwise)
{
	const char *text = json_member_string(object, key);

	return text ? text : otherwise;
}

static void read_services(struct agent *agent)
{
	const json_t *list = json_object_get(agent->image, "services"), *item;
	size_t i;

	json_array_foreach(list, i, item) if (json_is_string(item))
		strv_add(&agent->services, json_string_value(item));
}

int agent_open(struct agent *agent, const char *root, struct err *err)
{
	const json_t *join;

	*agent = (struct agent){.root = root};
	agent->name = agent->version = agent->architecture = agent->kind = "unknown";
	agent->role = "";
	agent->image = agent_read_json(agent, AGENT_IMAGE, err);
	if (!agent->image)
		return err_wrap(err, "cannot read what this image is");
	agent->name = text_or(agent->image, "name", "unknown");
	agent->version = text_or(agent->image, "version", "unknown");
	agent->architecture = text_or(agent->image, "architecture", "unknown");
	join = json_object_get(agent->image, "join");
	agent->kind = text_or(join, "kind", "none");
	agent->role = text_or(join, "role", "");
	agent->has_firewall = json_is_true(json_object_get(agent->image, "firewall"));
	read_services(agent);
	return 0;
}

void agent_close(struct agent *agent)
{
	strv_free(&agent->services);
	json_decref(agent->image);
	agent->image = NULL;
}

double agent_uptime(const struct agent *agent)
{
	CLEANUP_FREE char *line = agent_read_line(agent, "/proc/uptime");

	return line ? strtod(line, NULL) : 0;
}

int agent_mark(const struct agent *agent, const char *name, struct err *err)
{
	CLEANUP_JSON json_t *marks = agent_read_json(agent, MARKS, NULL);

	if (!marks)
		marks = json_object();
	if (json_object_get(marks, name))
		return 0;
	json_object_set_new(marks, name, json_real(agent_uptime(agent)));
	return agent_write_json(agent, MARKS, marks, false, err);
}

void agent_hide_secrets(char *text)
{
	static const char *const prefixes[] = {"SWMTKN-", "SWMKEY-"};
	static const char hidden[] = "(hidden)";

	for (char *p = text; *p; p++) {
		size_t secret;

		if (strncmp(p, prefixes[0], 7) != 0 && strncmp(p, prefixes[1], 7) != 0)
			continue;
		secret = strspn(p, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				   "0123456789+/=_-");
		if (secret < sizeof(hidden) - 1) {
			memset(p, '*', secret); /* a cut-off token is shorter than our word */
		} else {
			size_t rest = strlen(p + secret) + 1;

			memcpy(p, hidden, sizeof(hidden) - 1);
			memmove(p + sizeof(hidden) - 1, p + secret, rest);
		}
		p += secret < sizeof(hidden) - 1 ? secret - 1 : sizeof(hidden) - 2;
	}
}

void agent_copy_text(char *to, size_t size, const char *from)
{
	size_t len = from ? strnlen(from, size - 1) : 0;

	/* Do not end inside a character of UTF-8: step back over its continuation bytes. */
	if (from && from[len])
		while (len > 0 && ((unsigned char)from[len] & 0xc0) == 0x80)
			len--;
	for (size_t i = 0; i < len; i++)
		to[i] = (unsigned char)from[i] < ' ' ? ' ' : from[i];
	to[len] = '\0';
	agent_hide_secrets(to);
}

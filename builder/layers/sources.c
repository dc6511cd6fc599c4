/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which repositories a build uses. No mirror is named here: mmdebstrap is asked once which sources.list
 * it would write, by a hook that prints it and then ends the run.
 */
#include "layers/sources.h"

#include "base/mem.h"
#include "base/proc.h"

#include <string.h>

#define LINE_MAX_BYTES 2048
#define MARK "ingot-source: "
#define MARK_END "ingot-source-end"

static const char print_sources[] =
	"sed 's/^/" MARK "/' \"$1\"/etc/apt/sources.list >&2 && echo " MARK_END " >&2; exit 1";

struct learned {
	json_t *lines;
	bool ended;
};

static void take_line(const char *text, void *context)
{
	struct learned *learned = context;

	if (strcmp(text, MARK_END) == 0)
		learned->ended = true;
	else if (str_has_prefix(text, MARK) && json_array_size(learned->lines) < SOURCES_MAX)
		json_array_append_new(learned->lines, json_string(text + strlen(MARK)));
}

json_t *sources_learn(const char *program, const struct profile *profile, struct err *err)
{
	CLEANUP(strv_free) struct strv argv = {0};
	CLEANUP_JSON json_t *lines = json_array();
	CLEANUP(str_free) struct str components = {0};
	struct learned learned = {lines, false};
	struct proc proc = {.line = take_line, .context = &learned};
	struct err ignored = {0};

	for (size_t i = 0; i < profile->base.components.count; i++)
		str_addf(&components, "%s%s", i ? "," : "", profile->base.components.items[i]);
	strv_add(&argv, program);
	strv_add(&argv, "--quiet");
	strv_add(&argv, "--mode=chrootless"); /* needs no rights, and nothing is installed */
	strv_add(&argv, "--variant=custom");
	strv_add(&argv, "--format=null");
	strv_addf(&argv, "--architectures=%s", profile->base.architecture);
	strv_addf(&argv, "--components=%s", components.data ? components.data : "main");
	if (profile->base.keyring)
		strv_addf(&argv, "--keyring=%s", profile->base.keyring);
	strv_addf(&argv, "--setup-hook=%s", print_sources);
	strv_add(&argv, profile->base.release);
	strv_add(&argv, "/dev/null");
	proc.argv = (const char *const *)argv.items;
	/* The hook ends the run with an error; whether it came to print is what counts. */
	if (proc_run(&proc, &ignored) < 0 && !learned.ended) {
		if (err)
			*err = ignored;
		err_wrap(err, "cannot learn the repositories of %s %s", profile->base.distribution,
			 profile->base.release);
		return NULL;
	}
	if (json_array_size(lines) == 0) {
		err_set(err, ERR_PROFILE, "mmdebstrap knows no repositories for %s %s",
			profile->base.distribution, profile->base.release);
		return NULL;
	}
	return MEM_STEAL(lines);
}

/* Splits "deb [options] URI SUITE COMPONENTS"; mirror, if any, takes the place of the URI of all but the
 * security suites, which have a place of their own. */
static int parse_line(const char *line, const char *mirror, struct repository *ret, struct err *err)
{
	CLEANUP_FREE char *copy = mem_strdup(line);
	char *rest = copy + strspn(copy, " \t"), *options = NULL, *uri, *suite;

	if (strlen(line) > LINE_MAX_BYTES || strncmp(rest, "deb", 3) != 0 ||
	    !strchr(" \t[", rest[3]))
		return err_set(err, ERR_OTHER, "cannot read repository '%.200s'", line);
	rest += 3;
	rest += strspn(rest, " \t");
	if (*rest == '[') {
		options = rest;
		rest = strchr(rest, ']');
		if (!rest)
			return err_set(err, ERR_OTHER, "cannot read repository '%.200s'", line);
		rest++;
		if (*rest)
			*rest++ = '\0';
	}
	uri = strsep(&rest, " \t");
	while (uri && !*uri)
		uri = strsep(&rest, " \t");
	suite = strsep(&rest, " \t");
	if (!uri || !suite || !rest || !*suite || !strstr(uri, "://"))
		return err_set(err, ERR_OTHER, "cannot read repository '%.200s'", line);
	if (mirror && !str_has_suffix(suite, "-security") && !strstr(suite, "/updates"))
		uri = (char *)mirror;
	ret->uri = mem_strdup(uri);
	ret->suite = mem_strdup(suite);
	ret->line = mem_printf("deb %s%s%s %s %s", options ? options : "", options ? " " : "", uri,
			       suite, rest);
	return 0;
}

int sources_parse(const json_t *lines, const char *mirror, struct repositories *ret,
		  struct err *err)
{
	json_t *line;
	size_t i;

	ret->items = mem_alloc_array(json_array_size(lines), sizeof(*ret->items));
	json_array_foreach(lines, i, line)
	{
		const char *text = json_string_value(line);

		if (!text || i >= SOURCES_MAX)
			return err_set(err, ERR_VERIFY,
				       "the record of the repositories is damaged");
		if (!text[strspn(text, " \t")] || text[0] == '#')
			continue;
		/* Counted first: a line that was read halfway is freed as well. */
		if (parse_line(text, mirror, &ret->items[ret->count++], err) < 0)
			return -1;
	}
	return 0;
}

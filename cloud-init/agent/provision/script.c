/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs commands of user-data. Not by proc_run: what they leave running in the background must not keep us waiting for
 * the end of its output, so they write to the unit's own.
 */
#include "agent/provision/script.h"

#include "agent/provision/place.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/path.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAME_SIZE 128

void script_quote(struct str *text, const char *word)
{
	str_add(text, "'");
	for (const char *p = word; *p; p++)
		if (*p == '\'')
			str_add(text, "'\\''");
		else
			str_add_bytes(text, p, 1);
	str_add(text, "'");
}

/* A list of words is one command; a text is what sh(1) makes of it. */
static bool add_command(struct cc *cc, const struct doc_node *item, const char *key,
			struct str *text)
{
	if (item->kind == DOC_SCALAR && doc_node_is_null(item))
		return false;
	if (item->kind == DOC_SCALAR) {
		str_addf(text, "%s\n", item->text);
		return true;
	}
	if (item->kind == DOC_MAP || !item->count) {
		cc_problem(cc, item, "%s: a command must be text or a list of words", key);
		return false;
	}
	for (size_t i = 0; i < item->count; i++)
		if (!cc_text(cc, item->items[i], key))
			return false;
	for (size_t i = 0; i < item->count; i++) {
		str_add(text, i ? " " : "");
		script_quote(text, item->items[i]->text);
	}
	str_add(text, "\n");
	return true;
}

void script_build(struct cc *cc, const struct doc_node *list, const char *key, const char *failures,
		  struct str *ret)
{
	str_add(ret, "#!/bin/sh\ningot_check() {\n\tingot_code=$?\n"
		     "\t[ \"$ingot_code\" = 0 ] || echo \"$1 $ingot_code\" >>");
	script_quote(ret, failures);
	str_add(ret, "\n\treturn \"$ingot_code\"\n}\n");
	for (size_t i = 0; i < list->count; i++)
		if (add_command(cc, list->items[i], key, ret))
			str_addf(ret, "ingot_check %zu\n", i + 1);
	/* The exit code is that of the script itself (of an "exit 3" in it), not of its last command. */
	str_add(ret, "exit 0\n");
}

/* Runs in the child. */
static void become(const char *root, const char *program, const char *const *env)
{
	const char *argv[] = {program, NULL};
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	if (null < 0 || dup2(null, 0) < 0 || dup2(2, 1) < 0)
		_exit(126);
	if (*root && (chroot(root) < 0 || chdir("/") < 0))
		_exit(126);
	if (chdir("/") < 0)
		_exit(126);
	execve(program, (char *const *)argv, (char *const *)env);
	_exit(errno == ENOENT ? 127 : 126);
}

static int run(struct cc *cc, const char *program, int *ret_exit, struct err *err)
{
	CLEANUP_FREE char *instance = mem_printf("INSTANCE_ID=%s", cc->instance->id);
	const char *env[] = {
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=/root",
		"USER=root",
		"LOGNAME=root",
		"SHELL=/bin/sh",
		"LANG=C.UTF-8",
		instance,
		NULL,
	};
	int status = 0;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid < 0)
		return err_sys(err, errno, "cannot start '%s'", program);
	if (pid == 0)
		become(cc->agent->root, program, env);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_sys(err, errno, "cannot wait for '%s'", program);
	*ret_exit = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	return 0;
}

int script_run(struct cc *cc, const char *name, const char *text, size_t len, int *ret_exit,
	       struct err *err)
{
	CLEANUP_FREE char *path = mem_printf(SCRIPT_FOLDER "/%s", name);
	const struct place folder = {.mode = 0700}, file = {.mode = 0700};

	if (place_folder(cc->agent, SCRIPT_FOLDER, &folder, NULL, err) < 0 ||
	    place_write(cc->agent, path, text, len, &file, err) < 0)
		return -1;
	if (run(cc, path, ret_exit, err) < 0)
		return -1;
	json_array_append_new(cc->scripts,
			      json_pack("{s:s, s:i}", "name", name, "exit", *ret_exit));
	return 0;
}

/* What the script noted of its commands, as problems with their lines. */
static bool tell_failures(struct cc *cc, const struct doc_node *list, const char *key,
			  const char *failures)
{
	CLEANUP(str_free) struct str text = {0};
	char *save = NULL;
	bool any = false;

	if (agent_read(cc->agent, failures, (size_t)1 << 20, &text, NULL) < 0)
		return false;
	for (char *line = strtok_r(text.data, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		unsigned long number, code;
		char *rest;

		number = strtoul(line, &rest, 10);
		code = strtoul(rest, NULL, 10);
		if (!number || number > list->count)
			continue;
		cc_problem(cc, list->items[number - 1], "%s: command %lu failed with exit code %lu",
			   key, number, code);
		any = true;
	}
	return any;
}

static int run_list(struct cc *cc, const struct doc_node *list, const char *key, struct err *err)
{
	CLEANUP_FREE char *failures = mem_printf(SCRIPT_FOLDER "/%s.failed", key);
	CLEANUP_FREE char *full = agent_path(cc->agent, failures);
	CLEANUP(str_free) struct str text = {0};
	bool told;
	int code = 0;

	script_build(cc, list, key, failures, &text);
	if (unlink(full) < 0 && errno != ENOENT && errno != ENOTDIR)
		return err_sys(err, errno, "cannot remove '%s'", full);
	if (script_run(cc, key, text.data, text.len, &code, err) < 0)
		return -1;
	told = tell_failures(cc, list, key, failures);
	if (code)
		cc_problem(cc, list, "%s ended early with exit code %d", key, code);
	/* So that "exit" says whether all was well. */
	if (told && !code)
		json_object_set_new(json_array_get(cc->scripts, json_array_size(cc->scripts) - 1),
				    "exit", json_integer(1));
	return 0;
}

int cc_bootcmd(struct cc *cc, const struct doc_node *value, struct err *err)
{
	static const char mark[] = AGENT_RUN "/bootcmd-ran";
	CLEANUP_FREE char *full = agent_path(cc->agent, mark);

	if (doc_node_is_null(value) || !cc_is(cc, value, DOC_LIST, "bootcmd"))
		return 0;
	/* The other stage of this boot has it behind it. */
	if (access(full, F_OK) == 0)
		return 0;
	if (place_text(cc->agent, mark, "", 0644, err) < 0)
		return -1;
	return run_list(cc, value, "bootcmd", err);
}

int cc_runcmd(struct cc *cc, const struct doc_node *value, struct err *err)
{
	if (doc_node_is_null(value) || !cc_is(cc, value, DOC_LIST, "runcmd"))
		return 0;
	if (cc_was(cc, "begun", "runcmd")) {
		cc_problem(cc, value, "runcmd was cut off at an earlier boot; it is not run again");
		return 0;
	}
	if (cc_note(cc, "begun", "runcmd", err) < 0)
		return -1;
	return run_list(cc, value, "runcmd", err);
}

/* Problems of scripts have no line: user-data is named by the part. */
static void tell(struct cc *cc, const char *name, const char *what)
{
	const struct doc_place place = {.file = name, .line = 1, .column = 1};

	doc_error(&cc->problems, &place, "%s", what);
}

static void run_part(struct cc *cc, const struct userdata_script *script)
{
	const char *state = script->when == USERDATA_ONCE ? "once" : "done";
	bool limited = script->when == USERDATA_ONCE || script->when == USERDATA_PER_INSTANCE;
	const char *name = mem_arena_printf(cc->arena, "script %s", script->name);
	CLEANUP_FREE char *ran = mem_printf(AGENT_RUN "/ran-%s", script->name);
	CLEANUP_FREE char *full = agent_path(cc->agent, ran);
	struct err err = {0};
	int code = 0, r = 0;

	if (!limited && access(full, F_OK) == 0)
		return; /* the other stage of this boot ran it */
	if (limited && cc_was(cc, state, name)) {
		if (cc_was(cc, "failed", name))
			cc_remark(cc, "%s failed at an earlier boot of this instance", name);
		return;
	}
	if (limited && cc_was(cc, "begun", name)) {
		tell(cc, script->name, "was cut off at an earlier boot; it is not run again");
		r = cc_note(cc, state, name, &err);
	} else {
		r = limited ? cc_note(cc, "begun", name, &err)
			    : place_text(cc->agent, ran, "", 0644, &err);
		if (r == 0)
			r = script_run(cc, script->name, script->text, script->len, &code, &err);
		if (r == 0 && code)
			tell(cc, script->name,
			     mem_arena_printf(cc->arena, "failed with exit code %d", code));
		if (r == 0 && limited && code)
			r = cc_note(cc, "failed", name, &err);
		if (r == 0 && limited)
			r = cc_note(cc, state, name, &err);
	}
	if (r < 0) {
		tell(cc, script->name, err.msg);
		cc->broken = true;
	}
}

void script_run_all(struct cc *cc, const struct userdata *userdata, enum cc_stage stage)
{
	/* As cloud-init: those that run once first, then those of each boot, then the others. */
	static const enum userdata_when order[] = {USERDATA_BOOTHOOK, USERDATA_ONCE,
						   USERDATA_PER_BOOT, USERDATA_PER_INSTANCE};

	for (size_t k = 0; k < ARRAY_SIZE(order); k++)
		for (size_t i = 0; i < userdata->script_count; i++) {
			const struct userdata_script *script = &userdata->scripts[i];

			if (script->when != order[k] ||
			    (script->when == USERDATA_BOOTHOOK) != (stage == CC_EARLY))
				continue;
			if (strlen(script->name) >= NAME_SIZE || strchr(script->name, '/') ||
			    *script->name == '.')
				tell(cc, "user-data", "a script has a name that is no file name");
			else
				run_part(cc, script);
		}
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A root folder like that of an image, and a cloud-config that is applied to it, for tests of its keys.
 */
#ifndef TESTS_FAKE_CLOUDCONFIG_H
#define TESTS_FAKE_CLOUDCONFIG_H

#include "tap.h"

#include "agent/provision/cloudconfig.h"
#include "agent/userdata/userdata.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/path.h"

#include <sys/wait.h>

struct config_run {
	struct agent agent;
	struct instance instance;
	struct userdata userdata;
	struct cc cc;
	struct report report;
	json_t *keys;
};

/* Writes root/PATH with its folders. */
__attribute__((unused)) static void config_file(const char *path, const char *text)
{
	CLEANUP_FREE char *full = mem_printf("root%s", path), *folder = path_parent(full);
	struct err err = {0};

	CHECK_OK(path_make_dirs(folder, &err), &err);
	CHECK_OK(outfile_write(full, text, strlen(text), false, &err), &err);
}

/* The image's /etc as each boot finds it. What lies in root/var and root/run stays. */
__attribute__((unused)) static void config_root(void)
{
	struct err err = {0};

	CHECK_OK(path_remove_all("root/etc", &err), &err);
	config_file("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\n"
				   "daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n"
				   "admin:x:1000:1000::/home/admin:/bin/bash\n");
	config_file("/etc/group", "root:x:0:\nshadow:x:42:\nsudo:x:27:\nadmin:x:1000:\n");
	config_file("/etc/shadow", "root:*:19000:0:99999:7:::\ndaemon:*:19000:0:99999:7:::\n"
				   "admin:!:19000:0:99999:7:::\n");
	config_file("/etc/gshadow", "root:*::\nshadow:*::\nsudo:*::\nadmin:!::\n");
	config_file("/etc/hosts", "127.0.0.1 localhost\n");
	config_file("/etc/skel/.profile", "# profile\n");
	config_file("/etc/ssl/certs/ca-certificates.crt", "bundle\n");
	config_file("/usr/share/zoneinfo/Europe/Rome", "TZif");
	config_file("/usr/lib/ingot/etc-mode", "transient\n");
	config_file("/bin/bash", "");
	config_file("/bin/sh", "");
	CHECK(chmod("root/bin/bash", 0755) == 0 && chmod("root/bin/sh", 0755) == 0);
}

/* Applies one stage of the text, as a boot would. Close with config_close. */
__attribute__((unused)) static struct config_run *config_apply(const char *text,
							       enum cc_stage stage)
{
	struct config_run *run = mem_alloc(sizeof(*run));
	const struct userdata_input input = {.instance = &run->instance};
	struct cc *cc = &run->cc;

	run->agent = (struct agent){.root = "root", .kind = "none", .role = ""};
	run->instance = (struct instance){.source = mem_strdup("nocloud"), .id = mem_strdup("i-1")};
	str_addf(&run->instance.user_data, "#cloud-config\n%s", text);
	userdata_read(&input, &run->userdata);
	if (run->userdata.problem_count)
		FAIL("%s", run->userdata.problems.data);
	run->report.quiet = true;
	*cc = (struct cc){
		.report = &run->report,
		.agent = &run->agent,
		.instance = &run->instance,
		.config = run->userdata.config,
		.arena = run->userdata.arena,
		.kept = cc_kept_load(&run->agent, run->instance.id),
		.notes = json_array(),
		.scripts = json_array(),
	};
	cc->problems.text = &cc->text;
	run->keys = json_object();
	cc_check(cc->config, cc->arena, &cc->problems, cc->notes);
	cc_apply(cc, stage, run->keys);
	return run;
}

__attribute__((unused)) static void config_close(struct config_run *run)
{
	json_decref(run->keys);
	json_decref(run->cc.kept);
	json_decref(run->cc.notes);
	json_decref(run->cc.scripts);
	cc_free(&run->cc);
	userdata_free(&run->userdata);
	instance_free(&run->instance);
	free(run);
}

/* Applies what must be right. */
__attribute__((unused)) static void config_good(const char *text)
{
	struct config_run *run = config_apply(text, CC_EARLY);

	if (run->cc.problems.count)
		FAIL("%s", run->cc.text.data);
	config_close(run);
}

/* Applies what must be told with this text in it, and at this line of the text (from 1). */
__attribute__((unused)) static void config_bad(const char *text, unsigned line, const char *want)
{
	struct config_run *run = config_apply(text, CC_EARLY);
	CLEANUP_FREE char *place = mem_printf("user-data:%u:", line + 1);

	if (!run->cc.problems.count)
		FAIL("nothing was told of: %s", text);
	CHECK_CONTAINS(run->cc.text.data, want);
	CHECK_CONTAINS(run->cc.text.data, place);
	config_close(run);
}

#endif

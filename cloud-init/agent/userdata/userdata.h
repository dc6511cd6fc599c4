/* SPDX-License-Identifier: Apache-2.0 */
/*
 * User-data: from the bytes that a source gives to one merged cloud-config and a list of scripts. Formats:
 * gzip, base64, MIME multipart, #cloud-config, #cloud-config-archive, #include, #!, #cloud-boothook. All of
 * it is hostile; what is not understood is told with its line, never passed over.
 */
#ifndef INGOT_AGENT_USERDATA_H
#define INGOT_AGENT_USERDATA_H

#include "agent/agent.h"
#include "agent/source/instance.h"

#include "base/doc.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>

enum userdata_when {
	USERDATA_BOOTHOOK,     /* #cloud-boothook: early, at every boot */
	USERDATA_PER_BOOT,     /* late, at every boot */
	USERDATA_PER_INSTANCE, /* late, at the first boot of an instance-id: plain scripts, too */
	USERDATA_ONCE,         /* late, once in the life of the disk */
};

struct userdata_script {
	enum userdata_when when;
	const char *name; /* unique file name, safe: "part-002" or what MIME says */
	const char *text; /* begins with "#!" */
	size_t len;
};

struct userdata {
	struct mem_arena *arena; /* owns all of it */
	/* All #cloud-config parts merged, later ones win; NULL when there is none. Key "ingot" is in it. */
	struct doc_node *config;
	struct doc_node *
		settings; /* its key "ingot", checked against settings_rows[]; NULL when absent or wrong */
	/* The settings are wrong, or a part that may hold some could not be read: see userdata_settings. */
	bool settings_wrong;
	bool includes; /* a part comes by #include: what is kept of it may not be the newest */
	bool missed; /* and one could be neither fetched nor was kept (settings_wrong is then set, too) */
	struct userdata_script *scripts;
	size_t script_count, script_room;
	struct str problems; /* "user-data:3:1: error: ..." lines, as profiles have them */
	size_t problem_count;
};

/* Where #include gets its parts; returns -1 with err when it cannot. */
typedef int userdata_include_fn(const char *url, struct str *text, struct err *err);

struct userdata_input {
	const struct agent
		*agent; /* keeps what #include fetched below its root; NULL: nothing is kept */
	const struct instance *instance; /* its vendor_data is read first, its user_data over it */
	const char *name;                /* of user-data in messages; NULL: "user-data" */
	userdata_include_fn
		*include; /* NULL: what #include needs and is not kept is then a problem */
};

/* Reads all of it. What is wrong goes to problems and the rest is used. Blocks as long as include does.
 * Strings of the result live in its arena. Free with userdata_free. */
void userdata_read(const struct userdata_input *input, struct userdata *ret);

/* What is to be given to settings_save: the settings, or, when settings_wrong, only that they are (then
 * settings_load fails with the first problem, so that no machine acts as if it had none). Caller decrefs. */
json_t *userdata_settings(const struct userdata *userdata);

/* Wipes and frees all of it; usable with CLEANUP() on a zeroed value. */
void userdata_free(struct userdata *userdata);

#endif

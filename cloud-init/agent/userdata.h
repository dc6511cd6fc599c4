/* SPDX-License-Identifier: Apache-2.0 */
/*
 * User-data: from the bytes that a source gives to one merged cloud-config and a list of scripts. Formats:
 * gzip, base64, MIME multipart, #cloud-config, #cloud-config-archive, #include, #!, #cloud-boothook. All of
 * it is hostile; what is not understood is told with its line, never passed over.
 */
#ifndef INGOT_AGENT_USERDATA_H
#define INGOT_AGENT_USERDATA_H

#include "base/doc.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

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
	const char *text;
	size_t len;
};

struct userdata {
	struct mem_arena *arena; /* owns all of it */
	struct doc_node *
		config; /* all #cloud-config parts merged, later ones win; NULL when there is none */
	struct doc_node
		*settings; /* its key "ingot", checked against settings_rows[]; NULL when absent */
	struct userdata_script *scripts;
	size_t script_count, script_room;
	struct str problems; /* "user-data:3:1: error: ..." lines, as profiles have them */
	size_t problem_count;
};

/* Where #include gets its parts; returns -1 with err when it cannot. */
typedef int userdata_include_fn(const char *url, struct str *text, struct err *err);

/* Reads vendor-data first and user-data over it (either may be empty). What is wrong goes to problems and
 * the rest is used; fails only when there is nothing that could be used (not even by its problems).
 * include may be NULL: #include is then a problem. Blocks as long as include does. Free with
 * userdata_free. */
int userdata_read(const struct str *vendor_data, const struct str *user_data,
		  userdata_include_fn *include, struct userdata *ret, struct err *err);

/* Wipes and frees all of it; usable with CLEANUP() on a zeroed value. */
void userdata_free(struct userdata *userdata);

#endif

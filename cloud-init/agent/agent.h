/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every verb of ingot-agent knows: which image this is, which role it has, and where the files
 * are. All paths go through agent_path, so that a test can give the agent a root folder of its own.
 */
#ifndef INGOT_AGENT_AGENT_H
#define INGOT_AGENT_AGENT_H

#include "base/err.h"
#include "base/json.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>

/* How the agent writes JSON: sorted, indented, numbers without the noise of binary fractions. */
#define AGENT_JSON (JSON_SORT_KEYS | JSON_INDENT(2) | JSON_REAL_PRECISION(12))

#define AGENT_IMAGE "/usr/lib/ingot/image.json"
#define AGENT_FIREWALL "/usr/lib/ingot/firewall.nft"
#define AGENT_SYSCTL "/usr/lib/sysctl.d/60-ingot.conf"
#define AGENT_STATE "/var/lib/ingot/agent" /* what survives a reboot */
#define AGENT_RUN "/run/ingot"             /* what this boot did */

struct agent {
	const char *root; /* "" on a real machine; borrowed */
	const char *name, *version,
		*architecture;   /* of the image; "unknown" when it does not say */
	const char *kind, *role; /* join.kind ("none" when absent), join.role (or "") */
	struct strv services;    /* units that the profile enables */
	bool has_firewall;       /* the profile has one, so its rules must be there */
	json_t *image;           /* the whole of image.json; owned */
};

/* Reads image.json below root ("" for the machine itself; borrowed). Free with agent_close, also
 * after an error: the names are then "unknown", so that `status` can go on. */
int agent_open(struct agent *agent, const char *root, struct err *err);

/* Frees what agent_open made; usable with CLEANUP(). */
void agent_close(struct agent *agent);

/* Returns the path below the agent's root; the caller frees it. */
char *agent_path(const struct agent *agent, const char *path);

/* Reads a file of at most max bytes below the root; text is replaced. */
int agent_read(const struct agent *agent, const char *path, size_t max, struct str *text,
	       struct err *err);

/* Reads a file of one line below the root without the newline; NULL when there is none that can be
 * read (errno says why). Caller frees. */
char *agent_read_line(const struct agent *agent, const char *path);

/* Reads a JSON object of at most 1 MiB below the root; NULL when it is absent or none, with err set.
 * Caller decrefs. */
json_t *agent_read_json(const struct agent *agent, const char *path, struct err *err);

/* Writes a JSON file (mode 0644) below the root by way of a temporary name, making its folder. With
 * sync it is on the disk when this returns. */
int agent_write_json(const struct agent *agent, const char *path, const json_t *value, bool sync,
		     struct err *err);

/* The same with mode 0600, for what holds secrets; what was in memory for it is wiped. */
int agent_write_json_secret(const struct agent *agent, const char *path, const json_t *value,
			    bool sync, struct err *err);

/* Seconds since the machine started (0 when the kernel does not say). */
double agent_uptime(const struct agent *agent);

/* Adds name: uptime to /run/ingot/marks.json, once per boot and name; `status` prints them. Fails only
 * when the file cannot be written. */
int agent_mark(const struct agent *agent, const char *name, struct err *err);

/* Replaces what looks like a join token or an unlock key by "(hidden)", in place. */
void agent_hide_secrets(char *text);

/* Copies text that came from outside so that it fits into size bytes and can be shown: control characters
 * become spaces, secrets are hidden, a character is never cut in two. NULL gives "". */
void agent_copy_text(char *to, size_t size, const char *from);

#endif

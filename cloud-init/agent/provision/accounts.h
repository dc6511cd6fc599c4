/* SPDX-License-Identifier: Apache-2.0 */
/*
 * passwd(5), shadow(5), group(5) and gshadow(5) below the agent's root as values: read, changed in memory, written
 * when all of it is right.
 */
#ifndef INGOT_AGENT_ACCOUNTS_H
#define INGOT_AGENT_ACCOUNTS_H

#include "agent/agent.h"

#include <stdbool.h>
#include <stdint.h>

struct accounts {
	struct str passwd, shadow, group, gshadow;
	bool has_gshadow;
};

struct account {
	const char *name, *gecos, *home, *shell; /* valid, see the checks below */
	uint32_t uid, gid;
};

/* Reads the four files; without gshadow that one is not written. */
int accounts_load(const struct agent *agent, struct accounts *ret, struct err *err);

/* Writes those that are there, shadow first: nobody is in passwd whose password is not known yet. */
int accounts_save(const struct agent *agent, const struct accounts *accounts, struct err *err);

/* Wipes and frees; usable with CLEANUP() on a zeroed value. */
void accounts_free(struct accounts *accounts);

/* True for a name that useradd(8) takes: at most 32 of a-z 0-9 _ -, not starting with a digit or "-". */
bool accounts_name_valid(const char *name);

/* True for a crypt(5) hash ("$id$..."), or "!" and "*". */
bool accounts_hash_valid(const char *hash);

/* True for text that can be a field: no colon, no control characters, at most 255 bytes. */
bool accounts_field_valid(const char *text);

/* Looks up a user; any ret may be NULL. home is copied (caller frees). False when there is none. */
bool accounts_user(const struct accounts *accounts, const char *name, uint32_t *ret_uid,
		   uint32_t *ret_gid, char **ret_home);

/* Looks up a group. */
bool accounts_group(const struct accounts *accounts, const char *name, uint32_t *ret_gid);

/* True when a user or a group has this number. */
bool accounts_id_taken(const struct accounts *accounts, uint32_t id);

/* Adds a user who cannot log in by password; the name must be free. */
void accounts_add_user(struct accounts *accounts, const struct account *account);

/* Adds an empty group; the name must be free. */
void accounts_add_group(struct accounts *accounts, const char *name, uint32_t gid);

/* Adds a user to a group that exists; one who is in it already stays. */
void accounts_add_member(struct accounts *accounts, const char *group, const char *user);

/* Sets the password field of a user who exists. hash NULL keeps the one there is; locked puts "!" before it, not
 * locked takes that away if there is a hash behind it. */
void accounts_set_password(struct accounts *accounts, const char *user, const char *hash,
			   bool locked);

#endif

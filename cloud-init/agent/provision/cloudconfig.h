/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys of cloud-config: one table, one file per topic. What is wrong in one key is told with its line and never
 * keeps another one from being applied.
 */
#ifndef INGOT_AGENT_CLOUDCONFIG_H
#define INGOT_AGENT_CLOUDCONFIG_H

#include "agent/agent.h"
#include "agent/source/instance.h"
#include "agent/report.h"

#include "base/doc.h"

#include <stdbool.h>
#include <stdint.h>

enum cc_stage {
	CC_EARLY, /* as soon as the data is there, before anything listens */
	CC_FINAL, /* when everything else runs, before scripts */
	CC_LAST,  /* after scripts */
};

/* What keys may be applied with, and what they leave behind. */
struct cc {
	const struct agent *agent;
	const struct instance *instance;
	const struct doc_node *config; /* all of it: some keys look at others. Never NULL */
	struct mem_arena *arena;       /* for texts of messages */
	struct report *report;         /* of the unit */
	bool live;                     /* the machine itself: kernel and systemd are told, too */
	json_t *kept;                  /* the file of cc_kept_load; owned by the caller */
	struct str text;               /* of problems */
	struct doc_report problems;
	json_t *notes;       /* texts: what was left as it is, and why; owned by the caller */
	json_t *scripts;     /* {name, exit}: user's commands that ran; owned by the caller */
	struct strv restart; /* units that have to read their settings again */
	bool ids_changed;    /* numbers in kept that are not on the disk yet */
	bool broken;         /* something failed that is not user-data's fault */
};

struct cc_row {
	const char *key;
	enum cc_stage stage;
	bool once; /* per instance-id; else at every boot */
	bool also; /* called without the key, too (value NULL): metadata may have something */
	/* Applies the value. What is wrong with it goes to cc_problem; -1 with err when this machine could not do
	 * it. NULL: another row reads this key, or nothing needs to be done. */
	int (*apply)(struct cc *cc, const struct doc_node *value, struct err *err);
	const char *
		instead; /* not supported: what to do instead; or, without apply, why nothing needs to be done */
	bool ignored; /* instead is the reason why that is fine */
};

/* In the order in which they are applied, ended by a row with a NULL key. */
extern const struct cc_row cc_rows[];

/* Tells the keys of a config (a map) that are unknown or not supported, with their lines; notes (a JSON array, or NULL)
 * gets a text for each that needs nothing to be done. Pure. */
void cc_check(const struct doc_node *config, struct mem_arena *arena, struct doc_report *report,
	      json_t *notes);

/* Applies every row of the stage; results (an object) gets the outcome of each key: "done", "failed", "kept"
 * (done before), "unsupported" or "ignored". Goes on after any failure. Needs root on a real machine. */
void cc_apply(struct cc *cc, enum cc_stage stage, json_t *results);

/* Frees what cc itself owns (texts and lists). */
void cc_free(struct cc *cc);

/* ---- what is kept over reboots: numbers of users, what was done once ------------------------------------- */
#define CC_KEPT AGENT_STATE "/provision.json"

/* Reads CC_KEPT, or a new object when there is none or it is damaged; forgets what was done once when it was for
 * another instance-id. Caller decrefs. */
json_t *cc_kept_load(const struct agent *agent, const char *instance_id);

/* True when name is noted as state ("begun", "done", "failed"; "once": for good) for this instance. */
bool cc_was(const struct cc *cc, const char *state, const char *name);

/* Notes it, on the disk when this returns. */
int cc_note(struct cc *cc, const char *state, const char *name, struct err *err);

/* ---- for the functions of rows ---------------------------------------------------------------------------- */
/* Tells a problem of user-data at the node. Never give it a secret. */
#define cc_problem(cc, node, ...) doc_error(&(cc)->problems, &(node)->place, __VA_ARGS__)

/* Adds a note: something was left as it is. */
void cc_remark(struct cc *cc, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Turns err into a problem at the node, so that the next item can go on. */
void cc_failed(struct cc *cc, const struct doc_node *node, struct err *err);

/* The text of a scalar that is not null; else NULL, and a problem that calls it what. */
const char *cc_text(struct cc *cc, const struct doc_node *node, const char *what);

/* The text for a message. */
const char *cc_show(struct cc *cc, const char *text);

/* Reads true/false, yes/no, on/off (any case; quoted, too). *ret stays when it is none. */
bool cc_bool(struct cc *cc, const struct doc_node *node, const char *what, bool *ret);

/* The boolean under key of a map, or otherwise when it is absent or wrong. */
bool cc_flag(struct cc *cc, const struct doc_node *map, const char *key, bool otherwise);

/* Reads a decimal number between min and max. */
bool cc_number(struct cc *cc, const struct doc_node *node, const char *what, uint64_t min,
	       uint64_t max, uint64_t *ret);

/* Appends the texts of a list, of a single text, or (with a separator) of its parts. False when an item was wrong;
 * the others are there. */
bool cc_texts(struct cc *cc, const struct doc_node *node, const char *what, char separator,
	      struct strv *ret);

/* Complains unless node is of this kind. */
bool cc_is(struct cc *cc, const struct doc_node *node, enum doc_kind kind, const char *what);

/* Names the keys of a map that are not among the known ones. */
void cc_check_keys(struct cc *cc, const struct doc_node *map, const char *what,
		   const char *const *known, size_t count);

/* Asks systemd to restart a unit that runs, at the end of the stage. */
void cc_restart(struct cc *cc, const char *unit);

/* ---- topics, one file each --------------------------------------------------------------------------------- */
/* Each of these is the apply function of a row; see struct cc_row. */
int cc_hostname(struct cc *cc, const struct doc_node *value, struct err *err);
/* The hostname that config and metadata give, or NULL; *ret_fqdn (or NULL) with its domain. In cc's arena. */
const char *cc_hostname_wanted(struct cc *cc, const char **ret_fqdn);
/* Row "timezone". */
int cc_timezone(struct cc *cc, const struct doc_node *value, struct err *err);
/* Row "ntp". */
int cc_ntp(struct cc *cc, const struct doc_node *value, struct err *err);
/* Row "users", with groups, chpasswd and the keys that may log in. */
int cc_users(struct cc *cc, const struct doc_node *value, struct err *err);
/* Row "groups". */
int cc_groups(struct cc *cc, const struct doc_node *value, struct err *err);
/* Row "chpasswd". */
int cc_chpasswd(struct cc *cc, const struct doc_node *value, struct err *err);
/* Row "ssh_authorized_keys", and the keys of the cloud. */
int cc_ssh_authorized_keys(struct cc *cc, const struct doc_node *value, struct err *err);
/* Row "ssh_pwauth". */
int cc_ssh_pwauth(struct cc *cc, const struct doc_node *value, struct err *err);
/* Row "ssh_keys". */
int cc_ssh_keys(struct cc *cc, const struct doc_node *value, struct err *err);
/* Row "write_files", those without defer. */
int cc_write_files(struct cc *cc, const struct doc_node *value, struct err *err);
/* Row "write_files", those with defer. */
int cc_write_files_deferred(struct cc *cc, const struct doc_node *value, struct err *err);
/* Row "ca_certs". */
int cc_ca_certs(struct cc *cc, const struct doc_node *value, struct err *err);
/* Row "disk_setup". */
int cc_disk_setup(struct cc *cc, const struct doc_node *value, struct err *err);
/* Row "fs_setup". */
int cc_fs_setup(struct cc *cc, const struct doc_node *value, struct err *err);
/* Row "mounts". */
int cc_mounts(struct cc *cc, const struct doc_node *value, struct err *err);
/* Row "bootcmd". */
int cc_bootcmd(struct cc *cc, const struct doc_node *value, struct err *err);
/* Row "runcmd". */
int cc_runcmd(struct cc *cc, const struct doc_node *value, struct err *err);
/* Row "final_message". */
int cc_final_message(struct cc *cc, const struct doc_node *value, struct err *err);
/* Row "power_state"; may end the machine some time after it returns. */
int cc_power_state(struct cc *cc, const struct doc_node *value, struct err *err);

#endif

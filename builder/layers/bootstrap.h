/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the package layer: what its files share. bootstrap_command.c says what is run,
 * bootstrap_messages.c reads what it says, bootstrap.c makes the layer of what it writes.
 */
#ifndef INGOT_LAYERS_BOOTSTRAP_H
#define INGOT_LAYERS_BOOTSTRAP_H

#include "base/str.h"
#include "layers/packages.h"
#include "layers/sandbox.h"

#define BOOTSTRAP_TAR "layer.tar"
#define BOOTSTRAP_INDEX "layer.index"
#define BOOTSTRAP_INFO "packages.json"

#define BOOTSTRAP_MARK \
	"ingot-inrelease: "           /* before the digest of an InRelease file that apt used */
#define BOOTSTRAP_NOTE "ingot-note: " /* before what the user should know */
#define BOOTSTRAP_SUITES_MAX 32

/* Files in data/firmware/packages that say how packages are installed, ended by NULL. */
extern const char *const bootstrap_scripts[];

/* The one that only profiles with base.image use. */
extern const char *const bootstrap_image_script;

/* What the command line is made of; all borrowed. */
struct bootstrap_input {
	const struct profile *profile;
	const struct repositories *repositories;
	const char *data; /* folder with firmware/packages/ */
	const char
		*program; /* mmdebstrap, which the key names: the sandbox has a PATH of its own */
	const char *debs; /* folder with downloads that the cache kept */
	const char *new_debs; /* folder where the sandbox leaves those that it used */
	const char *records;  /* folder that firmware/packages/records uses */
	const char *image;    /* the tar of base.image, or NULL */
};

/* Appends the command line that runs mmdebstrap in the sandbox, the tar on its standard output. Reads the
 * scripts. */
int bootstrap_command(const struct bootstrap_input *input, const struct sandbox *box,
		      struct strv *argv, struct err *err);

/* What mmdebstrap, apt and dpkg said. */
struct bootstrap_messages {
	struct log_step *step;               /* gets the progress, or NULL; borrowed */
	struct strv errors;                  /* the first of their error messages */
	const struct bootstrap_cause *cause; /* the kind of failure, if a line tells it */
	char *cause_line;
	char seen[BOOTSTRAP_SUITES_MAX][DIGEST_HEX_SIZE]; /* InRelease files that apt used */
	size_t seen_count;
};

/* Takes a line; context is the struct bootstrap_messages (struct proc's line). */
void bootstrap_take_line(const char *text, void *context);

/* Replaces err, that of proc_run, by what apt and dpkg said was wrong, with code and hint. Returns -1. */
int bootstrap_explain(const struct bootstrap_messages *messages, struct err *err);

/* Frees what the lines left; usable with CLEANUP(). */
void bootstrap_messages_free(struct bootstrap_messages *messages);

#endif

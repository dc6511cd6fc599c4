/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `ingot boot` and `ingot test` share: from an operand to an image file and the settings of a
 * machine. Private to cli/.
 */
#ifndef INGOT_CLI_MACHINE_H
#define INGOT_CLI_MACHINE_H

#include "base/err.h"
#include "base/json.h"
#include "cli/profiles.h"
#include "vm/tools.h"
#include "vm/vm.h"

/* Rows for the option tables of both verbs. */
#define CLI_MACHINE_OPTIONS                                                                \
	{"memory", 'm', "MIB", "memory of the machine (default: 2048)"},                   \
		{"smp", 0, "N", "processors of the machine (default: 2)"},                 \
		{"disk", 0, "SIZE", "size of its disk (default: 8G more than the image)"}, \
		{"kvm", 0, "WHEN", "auto (when it works), on or off"}, CLI_BUILD_OPTIONS

struct cli_machine {
	struct vm_tools tools;
	struct vm_options options; /* image, memory, cpus, disk_size and kvm are set */
	char *image;
	char *name;       /* for messages: of the profile, or of the file */
	json_t *manifest; /* of the image, or NULL when there is none beside the file */
};

/* Finds the programs, the image and what the options say. The operand is an image file, or a profile,
 * whose image is built first when it is not up to date. Says on standard error why KVM is not used.
 * Free with cli_machine_free. */
int cli_machine_open(const struct cli *cli, const struct cli_args *args, const char *operand,
		     struct cli_machine *machine, struct err *err);

/* Frees everything; usable with CLEANUP() on a zeroed value. */
void cli_machine_free(struct cli_machine *machine);

/* True when the image's role joins a swarm. */
bool cli_machine_is_swarm(const struct cli_machine *machine);

/* A JSON string of text that a guest printed; bytes beyond ASCII become '?' when it is not UTF-8. Caller
 * decrefs. */
json_t *cli_machine_text(const char *text);

#endif

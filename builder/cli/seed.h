/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of `ingot seed` share: its input, the media, images. Private to cli/.
 */
#ifndef INGOT_CLI_SEED_H
#define INGOT_CLI_SEED_H

#include "base/err.h"
#include "base/json.h"
#include "cli/cli.h"
#include "disk/esp.h"
#include "seed/seed.h"

/* The smallest file system that the FAT code makes; sparse, as most of it is empty. */
#define CLI_SEED_DISK_SIZE ESP_SIZE_MIN

/* A seed that is ready to be written. */
struct cli_seed {
	const struct seed_format *format;
	struct seed seed;
	int64_t time; /* of the files, seconds since 1970 */
};

enum cli_seed_check { CLI_SEED_NO_CHECK, CLI_SEED_USER_DATA, CLI_SEED_NETWORK };

/* Reads the file of the option into text, which stays empty without that option. What is wrong with it is printed
 * and is ERR_PROFILE; user-data is shown to ingot-agent too when that is beside the program. With --no-check nothing
 * is looked at. */
int cli_seed_read(const struct cli *cli, const struct cli_args *args, const char *option,
		  enum cli_seed_check check, struct str *text, struct err *err);

/* Plans a FAT file system of CLI_SEED_DISK_SIZE with the files of the seed, which it borrows. Free with
 * esp_free. */
int cli_seed_plan_disk(const struct cli_seed *seed, struct esp *ret, struct err *err);

/* Writes the medium of the format to path: a file with mode 0600, or a folder with such files; whole or not at all.
 * ERR_USAGE for a path that is something else. *ret_bytes is the size of the file, or of all files. */
int cli_seed_write(const struct cli_seed *seed, const char *path, uint64_t *ret_bytes,
		   struct err *err);

/* Puts the seed into an image: output may be input. The image is verified first: ERR_VERIFY for one that is damaged
 * or that ingot did not make. *ret (caller decrefs) are members for the event: format, bytes, partition. */
int cli_seed_image(const struct cli *cli, const struct cli_seed *seed, const char *input,
		   const char *output, json_t **ret, struct err *err);

#endif

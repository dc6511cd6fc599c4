/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Provisioning data for one machine: from user-data and who the machine is to the files that a metadata
 * source of the machine looks for. Pure data, the same input gives the same files. A new format is one file
 * and one row in formats.c.
 */
#ifndef INGOT_SEED_SEED_H
#define INGOT_SEED_SEED_H

#include "base/err.h"
#include "base/str.h"

#include <stddef.h>
#include <stdint.h>

#define SEED_DATA_MAX ((size_t)1 << 20) /* bytes of user-data, vendor-data or network-config */
#define SEED_KEYS_MAX 256               /* of --meta-data, and of SSH keys */

/* Bytes of a file; len 0: absent. Borrowed. */
struct seed_blob {
	const void *bytes;
	size_t len;
};

/* Who the machine is and what it is told. */
struct seed_input {
	const char *hostname;    /* or NULL: user-data or the machine decides */
	const char *instance_id; /* or NULL: derived from all of the input */
	struct seed_blob user_data, vendor_data;
	struct seed_blob network_config; /* NoCloud's; for configdrive network_data.json */
	const struct strv *meta;         /* "KEY=VALUE" for meta-data, or NULL */
	const struct strv *ssh_keys;     /* public keys, or NULL */
	const char *
		folder; /* where credentials will lie, for the arguments of QEMU; NULL: the current one */
};

struct seed_file {
	char *path; /* relative, clean */
	char *bytes;
	size_t len;
};

/* The files of one machine, in the order of the format. */
struct seed {
	struct seed_file *files;
	size_t count, room;
	char *instance_id;
};

enum seed_medium {
	SEED_ISO,    /* ISO 9660 image with the label: seed_iso() */
	SEED_DISK,   /* a FAT file system with the label, without a partition table */
	SEED_FOLDER, /* the files in a folder, for systemd credentials */
};

struct seed_format {
	const char *name;    /* "nocloud-iso" */
	const char *summary; /* one line for help and README */
	const char *suffix;  /* of the file that holds it, ".iso"; "" for a folder */
	enum seed_medium medium;
	const char *label; /* of the file system; NULL for a folder */
	/* Adds the files. ERR_USAGE for what the format cannot hold. */
	int (*add_files)(const struct seed_input *input, struct seed *seed, struct err *err);
};

/* All formats, ended by a row with a NULL name; the first one is the default. */
extern const struct seed_format seed_formats[];

/* Finds a format by name; ERR_USAGE, with the names that there are, and NULL when there is none. */
const struct seed_format *seed_format_find(const char *name, struct err *err);

/* Checks the input and makes the files. ERR_USAGE for a bad hostname, instance-id, KEY=VALUE or SSH key, and
 * for what is too large or does not fit the format. No I/O. Free with seed_free. */
int seed_make(const struct seed_format *format, const struct seed_input *input, struct seed *ret,
	      struct err *err);

/* Wipes and frees it; usable with CLEANUP() on a zeroed value. */
void seed_free(struct seed *seed);

/* The bytes of the ISO 9660 image of a format with that medium, appended to ret, which must be empty and is
 * wiped by the caller. time: seconds since 1970, of volume and files. The same seed and time give the same
 * bytes. */
int seed_iso(const struct seed_format *format, const struct seed *seed, int64_t time,
	     struct str *ret, struct err *err);

#endif

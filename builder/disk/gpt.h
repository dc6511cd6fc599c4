/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GUID partition tables (UEFI specification 2.10, chapter 5) with 512-byte sectors: building both
 * copies for a new disk, reading and checking those of any disk, and the type GUIDs of the
 * Discoverable Partitions Specification.
 */
#ifndef INGOT_DISK_GPT_H
#define INGOT_DISK_GPT_H

#include "base/digest.h"
#include "base/err.h"
#include "base/image.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GPT_SECTOR 512
#define GPT_ENTRIES 128                         /* of the tables that we write */
#define GPT_HEAD_SIZE ((size_t)34 * GPT_SECTOR) /* MBR, header, entries: start of the disk */
#define GPT_TAIL_SIZE ((size_t)33 * GPT_SECTOR) /* entries, header: end of the disk */
#define GPT_LABEL_SIZE 109                      /* 36 UTF-16 units as UTF-8, and NUL */
#define GUID_TEXT_SIZE 37

#define GPT_FLAG_GROWFS ((uint64_t)1 << 59)
#define GPT_FLAG_READ_ONLY ((uint64_t)1 << 60)
#define GPT_FLAG_NO_AUTO ((uint64_t)1 << 63)

/* A GUID as it lies on the disk: the first three fields little-endian. */
struct guid {
	uint8_t bytes[16];
};

struct gpt_partition {
	struct guid type, unique;
	uint64_t offset, size; /* bytes, multiples of GPT_SECTOR */
	uint64_t flags;
	char label[GPT_LABEL_SIZE]; /* UTF-8 */
	unsigned number;            /* 1 is the first entry */
};

struct gpt {
	struct guid disk;
	struct gpt_partition *items;
	size_t count;
	bool from_backup;  /* the table at the start was not usable */
	char problem[256]; /* what is wrong with one of the copies, "" when nothing is */
};

/* A row of the Discoverable Partitions Specification. */
struct gpt_type {
	const char *name;         /* "root", "root-verity", "esp", "var", ... */
	const char *architecture; /* "amd64", "arm64", or NULL: any */
	const char *guid;
};

/* All known types, ended by a row with a NULL name. */
extern const struct gpt_type gpt_types[];

/* Finds the type by name and Debian architecture. Returns NULL when there is none. */
const struct gpt_type *gpt_type_find(const char *name, const char *architecture);

/* Finds the row for a GUID. Returns NULL when it is not in the table. */
const struct gpt_type *gpt_type_of(const struct guid *type);

/* Reads "c12a7328-f81f-11d2-ba4b-00a0c93ec93b" (any case). ERR_VERIFY otherwise. */
int guid_parse(const char *text, struct guid *ret, struct err *err);

/* Writes 36 lower-case characters and NUL. Returns text. */
char *guid_format(const struct guid *guid, char text[GUID_TEXT_SIZE]);

/* Makes a GUID of 16 bytes in the order in which they are printed, unchanged: as verity partitions
 * carry halves of the root hash. */
void guid_from_bytes(const uint8_t bytes[16], struct guid *ret);

/* Makes a GUID (RFC 9562 version 8) out of SHA-256 over the domain string, a NUL byte and the
 * digest: the same input gives the same GUID. */
void guid_derive(const char *domain, const struct digest *digest, struct guid *ret);

/* Writes the protective MBR and the primary table to head (GPT_HEAD_SIZE bytes) and the backup to
 * tail (GPT_TAIL_SIZE bytes, the last of the disk). disk_size in bytes, a multiple of GPT_SECTOR.
 * Offsets and sizes that are not whole sectors, overlap or leave the usable range, more than
 * GPT_ENTRIES partitions and labels that are too long or no UTF-8 are ERR_OTHER. */
int gpt_write(const struct gpt *gpt, uint64_t disk_size, void *head, void *tail, struct err *err);

/* Moves the table of a disk that grows from old_size to new_size bytes: changes head, the first GPT_HEAD_SIZE
 * bytes of the disk (protective MBR and primary table), and writes the backup to tail, its last GPT_TAIL_SIZE
 * bytes. *ret_found is false, and nothing changed, when there is no table. Of the old disk the first *ret_kept
 * bytes stay, behind them was the old backup. ERR_VERIFY for a table that is damaged or has another layout
 * than partitioners make. */
int gpt_enlarge(void *head, uint64_t old_size, uint64_t new_size, void *tail, bool *ret_found,
		uint64_t *ret_kept, struct err *err);

/* Adds a partition to the table of a disk of size bytes: changes head (as gpt_enlarge) and writes the backup to
 * tail; nothing else in the table changes. part has all but the number, which is set; its label is ASCII. It must
 * lie behind all others (ERR_OTHER). ERR_VERIFY as gpt_enlarge, and for a table without a free entry. */
int gpt_add(void *head, uint64_t size, struct gpt_partition *part, void *tail, struct err *err);

/* Reads and checks the table of a disk; falls back to the backup and says so in the result. The
 * input may be hostile. ERR_VERIFY when neither copy is valid. Caller frees with gpt_free. Blocks
 * while reading. */
int gpt_read(struct image *image, struct gpt *ret, struct err *err);

/* Frees what gpt_read allocated and clears the struct. Usable with CLEANUP(). */
void gpt_free(struct gpt *gpt);

#endif

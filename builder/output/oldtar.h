/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The header of a sparse file in GNU tar's old format (GNU tar manual, "Basic Tar Format", struct
 * oldgnu_header and struct sparse_header), as writer and reader of GCP's archives use it.
 */
#ifndef INGOT_OUTPUT_OLDTAR_H
#define INGOT_OUTPUT_OLDTAR_H

#define OLDTAR_BLOCK 512
#define OLDTAR_RECORD 10240     /* an archive's length is a multiple of it */
#define OLDTAR_ENTRY 24         /* of the map: offset and length, 12 bytes each */
#define OLDTAR_HEADER_ENTRIES 4 /* entries of the map that the header has */
#define OLDTAR_BLOCK_ENTRIES 21 /* and that each block behind it has */
#define OLDTAR_MEMBER "disk.raw"

/* Offsets of fields in the header. */
enum {
	OLDTAR_AT_NAME = 0, /* 100 bytes */
	OLDTAR_AT_MODE = 100,
	OLDTAR_AT_UID = 108,
	OLDTAR_AT_GID = 116,
	OLDTAR_AT_SIZE = 124, /* of what the archive has of the file, 12 bytes */
	OLDTAR_AT_MTIME = 136,
	OLDTAR_AT_CHECKSUM = 148, /* 8 bytes */
	OLDTAR_AT_TYPE = 156,
	OLDTAR_AT_MAGIC = 257,  /* 8 bytes, with the version */
	OLDTAR_AT_PREFIX = 345, /* of the name, in POSIX's format */
	OLDTAR_AT_MAP = 386,
	OLDTAR_AT_EXTENDED = 482, /* 1: a block of the map follows */
	OLDTAR_AT_REALSIZE = 483, /* of the file with its holes, 12 bytes */
	OLDTAR_AT_MORE = 504,     /* in a block of the map: one more follows */
};

#endif

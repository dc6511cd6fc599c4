/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rows of the table of formats, each defined in the file of its writer, and their readers.
 * Private to output/.
 */
#ifndef INGOT_OUTPUT_FORMATS_H
#define INGOT_OUTPUT_FORMATS_H

#include "base/image.h"
#include "output/output.h"

extern const struct output_format format_raw, format_qcow2, format_qcow2_zlib, format_vhd;
extern const struct output_format format_gcp;
extern const struct output_format format_vmdk, format_ova;
extern const struct output_format format_raw_zst, format_bmap;

/* qcow2 v2 or v3 (QEMU docs/interop/qcow2.txt), zlib or zstd clusters; struct output_format.read. */
struct image *qcow2_read(int fd, const char *path, struct err *err);

/* Whether a file is a VHD of any kind; struct output_format.is. */
bool vhd_is(const uint8_t *head, const uint8_t *tail);

/* Fixed VHD (Microsoft's specification 1.0); others are refused. struct output_format.read. */
struct image *vhd_read(int fd, const char *path, struct err *err);

/* zstd frames (RFC 8878) that are small enough to be read alone: with a seek table, or with headers that tell
 * their size; struct output_format.read. */
struct image *zst_read(int fd, const char *path, struct err *err);

/* Whether a file is a gzip file; struct output_format.is. */
bool gcp_is(const uint8_t *head, const uint8_t *tail);

/* A tar archive of one member, disk.raw, in gzip (old GNU format, sparse or not); others are refused. All
 * of it is expanded once. struct output_format.read. */
struct image *gcp_read(int fd, const char *path, struct err *err);

/* A file or block device, byte by byte; struct output_format.read. */
struct image *raw_read(int fd, const char *path, struct err *err);

/* Whether the head of a file is that of an archive whose first member is a descriptor (OVF). */
bool ova_is(const uint8_t *head, const uint8_t *tail);

/* The one VMDK in an OVA (a tar archive: ustar, pax or GNU); struct output_format.read. */
struct image *ova_read(int fd, const char *path, struct err *err);

/* Sparse VMDK extents (VMware Virtual Disk Format 5.0), compressed or not; struct output_format.read. */
struct image *vmdk_read(int fd, const char *path, struct err *err);

#endif

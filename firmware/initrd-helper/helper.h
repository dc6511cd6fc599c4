/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of ingot-initrd share. The program runs once, as root, in the initrd of an ingot
 * image, between the mount of the verified root and the switch to it. It uses libc and the kernel
 * only, because it is linked statically and must not depend on what dracut put into the initrd.
 */
#ifndef INGOT_INITRD_HELPER_H
#define INGOT_INITRD_HELPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Longest path, device name included, that the helper builds; longer ones are refused. */
#define HELPER_PATH_MAX 1024

/* One failure, on the caller's stack: the text says what was tried and why it did not work. */
struct err {
	char text[768];
};

/* The disk that holds the verified root, and the partition for /var on that same disk. */
struct boot_disk {
	char name[64];                   /* kernel name of the whole disk, for example "vda" */
	char disk_node[HELPER_PATH_MAX]; /* device node of the whole disk */
	char var_node[HELPER_PATH_MAX];  /* device node of the partition labelled "var" */
	uint32_t var_number;             /* partition number of var in the GPT, from 1 */
};

/* File systems that /var may have. */
enum var_fs { VAR_FS_EXT4, VAR_FS_XFS };

/*
 * Sets the error text from a printf format. Always returns -1, so that callers can return it.
 * Never fails; an overlong text is cut.
 */
int helper_fail(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/*
 * Like helper_fail, with ": " and the text of errno appended. Always returns -1. errno is read
 * before anything else, so it may be called right after the failed call.
 */
int helper_fail_errno(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/*
 * Writes one line to standard error, which is the journal. Level is a syslog level (3 error,
 * 4 warning, 6 information). Never fails.
 */
void helper_log(int level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/*
 * Runs a program with argv (ending in NULL) and waits for it. Returns its exit status 0-255, or
 * -1 with err set when it could not be started or a signal ended it. Blocks for as long as it runs.
 */
int helper_run(char *const argv[], struct err *err);

/*
 * Reads at most size - 1 bytes of the file name below the directory dirfd (AT_FDCWD for a plain
 * path) into buf and terminates it with NUL. Symbolic links are not followed. Returns the length, or -1 with err set; errno is
 * kept, so that ENOENT can be told apart. A file that does not fit is an error (EFBIG).
 */
long helper_read_file(int dirfd, const char *name, char *buf, size_t size, struct err *err);

/*
 * Replaces the file name in directory dirfd by text, so that after a power cut either the old or
 * the new content is there: temporary file, fsync, rename, fsync of the directory. mode is exact,
 * whatever the umask. Returns 0, or -1 with err set. Blocks on the disk.
 */
int helper_write_file(int dirfd, const char *name, const char *text, unsigned mode,
		      struct err *err);

/*
 * Opens (and with create makes, root:root 0755) the directory path below dirfd. The path is
 * relative; "..", absolute paths and symbolic links in any place are refused by the kernel
 * (openat2). Returns a file descriptor that the caller closes, or -1 with err set and errno kept.
 */
int helper_open_dir(int dirfd, const char *path, bool create, struct err *err);

/*
 * Finds the disk under the mounted root (through device mapper to the partitions to the disk) and
 * the one partition of type var with the label "var" in that disk's own GPT. Other disks are never
 * looked at. Blocks up to ten seconds until the kernel shows the partition. Returns 0, or -1 with
 * err set. Specification: UEFI 2.10 section 5.3, UAPI Discoverable Partitions.
 */
int disk_find_var(const char *root, struct boot_disk *disk, struct err *err);

/*
 * Reads the GPT of the block device or file fd (logical sector size in bytes) and returns the
 * number (from 1) of the one partition of type var labelled "var"; 0 when there is none; -1 with
 * err set for a broken table or more than one such partition. The backup table is used when the
 * primary is damaged. Reads only.
 */
long gpt_find_var(int fd, uint32_t sector, uint64_t bytes, struct err *err);

/*
 * Tells the file system on a device from its superblock. Returns 0 and sets fs, or -1 with err set
 * when it is neither ext4 nor xfs.
 */
int disk_probe_fs(const char *node, enum var_fs *fs, struct err *err);

/*
 * Copies everything below directory src that does not exist below directory dst, with owners,
 * modes, times of files, symbolic links and extended attributes. What exists is left alone. New
 * entries are built under temporary names, synced, and only then renamed, so a power cut leaves no
 * half-made entry under its own name; left-over temporary names are removed first. Device nodes
 * are an error. Blocks on the disk. Returns 0, or -1 with err set. Both descriptors stay open.
 */
int seed_copy(int src, int dst, struct err *err);

/*
 * Makes the machine-id: the valid one in lib/ingot/machine-id below the mounted /var (var), else
 * the credential "system.machine_id", else 128 random bits; what was not stored yet is stored
 * there. id receives 32 hexadecimal digits and NUL. Returns 0, or -1 with err set.
 */
int ident_machine_id(int var, char id[33], struct err *err);

#define IDENT_HOSTNAME_MAX 65 /* bytes with NUL, sethostname(2) */

/*
 * The name of a machine to which nobody gave one: IMAGE_ID of the text of os-release and the first
 * eight digits of its machine-id. Returns false when os_release has no IMAGE_ID that fits.
 */
bool ident_hostname(const char *os_release, const char *id, char name[IDENT_HOSTNAME_MAX]);

/* The name that the agent gave the machine at an earlier boot (lib/ingot/hostname on var), so that it has it from its
 * first message on. Returns false when there is none that could be a name. */
bool ident_kept_hostname(int var, char name[IDENT_HOSTNAME_MAX]);

/*
 * Mounts the overlay on root/etc. The upper layer is a tmpfs directory below /run/ingot-initrd/etc, or
 * with persistent set a directory on /var. Returns 0, or -1 with err set. Needs root and root/var
 * mounted.
 */
int etc_mount_overlay(const char *root, bool persistent, struct err *err);

/*
 * Makes each path of the list file (one per line, relative to /etc, '#' starts a comment) persistent:
 * its content is seeded once into var:lib/ingot/etc and bind-mounted over root/etc. A name ending in
 * '/' that the image does not have is made as a directory. A missing list is an empty list. Returns
 * 0, or -1 with err set.
 */
int etc_persist(const char *root, int var, const char *list, struct err *err);

/*
 * Tells whether a line of the persist list is acceptable: relative, at most 255 bytes, at most 16
 * components, none empty, "." or "..", only printable characters without blanks. A trailing '/' is
 * allowed.
 */
bool etc_path_valid(const char *path);

#endif

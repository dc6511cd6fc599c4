/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a system consists of, whatever it is read from: a finished image, a foreign disk, a manifest or a
 * lock. Two of them can be compared (inspect/diff.h). What is read may be hostile; memory is bounded.
 */
#ifndef INGOT_INSPECT_INVENTORY_H
#define INGOT_INSPECT_INVENTORY_H

#include "base/digest.h"
#include "base/err.h"
#include "base/json.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct inventory;

/* One entry of the tree. */
struct inventory_file {
	const char *path; /* absolute; bytes, perhaps no UTF-8 */
	mode_t mode;      /* with the type, as st_mode */
	uint32_t uid, gid;
	uint64_t size;               /* bytes, of regular files; else 0 */
	dev_t device;                /* of device nodes; else 0 */
	const char *target;          /* of symbolic links; else NULL */
	const char *xattrs;          /* lines "name=hex digits", sorted; NULL: none */
	const struct digest *digest; /* of the content; NULL: not known (yet) */
	uint64_t ref, order;         /* the reader's own; 0 when it needs none */
};

/* Reads what path is: a disk image in any format that image_open knows, a bare squashfs, manifest.json or
 * a folder with one, or a lock. Needs no root. The contents of files are not digested yet, see
 * inventory_hash. Blocks; free with inventory_free. */
struct inventory *inventory_open(const char *path, struct err *err);

/* Makes an empty inventory to be filled by inventory_add; name is for messages and copied, kind says in a
 * word what is read ("image", "disk"; static). Free with inventory_free. */
struct inventory *inventory_begin(const char *name, const char *kind);

/* Adds an entry, in any order; everything is copied. A path that is there already, and more than 128 MiB of
 * entries and texts, are an error (ERR_VERIFY, ERR_OTHER). */
int inventory_add(struct inventory *inventory, const struct inventory_file *file, struct err *err);

/* True when inventory_finish wants to know the content of a regular file with that path and size (bytes):
 * the databases of packages and users, units, settings of the kernel, ... */
bool inventory_wants_text(const char *path, uint64_t size);

/* Adds the content of a file that inventory_wants_text; it is copied until inventory_finish. */
int inventory_add_text(struct inventory *inventory, const char *path, const char *text, size_t len,
		       struct err *err);

/* Sets what the tree does not tell: a member (string or number) of category, such as "image", "kernel".
 * Takes the reference of value. What is added twice keeps the last. */
int inventory_set(struct inventory *inventory, const char *category, const char *name,
		  json_t *value, struct err *err);

/* Works out packages, units and so on from entries and texts; the entries can then be found. */
int inventory_finish(struct inventory *inventory, struct err *err);

/* Frees it and closes what it was read from; NULL is allowed. */
void inventory_free(struct inventory *inventory);

/* As inventory_free, for CLEANUP(). */
static inline void inventory_cleanup(struct inventory **inventory)
{
	inventory_free(*inventory);
}

/* What was given to inventory_begin or inventory_open. Borrowed. */
const char *inventory_name(const struct inventory *inventory);

/* "image", "manifest", "lock", or what was given to inventory_begin. Borrowed. */
const char *inventory_kind(const struct inventory *inventory);

/* All that is known but the files, an object of categories, each an object {name: string, number, true or
 * object of members}; a category that is absent is not known. Borrowed.
 *   image       name, version, root_hash, kernel, kernel_image, initrd (digests), system, ...
 *   setuid      path -> {mode, uid, gid, capabilities}: setuid and setgid files, files with capabilities
 *   ports       "allow tcp 22" -> {from, name}, "socket tcp 22" -> {units}, "policy" -> {input}
 *   units       unit -> {state, wanted_by, content, drop_ins}
 *   users       user -> {uid, gid, groups, home, shell, password, ssh_keys}; "group NAME" -> {gid}
 *   cmdline     argument -> true
 *   sysctl      key -> value
 *   packages    package -> {version, architecture}
 *   keys        step of the build -> key of its result in the cache (only of manifests)
 *   containers  reference of a preloaded image -> {digest, manifest, image, layers, bytes}; of locks only the digest
 *   build_packages, repositories (suite -> digest): only of locks
 *   partitions  name -> {number, size}
 *   sizes       "disk", "PARTITION used", "content", "file FORMAT" -> bytes */
const json_t *inventory_facts(const struct inventory *inventory);

/* The entries, sorted bytewise by path, after inventory_finish. False when files are not known (of a
 * manifest). Borrowed. */
bool inventory_files(const struct inventory *inventory, const struct inventory_file **ret,
		     size_t *ret_count);

/* The arguments of the kernel in their order, without the root hash; NULL when not known. Borrowed. */
const char *inventory_cmdline(const struct inventory *inventory);

/* The entry with that path, symbolic links not followed; NULL when there is none. Borrowed. */
const struct inventory_file *inventory_find(const struct inventory *inventory, const char *path);

/* Digests the content of the regular files wanted[0..count) (indices into inventory_files) that have no
 * digest yet. Without a reader (inventory_begin) they stay unknown. ERR_OTHER when that is more than
 * 256 GiB, ERR_VERIFY when the file system is damaged. Blocks: about a second per GiB. */
int inventory_hash(struct inventory *inventory, const size_t *wanted, size_t count,
		   struct err *err);

/* True when both were read from the same bytes of a squashfs, so that files cannot differ: 1 yes, 0 no or
 * not known, -1 error. Reads both until they differ. */
int inventory_same_tree(struct inventory *a, struct inventory *b, struct err *err);

#endif

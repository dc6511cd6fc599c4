/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of the inventory share. Private to inspect/inventory*.c.
 */
#ifndef INGOT_INSPECT_INVENTORY_PARTS_H
#define INGOT_INSPECT_INVENTORY_PARTS_H

#include "base/mem.h"
#include "base/str.h"
#include "disk/squashread.h"
#include "inspect/inventory.h"

#define INVENTORY_BYTES_MAX ((size_t)128 << 20) /* entries and texts of one inventory */
#define INVENTORY_ROWS_MAX ((size_t)65536)      /* of one category */

/* Content of a file that matters. */
struct inventory_text {
	const char *path, *text; /* text is ended by NUL; NULs in it are "?" */
	size_t len;
};

struct inventory {
	char *name;
	const char *kind;
	json_t *facts;
	struct mem_arena *arena; /* what entries point to */
	struct mem_arena *texts_arena;
	struct inventory_file *files;
	size_t count, room;
	struct inventory_text *texts; /* gone after inventory_finish */
	size_t text_count, text_room;
	size_t bytes;  /* of entries and texts */
	char *cmdline; /* arguments of the kernel in their order, or NULL */
	bool has_files, sorted;
	/* Where contents are read from, or NULL. */
	struct image *image;
	struct squashread *tree;
	uint64_t tree_offset, tree_size;
};

/* The entry that the path means when symbolic links are followed (at most 40), or NULL. Its own path is
 * in it. */
const struct inventory_file *inventory_resolve(const struct inventory *inventory, const char *path);

/* The text of the file that the path means, or NULL. */
const struct inventory_text *inventory_text(const struct inventory *inventory, const char *path);

/* Calls visit for each entry directly in the folder that dir means, in the order of their names; path is
 * that of the entry with links in dir followed. An absent folder has none. */
int inventory_children(const struct inventory *inventory, const char *dir,
		       int (*visit)(const struct inventory_file *file, const char *name,
				    void *context, struct err *err),
		       void *context, struct err *err);

/* A JSON string; bytes that are no UTF-8 become "\xHH". */
json_t *inventory_string(const char *text);

/* As inventory_string, for the first len bytes. */
json_t *inventory_string_n(const char *text, size_t len);

/* The object of a category, made when it is not there. Borrowed. */
json_t *inventory_category(struct inventory *inventory, const char *category);

/* The next line of text without its end, or NULL; *at moves on. Borrowed, *ret_len bytes. */
const char *inventory_line(const char **at, size_t *ret_len);

/* Each works out a category from entries and texts. */
int inventory_add_packages(struct inventory *inventory, struct err *err);

/* Users and groups of /etc/passwd, /etc/group, /etc/shadow, and keys that may log in by ssh. */
int inventory_add_users(struct inventory *inventory, struct err *err);

/* Units of systemd(1) and whether they are started (systemd.unit(5)). */
int inventory_add_units(struct inventory *inventory, struct err *err);

/* Settings of the kernel, by the order of sysctl.d(5). */
int inventory_add_sysctl(struct inventory *inventory, struct err *err);

/* What the firewall lets in and which sockets systemd listens on; needs the units. */
int inventory_add_ports(struct inventory *inventory, struct err *err);

/* Setuid and setgid files and files with capabilities. */
int inventory_add_setuid(struct inventory *inventory, struct err *err);

/* Preloaded container images, by what images.json says. */
int inventory_add_containers(struct inventory *inventory, struct err *err);

/* Adds containers of the form of containers_read, or of locks, as a category. ERR_VERIFY without a reference or
 * digest. */
int inventory_take_containers(struct inventory *inventory, const json_t *list, struct err *err);

/* Facts of os-release(5) and sizes of the tree. */
int inventory_add_system(struct inventory *inventory, struct err *err);

/* Reads manifest.json or a lock, whose text it is. */
int inventory_read_json(struct inventory *inventory, const char *text, size_t len, struct err *err);

/* Reads the files of the EFI system partition at offset of inventory->image (bytes), named "ESP:/...", and the
 * digests of the kernel and the initrd in the kernel image uki on it (a path; NULL: none). */
int inventory_read_esp(struct inventory *inventory, uint64_t offset, uint64_t size, const char *uki,
		       struct err *err);

/* Reads the entries of the squashfs in inventory->image. */
int inventory_read_tree(struct inventory *inventory, struct err *err);

/* Reads the disk inventory->name, which ingot did not make, by libguestfs; contents are digested at once.
 * ERR_TOOL with a hint without libguestfs. Blocks for half a minute and more. */
int inventory_read_guest(struct inventory *inventory, struct err *err);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk that ingot did not make as an inventory: its files come out of libguestfs' appliance as a tar, once,
 * into a temporary file without a name, and are digested there.
 */
#include "inspect/inventory_parts.h"

#include "base/fd.h"
#include "inspect/inspect_guest.h"
#include "tree/archive.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define TEXT_MAX ((size_t)64 << 20)
#define PIECE ((size_t)1 << 20)

struct reading {
	struct inventory *inv;
	struct tree *tree;
	int fd; /* the tar that the tree's data refer to */
	char *piece;
};

static int consume(int tar_fd, void *context, struct err *err)
{
	struct reading *r = context;
	struct digest digest;

	return tree_import_tar(tar_fd, r->fd, r->tree, "the disk", &digest, NULL, NULL, err);
}

static int hash(struct reading *r, const struct tree_data *data, struct digest *ret,
		struct err *err)
{
	struct digest_ctx *ctx = digest_start();
	size_t n;

	for (uint64_t at = 0; at < data->size; at += n) {
		n = data->size - at < PIECE ? (size_t)(data->size - at) : PIECE;
		if (fd_pread(r->fd, r->piece, n, data->offset + at, "the files of the disk", err) <
		    0) {
			digest_ctx_free(ctx);
			return -1;
		}
		digest_add(ctx, r->piece, n);
	}
	digest_finish(ctx, ret);
	return 0;
}

static int compare_xattrs(const void *a, const void *b)
{
	return strcmp(((const struct tree_xattr *)a)->name, ((const struct tree_xattr *)b)->name);
}

static void add_xattrs(struct tree_inode *inode, struct str *text)
{
	qsort(inode->xattrs, inode->xattr_count, sizeof(*inode->xattrs), compare_xattrs);
	for (size_t i = 0; i < inode->xattr_count; i++) {
		const unsigned char *value = inode->xattrs[i].value;

		str_addf(text, "%s=", inode->xattrs[i].name);
		for (size_t k = 0; k < inode->xattrs[i].len; k++)
			str_addf(text, "%02x", value[k]);
		str_add(text, "\n");
	}
}

static mode_t type_of(enum tree_type type)
{
	static const mode_t modes[] = {
		[TREE_DIR] = S_IFDIR,  [TREE_FILE] = S_IFREG,  [TREE_SYMLINK] = S_IFLNK,
		[TREE_CHAR] = S_IFCHR, [TREE_BLOCK] = S_IFBLK, [TREE_FIFO] = S_IFIFO,
	};

	return modes[type];
}

static int add_text(struct reading *r, const struct tree_node *node, const char *path,
		    struct err *err)
{
	CLEANUP_FREE char *text = NULL;
	size_t len;

	if (tree_read(node, TEXT_MAX, &text, &len, err) < 0)
		return -1;
	return inventory_add_text(r->inv, path, text, len, err);
}

static int visit(const struct tree_node *node, const char *path, void *context, struct err *err)
{
	struct reading *r = context;
	struct tree_inode *inode = node->inode;
	CLEANUP(str_free) struct str xattrs = {0};
	struct inventory_file file = {.path = path,
				      .mode = type_of(inode->type) | inode->mode,
				      .uid = inode->uid,
				      .gid = inode->gid,
				      .target = inode->type == TREE_SYMLINK ? inode->target : NULL};
	struct digest digest;

	add_xattrs(inode, &xattrs);
	file.xattrs = xattrs.len ? xattrs.data : NULL;
	if (inode->type == TREE_CHAR || inode->type == TREE_BLOCK)
		file.device = makedev(inode->major, inode->minor);
	if (inode->type == TREE_FILE) {
		file.size = inode->data.size;
		if (hash(r, &inode->data, &digest, err) < 0)
			return -1;
		file.digest = &digest;
	}
	if (inventory_add(r->inv, &file, err) < 0)
		return -1;
	return inode->type == TREE_FILE && inventory_wants_text(path, inode->data.size)
		       ? add_text(r, node, path, err)
		       : 0;
}

static int add_report(struct inventory *inv, const json_t *report, struct err *err)
{
	const json_t *item, *system = json_object_get(report, "system");
	const char *kernel =
		json_string_value(json_array_get(json_object_get(report, "kernels"), 0));
	const char *architecture = json_member_string(system, "architecture");
	size_t i;

	if ((kernel && inventory_set(inv, "image", "kernel", json_string(kernel), err) < 0) ||
	    (architecture &&
	     inventory_set(inv, "image", "architecture", json_string(architecture), err) < 0) ||
	    inventory_set(inv, "sizes", "disk", json_incref(json_object_get(report, "size")), err) <
		    0)
		return -1;
	json_array_foreach(json_object_get(report, "filesystems"), i, item)
	{
		const char *mount = json_member_string(item, "mount");
		CLEANUP_FREE char *name =
			mem_printf("%s %s", mount ? mount : json_member_string(item, "device"),
				   json_member_string(item, "type"));
		json_t *row = json_pack("{s:I, s:O}", "number", (json_int_t)i + 1, "size",
					json_object_get(item, "size"));

		if (inventory_set(inv, "partitions", name, row, err) < 0)
			return -1;
	}
	return 0;
}

static int open_temporary(struct err *err)
{
	const char *folder = getenv("TMPDIR");
	int fd;

	if (!folder || !*folder)
		folder = "/var/tmp";
	fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	return fd < 0 ? err_sys(err, errno, "cannot make a temporary file in '%s'", folder) : fd;
}

int inventory_read_guest(struct inventory *inv, struct err *err)
{
	CLEANUP(tree_cleanup) struct tree *tree = tree_new();
	CLEANUP_FREE char *piece = mem_alloc(PIECE);
	CLEANUP_JSON json_t *report = NULL;
	CLEANUP_FD int fd = open_temporary(err);
	struct reading r = {inv, tree, fd, piece};

	inv->kind = "disk";
	if (fd < 0 || inspect_run_guest(inv->name, consume, &r, &report, err) < 0 ||
	    add_report(inv, report, err) < 0)
		return -1;
	return tree_walk(tree, visit, &r, err);
}

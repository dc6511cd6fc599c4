/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An entry of a foreign tar stream as an inode: whatever the stream says is checked before anything is
 * made of it.
 */
#include "tree/importparts.h"

#include "base/str.h"
#include "tree/node.h"

#include <errno.h>
#include <string.h>

int import_broken(const struct import *im, const char *path, const char *why, struct err *err)
{
	CLEANUP(str_free) struct str name = {0};

	/* One line, whatever it is called. */
	str_add_utf8(&name, path ? path : "", path ? strnlen(path, 200) : 0);
	return err_set(err, ERR_VERIFY, "cannot read %s: entry '%s': %s", im->origin,
		       name.data ? name.data : "", why);
}

int import_archive_failed(const struct import *im, struct err *err)
{
	const char *text = archive_error_string(im->in);
	int errnum = archive_errno(im->in);

	if (errnum == EIO || errnum == EBADF || errnum == EISDIR)
		return err_sys(err, errnum, "cannot read %s", im->origin);
	return err_set(err, ERR_VERIFY, "cannot read %s: %s", im->origin,
		       text ? text : "broken archive");
}

/* Warnings come for names that the C locale cannot show (their bytes are kept as they are, which is
 * what we want) and for attributes that were dropped (which we do not want). */
static bool harmless_warning(struct archive *in)
{
	const char *text = archive_error_string(in);

	return text && strstr(text, "can't be converted");
}

int import_next(struct import *im, struct err *err)
{
	int r = archive_read_next_header(im->in, &im->entry);

	if (r == ARCHIVE_EOF)
		return 0;
	if (r != ARCHIVE_OK && !(r == ARCHIVE_WARN && harmless_warning(im->in)))
		return import_archive_failed(im, err);
	return 1;
}

int import_get_xattrs(struct import *im, struct tree_inode *inode, struct err *err)
{
	const char *name;
	const void *value;
	size_t len, count = 0;

	archive_entry_xattr_reset(im->entry);
	while (archive_entry_xattr_next(im->entry, &name, &value, &len) == ARCHIVE_OK) {
		if (!name || !*name || strlen(name) > 255 || strchr(name, '=') ||
		    !node_target_is_clean(name))
			return import_broken(im, im->path, "bad name of an extended attribute",
					     err);
		if (count == TREE_XATTRS_MAX || len > TREE_XATTR_VALUE_MAX)
			return import_broken(im, im->path,
					     "too many or too large extended attributes", err);
		for (size_t i = 0; i < count; i++)
			if (strcmp(im->xattrs[i].name, name) == 0)
				return import_broken(im, im->path, "extended attribute given twice",
						     err);
		im->xattrs[count++] = (struct tree_xattr){name, value ? value : "", len};
	}
	inode->xattrs = im->xattrs;
	inode->xattr_count = count;
	return 0;
}

int import_get_type(const struct import *im, struct tree_inode *inode, struct err *err)
{
	struct archive_entry *e = im->entry;

	switch (archive_entry_filetype(e)) {
	case AE_IFREG:
		inode->type = TREE_FILE;
		if (archive_entry_size(e) < 0)
			return import_broken(im, im->path, "bad size", err);
		inode->data.size = (uint64_t)archive_entry_size(e);
		return 0;
	case AE_IFDIR:
		inode->type = TREE_DIR;
		return 0;
	case AE_IFLNK:
		inode->type = TREE_SYMLINK;
		inode->target = archive_entry_symlink(e);
		if (!inode->target || !node_target_is_clean(inode->target))
			return import_broken(im, im->path, "bad target of a symbolic link", err);
		return 0;
	case AE_IFCHR:
	case AE_IFBLK:
		inode->type = archive_entry_filetype(e) == AE_IFCHR ? TREE_CHAR : TREE_BLOCK;
		inode->major = (uint32_t)archive_entry_rdevmajor(e);
		inode->minor = (uint32_t)archive_entry_rdevminor(e);
		if (inode->major > 0xfff || inode->minor > 0xfffff)
			return import_broken(im, im->path, "bad device number", err);
		return 0;
	case AE_IFIFO:
		inode->type = TREE_FIFO;
		return 0;
	}
	return import_broken(im, im->path, "type of entry not supported", err);
}

int import_get_owner(const struct import *im, struct tree_inode *inode, struct err *err)
{
	int64_t uid = archive_entry_uid(im->entry), gid = archive_entry_gid(im->entry);
	int64_t mtime = archive_entry_mtime(im->entry);

	if (uid < 0 || uid > UINT32_MAX || gid < 0 || gid > UINT32_MAX)
		return import_broken(im, im->path, "bad owner", err);
	/* 2^33 is far away and still fits ustar's eleven digits. */
	if (mtime < 0 || mtime >= (int64_t)1 << 33)
		return import_broken(im, im->path, "bad time", err);
	inode->mode = archive_entry_perm(im->entry) & 07777;
	inode->uid = (uint32_t)uid;
	inode->gid = (uint32_t)gid;
	inode->mtime = mtime;
	inode->origin = im->origin;
	return 0;
}

int import_blame_stream(const struct import *im, struct err *err)
{
	if (err && err->code == ERR_PROFILE) {
		err->code = ERR_VERIFY;
		err_wrap(err, "cannot read %s", im->origin);
	}
	return -1;
}

locale_t import_enter_locale(locale_t *ret_saved)
{
	locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);

	*ret_saved = uselocale(c);
	return c;
}

void import_leave_locale(locale_t entered, locale_t saved)
{
	uselocale(saved);
	freelocale(entered);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads initrds: newc cpio archives, one behind the other with zeros between, as the kernel's unpacker
 * does (Documentation/driver-api/early-userspace/buffer-format.rst). Contents stay where they are.
 */
#include "base/fd.h"
#include "base/path.h"
#include "tree/archive.h"
#include "tree/node.h"

#include <string.h>
#include <sys/stat.h>

#define HEADER 110

enum field {
	INO,
	MODE,
	UID,
	GID,
	NLINK,
	MTIME,
	SIZE,
	DEV_MAJOR,
	DEV_MINOR,
	MAJOR,
	MINOR,
	NAME_SIZE,
	CHECK,
	FIELDS
};

/* Files with several links of the current archive, by what identifies them. */
struct cpio_link {
	uint32_t ino, major, minor;
	struct tree_inode *inode; /* NULL: free slot */
};

struct cpio {
	int fd;
	uint64_t base, pos, end; /* start of the current archive, next byte, end of all */
	const char *origin;
	struct tree *tree;
	uint32_t f[FIELDS];
	struct cpio_link *links;
	size_t link_count, link_room; /* room is a power of two */
	char name[PATH_IMAGE_MAX], path[PATH_IMAGE_MAX], target[PATH_IMAGE_MAX];
};

static int broken(const struct cpio *c, const char *why, struct err *err)
{
	return err_set(err, ERR_VERIFY, "cannot read %s: byte %llu: %s", c->origin,
		       (unsigned long long)c->pos, why);
}

static struct cpio_link *link_slot(struct cpio_link *links, size_t room, uint32_t ino,
				   uint32_t major, uint32_t minor)
{
	uint64_t hash = ((uint64_t)ino << 32 ^ (uint64_t)major << 20 ^ minor) * 0x9e3779b97f4a7c15u;
	size_t at = hash >> 32 & (room - 1);

	while (links[at].inode &&
	       (links[at].ino != ino || links[at].major != major || links[at].minor != minor))
		at = (at + 1) & (room - 1);
	return &links[at];
}

/* The slot of the current entry; free when this is its first link. */
static struct cpio_link *find_link(struct cpio *c)
{
	if (c->link_count * 2 >= c->link_room) {
		size_t room = c->link_room ? c->link_room * 2 : 64;
		struct cpio_link *grown = mem_alloc_array(room, sizeof(*grown));

		for (size_t i = 0; i < c->link_room; i++) {
			const struct cpio_link *l = &c->links[i];

			if (l->inode)
				*link_slot(grown, room, l->ino, l->major, l->minor) = *l;
		}
		free(c->links);
		c->links = grown;
		c->link_room = room;
	}
	return link_slot(c->links, c->link_room, c->f[INO], c->f[DEV_MAJOR], c->f[DEV_MINOR]);
}

static int parse_hex(const char *digits, uint32_t *ret)
{
	uint32_t value = 0;

	for (int i = 0; i < 8; i++) {
		char d = digits[i];
		uint32_t v;

		if (d >= '0' && d <= '9')
			v = (uint32_t)(d - '0');
		else if (d >= 'a' && d <= 'f')
			v = (uint32_t)(d - 'a') + 10;
		else if (d >= 'A' && d <= 'F')
			v = (uint32_t)(d - 'A') + 10;
		else
			return -1;
		value = value << 4 | v;
	}
	*ret = value;
	return 0;
}

/* Alignment is counted from the start of the archive. */
static void align(struct cpio *c)
{
	c->pos += -(c->pos - c->base) & 3;
}

/* Reads header and name and moves to the data. */
static int read_header(struct cpio *c, struct err *err)
{
	char head[HEADER];

	if (c->end - c->pos < HEADER)
		return broken(c, "truncated", err);
	if (fd_pread(c->fd, head, HEADER, c->pos, c->origin, err) < 0)
		return -1;
	if (memcmp(head, "070701", 6) != 0 && memcmp(head, "070702", 6) != 0)
		return broken(c, "not an uncompressed newc cpio archive", err);
	for (int i = 0; i < FIELDS; i++)
		if (parse_hex(head + 6 + 8 * i, &c->f[i]) < 0)
			return broken(c, "bad header", err);
	if (c->f[NAME_SIZE] < 2 || c->f[NAME_SIZE] > sizeof(c->name) ||
	    c->f[NAME_SIZE] > c->end - c->pos - HEADER)
		return broken(c, "bad length of a name", err);
	if (fd_pread(c->fd, c->name, c->f[NAME_SIZE], c->pos + HEADER, c->origin, err) < 0)
		return -1;
	if (memchr(c->name, '\0', c->f[NAME_SIZE]) != c->name + c->f[NAME_SIZE] - 1)
		return broken(c, "bad name", err);
	c->pos += HEADER + c->f[NAME_SIZE];
	align(c);
	if (c->pos > c->end || c->f[SIZE] > c->end - c->pos)
		return broken(c, "truncated", err);
	return 0;
}

static int get_type(struct cpio *c, struct tree_inode *inode, struct err *err)
{
	uint32_t size = c->f[SIZE];

	switch (c->f[MODE] & S_IFMT) {
	case S_IFREG:
		inode->type = TREE_FILE;
		inode->data = (struct tree_data){.size = size, .fd = c->fd, .offset = c->pos};
		return 0;
	case S_IFDIR:
		inode->type = TREE_DIR;
		break;
	case S_IFLNK:
		inode->type = TREE_SYMLINK;
		inode->target = c->target;
		if (size == 0 || size >= sizeof(c->target))
			return broken(c, "bad target of a symbolic link", err);
		if (fd_pread(c->fd, c->target, size, c->pos, c->origin, err) < 0)
			return -1;
		c->target[size] = '\0';
		if (strlen(c->target) != size || !node_target_is_clean(c->target))
			return broken(c, "bad target of a symbolic link", err);
		return 0;
	case S_IFCHR:
	case S_IFBLK:
		inode->type = (c->f[MODE] & S_IFMT) == S_IFCHR ? TREE_CHAR : TREE_BLOCK;
		inode->major = c->f[MAJOR];
		inode->minor = c->f[MINOR];
		if (inode->major > 0xfff || inode->minor > 0xfffff)
			return broken(c, "bad device number", err);
		break;
	case S_IFIFO:
		inode->type = TREE_FIFO;
		break;
	default:
		return broken(c, "type of entry not supported", err);
	}
	return size ? broken(c, "content where none can be", err) : 0;
}

/* The writers of cpio put the content behind the last link (GNU) or the first: take what comes. */
static int put_shared(struct cpio *c, const struct tree_inode *inode, struct err *err)
{
	struct cpio_link *link = find_link(c);

	if (link->inode && link->inode->type != inode->type)
		return broken(c, "hard link between different types", err);
	if (!link->inode) {
		*link = (struct cpio_link){c->f[INO], c->f[DEV_MAJOR], c->f[DEV_MINOR],
					   node_copy_inode(c->tree, inode)};
		c->link_count++;
	} else if (inode->data.size) {
		link->inode->data = inode->data;
	}
	return node_put_inode(c->tree, c->path, link->inode, err) ? 0 : -1;
}

static int read_entry(struct cpio *c, struct err *err)
{
	struct tree_inode inode = {.mode = c->f[MODE] & 07777,
				   .uid = c->f[UID],
				   .gid = c->f[GID],
				   .mtime = c->f[MTIME],
				   .origin = c->origin,
				   .data.fd = -1};
	int r;

	if (node_clean_path(c->name, c->path) < 0)
		return broken(c, "name of an entry is not a path below the root", err);
	if (get_type(c, &inode, err) < 0)
		return -1;
	if (c->f[NLINK] > 1 && inode.type != TREE_DIR)
		r = put_shared(c, &inode, err);
	else
		r = tree_put(c->tree, c->path, &inode, err) ? 0 : -1;
	if (r < 0) {
		if (err && err->code == ERR_PROFILE) {
			err->code = ERR_VERIFY;
			err_wrap(err, "cannot read %s", c->origin);
		}
		return -1;
	}
	c->pos += c->f[SIZE];
	align(c);
	return 0;
}

/* Skips the zeros between archives. Returns 1 at the end of all, 0 where an archive starts. */
static int skip_padding(struct cpio *c, struct err *err)
{
	char buffer[4096];

	while (c->pos < c->end) {
		size_t n = c->end - c->pos < sizeof(buffer) ? (size_t)(c->end - c->pos)
							    : sizeof(buffer);
		size_t i = 0;

		if (fd_pread(c->fd, buffer, n, c->pos, c->origin, err) < 0)
			return -1;
		while (i < n && !buffer[i])
			i++;
		c->pos += i;
		if (i < n)
			return 0;
	}
	return 1;
}

static int read_all(struct cpio *c, struct err *err)
{
	int r = skip_padding(c, err);

	if (r == 1)
		return broken(c, "no archive at all", err);
	while (r == 0) {
		c->base = c->pos;
		for (;;) {
			if (read_header(c, err) < 0)
				return -1;
			if (strcmp(c->name, "TRAILER!!!") == 0)
				break;
			if (read_entry(c, err) < 0)
				return -1;
		}
		/* Inode numbers start again with the next archive. */
		free(c->links);
		c->links = NULL;
		c->link_count = c->link_room = 0;
		r = skip_padding(c, err);
	}
	return r < 0 ? -1 : 0;
}

int tree_read_cpio(int fd, uint64_t offset, uint64_t size, const char *origin, struct tree *tree,
		   struct err *err)
{
	struct cpio *c = mem_alloc(sizeof(*c));
	int r;

	c->fd = fd;
	c->pos = c->base = offset;
	c->end = offset + size;
	c->origin = mem_arena_strdup(tree->arena, origin);
	c->tree = tree;
	r = c->end < offset ? broken(c, "bad size", err) : read_all(c, err);
	free(c->links);
	free(c);
	return r;
}

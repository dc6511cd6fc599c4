/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The manifest of an overlay: lines "PATH MODE OWNER GROUP". PATH may contain blanks, since the last
 * three words are the others; "PATH/" also makes the folder, which git cannot keep when it is empty.
 * MODE is octal, or "-" for the default; owners are numbers or names of the image's /etc/passwd.
 */
#include "base/mem.h"
#include "base/path.h"
#include "tree/node.h"
#include "tree/overlay.h"

#include <string.h>

#define FORM "expected 'PATH MODE OWNER GROUP'"
#define PASSWD_MAX ((size_t)1 << 20)

struct manifest {
	const char *file;
	unsigned line;
	const char *start; /* of the line */
	struct tree *tree;
	const struct tree *base;
};

/* The words of a line; they point into it. */
struct entry {
	const char *word[4]; /* path, mode, owner, group */
	size_t len[4];
};

static int fault(const struct manifest *m, const char *at, struct err *err, const char *why)
{
	err_set(err, ERR_PROFILE, "%s:%u:%u: error: %s", m->file, m->line,
		(unsigned)(at - m->start) + 1, why);
	return -1;
}

/* Cuts the last three words off; the rest is the path. */
static int split(const struct manifest *m, size_t len, struct entry *e, struct err *err)
{
	const char *end = m->start + len;

	if (end > m->start && end[-1] == '\r')
		end--;
	for (int i = 3; i >= 1; i--) {
		const char *p;

		while (end > m->start && (end[-1] == ' ' || end[-1] == '\t'))
			end--;
		p = end;
		while (p > m->start && p[-1] != ' ' && p[-1] != '\t')
			p--;
		if (p == m->start)
			return fault(m, m->start, err, FORM ", found too few words");
		e->word[i] = p;
		e->len[i] = (size_t)(end - p);
		end = p;
	}
	while (end > m->start && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	e->word[0] = m->start;
	while (e->word[0] < end && (*e->word[0] == ' ' || *e->word[0] == '\t'))
		e->word[0]++;
	e->len[0] = (size_t)(end - e->word[0]);
	return e->len[0] ? 0 : fault(m, m->start, err, FORM ", found too few words");
}

static int parse_mode(const struct manifest *m, const struct entry *e, uint32_t *ret,
		      struct err *err)
{
	uint32_t mode = 0;

	for (size_t i = 0; i < e->len[1]; i++) {
		char c = e->word[1][i];

		if (c < '0' || c > '7' || e->len[1] < 3 || e->len[1] > 4)
			return fault(m, e->word[1], err,
				     FORM ", MODE is 3 or 4 octal digits or '-'");
		mode = mode << 3 | (uint32_t)(c - '0');
	}
	*ret = mode;
	return 0;
}

/* Reads len digits; the largest number is no owner but stands for "leave as it is" in chown(2). */
static bool parse_number(const char *digits, size_t len, uint32_t *ret)
{
	uint64_t number = 0;

	for (size_t i = 0; i < len; i++) {
		if (digits[i] < '0' || digits[i] > '9')
			return false;
		number = number * 10 + (uint64_t)(digits[i] - '0');
		if (number >= UINT32_MAX)
			return false;
	}
	*ret = (uint32_t)number;
	return len > 0;
}

/* Looks "name:password:number:" up in a passwd or group file. */
static bool find_name(const char *text, const char *name, size_t len, uint32_t *ret)
{
	for (const char *line = text; line && *line; line = strchr(line, '\n')) {
		const char *colon;

		line += *line == '\n';
		if (strncmp(line, name, len) != 0 || line[len] != ':')
			continue;
		colon = strchr(line + len + 1, ':');
		return colon && parse_number(colon + 1, strcspn(colon + 1, ":\n"), ret);
	}
	return false;
}

static int parse_owner(const struct manifest *m, const struct entry *e, int word, uint32_t *ret,
		       struct err *err)
{
	const char *name = e->word[word], *file = word == 2 ? "/etc/passwd" : "/etc/group";
	CLEANUP_FREE char *text = NULL, *why = NULL;
	size_t len = e->len[word], text_len;
	const struct tree_node *node;

	if (strspn(name, "0123456789") >= len) {
		if (parse_number(name, len, ret))
			return 0;
		return fault(m, name, err, "the number of an owner is less than 2^32 - 1");
	}
	*ret = 0;
	if (!m->base || (len == 4 && strncmp(name, "root", 4) == 0))
		return 0;
	node = tree_resolve(m->base, file);
	if (node && tree_read(node, PASSWD_MAX, &text, &text_len, err) < 0)
		return -1;
	if (text && find_name(text, name, len, ret))
		return 0;
	why = mem_printf("no %s '%.*s' in %s of the image; expected a number or a name from there",
			 word == 2 ? "user" : "group", (int)len, name, file);
	return fault(m, name, err, why);
}

/* Finds the node, or makes the folder that a trailing slash asks for. */
static struct tree_node *find_node(const struct manifest *m, const struct entry *e, struct err *err)
{
	size_t len = e->len[0];
	bool folder = e->word[0][len - 1] == '/';
	CLEANUP_FREE char *path = NULL, *why = NULL;
	struct tree_node *node;

	while (len > 1 && e->word[0][len - 1] == '/')
		len--;
	path = mem_strndup(e->word[0], len);
	if (strcmp(path, "/") != 0 && !path_is_clean(path)) {
		fault(m, e->word[0], err, "expected a path without '.', '..' or '//'");
		return NULL;
	}
	node = tree_find(m->tree, path);
	if (!node && folder) {
		if (tree_put_dir(m->tree, path, 0755, m->tree->root->inode->origin, err) < 0)
			return NULL;
		return tree_find(m->tree, path);
	}
	if (!node) {
		why = mem_printf("the overlay has no '%s'; expected a path in it, or '%s/' for an "
				 "empty folder",
				 path, path);
		fault(m, e->word[0], err, why);
	} else if (folder && node->inode->type != TREE_DIR) {
		fault(m, e->word[0], err, "this is no folder; expected its path without '/'");
		return NULL;
	}
	return node;
}

static int apply(const struct manifest *m, size_t len, struct err *err)
{
	struct entry e;
	struct tree_node *node;
	struct tree_inode *inode;
	uint32_t mode = 0, uid, gid;
	bool standard;

	if (split(m, len, &e, err) < 0)
		return -1;
	standard = e.len[1] == 1 && e.word[1][0] == '-';
	if ((!standard && parse_mode(m, &e, &mode, err) < 0) ||
	    parse_owner(m, &e, 2, &uid, err) < 0 || parse_owner(m, &e, 3, &gid, err) < 0)
		return -1;
	node = find_node(m, &e, err);
	if (!node)
		return -1;
	inode = node->inode;
	if (inode->mark)
		return fault(m, e.word[0], err, "this path has a line already");
	if (inode->type == TREE_SYMLINK && !standard)
		return fault(m, e.word[1], err, "a symbolic link has no mode; expected '-'");
	if (!standard) {
		inode->mode = mode;
	} else if (m->base && inode->type == TREE_DIR) {
		CLEANUP_FREE char *path = tree_path(node);
		const struct tree_node *below = tree_find(m->base, path);

		if (below && below->inode->type == TREE_DIR)
			inode->mode = below->inode->mode;
	}
	inode->uid = uid;
	inode->gid = gid;
	inode->mark = 1;
	return 0;
}

int overlay_apply_manifest(struct tree *tree, const struct tree *base, const char *file,
			   const char *text, struct err *err)
{
	struct manifest m = {.file = file, .start = text, .tree = tree, .base = base};

	while (*m.start) {
		size_t len = strcspn(m.start, "\n");
		size_t blank = strspn(m.start, " \t\r");

		m.line++;
		if (blank < len && m.start[blank] != '#' && apply(&m, len, err) < 0)
			return -1;
		m.start += len + (m.start[len] == '\n');
	}
	return 0;
}

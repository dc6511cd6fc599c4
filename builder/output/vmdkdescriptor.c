/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The descriptor inside a VMDK, as far as it says whether the extent is the whole disk. File names in
 * it are not read: no file is opened because input says so.
 */
#include "output/vmdk_parts.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* What the lines say. */
struct descriptor {
	char *create_type, *parent;
	uint64_t sectors;
	size_t extents;
	bool other; /* an extent that is not sparse, or not readable */
};

static char *skip_blanks(char *p)
{
	return p + strspn(p, " \t");
}

/* If the line sets the key, gives its value without quotes; *ret must not be set yet. */
static bool take_value(char *line, const char *key, char **ret)
{
	size_t len = strlen(key);
	char *p;

	if (strncasecmp(line, key, len) != 0)
		return false;
	p = skip_blanks(line + len);
	if (*p != '=' || *ret)
		return false;
	p = skip_blanks(p + 1);
	if (*p == '"')
		p++;
	*ret = p;
	p[strcspn(p, "\" \t")] = 0;
	return true;
}

/* RW 2048 SPARSE "name" */
static void take_extent(struct descriptor *d, char *line)
{
	static const char *const accesses[] = {"RW ", "RDONLY ", "NOACCESS "};

	for (size_t i = 0; i < ARRAY_SIZE(accesses); i++) {
		char *p = line, *end;

		if (!str_has_prefix(line, accesses[i]))
			continue;
		p = skip_blanks(p + strlen(accesses[i]));
		d->extents++;
		d->sectors = *p >= '0' && *p <= '9' ? strtoull(p, &end, 10) : 0;
		if (d->sectors == 0 || i == 2 || *end != ' ' ||
		    !str_has_prefix(skip_blanks(end), "SPARSE "))
			d->other = true;
	}
}

static const char *check(const struct descriptor *d, uint64_t sectors, uint64_t grain,
			 bool compressed)
{
	const char *type = compressed ? "streamOptimized" : "monolithicSparse";

	if (!d->create_type || !d->parent || d->extents == 0)
		return "a descriptor without type, parent or extent";
	if (strcmp(d->parent, "ffffffff") != 0)
		return "a difference to another file";
	if (d->extents != 1 || d->other || strcasecmp(d->create_type, type) != 0)
		return "a disk of a kind that is not supported, or of several files";
	/* VirtualBox aligns the header's and not this one. */
	if (d->sectors != sectors &&
	    (d->sectors > sectors || sectors - d->sectors >= grain || sectors % grain != 0))
		return "a descriptor of another size";
	return NULL;
}

const char *vmdk_check_descriptor(const char *text, uint64_t sectors, uint64_t grain,
				  bool compressed)
{
	CLEANUP_FREE char *copy = mem_strdup(text);
	struct descriptor d = {0};
	char *save = NULL;

	if (!*copy)
		return "no descriptor of its own";
	for (char *line = strtok_r(copy, "\r\n", &save); line;
	     line = strtok_r(NULL, "\r\n", &save)) {
		if (!take_value(line, "createType", &d.create_type) &&
		    !take_value(line, "parentCID", &d.parent))
			take_extent(&d, line);
	}
	return check(&d, sectors, grain, compressed);
}

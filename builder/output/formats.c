/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of image formats, in the order of help and README, which come from it. A new one is a file
 * that fills a struct output_format, and its row here.
 */
#include "output/formats.h"

#include "base/mem.h"
#include "base/str.h"

#include <string.h>

const struct output_format *const output_formats[] = {
	&format_raw, &format_raw_zst, &format_bmap, &format_qcow2, &format_qcow2_zlib,
	&format_vhd, &format_vmdk,    &format_ova,  &format_gcp,   NULL,
};

const struct output_format *output_format_find(const char *name)
{
	for (const struct output_format *const *f = output_formats; *f; f++)
		if (strcmp((*f)->name, name) == 0)
			return *f;
	return NULL;
}

static int unknown_format(const char *name, struct err *err)
{
	const char *names[OUTPUT_TARGETS_MAX];
	CLEANUP(str_free) struct str known = {0};
	const char *near;
	size_t count = 0;

	for (; output_formats[count]; count++) {
		names[count] = output_formats[count]->name;
		str_addf(&known, "%s%s", count ? ", " : "", names[count]);
	}
	near = str_nearest(name, names, count);
	if (*name)
		err_set(err, ERR_USAGE, "unknown format '%.40s'", name);
	else
		err_set(err, ERR_USAGE, "no format given");
	if (near)
		return err_hint(err, "did you mean '%s'? There are: %s", near, known.data);
	return err_hint(err, "there are: %s", known.data);
}

int output_formats_choose(const char *list, const struct output_format **ret, size_t *ret_count,
			  struct err *err)
{
	CLEANUP_FREE char *copy = mem_strdup(list);
	CLEANUP(strv_free) struct strv names = {0};
	char *save = NULL;

	*ret_count = 0;
	for (char *name = strtok_r(copy, ",", &save); name; name = strtok_r(NULL, ",", &save)) {
		const struct output_format *f = output_format_find(name);

		if (!f)
			return unknown_format(name, err);
		strv_add(&names, name);
		if (f->with)
			strv_add(&names, f->with);
	}
	if (names.count == 0)
		return unknown_format("", err);
	for (const struct output_format *const *f = output_formats; *f; f++)
		if (strv_has(&names, (*f)->name))
			ret[(*ret_count)++] = *f;
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of formats of seeds. A new format is one new file and one row here.
 */
#include "seed/parts.h"

#include "base/mem.h"

#include <string.h>

const struct seed_format seed_formats[] = {
	{"nocloud-iso", "ISO 9660 image labelled cidata, to be attached as a CD or disk", ".iso",
	 SEED_ISO, "cidata", seed_nocloud},
	{"nocloud-disk", "FAT file system labelled CIDATA, for a USB stick or a disk", ".img",
	 SEED_DISK, "CIDATA", seed_nocloud},
	{"configdrive", "OpenStack's config drive, an ISO 9660 image labelled config-2", ".iso",
	 SEED_ISO, "config-2", seed_configdrive},
	{"credentials", "folder of systemd credentials with the arguments for QEMU", "",
	 SEED_FOLDER, NULL, seed_credentials},
	{0},
};

const struct seed_format *seed_format_find(const char *name, struct err *err)
{
	CLEANUP(str_free) struct str all = {0};
	const char *names[ARRAY_SIZE(seed_formats)], *near;
	size_t count = 0;

	for (const struct seed_format *f = seed_formats; f->name; f++) {
		if (strcmp(f->name, name) == 0)
			return f;
		str_addf(&all, "%s%s", count ? ", " : "", f->name);
		names[count++] = f->name;
	}
	near = str_nearest(name, names, count);
	err_set(err, ERR_USAGE, "unknown format '%.40s'", name);
	err_hint(err, "%s%s%sthere are: %s", near ? "did you mean '" : "", near ? near : "",
		 near ? "'? " : "", all.data);
	return NULL;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which libraries make the bytes of a squashfs. libsquashfs does not tell its version, and the
 * compression libraries matter as much, so their build ids are taken from memory.
 */
#include "disk/squashfs.h"

#include "base/mem.h"
#include "base/str.h"

#include <elf.h>
#include <link.h>
#include <pthread.h>
#include <string.h>

static const char *const libraries[] = {"libsquashfs.so", "libzstd.so", "liblz4.so",
					"liblzma.so",     "libz.so",    "liblzo2.so"};
static char version[512];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void add_notes(struct str *text, const char *notes, size_t len)
{
	while (len >= sizeof(ElfW(Nhdr))) {
		const ElfW(Nhdr) *note = (const ElfW(Nhdr) *)notes;
		size_t name = (note->n_namesz + 3) & ~(size_t)3;
		size_t desc = (note->n_descsz + 3) & ~(size_t)3;

		if (len < sizeof(*note) + name + desc)
			return;
		if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4) {
			const unsigned char *id = (const unsigned char *)(note + 1) + name;

			for (size_t i = 0; i < note->n_descsz && i < 8; i++)
				str_addf(text, "%02x", id[i]);
			return;
		}
		notes += sizeof(*note) + name + desc;
		len -= sizeof(*note) + name + desc;
	}
}

static int add_library(struct dl_phdr_info *info, size_t size, void *context)
{
	const char *slash = strrchr(info->dlpi_name, '/');
	const char *name = slash ? slash + 1 : info->dlpi_name;
	struct str *text = context;

	(void)size;
	for (size_t i = 0; i < ARRAY_SIZE(libraries); i++) {
		if (!str_has_prefix(name, libraries[i]))
			continue;
		str_addf(text, "%s%s:", text->len ? " " : "", name);
		for (size_t k = 0; k < info->dlpi_phnum; k++)
			if (info->dlpi_phdr[k].p_type == PT_NOTE)
				add_notes(text,
					  (const char *)info->dlpi_addr +
						  info->dlpi_phdr[k].p_vaddr,
					  info->dlpi_phdr[k].p_memsz);
	}
	return 0;
}

static void find_version(void)
{
	CLEANUP(str_free) struct str text = {0};

	dl_iterate_phdr(add_library, &text);
	str_add(&text, "");
	strncpy(version, text.data, sizeof(version) - 1);
}

const char *squashfs_version(void)
{
	pthread_once(&once, find_version);
	return version;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which libraries make the bytes of a squashfs. libsquashfs does not tell its version, and the
 * compression libraries matter as much, so their build ids are taken from where they are loaded.
 */
#include "disk/squashfs.h"

#include "base/mem.h"
#include "base/str.h"

#include <dlfcn.h>
#include <elf.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>

#define ID_BYTES 8 /* of each build id; the rest adds nothing */

/* A function of each library; those that libsquashfs was built without are not found. */
static const char *const functions[] = {"sqfs_super_init", "ZSTD_versionNumber",
					"LZ4_versionNumber", "lzma_version_number", "zlibVersion"};
static char version[512];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void add_build_id(struct str *text, const char *notes, size_t len)
{
	Elf64_Nhdr note;

	while (len >= sizeof(note)) {
		size_t name, desc;

		memcpy(&note, notes, sizeof(note));
		name = (note.n_namesz + 3) & ~(size_t)3;
		desc = (note.n_descsz + 3) & ~(size_t)3;
		if (len - sizeof(note) < name + desc)
			return;
		if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == sizeof(ELF_NOTE_GNU)) {
			const char *id = notes + sizeof(note) + name;

			for (size_t i = 0; i < note.n_descsz && i < ID_BYTES; i++)
				str_addf(text, "%02x", (unsigned char)id[i]);
			return;
		}
		notes += sizeof(note) + name + desc;
		len -= sizeof(note) + name + desc;
	}
}

static void add_library(struct str *text, const Dl_info *info)
{
	const char *base = info->dli_fbase;
	const char *slash = strrchr(info->dli_fname, '/');
	const Elf64_Ehdr *head = info->dli_fbase;
	const Elf64_Phdr *parts = (const void *)(base + head->e_phoff);

	str_addf(text, "%s%s:", text->len ? " " : "", slash ? slash + 1 : info->dli_fname);
	for (size_t i = 0; i < head->e_phnum; i++)
		if (parts[i].p_type == PT_NOTE)
			add_build_id(text, base + parts[i].p_vaddr, parts[i].p_memsz);
}

static void find_version(void)
{
	CLEANUP(str_free) struct str text = {0};

	for (size_t i = 0; i < ARRAY_SIZE(functions); i++) {
		void *function = dlsym(RTLD_DEFAULT, functions[i]);
		Dl_info info;

		if (function && dladdr(function, &info) && info.dli_fbase)
			add_library(&text, &info);
	}
	str_add(&text, "");
	strncpy(version, text.data, sizeof(version) - 1);
}

const char *squashfs_version(void)
{
	pthread_once(&once, find_version);
	return version;
}

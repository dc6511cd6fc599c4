/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ELF dynamic sections (System V ABI; LSB for symbol versions), read with bounds: the tables are found by
 * way of the section headers, which strip(1) keeps.
 */
#include "layers/elfcheck.h"

#include "base/mem.h"
#include "base/str.h"

#include <elf.h>
#include <string.h>

#define ELF_MAX ((size_t)128 << 20)
#define SECTIONS_MAX 4096
#define LIBRARIES_MAX 256
#define VERSIONS_MAX 65536

static const char *const folders[] = {"/usr/lib/x86_64-linux-gnu",
				      "/usr/lib/aarch64-linux-gnu",
				      "/lib/x86_64-linux-gnu",
				      "/lib/aarch64-linux-gnu",
				      "/usr/lib64",
				      "/lib64",
				      "/usr/lib",
				      "/lib"};

struct elf {
	const char *path;
	char *bytes;
	size_t size;
	uint16_t machine;
	const Elf64_Shdr *sections;
	size_t section_count;
};

static void elf_close(struct elf *elf)
{
	free(elf->bytes);
}

static int bad(const struct elf *elf, const char *why, struct err *err)
{
	return err_set(err, ERR_VERIFY, "'%s': not a sound ELF file: %s", elf->path, why);
}

static int elf_open(const struct tree_node *node, const char *path, struct elf *elf,
		    struct err *err)
{
	Elf64_Ehdr head;

	*elf = (struct elf){.path = path};
	if (tree_read(node, ELF_MAX, &elf->bytes, &elf->size, err) < 0)
		return -1;
	if (elf->size < sizeof(head))
		return bad(elf, "too short", err);
	memcpy(&head, elf->bytes, sizeof(head));
	if (memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 || head.e_ident[EI_CLASS] != ELFCLASS64 ||
	    head.e_ident[EI_DATA] != ELFDATA2LSB)
		return bad(elf, "not 64 bit little-endian", err);
	if (head.e_shentsize != sizeof(Elf64_Shdr) || head.e_shnum > SECTIONS_MAX ||
	    head.e_shoff % _Alignof(Elf64_Shdr) || head.e_shoff > elf->size ||
	    head.e_shnum > (elf->size - head.e_shoff) / sizeof(Elf64_Shdr))
		return bad(elf, "section headers", err);
	elf->machine = head.e_machine;
	elf->sections = (const Elf64_Shdr *)(const void *)(elf->bytes + head.e_shoff);
	elf->section_count = head.e_shnum;
	return 0;
}

/* A section of the type whose content lies inside the file, or NULL. */
static const Elf64_Shdr *find_section(const struct elf *elf, uint32_t type)
{
	for (size_t i = 0; i < elf->section_count; i++) {
		const Elf64_Shdr *s = &elf->sections[i];

		if (s->sh_type == type && s->sh_offset <= elf->size &&
		    s->sh_size <= elf->size - s->sh_offset)
			return s;
	}
	return NULL;
}

/* Text at offset in the string table that belongs to the section; NULL when it is out of bounds. */
static const char *text_at(const struct elf *elf, const Elf64_Shdr *section, uint64_t offset)
{
	const Elf64_Shdr *strings;

	if (section->sh_link >= elf->section_count)
		return NULL;
	strings = &elf->sections[section->sh_link];
	if (strings->sh_offset > elf->size || strings->sh_size > elf->size - strings->sh_offset ||
	    offset >= strings->sh_size ||
	    !memchr(elf->bytes + strings->sh_offset + offset, '\0', strings->sh_size - offset))
		return NULL;
	return elf->bytes + strings->sh_offset + offset;
}

/* Copies size bytes at offset inside the section; false when they do not fit. */
static bool get(const struct elf *elf, const Elf64_Shdr *section, uint64_t offset, void *to,
		size_t size)
{
	if (offset > section->sh_size || size > section->sh_size - offset)
		return false;
	memcpy(to, elf->bytes + section->sh_offset + offset, size);
	return true;
}

static int needed_libraries(const struct elf *elf, struct strv *names, struct err *err)
{
	const Elf64_Shdr *dynamic = find_section(elf, SHT_DYNAMIC);
	Elf64_Dyn entry;

	for (uint64_t at = 0; dynamic && get(elf, dynamic, at, &entry, sizeof(entry));
	     at += sizeof(entry)) {
		const char *name;

		if (entry.d_tag == DT_NULL)
			break;
		if (entry.d_tag != DT_NEEDED)
			continue;
		name = text_at(elf, dynamic, entry.d_un.d_val);
		if (!name || !*name || strchr(name, '/') || names->count >= LIBRARIES_MAX)
			return bad(elf, "needed libraries", err);
		strv_add(names, name);
	}
	return 0;
}

/* Appends the versions that the library defines. */
static int defined_versions(const struct elf *elf, struct strv *versions, struct err *err)
{
	const Elf64_Shdr *section = find_section(elf, SHT_GNU_verdef);
	uint64_t at = 0;
	Elf64_Verdef def;

	while (section && get(elf, section, at, &def, sizeof(def))) {
		Elf64_Verdaux aux;
		const char *name;

		if (!get(elf, section, at + def.vd_aux, &aux, sizeof(aux)) ||
		    !(name = text_at(elf, section, aux.vda_name)) ||
		    versions->count >= VERSIONS_MAX)
			return bad(elf, "symbol versions", err);
		strv_add(versions, name);
		if (!def.vd_next)
			break;
		at += def.vd_next;
	}
	return 0;
}

static const struct tree_node *find_library(const struct tree *tree, const char *name,
					    uint16_t machine, struct elf *library, char **ret_path,
					    struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		char *path = mem_printf("%s/%s", folders[i], name);
		const struct tree_node *node = tree_resolve(tree, path);

		if (node && node->inode->type == TREE_FILE) {
			/* A linker script or a library of another machine is not what is loaded. */
			if (elf_open(node, path, library, err) == 0 &&
			    library->machine == machine) {
				*ret_path = path;
				return node;
			}
			elf_close(library);
			*library = (struct elf){0};
		}
		free(path);
	}
	return NULL;
}

/* Every version that elf asks of the library called file must be among those that it defines. */
static int check_versions(const struct elf *elf, const char *file, const struct strv *defined,
			  struct err *err)
{
	const Elf64_Shdr *section = find_section(elf, SHT_GNU_verneed);
	uint64_t at = 0;
	Elf64_Verneed need;
	size_t count = 0;

	while (section && get(elf, section, at, &need, sizeof(need)) && ++count < LIBRARIES_MAX) {
		const char *from = text_at(elf, section, need.vn_file);
		uint64_t aux_at = at + need.vn_aux;

		if (!from)
			return bad(elf, "needed versions", err);
		for (size_t i = 0; strcmp(from, file) == 0 && i < need.vn_cnt; i++) {
			Elf64_Vernaux aux;
			const char *version;

			if (!get(elf, section, aux_at, &aux, sizeof(aux)) ||
			    !(version = text_at(elf, section, aux.vna_name)))
				return bad(elf, "needed versions", err);
			if (!(aux.vna_flags & VER_FLG_WEAK) && !strv_has(defined, version))
				return err_set(
					err, ERR_VERIFY,
					"'%s' needs version %s of '%s', which the image's does not have",
					elf->path, version, file);
			if (!aux.vna_next)
				break;
			aux_at += aux.vna_next;
		}
		if (!need.vn_next)
			break;
		at += need.vn_next;
	}
	return 0;
}

static int check(const struct tree *tree, const struct elf *elf, struct strv *seen,
		 struct err *err);

static int check_library(const struct tree *tree, const struct elf *elf, const char *name,
			 struct strv *seen, struct err *err)
{
	CLEANUP(strv_free) struct strv defined = {0};
	CLEANUP(elf_close) struct elf library = {0};
	CLEANUP_FREE char *path = NULL;
	struct err why = {0};

	if (!find_library(tree, name, elf->machine, &library, &path, &why)) {
		err_set(err, ERR_VERIFY, "'%s' needs '%s', which the image does not have",
			elf->path, name);
		return err_hint(err, "add the package that brings it to the profile");
	}
	if (defined_versions(&library, &defined, err) < 0 ||
	    check_versions(elf, name, &defined, err) < 0)
		return -1;
	if (strv_has(seen, name))
		return 0;
	strv_add(seen, name);
	if (seen->count > LIBRARIES_MAX)
		return bad(elf, "too many libraries", err);
	return check(tree, &library, seen, err);
}

static int check(const struct tree *tree, const struct elf *elf, struct strv *seen, struct err *err)
{
	CLEANUP(strv_free) struct strv names = {0};

	if (needed_libraries(elf, &names, err) < 0)
		return -1;
	for (size_t i = 0; i < names.count; i++)
		if (check_library(tree, elf, names.items[i], seen, err) < 0)
			return -1;
	return 0;
}

int elfcheck_program(const struct tree *tree, const char *path, const char *const *loads,
		     struct err *err)
{
	CLEANUP(elf_close) struct elf elf = {0};
	CLEANUP(strv_free) struct strv seen = {0};
	const struct tree_node *node = tree_resolve(tree, path);

	if (!node)
		return err_set(err, ERR_VERIFY, "the image has no '%s'", path);
	if (elf_open(node, path, &elf, err) < 0)
		return -1;
	for (; loads && *loads; loads++)
		if (check_library(tree, &elf, *loads, &seen, err) < 0)
			return -1;
	return check(tree, &elf, &seen, err);
}

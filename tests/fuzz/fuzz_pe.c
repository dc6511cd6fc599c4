/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a PE image: read as a unified kernel image, as a kernel, and used as a stub. What is
 * built on an accepted stub is read again.
 */
#include "demand.h"
#include "memimage.h"

#include "base/mem.h"
#include "base/str.h"
#include "disk/uki.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_texts(const uint8_t *data, size_t size)
{
	static const char *const names[] = {".osrel", ".cmdline", ".uname"};
	struct memimage image = memimage(data, size);
	struct uki_section sections[UKI_SECTIONS_MAX];
	struct err err = {0};
	size_t count;

	if (uki_sections(&image.image, sections, &count, &err) < 0) {
		demand(err.msg[0], "an error is told");
		return;
	}
	demand(count > 0 && count <= UKI_SECTIONS_MAX, "the number of sections is bounded");
	for (size_t i = 0; i < count; i++)
		demand(sections[i].offset <= size && sections[i].size <= size - sections[i].offset,
		       "a section lies inside the file");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char *text = NULL;

		if (uki_read_text(&image.image, names[i], &text, &err) == 0)
			free(text);
	}
}

static void check_built(const struct uki *uki)
{
	CLEANUP_FREE uint8_t *bytes = mem_alloc(uki->regions.size);
	CLEANUP_FREE char *cmdline = NULL;
	struct memimage image = memimage(bytes, uki->regions.size);
	struct err err = {0};
	uint64_t end = 0;

	for (size_t i = 0; i < uki->regions.count; i++) {
		const struct region *r = &uki->regions.items[i];

		demand(r->offset >= end && r->length <= uki->regions.size - r->offset,
		       "regions are sorted and inside");
		memcpy(bytes + r->offset, r->bytes, r->length);
		end = r->offset + r->length;
	}
	demand(uki_read_text(&image.image, ".cmdline", &cmdline, &err) == 0, "it is read again");
	demand(cmdline && strcmp(cmdline, "ro") == 0, "it has our command line");
}

static void build(const uint8_t *data, size_t size)
{
	const struct region initrd = {.length = 6, .bytes = "initrd", .fd = -1};
	struct uki_input input = {.stub = data,
				  .stub_size = size,
				  .osrel = "ID=x\n",
				  .cmdline = "ro",
				  .uname = "6",
				  .kernel = {.length = size, .bytes = data, .fd = -1},
				  .initrds = &initrd,
				  .initrd_count = 1};
	CLEANUP(uki_free) struct uki uki = {0};
	struct err err = {0};

	if (uki_plan(&input, &uki, &err) < 0) {
		demand(err.msg[0], "an error is told");
		return;
	}
	check_built(&uki);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err err = {0};
	char *version = NULL;

	read_texts(data, size);
	if (size > 0)
		build(data, size);
	if (uki_kernel_version(data, size, &version, &err) == 0) {
		demand(version[0], "a version is not empty");
		free(version);
	}
	return 0;
}

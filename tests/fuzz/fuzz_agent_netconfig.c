/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz the reading of network configuration in its three formats: whatever it says, the files of networkd have only
 * lines that we write ourselves.
 */
#include "agent/provision/netconfig.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A section, or KEY=VALUE with a key of ours and a value without control characters. */
static void check_line(const char *line, size_t len)
{
	const char *equals = memchr(line, '=', len);

	if (!len || (line[0] == '[' && line[len - 1] == ']' && !equals))
		return;
	if (!equals || equals == line)
		abort();
	for (const char *p = line; p < equals; p++)
		if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", *p))
			abort();
	for (const char *p = equals; p < line + len; p++)
		if ((unsigned char)*p <= ' ' || *p == 0x7f)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mem_arena *arena = mem_arena_new();
	struct netconfig config = {.arena = arena};
	struct netconfig_files files = {0};
	struct str problems = {0};
	struct doc_report report = {.text = &problems};

	netconfig_read((const char *)data, size, "network-config", &report, &config);
	netconfig_render(&config, &files);
	for (size_t i = 0; i < files.count; i++) {
		if (strchr(files.items[i].name, '/'))
			abort();
		for (const char *line = files.items[i].text; *line;) {
			size_t len = strcspn(line, "\n");

			check_line(line, len);
			line += len + (line[len] == '\n');
		}
	}
	netconfig_files_free(&files);
	netconfig_free(&config);
	str_free(&problems);
	mem_arena_free(arena);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as apt's index: refused, or rows whose digests and paths are what they say.
 */
#include "demand.h"
#include "base/mem.h"
#include "base/path.h"
#include "layers/records.h"

#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct repository suites[] = {{.suite = (char *)"trixie"},
					     {.suite = (char *)"trixie-security"}};
	const struct repositories repositories = {.items = suites, .count = 2};
	CLEANUP_JSON json_t *wanted =
		json_pack("[{s:s, s:s, s:s, s:s, s:s}, {s:s, s:s, s:s}]", "name", "a", "version",
			  "1", "architecture", "all", "sha256",
			  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
			  "origin", "X", "name", "b", "version", "2", "architecture", "amd64");
	CLEANUP(records_free) struct records records = {0};
	CLEANUP(str_free) struct str text = {0};
	struct err err = {0};

	if (records_parse(mem_strndup((const char *)data, size), size, wanted, &repositories,
			  &records, &err) < 0) {
		demand(err.code == ERR_VERIFY && err.msg[0], "an error says why");
		return 0;
	}
	for (size_t i = 0; i < records.count; i++) {
		const struct records_row *row = &records.rows[i];

		demand(strlen(row->sha256) == DIGEST_HEX_SIZE - 1, "a digest is one");
		demand(path_is_clean(row->path) && row->path[0] != '/', "a path is relative");
		demand(row->suite && row->component && row->origin, "a row has its origin");
		demand(row->ranking <= 2, "the ranking is right");
	}
	records_missing(&records, wanted, 3, &text);
	if (records_complete(&records, wanted, &err) < 0)
		demand(err.code == ERR_VERIFY && err.msg[0], "an error says why");
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Takes off what a part is wrapped in: base64, as clouds want it that carry text only, and gzip. What comes
 * out is measured before there is memory for it, so that a small part cannot become a large one.
 */
#include "agent/gunzip.h"
#include "agent/userdata/userdata_parts.h"

#include "base/base64.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define WRAPS_MAX 4 /* base64 of gzip of base64 of gzip */

/* ---- gzip (RFC 1952) ------------------------------------------------------------------------- */

static bool is_gzip(const struct userdata_part *part)
{
	return part->len >= 3 && memcmp(part->text, "\x1f\x8b\x08", 3) == 0;
}

static bool gunzip(struct userdata_reader *reader, struct userdata_part *part)
{
	size_t len = gunzip_all(part->text, part->len, NULL, USERDATA_PART_MAX);
	char *text;

	if (len == SIZE_MAX) {
		doc_error(&reader->report, &part->place, "damaged gzip data");
		userdata_lost(reader);
		return false;
	}
	if (!userdata_count(reader, &part->place, len))
		return false;
	text = mem_arena_alloc(reader->arena, len + 1);
	if (gunzip_all(part->text, part->len, text, len) != len) {
		doc_error(&reader->report, &part->place, "damaged gzip data");
		userdata_lost(reader);
		return false;
	}
	part->text = text;
	part->len = len;
	return true;
}

/* ---- base64 ---------------------------------------------------------------------------------- */

bool userdata_unbase64(struct userdata_reader *reader, const char *text, size_t len,
		       const char **ret, size_t *ret_len)
{
	char *plain = mem_arena_alloc(reader->arena, len + 4);
	CLEANUP(str_wipe) struct str bytes = {0};
	size_t count = 0;
	bool good;

	for (size_t i = 0; i < len; i++)
		if (!strchr(" \t\r\n", text[i]) || !text[i])
			plain[count++] = text[i];
	/* Programs differ in whether they write the padding. */
	while (count % 4 != 0 && count % 4 != 1)
		plain[count++] = '=';
	str_reserve(&bytes, count / 4 * 3);
	good = base64_decode(plain, count, &bytes) == 0;
	if (good) {
		str_add_bytes(&bytes, "", 0);
		*ret = mem_arena_strndup(reader->arena, bytes.data, bytes.len);
		*ret_len = bytes.len;
	}
	return good;
}

/* What base64 must begin with when user-data is in it: nothing that is text by itself. */
static bool is_base64(const struct userdata_part *part)
{
	static const char *const starts[] = {
		"H4sI",                                                   /* gzip */
		"I2Nsb3Vk",   "IyEv",   "I2luY2",                         /* #cloud, #!/, #inc */
		"IyMgdG",     "IyEg",                                     /* ## t, "#! " */
		"Q29udGVudC", "TUlNRS", "RnJvbS", "Y29udGVudC", "bWltZS", /* headers of MIME */
	};

	char first[12] = "";
	size_t count = 0;

	for (size_t i = 0; i < part->len && count < sizeof(first) - 1; i++)
		if (!strchr(" \t\r\n", part->text[i]) || !part->text[i])
			first[count++] = part->text[i];
	for (size_t i = 0; i < ARRAY_SIZE(starts); i++)
		if (str_has_prefix(first, starts[i]))
			return true;
	return false;
}

bool userdata_decode(struct userdata_reader *reader, struct userdata_part *part)
{
	for (int i = 0; i < WRAPS_MAX; i++) {
		if (is_gzip(part)) {
			if (!gunzip(reader, part))
				return false;
		} else if (is_base64(part)) {
			if (!userdata_count(reader, &part->place, part->len))
				return false;
			if (!userdata_unbase64(reader, part->text, part->len, &part->text,
					       &part->len)) {
				doc_error(&reader->report, &part->place, "damaged base64 data");
				userdata_lost(reader);
				return false;
			}
		} else {
			return true;
		}
	}
	return true;
}

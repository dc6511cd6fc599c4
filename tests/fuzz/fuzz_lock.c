/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a lock: refused with the place, or a lock that is written and read again without a change and
 * whose packages apt's files can be made of.
 */
#include "demand.h"
#include "attest/lock.h"
#include "base/mem.h"
#include "layers/pins.h"

#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_clean(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' && *text != '\n')
			return false;
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lock lock CLEANUP(lock_free) = {0}, again CLEANUP(lock_free) = {0};
	CLEANUP(str_free) struct str text = {0}, text2 = {0};
	const struct lock none = {0};
	CLEANUP_JSON json_t *changes = NULL;
	struct err err = {0};

	if (lock_parse((const char *)data, size, "x", &lock, &err) < 0) {
		demand(err.code == ERR_VERIFY && strncmp(err.msg, "x:", 2) == 0,
		       "an error says where");
		demand(is_clean(err.msg), "a message has no control characters");
		return 0;
	}
	lock_text(&lock, &text);
	demand(is_clean(text.data), "a lock has no control characters");
	demand(lock_parse(text.data, text.len, "y", &again, &err) == 0, "what is written is read");
	lock_text(&again, &text2);
	demand(text.len == text2.len && memcmp(text.data, text2.data, text.len) == 0,
	       "both are the same");
	changes = lock_compare(&lock, &again);
	demand(json_array_size(changes) == 0, "nothing has changed");
	json_decref(changes);
	changes = lock_compare_containers(&lock, &again);
	demand(json_array_size(changes) == 0, "no container has changed");
	json_decref(changes);
	changes = lock_compare_containers(&lock, &none);
	demand(json_array_size(changes) == json_array_size(lock.containers), "all are gone");
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any text as a reference: refused with a clean message, or one whose full name is read again as the same, and has
 * only what may stand in an address.
 */
#include "demand.h"
#include "base/mem.h"
#include "oci/reference.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_printable(const char *text, const char *besides)
{
	for (; *text; text++)
		if (*text <= ' ' || *text > '~' || strchr(besides, *text))
			return false;
	return true;
}

static void check_parts(const struct oci_reference *ref)
{
	demand(is_printable(ref->registry, "/@?#%\\\"'"), "a registry is a host");
	demand(is_printable(ref->repository, "@?#%\\\"':[]"), "a repository is a path");
	demand(!strstr(ref->repository, "..") && !strstr(ref->repository, "//") &&
		       ref->repository[0] != '/',
	       "a repository stays below its registry");
	demand(!ref->tag || (is_printable(ref->tag, "/@?#%\\\"':") && strlen(ref->tag) <= 128),
	       "a tag is a word");
	demand(ref->tag || ref->has_digest, "there is a version");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_FREE char *text = mem_strndup((const char *)data, size);
	struct oci_reference ref CLEANUP(oci_reference_free) = {0};
	struct oci_reference again CLEANUP(oci_reference_free) = {0};
	CLEANUP_FREE char *full = NULL;
	CLEANUP_FREE char *name = NULL;
	CLEANUP_FREE char *familiar = NULL;
	CLEANUP_FREE char *full_again = NULL;
	struct err err = {0};

	if (oci_reference_parse(text, &ref, &err) < 0) {
		demand(err.code == ERR_PROFILE, "an error is one of the profile");
		for (const char *p = err.msg; *p; p++)
			demand((unsigned char)*p >= ' ' && *p != 0x7f, "a message is clean");
		return 0;
	}
	check_parts(&ref);
	full = oci_reference_text(&ref);
	name = oci_reference_name(&ref);
	familiar = oci_reference_familiar(&ref);
	demand(strlen(name) <= 255, "a name is at most 255 bytes");
	demand(strncmp(full, name, strlen(name)) == 0, "the name is the start of the whole");
	demand(strlen(familiar) <= strlen(full), "what people see is not longer");
	demand(oci_reference_parse(full, &again, &err) == 0, "what is written is read");
	full_again = oci_reference_text(&again);
	demand(strcmp(full, full_again) == 0, "both are the same");
	return 0;
}

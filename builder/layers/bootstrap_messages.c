/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What mmdebstrap, apt and dpkg print: progress, the state of the repositories, and why they failed.
 */
#include "layers/bootstrap.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#define ERRORS_MAX 6

/* What a line of apt or dpkg says about the kind of failure; the first that matches counts. */
struct bootstrap_cause {
	const char *text;
	int code;
	const char *hint;
};

static const struct bootstrap_cause causes[] = {
	{"No space left on device", ERR_SPACE, "make room in the folder of the cache"},
	{"E: Unable to locate package ", ERR_PROFILE,
	 "check the names under packages: in the profile"},
	{" has no installation candidate", ERR_PROFILE,
	 "check the names under packages: in the profile"},
	{" is not signed", ERR_VERIFY, "give the repository's key as base.keyring"},
	{"NO_PUBKEY", ERR_VERIFY, "give the repository's key as base.keyring"},
	{" is not valid yet", ERR_VERIFY, "set the clock of this machine"},
	{"E: Failed to fetch ", ERR_NETWORK, "check the network and run again"},
	{"E: Some index files failed to download", ERR_NETWORK, "check the network and run again"},
};

static void tell(struct bootstrap_messages *m, const char *detail)
{
	if (m->step)
		log_step_progress(m->step, m->step->bytes, 0, detail);
}

/* Turns "Unpacking docker.io (26.1.5) ..." into "unpacking docker.io". */
static bool tell_about(struct bootstrap_messages *m, const char *text, const char *prefix,
		       const char *verb)
{
	char detail[96];

	if (!str_has_prefix(text, prefix))
		return false;
	text += strlen(prefix);
	snprintf(detail, sizeof(detail), "%s %.*s", verb, (int)strcspn(text, " "), text);
	tell(m, detail);
	return true;
}

void bootstrap_take_line(const char *text, void *context)
{
	struct bootstrap_messages *m = context;

	log_debug("mmdebstrap: %s", text);
	for (size_t i = 0; i < ARRAY_SIZE(causes) && !m->cause; i++) {
		if (!strstr(text, causes[i].text))
			continue;
		m->cause = &causes[i];
		m->cause_line = mem_strdup(text);
	}
	if (str_has_prefix(text, BOOTSTRAP_MARK)) {
		if (m->seen_count < BOOTSTRAP_SUITES_MAX)
			snprintf(m->seen[m->seen_count++], DIGEST_HEX_SIZE, "%s",
				 text + strlen(BOOTSTRAP_MARK));
	} else if (str_has_prefix(text, BOOTSTRAP_NOTE)) {
		log_info("%s", text + strlen(BOOTSTRAP_NOTE));
	} else if (str_has_prefix(text, "E: ") || str_has_prefix(text, "error: ") ||
		   str_has_prefix(text, "dpkg: error")) {
		if (m->errors.count < ERRORS_MAX)
			strv_add(&m->errors, text);
	} else if (!tell_about(m, text, "Unpacking ", "unpacking") &&
		   !tell_about(m, text, "Setting up ", "configuring") &&
		   str_has_prefix(text, "I: ") && !str_has_prefix(text, "I: running --")) {
		tell(m, text + 3);
	}
}

int bootstrap_explain(const struct bootstrap_messages *m, struct err *err)
{
	CLEANUP(str_free) struct str text = {0};

	if (m->cause)
		str_addf(&text, "\n    %.300s", m->cause_line);
	for (size_t i = 0; i < m->errors.count; i++)
		if (!m->cause || strcmp(m->errors.items[i], m->cause_line) != 0)
			str_addf(&text, "\n    %.300s", m->errors.items[i]);
	if (text.len > 0) {
		err_set(err, ERR_OTHER, "cannot install packages:%s", text.data);
		err_hint(err, "-vv shows everything that apt and dpkg print");
	} else {
		err_wrap(err, "cannot install packages");
	}
	if (m->cause && err) {
		err->code = m->cause->code;
		err_hint(err, "%s", m->cause->hint);
	}
	return -1;
}

void bootstrap_messages_free(struct bootstrap_messages *m)
{
	strv_free(&m->errors);
	free(m->cause_line);
	*m = (struct bootstrap_messages){0};
}

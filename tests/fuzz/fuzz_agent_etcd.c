/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: what etcd's gateway answers, and the record in it.
 */
#include "agent/join/etcd_answer.h"
#include "agent/join/rendezvous_record.h"

#include "base/mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_record(const struct str *text)
{
	static const struct seal_key key = {{1}};
	CLEANUP(rendezvous_record_free) struct rendezvous_record record = {0};
	CLEANUP(rendezvous_view_free) struct rendezvous_view view = {0};

	if (rendezvous_record_parse(text->data, text->len, "prod", &record, NULL) < 0)
		return;
	if (record.epoch == 0 || !record.owner[0] || (record.ready && !record.addresses.count))
		abort();
	/* Nobody can seal under a key that he does not know. */
	if (record.ready &&
	    rendezvous_record_show(&key, "prod", "worker", &record, &view, NULL) == 0)
		abort();
	if (view.token[0])
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(etcd_answer_free) struct etcd_answer answer = {0};

	if (etcd_answer_parse((const char *)data, size, &answer, NULL) < 0)
		return 0;
	if (answer.mod < 0 || answer.revision < 0 || answer.has_value != (answer.mod > 0))
		abort();
	for (const char *p = answer.message; *p; p++)
		if ((unsigned char)*p < ' ')
			abort();
	if (strpbrk(answer.token, "\r\n"))
		abort();
	if (answer.has_value)
		read_record(&answer.value);
	return 0;
}

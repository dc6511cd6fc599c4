/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: text that the agent reads from the kernel, from the boot loader and from an engine.
 */
#include "agent/join/address.h"
#include "agent/boot/machine.h"
#include "agent/boot/platform.h"
#include "agent/boot/tune.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	struct strv keys = {0};
	char interface[16], small[16];
	unsigned left, done;

	if (!text || size > 65536) {
		free(text);
		return 0;
	}
	memcpy(text, data, size);
	text[size] = '\0';
	address_default_interface(text, interface);
	machine_count_cpus(text);
	platform_parse_counter(text, &left, &done);
	tune_parse_sysctl(text, &keys);
	strv_free(&keys);
	agent_copy_text(small, sizeof(small), text);
	if (strlen(small) >= sizeof(small))
		abort();
	agent_hide_secrets(text);
	/* What was hidden stays hidden, and nothing that starts like a secret is left. */
	if (strstr(text, "SWMTKN-") || strstr(text, "SWMKEY-"))
		abort();
	free(text);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: the lines that managers and new machines say to each other, in both directions.
 */
#include "agent/join/seeds.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_request(const char *text, size_t size)
{
	static struct seeds_request request, again;
	char *line = NULL;

	if (seeds_request_parse(text, size, &request, NULL) < 0)
		return;
	/* What was taken can be said again, and means the same. */
	if (!seeds_request_line(&request, &line) ||
	    seeds_request_parse(line, strlen(line), &again, NULL) < 0 ||
	    memcmp(&request, &again, sizeof(request)) != 0)
		abort();
	free(line);
}

static void check_answer(const char *text, size_t size)
{
	static struct seeds_answer answer;
	char *line = NULL;

	if (seeds_answer_parse(text, size, &answer, NULL) < 0)
		return;
	if (answer.manager_count > SEEDS_MANAGERS || strstr(answer.why, "SWMTKN-") ||
	    (*answer.token && !rendezvous_is_token(answer.token)))
		abort();
	/* Longer than a line it may be, when each address is as long as it can be. */
	if (seeds_answer_line(&answer, &line) &&
	    seeds_answer_parse(line, strlen(line), &answer, NULL) < 0)
		abort();
	free(line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text;
	char address[64];

	if (size > PSK_LINE_MAX)
		return 0;
	text = malloc(size + 1);
	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	check_request(text, size);
	check_answer(text, size);
	rendezvous_is_token(text);
	if (rendezvous_with_port(text, 2377, address, sizeof(address)) && !strchr(address, ':'))
		abort();
	free(text);
	return 0;
}

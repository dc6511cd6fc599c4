/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files that talk to the Docker Engine share: one request, and IDs that are checked.
 */
#ifndef INGOT_AGENT_ENGINE_PARTS_H
#define INGOT_AGENT_ENGINE_PARTS_H

#include "agent/join/engine.h"
#include "net/http.h"

#include <stdbool.h>

#define ENGINE_ANSWER_MAX ((size_t)256 << 10)

/* One request; *ret gets the JSON of the answer (ret NULL: it is not looked at). Fails with the engine's words
 * for any status but 2xx, ERR_NETWORK when there is no answer. Waits at most timeout_ms. */
int engine_call(struct engine *engine, const char *method, const char *path, const char *body,
		long timeout_ms, size_t max, json_t **ret, struct err *err);

/* The error of an answer that is a refusal, without secrets. Returns -1. */
int engine_refuse(const struct http_answer *answer, const char *path, struct err *err);

/* Copies an ID of swarm, which is lower-case base 36; false for anything else: it must not get into files and
 * URLs. NULL gives "". */
bool engine_copy_id(char *to, size_t size, const char *from);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers of etcd's JSON gateway (v3 API; etcd-io/etcd api/etcdserverpb/rpc.proto): names in snake_case (gateway 1)
 * or camelCase (gateway 2), 64-bit numbers as strings or numbers, zero and false left out.
 */
#ifndef INGOT_AGENT_ETCD_ANSWER_H
#define INGOT_AGENT_ETCD_ANSWER_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ETCD_ANSWER_MAX ((size_t)256 << 10)
#define ETCD_TOKEN_MAX 2048
#define ETCD_CODE_ARGUMENT 3
#define ETCD_CODE_NOT_FOUND 5
#define ETCD_CODE_PERMISSION 7
#define ETCD_CODE_PRECONDITION 9
#define ETCD_CODE_UNAVAILABLE 14
#define ETCD_CODE_UNAUTHENTICATED 16

/* What the agent wants of any answer; what is not there is 0 or empty. */
struct etcd_answer {
	int64_t revision; /* header.revision */
	bool succeeded;   /* of a transaction */
	int64_t id, ttl;  /* of a lease */
	bool has_value; /* a key was found, by a range or in the part of a transaction that was done */
	int64_t mod, lease; /* of that key */
	struct str value;
	char token[ETCD_TOKEN_MAX]; /* of authenticate: a secret */
	int code;                   /* gRPC status of an error */
	char message[256];          /* of an error; fit to be shown */
};

/* Reads one answer of at most ETCD_ANSWER_MAX bytes. ERR_NETWORK when it is none. Free with etcd_answer_free also
 * after an error. */
int etcd_answer_parse(const char *text, size_t len, struct etcd_answer *ret, struct err *err);

/* Wipes and frees it; usable with CLEANUP() on a zeroed value. */
void etcd_answer_free(struct etcd_answer *answer);

#endif

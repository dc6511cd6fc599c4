/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys that requests to a S3 store are signed with: of the settings, or temporary ones of the role that an EC2
 * instance has, so that no key stands in user-data.
 */
#ifndef INGOT_AGENT_S3_KEYS_H
#define INGOT_AGENT_S3_KEYS_H

#include "base/err.h"
#include "net/sigv4.h"

#include <stdbool.h>
#include <stddef.h>

struct s3_keys {
	bool of_role;
	char *access, *secret, *token; /* token: NULL for keys of the settings */
	double read_at;                /* clock_monotonic() of the role's */
};

/* Makes sure that keys of a role are fresh, by at most three requests to the instance metadata service (IMDSv2, at
 * 169.254.169.254) of at most timeout_ms each; they are kept for some minutes. Others are as they are. ERR_NETWORK when
 * the service does not answer, ERR_PROFILE when this instance has no role. */
int s3_keys_refresh(struct s3_keys *keys, long timeout_ms, struct err *err);

/* Reads the service's answer about a role (docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-
 * credentials.html) into keys. False when it is none. */
bool s3_keys_parse(const char *text, size_t len, struct s3_keys *keys);

/* Wipes and frees them. */
void s3_keys_free(struct s3_keys *keys);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AWS Signature Version 4 in headers, as S3 and stores like it want it: a pure function of the request, the keys
 * and the time. (AWS General Reference, "Create a signed AWS API request"; S3 API, "Authenticating requests".)
 */
#ifndef INGOT_NET_SIGV4_H
#define INGOT_NET_SIGV4_H

#include "base/digest.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct sigv4_keys {
	const char *access_key, *secret_key;
	const char *session_token; /* of temporary keys, else NULL */
};

struct sigv4_request {
	const char *method;
	const char *url; /* http or https, with path and query encoded as they are sent */
	const char *const
		*headers; /* "Name: value" lines that are signed too, ended by NULL, or NULL */
	const struct digest *payload; /* of the body; NULL: there is none */
	int64_t time;                 /* seconds since 1970 by the store's clock */
	const char *region, *service; /* "eu-central-1", "s3" */
};

/* Adds to headers the lines that the request must be sent with besides its own: X-Amz-Date,
 * X-Amz-Content-Sha256 (service "s3" only), X-Amz-Security-Token with a session token, Authorization. The path
 * counts as it stands in the URL (S3's rule: other services would want it encoded twice). ERR_OTHER when the URL
 * is none. Nothing of the secret key is in headers; the caller wipes a session token. */
int sigv4_sign(const struct sigv4_request *request, const struct sigv4_keys *keys,
	       struct strv *headers, struct err *err);

/* Appends text with all but A-Z a-z 0-9 - . _ ~ (and '/' when slash is set) as %XX (RFC 3986, 2.1 and 2.3): for
 * the path and the query of a URL that is signed. */
void sigv4_encode(const char *text, bool slash, struct str *to);

#endif

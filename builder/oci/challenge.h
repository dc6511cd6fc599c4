/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a server demands of who asks it: WWW-Authenticate (RFC 9110, 11.6.1), from hostile text to values.
 */
#ifndef INGOT_OCI_CHALLENGE_H
#define INGOT_OCI_CHALLENGE_H

#include <stdbool.h>

#define OCI_CHALLENGE_VALUE_MAX 1024

/* The two schemes that registries use; what is absent is "". Values have printable ASCII characters only. */
struct oci_challenge {
	bool basic, bearer;
	char realm[OCI_CHALLENGE_VALUE_MAX]; /* of bearer: the address of the token service */
	char service[OCI_CHALLENGE_VALUE_MAX];
	char scope[OCI_CHALLENGE_VALUE_MAX];
	char error[64]; /* of bearer: "invalid_token", "insufficient_scope" */
};

/* Reads the value of one WWW-Authenticate header, which may hold several challenges, and adds what it finds to ret
 * (zeroed before the first). Schemes that are not known are passed over; of several bearer challenges the first with a
 * realm counts. What cannot be read ends the reading, so that nothing of it is taken for something else. */
void oci_challenge_read(const char *header, struct oci_challenge *ret);

#endif

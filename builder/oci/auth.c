/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Authentication at registries.
 */
#include "oci/auth.h"

#include "base/mem.h"

#include <string.h>

struct oci_auth {
	int unused;
};

void oci_secret_free(char **secret)
{
	if (*secret)
		mem_wipe(*secret, strlen(*secret));
	free(*secret);
	*secret = NULL;
}

struct oci_auth *oci_auth_new(void)
{
	return mem_alloc(sizeof(struct oci_auth));
}

void oci_auth_free(struct oci_auth *auth)
{
	free(auth);
}

char *oci_auth_known(struct oci_auth *auth, const struct oci_auth_place *place)
{
	(void)auth, (void)place;
	return NULL;
}

int oci_auth_meet(struct oci_auth *auth, const struct oci_auth_place *place,
		  const struct http_answer *answer, const char *used, char **ret, struct err *err)
{
	(void)auth, (void)ret;
	return oci_auth_refused(place, answer, used, err);
}

int oci_auth_refused(const struct oci_auth_place *place, const struct http_answer *answer,
		     const char *used, struct err *err)
{
	(void)answer;
	err_set(err, ERR_NETWORK, used ? "'%s' refuses the credentials" : "'%s' wants credentials",
		place->name);
	return err_hint(err, OCI_CREDENTIALS_HINT);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What user-data includes by "#include URL".
 */
#include "agent/source/source.h"

#include "base/mem.h"
#include "net/http.h"

#include <string.h>
#include <strings.h>

#define URL_MAX 4096

int source_include(const char *url, struct str *text, struct err *err)
{
	const struct http_request request = {
		.url = url,
		.timeout_ms = 30000,
		.connect_timeout_ms = 5000,
		.answer_max = INSTANCE_DATA_MAX,
		.redirects = 5,
		.retries = 3,
	};
	CLEANUP(http_answer_free) struct http_answer answer = {0};

	if (strncasecmp(url, "http://", 7) != 0 && strncasecmp(url, "https://", 8) != 0)
		return err_set(err, ERR_OTHER, "cannot include a URL that is not http or https");
	if (strlen(url) > URL_MAX)
		return err_set(err, ERR_OTHER, "cannot include a URL of more than %d bytes",
			       URL_MAX);
	if (http_do(&request, &answer, err) < 0)
		return err_wrap(err, "cannot include");
	if (answer.status != 200)
		return err_set(err, ERR_NETWORK, "cannot include: the server answers %ld",
			       answer.status);
	str_reserve(text, answer.body.len);
	str_add_bytes(text, answer.body.data, answer.body.len);
	return 0;
}

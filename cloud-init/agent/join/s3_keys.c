/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys of an EC2 role. The service renews them at least five minutes before they are over, so what was read less than
 * four minutes ago is good, whatever the clock of this machine says.
 */
#include "agent/join/s3_keys.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "net/http.h"

#include <stdio.h>
#include <string.h>

#define SERVICE "http://169.254.169.254/latest/"
#define ROLES "meta-data/iam/security-credentials/"
#define KEPT_SECONDS 240
#define WORD_MAX ((size_t)4096) /* of a key or a token */

static void wipe_text(char **text)
{
	if (*text)
		mem_wipe(*text, strlen(*text));
	free(*text);
	*text = NULL;
}

void s3_keys_free(struct s3_keys *keys)
{
	wipe_text(&keys->access);
	wipe_text(&keys->secret);
	wipe_text(&keys->token);
}

/* A member that can stand in a header. */
static char *take_word(const json_t *root, const char *key)
{
	const char *text = json_member_string(root, key);

	if (!text || !text[0] || strlen(text) > WORD_MAX)
		return NULL;
	for (const char *p = text; *p; p++)
		if (*p <= ' ' || *p > '~')
			return NULL;
	return mem_strdup(text);
}

bool s3_keys_parse(const char *text, size_t len, struct s3_keys *keys)
{
	CLEANUP_JSON json_t *root = json_parse(text, len, "keys of the role", NULL);

	s3_keys_free(keys);
	keys->access = take_word(root, "AccessKeyId");
	keys->secret = take_word(root, "SecretAccessKey");
	keys->token = take_word(root, "Token");
	if (keys->access && keys->secret && keys->token)
		return true;
	s3_keys_free(keys);
	return false;
}

/* One request to the service; ERR_NETWORK when it does not answer. */
static int ask(const char *method, const char *path, const char *header, long timeout_ms,
	       struct http_answer *ret, struct err *err)
{
	CLEANUP_FREE char *url = mem_printf(SERVICE "%s", path);
	const char *headers[] = {header, NULL};
	const struct http_request request = {.url = url,
					     .method = method,
					     .headers = headers,
					     .direct = true,
					     .timeout_ms = timeout_ms,
					     .connect_timeout_ms = timeout_ms,
					     .answer_max = (size_t)4 * WORD_MAX,
					     .redirects = -1};

	http_answer_free(ret);
	return http_do(&request, ret, err);
}

/* The name of the role: the first line, of characters that such names have. */
static bool take_role(const struct http_answer *answer, char role[65])
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789+=,.@_-";
	size_t len = answer->body.len ? strspn(answer->body.data, allowed) : 0;

	if (answer->status != 200 || len == 0 || len > 64 ||
	    (answer->body.data[len] != '\0' && answer->body.data[len] != '\n'))
		return false;
	memcpy(role, answer->body.data, len);
	role[len] = '\0';
	return true;
}

static int no_role(struct err *err)
{
	err_set(err, ERR_PROFILE,
		"ingot.cluster.s3.access_key is missing, and this machine has no EC2 role");
	return err_hint(err, "give the instance a role that may use the bucket, or set access_key "
			     "and secret_key");
}

static int read_role(struct s3_keys *keys, long timeout_ms, struct http_answer *answer,
		     struct err *err)
{
	char path[sizeof(ROLES) + 65], role[65], header[512];

	if (ask("PUT", "api/token", "X-aws-ec2-metadata-token-ttl-seconds: 60", timeout_ms, answer,
		err) < 0) {
		err_wrap(err, "cannot ask for the keys of this instance's role");
		return err_hint(err,
				"outside of EC2 set ingot.cluster.s3.access_key and secret_key");
	}
	if (answer->status != 200 || answer->body.len == 0 || answer->body.len > 256 ||
	    strpbrk(answer->body.data, "\r\n"))
		return no_role(err);
	snprintf(header, sizeof(header), "X-aws-ec2-metadata-token: %s", answer->body.data);
	if (ask("GET", ROLES, header, timeout_ms, answer, err) < 0)
		return -1;
	if (!take_role(answer, role))
		return no_role(err);
	snprintf(path, sizeof(path), ROLES "%s", role);
	if (ask("GET", path, header, timeout_ms, answer, err) < 0)
		return -1;
	if (answer->status == 200 &&
	    s3_keys_parse(answer->body.data ? answer->body.data : "", answer->body.len, keys))
		return 0;
	return err_set(err, ERR_NETWORK, "cannot use the keys of role '%s': the answer is none",
		       role);
}

int s3_keys_refresh(struct s3_keys *keys, long timeout_ms, struct err *err)
{
	CLEANUP(http_answer_free) struct http_answer answer = {0};

	if (!keys->of_role || (keys->access && clock_monotonic() - keys->read_at < KEPT_SECONDS))
		return 0;
	if (read_role(keys, timeout_ms, &answer, err) < 0)
		return -1;
	keys->read_at = clock_monotonic();
	return 0;
}

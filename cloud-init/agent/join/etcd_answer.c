/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads what etcd's JSON gateway answers. One reader for all calls: their members have different names.
 */
#include "agent/join/etcd_answer.h"

#include "agent/agent.h"

#include "base/base64.h"
#include "base/json.h"
#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void etcd_answer_free(struct etcd_answer *answer)
{
	str_free(&answer->value);
	mem_wipe(answer, sizeof(*answer));
}

/* A member by either of its names. */
static const json_t *member(const json_t *object, const char *snake, const char *camel)
{
	const json_t *value = json_object_get(object, snake);

	return value ? value : json_object_get(object, camel);
}

/* A number from 0 on; an absent one is 0. */
static bool take_number(const json_t *value, int64_t *ret)
{
	const char *text = json_string_value(value);
	char *end;

	*ret = 0;
	if (!value)
		return true;
	if (json_is_integer(value)) {
		*ret = json_integer_value(value);
		return *ret >= 0;
	}
	if (!text || text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	*ret = strtoll(text, &end, 10);
	return errno == 0 && *end == '\0';
}

/* The first of the keys that a range found. */
static bool take_kv(const json_t *range, struct etcd_answer *ret)
{
	const json_t *list = json_object_get(range, "kvs"), *kv;
	const char *value;

	if (!list)
		return true;
	if (!json_is_array(list))
		return false;
	if (json_array_size(list) == 0)
		return true;
	kv = json_array_get(list, 0);
	if (!json_is_object(kv))
		return false;
	ret->has_value = true;
	value = json_member_string(kv, "value");
	if (!take_number(member(kv, "mod_revision", "modRevision"), &ret->mod) ||
	    !take_number(json_object_get(kv, "lease"), &ret->lease) || ret->mod == 0)
		return false;
	str_add(&ret->value, "");
	return !value || base64_decode(value, strlen(value), &ret->value) == 0;
}

/* The answers within that of a transaction. */
static bool take_responses(const json_t *list, struct etcd_answer *ret)
{
	const json_t *item;
	size_t i;

	json_array_foreach(list, i, item)
	{
		const json_t *range = member(item, "response_range", "responseRange");

		if (range && !ret->has_value && !take_kv(range, ret))
			return false;
	}
	return true;
}

static bool take_error(const json_t *root, struct etcd_answer *ret)
{
	const json_t *nested = json_object_get(root, "error");
	const char *text = json_member_string(root, "message");
	int64_t code;

	/* A stream gives an error as an object. */
	if (json_is_object(nested)) {
		root = nested;
		text = json_member_string(root, "message");
	}
	if (!text)
		text = json_member_string(root, "error");
	if (!take_number(member(root, "code", "grpc_code"), &code) || code > 1000)
		return false;
	ret->code = (int)code;
	agent_copy_text(ret->message, sizeof(ret->message), text);
	return true;
}

static bool take_all(const json_t *root, struct etcd_answer *ret)
{
	const json_t *result = json_object_get(root, "result");
	const json_t *succeeded, *header;
	const char *token;

	if (!take_error(root, ret))
		return false;
	if (json_is_object(result))
		root = result;
	header = json_object_get(root, "header");
	succeeded = json_object_get(root, "succeeded");
	token = json_member_string(root, "token");
	if (succeeded && !json_is_boolean(succeeded))
		return false;
	ret->succeeded = json_is_true(succeeded);
	if (token && (strlen(token) >= sizeof(ret->token) || strpbrk(token, "\r\n")))
		return false;
	if (token)
		memcpy(ret->token, token, strlen(token) + 1);
	return take_number(json_object_get(header, "revision"), &ret->revision) &&
	       take_number(json_object_get(root, "ID"), &ret->id) &&
	       take_number(json_object_get(root, "TTL"), &ret->ttl) && take_kv(root, ret) &&
	       take_responses(json_object_get(root, "responses"), ret);
}

int etcd_answer_parse(const char *text, size_t len, struct etcd_answer *ret, struct err *err)
{
	CLEANUP_JSON json_t *root = NULL;

	memset(ret, 0, sizeof(*ret));
	/* A stream of one answer ends with a line break, which JSON takes for space. */
	if (len <= ETCD_ANSWER_MAX)
		root = json_parse(text, len, "etcd's answer", NULL);
	if (!json_is_object(root) || !take_all(root, ret))
		return err_set(err, ERR_NETWORK, "the answer is not one of etcd's v3 API");
	return 0;
}

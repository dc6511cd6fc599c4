/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metadata services by HTTP: short times, no proxy, no redirects, every answer bounded. Retries are those of
 * source_load.
 */
#include "agent/source/source_parts.h"

#include "base/mem.h"

#include <string.h>

#define CONNECT_MS 1000L
#define REQUEST_MS 5000L
#define ITEMS_MAX 64

const char *source_test_base, *source_test_base6;

static struct http_request request_for(const struct source_service *service, const char *url)
{
	return (struct http_request){
		.url = url,
		.headers = service->headers,
		.want = service->want,
		.direct = !service->elsewhere,
		.redirects = service->elsewhere ? 5 : -1,
		.timeout_ms = REQUEST_MS,
		.connect_timeout_ms = CONNECT_MS,
		.session = service->session,
	};
}

/* Some failures are not worth another try. */
static void classify(const struct http_answer *answers, size_t count, struct err *err)
{
	for (size_t i = 0; i < count; i++)
		if (answers[i].fault == HTTP_FAULT_SIZE || answers[i].fault == HTTP_FAULT_REDIRECT)
			err->code = ERR_OTHER;
}

static int check_status(const struct source_service *service, struct source_item *item,
			struct err *err)
{
	long status = item->answer.status;

	if (status == 200)
		return 0;
	if (status == 404 && !item->needed) {
		item->answer.body.len = 0;
		return 0;
	}
	/* A URL that somebody gave may have a password in it. */
	return err_set(err, ERR_NETWORK, "'%s%.*s' answers %ld",
		       service->elsewhere ? "" : service->base, (int)strcspn(item->path, "?"),
		       item->path, status);
}

int source_service_get(const struct source_service *service, struct source_item *items,
		       size_t count, struct err *err)
{
	struct http_request requests[ITEMS_MAX];
	struct http_answer answers[ITEMS_MAX];
	char *urls[ITEMS_MAX];
	struct err cause = {0};
	int r;

	if (count == 0 || count > ITEMS_MAX)
		return err_set(err, ERR_OTHER, "cannot ask for %zu things at once", count);
	source_items_free(items, count);
	for (size_t i = 0; i < count; i++) {
		urls[i] = mem_printf("%s%s", service->base, items[i].path);
		requests[i] = request_for(service, urls[i]);
		requests[i].answer_max = items[i].max ? items[i].max : SOURCE_META_MAX;
	}
	r = http_do_all(requests, answers, count, &cause);
	if (r < 0)
		classify(answers, count, &cause);
	for (size_t i = 0; i < count; i++) {
		free(urls[i]);
		items[i].answer = answers[i];
		if (r == 0)
			r = check_status(service, &items[i], &cause);
	}
	if (r < 0 && err)
		*err = cause;
	return r;
}

void source_items_free(struct source_item *items, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		http_answer_free(&items[i].answer);
		items[i].answer = (struct http_answer){0};
	}
}

int source_service_send(const struct source_service *service, const char *method, const char *path,
			const char *body, struct http_answer *answer, struct err *err)
{
	CLEANUP_FREE char *url = mem_printf("%s%s", service->base, path);
	struct http_request request = request_for(service, url);
	struct err cause = {0};

	request.method = method;
	request.body = body;
	request.body_len = strlen(body);
	request.answer_max = SOURCE_META_MAX;
	if (http_do(&request, answer, &cause) == 0)
		return 0;
	classify(answer, 1, &cause);
	if (err)
		*err = cause;
	return -1;
}

char *source_item_text(const struct source_item *item, char *(*check)(const char *text, size_t len))
{
	const struct str *body = &item->answer.body;

	return body->len ? check(body->data, body->len) : NULL;
}

void source_item_move(struct source_item *item, struct str *to)
{
	str_wipe(to);
	*to = item->answer.body;
	item->answer.body = (struct str){0};
}

json_t *source_json(const char *text, size_t len, const char *name, struct err *err)
{
	struct err cause = {0};
	json_t *value = json_parse(len ? text : "", len, name, &cause);

	if (!value) {
		/* What jansson quotes of the text may be a part of user-data. */
		const char *end = strstr(cause.msg, "not valid JSON");

		err_set(err, ERR_OTHER, "%.*snot valid JSON", end ? (int)(end - cause.msg) : 0,
			cause.msg);
	} else if (!json_is_object(value)) {
		json_decref(value);
		err_set(err, ERR_OTHER, "%s: it is no JSON object", name);
		return NULL;
	}
	return value;
}

json_t *source_item_json(const struct source_item *item, struct err *err)
{
	CLEANUP_FREE char *name = mem_strndup(item->path, strcspn(item->path, "?"));

	return source_json(item->answer.body.data, item->answer.body.len, name, err);
}

char *source_member(const json_t *object, const char *key,
		    char *(*check)(const char *text, size_t len))
{
	const json_t *value = json_object_get(object, key);

	return json_is_string(value) ? check(json_string_value(value), json_string_length(value))
				     : NULL;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Google Compute Engine (cloud.google.com/compute/docs/metadata): attributes of the instance and of its project.
 */
#include "agent/source/source_parts.h"

#include "base/base64.h"
#include "base/clock.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

/* The address of metadata.google.internal: needs no resolver. */
#define BASE "http://169.254.169.254"
#define V1 "/computeMetadata/v1/"
#define STATUS V1 "instance/guest-attributes/ingot/status"
#define ATTRIBUTES_MAX ((size_t)2 << 20)
#define FAILURE_MAX 512

enum { ID, HOSTNAME, ZONE, TYPE, ADDRESS, INSTANCE, PROJECT, ITEMS };

static const char *const flavor[] = {"Metadata-Flavor: Google", NULL};
static const char *const want[] = {"Metadata-Flavor", NULL};

static struct source_service service_of(void)
{
	return (struct source_service){
		.base = source_test_base ? source_test_base : BASE,
		.headers = flavor,
		.want = want,
	};
}

bool source_gce_detect(const struct agent *agent)
{
	CLEANUP_FREE char *product = source_dmi(agent, "product_name");
	CLEANUP_FREE char *serial = source_dmi(agent, "product_serial");

	return (product && strcmp(product, "Google Compute Engine") == 0) ||
	       (serial && str_has_prefix(serial, "GoogleCloud-"));
}

/* "projects/1/zones/us-central1-a" -> the part behind the last slash. */
static char *last_part(const char *text, size_t len)
{
	const char *slash = memrchr(text, '/', len);

	return slash ? source_word(slash + 1, len - (size_t)(slash + 1 - text))
		     : source_word(text, len);
}

/* A key of the form that the tools of Google make ends by itself: "... google-ssh {"expireOn":"2026-01-31T10:00:00+0000"}". */
static bool is_over(const char *line, size_t len)
{
	CLEANUP_FREE char *text = mem_strndup(line, len);
	const char *json = strstr(text, " google-ssh {"), *until;
	CLEANUP_JSON json_t *value = NULL;
	char start[20] = "", plain[24];
	int64_t epoch;

	if (!json)
		return false;
	json = strchr(json, '{');
	value = json_parse(json, strlen(json), "ssh-keys", NULL);
	until = json_member_string(value, "expireOn");
	if (!until || strlen(until) < 19)
		return false;
	memcpy(start, until, 19);
	snprintf(plain, sizeof(plain), "%sZ", start);
	return clock_parse(plain, &epoch, NULL) == 0 && epoch < (int64_t)time(NULL);
}

/* Lines "user:key". */
static void add_keys(struct instance *ret, const char *text)
{
	for (; text && *text; text += strspn(text, "\n")) {
		size_t len = strcspn(text, "\n"), user = strcspn(text, ": \n");

		if (text[user] == ':' && !is_over(text, len))
			source_add_keys(ret, text + user + 1, len - user - 1);
		text += len;
	}
}

static void take_keys(const json_t *instance, const json_t *project, struct instance *ret)
{
	const char *block = json_member_string(instance, "block-project-ssh-keys");

	add_keys(ret, json_member_string(instance, "ssh-keys"));
	if (!block || strcasecmp(block, "true") != 0)
		add_keys(ret, json_member_string(project, "ssh-keys"));
}

static int take_user_data(const json_t *attributes, struct instance *ret, struct err *err)
{
	const json_t *data = json_object_get(attributes, "user-data");
	const char *encoding = json_member_string(attributes, "user-data-encoding");
	size_t len = json_string_length(data);

	if (!json_is_string(data))
		return 0;
	if (encoding && strcmp(encoding, "base64") == 0) {
		while (len && strchr("\r\n ", json_string_value(data)[len - 1]))
			len--;
		if (base64_decode(json_string_value(data), len, &ret->user_data) < 0)
			return err_set(err, ERR_OTHER,
				       "the attribute user-data is not the base64 "
				       "that user-data-encoding promises");
	} else {
		str_reserve(&ret->user_data, len);
		str_add_bytes(&ret->user_data, json_string_value(data), len);
	}
	if (ret->user_data.len > INSTANCE_DATA_MAX)
		return err_set(err, ERR_OTHER, "the attribute user-data is larger than %zu bytes",
			       INSTANCE_DATA_MAX);
	return 0;
}

int source_gce_read(const json_t *instance, const json_t *project, struct instance *ret,
		    struct err *err)
{
	take_keys(instance, project, ret);
	return take_user_data(instance, ret, err);
}

static int take(struct source_item *items, struct instance *ret, struct err *err)
{
	const char *flavor_back = http_header(&items[ID].answer, "Metadata-Flavor", 0);
	CLEANUP_JSON json_t *instance = NULL;
	CLEANUP_JSON json_t *project = NULL;
	char *dash;

	if (!flavor_back || strcasecmp(flavor_back, "Google") != 0)
		return err_set(err, ERR_OTHER, "whoever answers is not Google's metadata server");
	ret->id = source_item_text(&items[ID], source_id);
	if (!ret->id)
		return err_set(err, ERR_OTHER, "the instance's id is no plain word");
	ret->hostname = source_item_text(&items[HOSTNAME], source_hostname);
	ret->zone = source_item_text(&items[ZONE], last_part);
	ret->kind = source_item_text(&items[TYPE], last_part);
	ret->address = source_item_text(&items[ADDRESS], source_word);
	/* The region is the zone without its letter. */
	ret->region = mem_strdup(ret->zone);
	dash = ret->region ? strrchr(ret->region, '-') : NULL;
	if (dash)
		*dash = '\0';
	instance = source_item_json(&items[INSTANCE], err);
	project = instance && items[PROJECT].answer.body.len
			  ? source_item_json(&items[PROJECT], err)
			  : json_object();
	if (!instance || !project)
		return -1;
	return source_gce_read(instance, project, ret, err);
}

int source_gce_fetch(const struct agent *agent, struct instance *ret, struct err *err)
{
	struct source_item items[ITEMS] = {
		[ID] = {.path = V1 "instance/id", .needed = true},
		[HOSTNAME] = {.path = V1 "instance/hostname"},
		[ZONE] = {.path = V1 "instance/zone"},
		[TYPE] = {.path = V1 "instance/machine-type"},
		[ADDRESS] = {.path = V1 "instance/network-interfaces/0/ip"},
		[INSTANCE] = {.path = V1 "instance/attributes/?recursive=true",
			      .needed = true,
			      .max = ATTRIBUTES_MAX},
		[PROJECT] = {.path = V1 "project/attributes/?recursive=true",
			     .max = ATTRIBUTES_MAX},
	};
	const struct source_service service = service_of();
	int r = source_service_get(&service, items, ITEMS, err);

	(void)agent;
	if (r == 0)
		r = take(items, ret, err);
	source_items_free(items, ITEMS);
	return r;
}

int source_gce_report(const struct agent *agent, const struct instance *instance,
		      const char *failure, struct err *err)
{
	const struct source_service service = service_of();
	CLEANUP(http_answer_free) struct http_answer answer = {0};
	char text[FAILURE_MAX], body[FAILURE_MAX + 16];

	(void)agent;
	(void)instance;
	agent_copy_text(text, sizeof(text), failure);
	snprintf(body, sizeof(body), "%s%s", failure ? "failed: " : "ready", text);
	if (source_service_send(&service, "PUT", STATUS, body, &answer, err) < 0)
		return -1;
	/* 403 and 404: guest attributes are not turned on, so nobody wants to know. */
	if (answer.status == 200 || answer.status == 202 || answer.status == 403 ||
	    answer.status == 404)
		return 0;
	return err_set(err, ERR_NETWORK, "'%s" STATUS "' answers %ld", service.base, answer.status);
}

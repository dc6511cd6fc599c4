/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Amazon EC2 by IMDSv2 (docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html): each request
 * carries a token, which a PUT gives.
 */
#include "agent/source/source_parts.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define BASE "http://169.254.169.254"
#define BASE6 "http://[fd00:ec2::254]"
#define KEYS_MAX 16
#define TAGS_MAX 40
#define META "/latest/meta-data/"

enum { ID, HOSTNAME, ADDRESS, ADDRESS6, ZONE, REGION, TYPE, KEYS, TAGS, USER_DATA, ITEMS };

/* A conversation with the service. */
struct imds {
	struct source_service service;
	char token_header[SOURCE_LINE_MAX + 64];
	const char *headers[2];
};

/* "ec2" in front, as text or when the first field is written the other way round (SMBIOS before 2.6). */
static bool is_ec2_uuid(const char *uuid)
{
	return strncasecmp(uuid, "ec2", 3) == 0 ||
	       (strlen(uuid) >= 8 && strncasecmp(uuid + 6, "ec", 2) == 0 && uuid[4] == '2');
}

bool source_ec2_detect(const struct agent *agent)
{
	CLEANUP_FREE char *uuid = source_dmi(agent, "product_uuid");
	CLEANUP_FREE char *serial = source_dmi(agent, "product_serial");
	CLEANUP_FREE char *version = source_dmi(agent, "product_version");
	CLEANUP_FREE char *hypervisor = agent_read_line(agent, "/sys/hypervisor/uuid");

	if (source_dmi_is(agent, "sys_vendor", "Amazon EC2"))
		return true;
	if (hypervisor && strncasecmp(hypervisor, "ec2", 3) == 0)
		return true;
	/* One of 2048 machines of anybody has such a UUID by chance: EC2 says it twice. */
	return uuid && is_ec2_uuid(uuid) &&
	       ((serial && strcasecmp(serial, uuid) == 0) ||
		(version && strcasestr(version, "amazon")));
}

static void set_token(struct imds *imds, const char *token)
{
	snprintf(imds->token_header, sizeof(imds->token_header), "X-aws-ec2-metadata-token: %s",
		 token);
	imds->headers[0] = imds->token_header;
	imds->service.headers = imds->headers;
}

static void wipe_word(char **word)
{
	if (*word)
		mem_wipe(*word, strlen(*word));
	free(*word);
}

/* Asks for a token; -2 when nobody is at the address. */
static int get_token(struct imds *imds, struct err *err)
{
	static const char *const headers[] = {"X-aws-ec2-metadata-token-ttl-seconds: 21600", NULL};
	CLEANUP(http_answer_free) struct http_answer answer = {0};
	CLEANUP(wipe_word) char *token = NULL;

	imds->service.headers = headers;
	if (source_service_send(&imds->service, "PUT", "/latest/api/token", "", &answer, err) < 0)
		return answer.fault == HTTP_FAULT_CONNECT ? -2 : -1;
	if (answer.status == 403) {
		err_set(err, ERR_OTHER, "the instance metadata service is turned off");
		return err_hint(err, "turn it on: aws ec2 modify-instance-metadata-options");
	}
	if (answer.status != 200)
		return err_set(err, ERR_NETWORK, "'%s/latest/api/token' answers %ld",
			       imds->service.base, answer.status);
	token = answer.body.len ? source_word(answer.body.data, answer.body.len) : NULL;
	if (!token)
		return err_set(err, ERR_OTHER, "'%s/latest/api/token' gives no token",
			       imds->service.base);
	set_token(imds, token);
	return 0;
}

/* Asks for the items, with a new token when the old one is not good any more. */
static int get(struct imds *imds, struct source_item *items, size_t count, struct err *err)
{
	int r = source_service_get(&imds->service, items, count, err);
	bool refused = false;

	for (size_t i = 0; i < count; i++)
		refused = refused || items[i].answer.status == 401;
	if (r == 0 || !refused)
		return r;
	if (get_token(imds, err) < 0)
		return -1;
	return source_service_get(&imds->service, items, count, err);
}

/* Adds an item for each line of the list, whose path is before, what pick makes of the line, and after. */
static size_t add_items(const struct source_item *list, const char *before, const char *after,
			char *(*pick)(const char *line, size_t len), char **names, size_t max,
			struct source_item *items)
{
	const struct str *body = &list->answer.body;
	size_t count = 0;

	for (size_t at = 0; at < body->len && count < max;) {
		const char *line = body->data + at;
		const char *end = memchr(line, '\n', body->len - at);
		size_t len = end ? (size_t)(end - line) : body->len - at;

		names[count] = pick(line, len);
		if (names[count]) {
			items[count].path = mem_printf("%s%s%s", before, names[count], after);
			count++;
		}
		at += len + 1;
	}
	return count;
}

/* "0=my-key": the number. */
static char *pick_number(const char *line, size_t len)
{
	size_t digits = 0;

	while (digits < len && digits < 4 && line[digits] >= '0' && line[digits] <= '9')
		digits++;
	return digits && digits < len && line[digits] == '=' ? mem_strndup(line, digits) : NULL;
}

/* Tags that the service shows have no blank and no slash in their keys. */
static char *pick_tag(const char *line, size_t len)
{
	char *word = source_word(line, len);

	if (word && strpbrk(word, "/?#%\\[]{}\"<>^`|")) {
		free(word);
		return NULL;
	}
	return word;
}

/* The second round: what the first one only named. */
static int get_lists(struct imds *imds, const struct source_item *first, struct instance *ret,
		     struct err *err)
{
	struct source_item items[KEYS_MAX + TAGS_MAX] = {0};
	char *names[KEYS_MAX + TAGS_MAX] = {0};
	size_t keys = add_items(&first[KEYS], META "public-keys/", "/openssh-key", pick_number,
				names, KEYS_MAX, items);
	size_t count = keys + add_items(&first[TAGS], META "tags/instance/", "", pick_tag,
					names + keys, TAGS_MAX, items + keys);
	int r = count ? get(imds, items, count, err) : 0;

	for (size_t i = 0; i < count; i++) {
		const struct str *body = &items[i].answer.body;

		if (r == 0 && i < keys && body->len)
			source_add_keys(ret, body->data, body->len);
		else if (r == 0 && i >= keys)
			source_add_tag(ret, names[i], body->len ? body->data : "");
		free(names[i]);
		free((char *)items[i].path);
	}
	source_items_free(items, count);
	return r;
}

static int talk(struct imds *imds, struct instance *ret, struct err *err)
{
	struct source_item items[ITEMS] = {
		[ID] = {.path = META "instance-id", .needed = true},
		[HOSTNAME] = {.path = META "local-hostname"},
		[ADDRESS] = {.path = META "local-ipv4"},
		[ADDRESS6] = {.path = META "ipv6"},
		[ZONE] = {.path = META "placement/availability-zone"},
		[REGION] = {.path = META "placement/region"},
		[TYPE] = {.path = META "instance-type"},
		[KEYS] = {.path = META "public-keys/"},
		[TAGS] = {.path = META "tags/instance"},
		[USER_DATA] = {.path = "/latest/user-data", .max = INSTANCE_DATA_MAX},
	};
	int r = get(imds, items, ITEMS, err);

	if (r == 0)
		r = get_lists(imds, items, ret, err);
	if (r == 0) {
		ret->id = source_item_text(&items[ID], source_id);
		ret->hostname = source_item_text(&items[HOSTNAME], source_hostname);
		ret->address = source_item_text(&items[ADDRESS], source_word);
		if (!ret->address)
			ret->address = source_item_text(&items[ADDRESS6], source_word);
		ret->zone = source_item_text(&items[ZONE], source_word);
		ret->region = source_item_text(&items[REGION], source_word);
		ret->kind = source_item_text(&items[TYPE], source_word);
		source_item_move(&items[USER_DATA], &ret->user_data);
		if (!ret->id)
			r = err_set(err, ERR_OTHER, "the instance-id is no plain word");
	}
	source_items_free(items, ITEMS);
	return r;
}

int source_ec2_fetch(const struct agent *agent, struct instance *ret, struct err *err)
{
	struct imds imds = {.service = {.base = source_test_base ? source_test_base : BASE}};
	int r;

	(void)agent;
	imds.service.session = http_session_new();
	r = get_token(&imds, err);
	if (r == -2) {
		imds.service.base = source_test_base6 ? source_test_base6 : BASE6;
		r = get_token(&imds, err);
	}
	if (r == 0)
		r = talk(&imds, ret, err);
	http_session_free(imds.service.session);
	mem_wipe(&imds, sizeof(imds));
	return r < 0 ? -1 : 0;
}

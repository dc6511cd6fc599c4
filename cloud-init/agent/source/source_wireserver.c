/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Azure's wireserver: the fabric waits 20 minutes for a word that the machine is ready, or why it will not be.
 */
#include "agent/source/source_parts.h"

#include "base/mem.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

#define BASE "http://168.63.129.16"
#define VERSION "2012-11-30"
#define LEASES "/run/systemd/netif/leases"
#define LEASE_MAX ((size_t)64 << 10)
#define DESCRIPTION_MAX 512

bool source_wireserver_option(const char *lease, char address[16])
{
	for (const char *p = lease; p; p = strchr(p, '\n')) {
		unsigned a, b, c, d;

		p += *p == '\n';
		if (!str_has_prefix(p, "OPTION_245="))
			continue;
		p += 11;
		if (strspn(p, "0123456789abcdefABCDEF") != 8 || (p[8] != '\n' && p[8] != '\0') ||
		    sscanf(p, "%2x%2x%2x%2x", &a, &b, &c, &d) != 4)
			return false;
		snprintf(address, 16, "%u.%u.%u.%u", a & 255, b & 255, c & 255, d & 255);
		return true;
	}
	return false;
}

/* "http://ADDRESS": what the DHCP server said, else the one that is always right so far. */
static char *find_base(const struct agent *agent)
{
	CLEANUP_FREE char *folder = agent_path(agent, LEASES);
	DIR *dir = opendir(folder);
	const struct dirent *entry;
	char address[16];
	bool found = false;

	while (dir && !found && (entry = readdir(dir))) {
		CLEANUP_FREE char *path = mem_printf(LEASES "/%s", entry->d_name);
		CLEANUP(str_free) struct str lease = {0};

		found = *entry->d_name != '.' &&
			agent_read(agent, path, LEASE_MAX, &lease, NULL) == 0 &&
			source_wireserver_option(lease.data, address);
	}
	if (dir)
		closedir(dir);
	return found ? mem_printf("http://%s", address) : mem_strdup(BASE);
}

static bool take_version(void *context, const char *path, const char *text, size_t len)
{
	bool *known = context;

	if (strcmp(path, "Versions/Supported/Version") == 0 && len == strlen(VERSION) &&
	    memcmp(text, VERSION, len) == 0)
		*known = true;
	return !*known;
}

static bool take_goal(void *context, const char *path, const char *text, size_t len)
{
	struct source_goal *goal = context;
	const struct {
		const char *path;
		char **to;
	} wanted[] = {
		{"GoalState/Incarnation", &goal->incarnation},
		{"GoalState/Container/ContainerId", &goal->container},
		{"GoalState/Container/RoleInstanceList/RoleInstance/InstanceId", &goal->instance},
	};

	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
		if (!*wanted[i].to && strcmp(path, wanted[i].path) == 0)
			*wanted[i].to = source_word(text, len);
	return true;
}

/* They go into a document of ours. */
static bool is_id(const char *text)
{
	return text && text[strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
					 "0123456789-_.")] == '\0';
}

int source_goal_parse(const char *text, size_t len, struct source_goal *ret, struct err *err)
{
	*ret = (struct source_goal){0};
	if (source_xml_read(text, len, take_goal, ret, err) < 0)
		err_wrap(err, "cannot read the goal state");
	else if (is_id(ret->incarnation) && is_id(ret->container) && is_id(ret->instance))
		return 0;
	else
		err_set(err, ERR_OTHER, "the goal state lacks one of its three ids");
	source_goal_free(ret);
	return -1;
}

void source_goal_free(struct source_goal *goal)
{
	free(goal->incarnation);
	free(goal->container);
	free(goal->instance);
	*goal = (struct source_goal){0};
}

static int check_version(const struct source_service *service, struct err *err)
{
	struct source_item item = {.path = "/?comp=versions", .needed = true};
	bool known = false;
	int r = source_service_get(service, &item, 1, err);

	if (r == 0)
		r = source_xml_read(item.answer.body.len ? item.answer.body.data : "",
				    item.answer.body.len, take_version, &known, err);
	if (r == 0 && !known)
		r = err_set(err, ERR_OTHER, "the wireserver does not know version " VERSION);
	source_items_free(&item, 1);
	return r;
}

static int get_goal(const struct source_service *service, struct source_goal *goal, struct err *err)
{
	struct source_item item = {.path = "/machine/?comp=goalstate", .needed = true};
	int r = source_service_get(service, &item, 1, err);

	if (r == 0)
		r = source_goal_parse(item.answer.body.len ? item.answer.body.data : "",
				      item.answer.body.len, goal, err);
	source_items_free(&item, 1);
	return r;
}

static void add_escaped(struct str *xml, const char *text)
{
	for (; *text; text++) {
		switch (*text) {
		case '<':
			str_add(xml, "&lt;");
			break;
		case '>':
			str_add(xml, "&gt;");
			break;
		case '&':
			str_add(xml, "&amp;");
			break;
		default:
			str_add_bytes(xml, text, 1);
		}
	}
}

static void write_health(const struct source_goal *goal, const char *failure, struct str *xml)
{
	char why[DESCRIPTION_MAX];
	CLEANUP(str_free) struct str plain = {0};

	str_addf(xml,
		 "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n"
		 "<Health xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" "
		 "xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\">\n"
		 "<GoalStateIncarnation>%s</GoalStateIncarnation>\n"
		 "<Container><ContainerId>%s</ContainerId><RoleInstanceList><Role>"
		 "<InstanceId>%s</InstanceId><Health><State>%s</State>",
		 goal->incarnation, goal->container, goal->instance,
		 failure ? "NotReady" : "Ready");
	if (failure) {
		str_add_utf8(&plain, failure, strlen(failure));
		agent_copy_text(why, sizeof(why), plain.len ? plain.data : "");
		str_add(xml, "<Details><SubStatus>ProvisioningFailed</SubStatus><Description>");
		add_escaped(xml, why);
		str_add(xml, "</Description></Details>");
	}
	str_add(xml, "</Health></Role></RoleInstanceList></Container></Health>\n");
}

static int send_health(struct source_service *service, const char *xml, struct err *err)
{
	static const char *const headers[] = {"x-ms-agent-name: ingot", "x-ms-version: " VERSION,
					      "Content-Type: text/xml; charset=utf-8", NULL};
	CLEANUP(http_answer_free) struct http_answer answer = {0};

	service->headers = headers;
	if (source_service_send(service, "POST", "/machine/?comp=health", xml, &answer, err) < 0)
		return -1;
	if (answer.status == 200)
		return 0;
	return err_set(err, ERR_NETWORK, "the wireserver answers %ld to the report of health",
		       answer.status);
}

int source_wireserver_report(const struct agent *agent, const char *failure, struct err *err)
{
	static const char *const headers[] = {"x-ms-agent-name: ingot", "x-ms-version: " VERSION,
					      NULL};
	CLEANUP_FREE char *base =
		source_test_base ? mem_strdup(source_test_base) : find_base(agent);
	struct source_service service = {.base = base, .headers = headers};
	CLEANUP(source_goal_free) struct source_goal goal = {0};
	CLEANUP(str_free) struct str xml = {0};

	if (check_version(&service, err) < 0 || get_goal(&service, &goal, err) < 0)
		return err_wrap(err, "cannot report to Azure");
	write_health(&goal, failure, &xml);
	if (send_health(&service, xml.data, err) < 0)
		return err_wrap(err, "cannot report to Azure");
	return 0;
}

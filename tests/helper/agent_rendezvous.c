/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does what a machine does with a rendezvous backend, for tests in shell. Usage:
 *
 *     agent_rendezvous ROOT SETTINGS.json SELF ROLE COMMAND...
 *
 * SETTINGS.json has the settings "cluster". Commands are done in turn, each with a line of what came of it:
 *     look           EMPTY | BUSY OWNER EPOCH | READY CLUSTER_ID EPOCH TOKEN ADDRESS,...
 *     claim          won EPOCH | lost
 *     renew          held | lost
 *     hold=SECONDS   renews every third of the lease; held | lost
 *     sleep=SECONDS
 *     publish=ID[,ADDRESS[,CHAR]]   tokens are made of CHAR (a); held | lost
 *     try=COMMAND    as COMMAND, but an error is a line "error CODE" and not the end
 */
#include "agent/join/rendezvous.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static void wait_seconds(double seconds)
{
	struct timespec t = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};

	nanosleep(&t, NULL);
}

static void make_token(char to[RENDEZVOUS_TOKEN_MAX], char kind, char fill)
{
	char first[51], second[26];

	memset(first, kind, 50);
	memset(second, fill, 25);
	first[50] = second[25] = '\0';
	snprintf(to, RENDEZVOUS_TOKEN_MAX, "SWMTKN-1-%s-%s", first, second);
}

static int look(struct rendezvous *r, struct err *err)
{
	CLEANUP(rendezvous_view_free) struct rendezvous_view view = {0};

	if (r->kind->look(r, &view, err) < 0)
		return -1;
	switch (view.state) {
	case RENDEZVOUS_EMPTY:
		puts("EMPTY");
		break;
	case RENDEZVOUS_BUSY:
		printf("BUSY %s %llu\n", view.owner, (unsigned long long)view.epoch);
		break;
	case RENDEZVOUS_WAIT:
		printf("WAIT %s\n", view.why);
		break;
	case RENDEZVOUS_READY:
		printf("READY %s %llu %s ", view.cluster_id, (unsigned long long)view.epoch,
		       view.token);
		for (size_t i = 0; i < view.addresses.count; i++)
			printf("%s%s", i ? "," : "", view.addresses.items[i]);
		putchar('\n');
		break;
	}
	return 0;
}

static int renew(struct rendezvous *r, double seconds, struct err *err)
{
	double end = clock_monotonic() + seconds;
	bool held = false;

	for (;;) {
		if (r->kind->renew(r, &held, err) < 0)
			return -1;
		if (!held || clock_monotonic() >= end)
			break;
		wait_seconds(RENDEZVOUS_LEASE / 3);
	}
	puts(held ? "held" : "lost");
	return 0;
}

static int publish(struct rendezvous *r, const char *what, struct err *err)
{
	CLEANUP(rendezvous_view_free) struct rendezvous_view view = {.state = RENDEZVOUS_READY};
	char id[64] = "", address[64] = "10.0.0.5:2377", fill[2] = "a";
	bool held;

	sscanf(what, "%60[^,],%60[^,],%1[0-9a-z]", id, address, fill);
	snprintf(view.cluster_id, sizeof(view.cluster_id), "%s", id);
	strv_add(&view.addresses, address);
	make_token(view.token, 'm', fill[0]);
	make_token(view.other_token, 'w', fill[0]);
	if (r->kind->publish(r, &view, &held, err) < 0)
		return -1;
	puts(held ? "held" : "lost");
	return 0;
}

static int command(struct rendezvous *r, const char *text, struct err *err)
{
	const char *value = strchr(text, '=');
	uint64_t epoch;
	bool won;

	value = value ? value + 1 : "";
	if (str_has_prefix(text, "try=")) {
		if (command(r, value, err) < 0)
			printf("error %d\n", err->code);
		err_clear(err);
		return 0;
	}
	if (strcmp(text, "look") == 0)
		return look(r, err);
	if (strcmp(text, "renew") == 0)
		return renew(r, 0, err);
	if (str_has_prefix(text, "hold="))
		return renew(r, strtod(value, NULL), err);
	if (str_has_prefix(text, "publish="))
		return publish(r, value, err);
	if (str_has_prefix(text, "sleep=")) {
		wait_seconds(strtod(value, NULL));
		return 0;
	}
	if (strcmp(text, "claim") != 0)
		return err_set(err, ERR_USAGE, "unknown command '%s'", text);
	if (r->kind->claim(r, &won, &epoch, err) < 0)
		return -1;
	if (won)
		printf("won %llu\n", (unsigned long long)epoch);
	else
		puts("lost");
	return 0;
}

int main(int argc, char **argv)
{
	CLEANUP(rendezvous_close) struct rendezvous r = {.address = ""};
	struct agent agent = {.root = argc > 1 ? argv[1] : ""};
	CLEANUP_JSON json_t *settings = NULL;
	struct err err = {0};
	int status = -1;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc < 6)
		err_set(&err, ERR_USAGE, "see the top of tests/helper/agent_rendezvous.c");
	else
		settings = json_read_file(argv[2], 65536, &err);
	if (settings) {
		r.agent = &agent;
		r.cluster = settings;
		r.self = argv[3];
		r.role = argv[4];
		status = rendezvous_open(&r, &err);
	}
	for (int i = 5; i < argc && status == 0; i++)
		status = command(&r, argv[i], &err);
	if (status == 0)
		return 0;
	fprintf(stderr, "%s\n", err.msg);
	if (err.hint[0])
		fprintf(stderr, "hint: %s\n", err.hint);
	return err.code ? err.code : 1;
}

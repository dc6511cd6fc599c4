/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The supervisor's loop: connections, their requests, and news of the machines. Each machine has a thread of its
 * own (member.c), so nothing here waits for a guest.
 */
#include "vm/supervisor.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/path.h"
#include "vm/hub.h"
#include "vm/machine.h"
#include "vm/member.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLIENTS_MAX 64
#define RUN_SECONDS_MAX 3600

struct client {
	int fd; /* -1: not in use */
	bool owner, watches, told_end;
	struct str in, out;
	struct member *runs; /* a command for it */
	struct member_report told[CLUSTER_MACHINES_MAX];
};

struct supervisor {
	const struct cluster_options *options;
	struct member *members[CLUSTER_MACHINES_MAX];
	struct client clients[CLIENTS_MAX];
	int listener, wake;
	bool ends;
};

static void say(struct client *client, json_t *message)
{
	CLEANUP_JSON json_t *owned = message;
	CLEANUP_FREE char *line = owned ? json_line(owned) : NULL;

	if (line)
		str_addf(&client->out, "%s\n", line);
}

static void say_error(struct client *client, const char *text)
{
	say(client, json_pack("{s:s, s:s}", "event", "error", "text", text));
}

/* Text of a guest: line by line, as a line break is a control character, too. */
static json_t *guest_bytes(const char *text, size_t len)
{
	CLEANUP(str_free) struct str clean = {0};

	str_add(&clean, "");
	for (size_t at = 0; at < len;) {
		const char *end = memchr(text + at, '\n', len - at);
		size_t line = end ? (size_t)(end - text) - at : len - at;

		str_add_utf8(&clean, text + at, line);
		if (end)
			str_add(&clean, "\n");
		at += line + (end != NULL);
	}
	return json_string(clean.data);
}

static json_t *guest_text(const char *text)
{
	return guest_bytes(text, strlen(text));
}

static void drop(struct supervisor *s, struct client *client)
{
	if (client->owner)
		s->ends = true;
	fd_close(&client->fd);
	str_free(&client->in);
	str_free(&client->out);
	client->watches = client->owner = client->told_end = false;
	/* What a command says that nobody waits for any more is taken all the same. */
}

static const char *name_of(const struct supervisor *s, size_t i)
{
	return s->options->members[i].spec->name;
}

/* Tells what this client has not been told yet; at the end of the wait, how it ended. */
static void tell(struct supervisor *s, struct client *client)
{
	size_t ready = 0;

	for (size_t i = 0; i < s->options->count; i++) {
		struct member_report report = member_report(s->members[i]),
				     *told = &client->told[i];

		if (told->boots != report.boots) {
			*told = (struct member_report){.boots = report.boots};
			client->told_end = false;
		}
		for (size_t state = 0; state < MEMBER_STATES; state++) {
			if (!report.reached[state] || told->reached[state])
				continue;
			told->reached[state] = true;
			say(client,
			    json_pack("{s:s, s:s, s:s, s:f, s:i}", "event", "state", "machine",
				      name_of(s, i), "state", member_state_names[state], "seconds",
				      report.seconds[state], "boots", (int)report.boots));
		}
		ready += member_is_ready(&report);
		if (report.state >= MEMBER_OFF && !client->told_end) {
			client->told_end = true;
			say(client, json_pack("{s:s, s:s, s:o}", "event", "failed", "machine",
					      name_of(s, i), "why",
					      guest_text(report.state == MEMBER_OFF
								 ? "it switched itself off"
								 : report.why)));
		}
	}
	if (ready == s->options->count && !client->told_end) {
		client->told_end = true;
		say(client, json_pack("{s:s}", "event", "ready"));
	}
}

static json_t *describe(struct supervisor *s, size_t i)
{
	struct member_report report = member_report(s->members[i]);
	const struct cluster_member *member = &s->options->members[i];
	json_t *value = json_pack("{s:s, s:s, s:s, s:i, s:i, s:s*}", "name", member->spec->name,
				  "address", member->spec->address, "state",
				  member_state_names[report.state], "boots", (int)report.boots,
				  "pid", member_pid(s->members[i]), "role", member->role);
	json_t *seconds = json_object(), *forwards = json_array();

	for (size_t state = 0; state < MEMBER_STATES; state++)
		if (report.reached[state])
			json_object_set_new(seconds, member_state_names[state],
					    json_real(report.seconds[state]));
	for (const char *const *f = member->spec->forwards; f && *f; f++)
		json_array_append_new(forwards, json_string(*f));
	json_object_set_new(value, "seconds", seconds);
	json_object_set_new(value, "forwards", forwards);
	if (*report.waits_for)
		json_object_set_new(value, "waits_for", guest_text(report.waits_for));
	if (*report.why)
		json_object_set_new(value, "why", guest_text(report.why));
	return value;
}

static void do_status(struct supervisor *s, struct client *client)
{
	json_t *machines = json_array();

	for (size_t i = 0; i < s->options->count; i++)
		json_array_append_new(machines, describe(s, i));
	say(client, json_pack("{s:s, s:s, s:s, s:i, s:o}", "event", "status", "cluster",
			      s->options->file->name, "version", s->options->version, "pid",
			      (int)getpid(), "machines", machines));
}

static void do_run(struct supervisor *s, struct client *client, const json_t *request)
{
	const char *machine = json_member_string(request, "machine");
	const char *command = json_member_string(request, "command");
	json_int_t seconds = json_integer_value(json_object_get(request, "seconds"));

	if (!machine || !command || seconds < 1 || seconds > RUN_SECONDS_MAX || client->runs) {
		say_error(client, "a command needs 'machine', 'command' and 'seconds'");
		return;
	}
	for (size_t i = 0; i < s->options->count; i++) {
		if (strcmp(name_of(s, i), machine) != 0)
			continue;
		if (member_run(s->members[i], command, (unsigned)seconds))
			client->runs = s->members[i];
		else
			say_error(client, "another command runs in this machine");
		return;
	}
	say_error(client, "there is no such machine");
}

static void answer(struct supervisor *s, struct client *client, const char *line)
{
	CLEANUP_JSON json_t *request = json_parse(line, strlen(line), "a request", NULL);
	const char *what = request ? json_member_string(request, "do") : NULL;

	if (what && strcmp(what, "keep") == 0)
		client->owner = false;
	else if (what && strcmp(what, "status") == 0)
		do_status(s, client);
	else if (what && strcmp(what, "watch") == 0)
		client->watches = true;
	else if (what && strcmp(what, "run") == 0)
		do_run(s, client, request);
	else if (what && strcmp(what, "down") == 0)
		s->ends = true;
	else
		say_error(client, "an unknown request");
}

static void take(struct supervisor *s, struct client *client)
{
	char bytes[16384];
	ssize_t n = recv(client->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	char *line;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 || client->in.len + (size_t)n > CLUSTER_LINE_MAX) {
		drop(s, client);
		return;
	}
	str_add_bytes(&client->in, bytes, (size_t)n);
	while ((line = vm_take_line(&client->in))) {
		answer(s, client, line);
		free(line);
	}
}

static void flush(struct supervisor *s, struct client *client)
{
	ssize_t n;

	if (client->fd < 0 || !client->out.len)
		return;
	n = send(client->fd, client->out.data, client->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		n = 0;
	/* Who never reads is not waited for. */
	if (n < 0 || client->out.len - (size_t)n > 4 * CLUSTER_LINE_MAX) {
		drop(s, client);
		return;
	}
	client->out.len -= (size_t)n;
	memmove(client->out.data, client->out.data + n, client->out.len + 1);
}

static void take_job(struct client *client)
{
	struct member_job job = {0};

	if (!client->runs || !member_take(client->runs, &job))
		return;
	client->runs = NULL;
	if (client->fd >= 0)
		say(client, json_pack("{s:s, s:i, s:o, s:o}", "event", "ran", "exit", job.exit,
				      "output", guest_bytes(job.output.data ?: "", job.output.len),
				      "error", guest_text(job.err.code ? job.err.msg : "")));
	free(job.command);
	str_free(&job.output);
}

static void let_in(struct supervisor *s)
{
	int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);

	for (size_t i = 0; fd >= 0 && i < CLIENTS_MAX; i++) {
		if (s->clients[i].fd >= 0 || s->clients[i].runs)
			continue;
		s->clients[i] = (struct client){.fd = fd};
		return;
	}
	fd_close(&fd);
}

static void serve(struct supervisor *s)
{
	while (!s->ends) {
		struct pollfd fds[CLIENTS_MAX + 2];
		uint64_t news;

		for (size_t i = 0; i < CLIENTS_MAX; i++)
			fds[i] = (struct pollfd){
				s->clients[i].fd,
				(short)(POLLIN | (s->clients[i].out.len ? POLLOUT : 0)), 0};
		fds[CLIENTS_MAX] = (struct pollfd){s->listener, POLLIN, 0};
		fds[CLIENTS_MAX + 1] = (struct pollfd){s->wake, POLLIN, 0};
		if (poll(fds, CLIENTS_MAX + 2, -1) < 0)
			continue;
		if (fds[CLIENTS_MAX].revents)
			let_in(s);
		if (fds[CLIENTS_MAX + 1].revents && read(s->wake, &news, sizeof(news)) < 0 &&
		    errno != EAGAIN)
			return;
		for (size_t i = 0; i < CLIENTS_MAX; i++) {
			struct client *client = &s->clients[i];

			if (i < CLIENTS_MAX && fds[i].fd >= 0 && fds[i].fd == client->fd &&
			    fds[i].revents)
				take(s, client);
			take_job(client);
			if (client->fd >= 0 && client->watches)
				tell(s, client);
			flush(s, client);
		}
	}
}

static int start_members(struct supervisor *s, const char *state, const int *ends, struct err *err)
{
	for (size_t i = 0; i < s->options->count; i++) {
		CLEANUP_FREE char *name = mem_printf("%s.console", name_of(s, i));
		CLEANUP_FREE char *console = path_join(state, name);

		s->members[i] = member_start(s->options, &s->options->members[i], ends[i], console,
					     s->wake, err);
		if (!s->members[i])
			return -1;
	}
	return 0;
}

static int listen_on(struct supervisor *s, const struct cluster_state *state, struct err *err)
{
	struct sockaddr_un address;

	cluster_socket_address(state->dir, &address);
	s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	s->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* We have the lock: a socket that is there is one that was left behind. */
	if (s->wake < 0 || s->listener < 0 ||
	    (unlinkat(state->dir, "socket", 0) < 0 && errno != ENOENT) ||
	    bind(s->listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(s->listener, CLIENTS_MAX) < 0)
		return err_sys(err, errno, "cannot make a socket in '%s'", state->path);
	return 0;
}

static void end(struct supervisor *s, const struct cluster_state *state)
{
	for (size_t i = 0; i < s->options->count; i++)
		if (s->members[i])
			member_kill(s->members[i]);
	for (size_t i = 0; i < s->options->count; i++)
		member_free(s->members[i]);
	if (s->listener >= 0 && unlinkat(state->dir, "socket", 0) < 0 && errno != ENOENT)
		return; /* the next one removes it */
}

int supervisor_run(const struct cluster_options *options, const struct cluster_state *state,
		   int owner, struct err *err)
{
	CLEANUP_FREE struct supervisor *s = mem_alloc(sizeof(*s));
	int ends[CLUSTER_MACHINES_MAX];
	struct hub *hub = hub_start(options->count, ends, err);
	int r;

	s->options = options;
	s->listener = s->wake = -1;
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		s->clients[i].fd = -1;
	s->clients[0] = (struct client){.fd = owner, .owner = true, .watches = true};
	r = hub ? listen_on(s, state, err) : -1;
	if (r == 0)
		r = start_members(s, state->path, ends, err);
	for (size_t i = 0; hub && i < options->count; i++)
		fd_close(&ends[i]);
	if (r == 0) {
		serve(s);
	} else if (err) {
		/* Only the owner is there to hear it. */
		say(&s->clients[0],
		    json_pack("{s:s, s:i, s:o, s:o}", "event", "error", "code", err->code, "text",
			      guest_text(err->msg), "hint", guest_text(err->hint)));
		flush(s, &s->clients[0]);
	}
	end(s, state);
	hub_stop(hub);
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		drop(s, &s->clients[i]);
	fd_close(&s->listener);
	fd_close(&s->wake);
	return r;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state folder of a cluster: the lock of its supervisor and the socket that it answers on; and what the other
 * end of that socket does.
 */
#include "vm/cluster.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/path.h"
#include "vm/machine.h"
#include "vm/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

int cluster_state_open(const char *path, struct cluster_state *ret, struct err *err)
{
	*ret = CLUSTER_STATE_NONE;
	if (path_make_dirs(path, err) < 0)
		return -1;
	ret->dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (ret->dir < 0 || chmod(path, 0700) < 0) {
		err_sys(err, errno, "cannot open '%s'", path);
		cluster_state_close(ret);
		return -1;
	}
	ret->path = mem_strdup(path);
	return 0;
}

void cluster_state_close(struct cluster_state *state)
{
	fd_close(&state->lock);
	fd_close(&state->dir);
	free(state->path);
	*state = CLUSTER_STATE_NONE;
}

bool cluster_state_lock(struct cluster_state *state)
{
	if (state->lock < 0)
		state->lock = openat(state->dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (state->lock >= 0 && flock(state->lock, LOCK_EX | LOCK_NB) == 0)
		return true;
	fd_close(&state->lock);
	return false;
}

bool cluster_state_wait(struct cluster_state *state, double seconds)
{
	double until = clock_monotonic() + seconds;

	while (!cluster_state_lock(state)) {
		if (clock_monotonic() >= until)
			return false;
		usleep(50000);
	}
	return true;
}

void cluster_socket_address(int dir, struct sockaddr_un *ret)
{
	/* By way of the open folder: its path may be longer than an address can be. */
	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d/socket", dir);
}

/* A handle of the process that listens; it may be gone already. */
static int open_peer(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 || peer.pid <= 0)
		return -1;
	return pidfd_open(peer.pid, 0);
}

int cluster_connect(const struct cluster_state *state, int *ret_fd, int *ret_pidfd, struct err *err)
{
	struct sockaddr_un address;
	CLEANUP_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*ret_fd = -1;
	if (ret_pidfd)
		*ret_pidfd = -1;
	if (fd < 0)
		return err_sys(err, errno, "cannot create a socket");
	cluster_socket_address(state->dir, &address);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		if (errno == ENOENT || errno == ECONNREFUSED)
			return 0;
		return err_sys(err, errno, "cannot connect to the cluster's socket in '%s'",
			       state->path);
	}
	if (ret_pidfd)
		*ret_pidfd = open_peer(fd);
	*ret_fd = fd_steal(&fd);
	return 0;
}

int cluster_send(int fd, json_t *request, struct err *err)
{
	CLEANUP_JSON json_t *owned = request;
	CLEANUP_FREE char *line = owned ? json_line(owned) : NULL;
	CLEANUP_FREE char *text = line ? mem_printf("%s\n", line) : NULL;

	if (!text)
		return err_set(err, ERR_USAGE, "a request must be UTF-8");
	for (size_t done = 0, len = strlen(text); done < len;) {
		ssize_t n = send(fd, text + done, len - done, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, errno, "cannot reach the cluster");
		done += (size_t)n;
	}
	return 0;
}

int cluster_receive(int fd, struct str *buffer, double seconds, json_t **ret, struct err *err)
{
	double until = clock_monotonic() + seconds;

	*ret = NULL;
	for (;;) {
		CLEANUP_FREE char *line = vm_take_line(buffer);
		struct pollfd wait = {fd, POLLIN, 0};
		double left = until - clock_monotonic();
		char bytes[16384];
		ssize_t n;

		if (line) {
			*ret = json_parse(line, strlen(line), "an answer of the cluster", err);
			return *ret ? 0 : -1;
		}
		if (left <= 0)
			return err_set(err, ERR_OTHER, "the cluster did not answer within %.0f s",
				       seconds);
		if (poll(&wait, 1, left > 60 ? 60000 : (int)(left * 1000) + 1) <= 0)
			continue;
		n = recv(fd, bytes, sizeof(bytes), 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return 0;
		if (buffer->len + (size_t)n > CLUSTER_LINE_MAX)
			return err_set(err, ERR_OTHER, "the cluster said more than it may");
		str_add_bytes(buffer, bytes, (size_t)n);
	}
}

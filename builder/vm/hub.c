/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The switch between virtual machines. QEMU's stream sockets carry frames, each behind its length as four bytes,
 * most significant first (net/socket.c of QEMU). What guests send is hostile: lengths and tables are bounded.
 */
#include "vm/hub.h"

#include "base/fd.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAC_SIZE 6
#define FRAME_MIN 14 /* two addresses and a type */
/* QEMU's own limit (NET_BUFSIZE): 64 KiB of segmentation offload and headers. */
#define FRAME_MAX ((size_t)4096 + 65536)
#define LENGTH_SIZE sizeof(uint32_t)
/* What one machine may have to wait for. */
#define QUEUE_MAX ((size_t)1 << 20)
#define TABLE_SIZE 1024

struct socket {
	int fd; /* -1: its QEMU has ended */
	uint8_t in[LENGTH_SIZE + FRAME_MAX];
	size_t in_len;
	uint8_t *out; /* QUEUE_MAX bytes */
	size_t out_len;
};

/* Where an address was seen last; containers in a guest have addresses, too. */
struct entry {
	bool used;
	uint8_t mac[MAC_SIZE];
	size_t socket;
};

struct hub {
	struct socket *sockets;
	size_t count;
	struct entry table[TABLE_SIZE];
	int stop; /* eventfd */
	pthread_t thread;
	bool running;
};

static struct entry *slot(struct hub *hub, const uint8_t *mac)
{
	/* The last bytes differ between machines. A collision only costs copies of frames. */
	return &hub->table[((unsigned)mac[5] | (unsigned)mac[4] << 8) % TABLE_SIZE];
}

static void flush(struct socket *socket)
{
	ssize_t n;

	if (socket->fd < 0 || !socket->out_len)
		return;
	n = send(socket->fd, socket->out, socket->out_len, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		fd_close(&socket->fd);
	if (n <= 0)
		return;
	socket->out_len -= (size_t)n;
	memmove(socket->out, socket->out + n, socket->out_len);
}

/* The frame with its length in front. */
static void queue(struct socket *socket, const uint8_t *bytes, size_t len)
{
	if (socket->fd < 0)
		return;
	if (socket->out_len + len > QUEUE_MAX)
		flush(socket);
	if (socket->out_len + len > QUEUE_MAX)
		return;
	memcpy(socket->out + socket->out_len, bytes, len);
	socket->out_len += len;
}

static void forward(struct hub *hub, size_t from, const uint8_t *bytes, size_t len)
{
	const uint8_t *to_mac = bytes + LENGTH_SIZE, *from_mac = to_mac + MAC_SIZE;
	struct entry *entry;

	if (!(from_mac[0] & 1)) {
		entry = slot(hub, from_mac);
		entry->used = true;
		memcpy(entry->mac, from_mac, MAC_SIZE);
		entry->socket = from;
	}
	entry = slot(hub, to_mac);
	if (!(to_mac[0] & 1) && entry->used && memcmp(entry->mac, to_mac, MAC_SIZE) == 0) {
		if (entry->socket != from)
			queue(&hub->sockets[entry->socket], bytes, len);
		return;
	}
	for (size_t i = 0; i < hub->count; i++)
		if (i != from)
			queue(&hub->sockets[i], bytes, len);
}

/* Passes on each complete frame. False when the sender does not keep to the format. */
static bool take_frames(struct hub *hub, size_t from)
{
	struct socket *socket = &hub->sockets[from];
	size_t done = 0;

	while (socket->in_len - done >= LENGTH_SIZE) {
		uint32_t len;

		memcpy(&len, socket->in + done, LENGTH_SIZE);
		len = ntohl(len);
		if (len > FRAME_MAX)
			return false;
		if (socket->in_len - done < LENGTH_SIZE + len)
			break;
		if (len >= FRAME_MIN)
			forward(hub, from, socket->in + done, LENGTH_SIZE + len);
		done += LENGTH_SIZE + len;
	}
	socket->in_len -= done;
	memmove(socket->in, socket->in + done, socket->in_len);
	return true;
}

static void receive(struct hub *hub, size_t from)
{
	struct socket *socket = &hub->sockets[from];
	ssize_t n = recv(socket->fd, socket->in + socket->in_len,
			 sizeof(socket->in) - socket->in_len, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0)
		socket->in_len += (size_t)n;
	if (n <= 0 || !take_frames(hub, from))
		fd_close(&socket->fd);
}

static void *run(void *context)
{
	struct hub *hub = context;
	CLEANUP_FREE struct pollfd *fds = mem_alloc_array(hub->count + 1, sizeof(*fds));

	for (;;) {
		for (size_t i = 0; i < hub->count; i++)
			fds[i] = (struct pollfd){
				hub->sockets[i].fd,
				(short)(POLLIN | (hub->sockets[i].out_len ? POLLOUT : 0)), 0};
		fds[hub->count] = (struct pollfd){hub->stop, POLLIN, 0};
		if (poll(fds, hub->count + 1, -1) < 0)
			continue;
		if (fds[hub->count].revents)
			return NULL;
		for (size_t i = 0; i < hub->count; i++)
			if (fds[i].revents & (POLLIN | POLLHUP | POLLERR))
				receive(hub, i);
		for (size_t i = 0; i < hub->count; i++)
			flush(&hub->sockets[i]);
	}
}

struct hub *hub_start(size_t count, int *ret_ends, struct err *err)
{
	struct hub *hub = mem_alloc(sizeof(*hub));
	int code = 0;

	hub->sockets = mem_alloc_array(count, sizeof(*hub->sockets));
	hub->count = count;
	hub->stop = eventfd(0, EFD_CLOEXEC);
	for (size_t i = 0; i < count; i++)
		hub->sockets[i].fd = ret_ends[i] = -1;
	if (hub->stop < 0)
		code = errno;
	for (size_t i = 0; i < count && code == 0; i++) {
		int pair[2];

		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
			code = errno;
			break;
		}
		hub->sockets[i].fd = pair[0];
		hub->sockets[i].out = mem_alloc(QUEUE_MAX);
		ret_ends[i] = pair[1];
	}
	if (code == 0)
		code = pthread_create(&hub->thread, NULL, run, hub);
	hub->running = code == 0;
	if (code == 0)
		return hub;
	for (size_t i = 0; i < count; i++)
		fd_close(&ret_ends[i]);
	hub_stop(hub);
	err_sys(err, code, "cannot make a network for the machines");
	return NULL;
}

void hub_stop(struct hub *hub)
{
	if (!hub)
		return;
	if (hub->running) {
		uint64_t one = 1;

		/* Writing to an eventfd that nobody wrote to cannot fail. */
		if (write(hub->stop, &one, sizeof(one)) == sizeof(one))
			pthread_join(hub->thread, NULL);
	}
	for (size_t i = 0; i < hub->count; i++) {
		fd_close(&hub->sockets[i].fd);
		free(hub->sockets[i].out);
	}
	fd_close(&hub->stop);
	free(hub->sockets);
	free(hub);
}

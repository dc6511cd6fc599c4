/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network between virtual machines: who gets which frames, and what a hostile guest cannot do to the others.
 */
#include "tap.h"

#include "base/fd.h"
#include "base/mem.h"
#include "vm/hub.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>

#define COUNT 3
/* A test is not about speed; what must not come is waited for a short time only. */
#define PATIENCE_MS 30000
#define NOTHING_MS 100

struct net {
	struct hub *hub;
	int ends[COUNT];
};

static void net_open(struct net *net)
{
	struct err err = {0};

	net->hub = hub_start(COUNT, net->ends, &err);
	CHECK(net->hub);
}

static void net_close(struct net *net)
{
	hub_stop(net->hub);
	for (size_t i = 0; i < COUNT; i++)
		fd_close(&net->ends[i]);
}

/* A frame from machine "from" to machine "to" (255: to all), with size bytes behind the addresses. */
static void emit(struct net *net, size_t from, unsigned to, size_t size, uint8_t fill)
{
	size_t len = 4 + 12 + size;
	CLEANUP_FREE uint8_t *frame = mem_alloc(len);
	uint32_t length = htonl((uint32_t)(12 + size));
	struct err err = {0};

	memcpy(frame, &length, 4);
	memset(frame + 4, to == 255 ? 255 : 0, 6);
	if (to != 255)
		frame[9] = (uint8_t)(to + 1);
	frame[15] = (uint8_t)(from + 1);
	memset(frame + 16, fill, size);
	CHECK(fd_write(net->ends[from], frame, len, "end", &err) == 0);
}

/* Takes one frame: its size behind the addresses, and its last byte. -1: nothing came. */
static long take(struct net *net, size_t at, int patience, uint8_t *ret_fill)
{
	struct pollfd fd = {net->ends[at], POLLIN, 0};
	uint8_t frame[4 + 4096 + 65536];
	uint32_t length;

	if (poll(&fd, 1, patience) != 1)
		return -1;
	if (recv(net->ends[at], &length, 4, MSG_WAITALL) != 4)
		return -2;
	length = ntohl(length);
	CHECK(length >= 14 && length <= sizeof(frame));
	CHECK(recv(net->ends[at], frame, length, MSG_WAITALL) == (ssize_t)length);
	*ret_fill = frame[length - 1];
	return (long)length - 12;
}

TEST(frames_go_where_they_should)
{
	struct net net;
	uint8_t fill = 0;

	net_open(&net);
	emit(&net, 0, 255, 46, 'a');
	CHECK(take(&net, 1, PATIENCE_MS, &fill) == 46 && fill == 'a');
	CHECK(take(&net, 2, PATIENCE_MS, &fill) == 46 && fill == 'a');
	CHECK(take(&net, 0, NOTHING_MS, &fill) == -1);
	/* Nobody knows where 1 is before it has said something. */
	emit(&net, 0, 1, 60, 'b');
	CHECK(take(&net, 1, PATIENCE_MS, &fill) == 60);
	CHECK(take(&net, 2, PATIENCE_MS, &fill) == 60);
	emit(&net, 1, 0, 60, 'c');
	CHECK(take(&net, 0, PATIENCE_MS, &fill) == 60 && fill == 'c');
	CHECK(take(&net, 2, NOTHING_MS, &fill) == -1);
	emit(&net, 0, 1, 60, 'd');
	CHECK(take(&net, 1, PATIENCE_MS, &fill) == 60 && fill == 'd');
	CHECK(take(&net, 2, NOTHING_MS, &fill) == -1);
	net_close(&net);
}

TEST(large_and_many_frames_arrive_whole)
{
	struct net net;
	uint8_t fill = 0;

	net_open(&net);
	emit(&net, 1, 0, 46, 'x');
	CHECK(take(&net, 0, PATIENCE_MS, &fill) == 46);
	CHECK(take(&net, 2, PATIENCE_MS, &fill) == 46);
	for (unsigned i = 0; i < 200; i++) {
		emit(&net, 0, 1, 65000, (uint8_t)i);
		CHECK(take(&net, 1, PATIENCE_MS, &fill) == 65000 && fill == (uint8_t)i);
	}
	net_close(&net);
}

/* A machine that takes nothing costs the others nothing: its frames are dropped. */
TEST(a_machine_that_hangs_holds_up_nobody)
{
	struct net net;
	uint8_t fill = 0;

	net_open(&net);
	for (unsigned i = 0; i < 400; i++) {
		emit(&net, 0, 255, 30000, (uint8_t)i);
		CHECK(take(&net, 1, PATIENCE_MS, &fill) == 30000 && fill == (uint8_t)i);
	}
	/* What 2 gets of it is whole frames. */
	CHECK(take(&net, 2, PATIENCE_MS, &fill) == 30000 && fill == 0);
	CHECK(take(&net, 2, PATIENCE_MS, &fill) == 30000 && fill == 1);
	net_close(&net);
}

TEST(a_machine_that_lies_about_lengths_is_cut_off)
{
	struct net net;
	uint8_t fill = 0;
	uint32_t huge = htonl(0x7fffffff);
	struct err err = {0};

	net_open(&net);
	CHECK(fd_write(net.ends[2], &huge, 4, "end", &err) == 0);
	CHECK(take(&net, 2, PATIENCE_MS, &fill) == -2);
	emit(&net, 0, 1, 46, 'a');
	CHECK(take(&net, 1, PATIENCE_MS, &fill) == 46 && fill == 'a');
	net_close(&net);
}

/* Too short for a header: nobody gets it, and what follows is read right. */
TEST(runts_are_dropped)
{
	struct net net;
	uint8_t fill = 0, runt[4 + 5] = {0, 0, 0, 5};
	struct err err = {0};

	net_open(&net);
	CHECK(fd_write(net.ends[0], runt, sizeof(runt), "end", &err) == 0);
	CHECK(fd_write(net.ends[0], "\0\0\0\0", 4, "end", &err) == 0);
	emit(&net, 0, 255, 46, 'z');
	CHECK(take(&net, 1, PATIENCE_MS, &fill) == 46 && fill == 'z');
	net_close(&net);
}

TEST(a_machine_may_end)
{
	struct net net;
	uint8_t fill = 0;

	net_open(&net);
	fd_close(&net.ends[2]);
	for (unsigned i = 0; i < 50; i++) {
		emit(&net, 0, 255, 46, 'a');
		CHECK(take(&net, 1, PATIENCE_MS, &fill) == 46);
	}
	net_close(&net);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine for the agent's tests: a root folder with an image.json, a routing table, and one network
 * card whose address the test gives or takes away (getifaddrs(3) is replaced for the whole program).
 */
#ifndef TESTS_FAKE_MACHINE_H
#define TESTS_FAKE_MACHINE_H

#include "tap.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define FAKE_ROOT "root"
#define FAKE_SOCKET FAKE_ROOT "/run/docker.sock"
#define FAKE_RECORD FAKE_ROOT "/var/lib/ingot/agent/join.json"
#define FAKE_LIVE FAKE_ROOT "/run/ingot/join.json"

/* Set with fake_machine_address(); NULL: the card has none. */
static const char *fake_address = "10.9.8.7";
static unsigned int fake_address_delay; /* calls of getifaddrs that see no address yet */

int getifaddrs(struct ifaddrs **list)
{
	static struct sockaddr_in at;
	static char name[] = "eth0";
	static struct ifaddrs card = {
		.ifa_name = name,
		.ifa_flags = IFF_UP,
		.ifa_addr = (struct sockaddr *)&at,
	};

	*list = NULL;
	if (fake_address_delay)
		fake_address_delay--;
	else if (fake_address && inet_pton(AF_INET, fake_address, &at.sin_addr) == 1) {
		at.sin_family = AF_INET;
		*list = &card;
	}
	return 0;
}

void freeifaddrs(struct ifaddrs *list)
{
	(void)list;
}

__attribute__((unused)) static void fake_machine_file(const char *path, const char *text)
{
	char full[512];

	snprintf(full, sizeof(full), FAKE_ROOT "%s", path);
	for (char *p = full + 1; *p; p++)
		if (*p == '/') {
			*p = '\0';
			if (mkdir(full, 0755) < 0 && errno != EEXIST)
				FAIL("cannot make '%s': %s", full, strerror(errno));
			*p = '/';
		}
	tap_spew(full, text, strlen(text));
}

#define FAKE_ROUTES                                                                          \
	"Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n" \
	"eth0\t00000000\t0108090A\t0003\t0\t0\t100\t00000000\t0\t0\t0\n"                     \
	"eth0\t0008090A\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n"

/* Makes the root folder of a machine; join is the value of "join" in image.json. */
__attribute__((unused)) static void fake_machine(const char *join)
{
	char image[512];

	snprintf(image, sizeof(image),
		 "{\"schema\":1,\"name\":\"demo\",\"version\":\"1.2\",\"architecture\":\"x86-64\","
		 "\"services\":[\"docker.service\"],\"join\":%s}\n",
		 join);
	fake_machine_file("/usr/lib/ingot/image.json", image);
	fake_machine_file("/proc/net/route", FAKE_ROUTES);
	fake_machine_file("/proc/uptime", "12.34 20.00\n");
	fake_machine_file("/run/.keep", "");
}

/* The file must (or must not) contain the text. */
#define CHECK_FILE_HAS(path, part)                   \
	do {                                         \
		char *text_ = tap_slurp(path, NULL); \
		CHECK_CONTAINS(text_, part);         \
		free(text_);                         \
	} while (0)
#define CHECK_FILE_LACKS(path, part)                 \
	do {                                         \
		char *text_ = tap_slurp(path, NULL); \
		CHECK(!strstr(text_, part));         \
		free(text_);                         \
	} while (0)

#define FAKE_MANAGER "{\"kind\":\"swarm\",\"role\":\"manager\"}"

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starts tests/fake/metadata for a test, and makes machines of each cloud that ask it.
 */
#ifndef TESTS_FAKE_METADATA_H
#define TESTS_FAKE_METADATA_H

#include "fake/registry.h"
#include "fake/machine.h"

#include "agent/source/source_parts.h"

#include "base/mem.h"

#define FAKE_DMI "/sys/class/dmi/id/"

static unsigned int metadata_port;
static char metadata_base[256];

/* Starts the server at HOST:PORT. It dies with the test. */
__attribute__((unused)) static void start_metadata_at(const char *at)
{
	const char *const argv[] = {"python3", source_file("tests/fake/metadata"), "--at", at,
				    NULL};
	char text[16] = "";
	int out = start_server(argv);

	if (read(out, text, sizeof(text) - 1) <= 0 || atoi(text) <= 0)
		FAIL("the fake metadata service did not start");
	metadata_port = (unsigned int)atoi(text);
}

/* Starts it on a free port of loopback. */
__attribute__((unused)) static void start_metadata(void)
{
	start_metadata_at("127.0.0.1:0");
}

/* Makes a machine of the cloud, below FAKE_ROOT, that asks the server by way of this fault ("": without one). */
__attribute__((unused)) static void metadata_machine(const char *cloud, const char *fault)
{
	char cmdline[512];

	snprintf(metadata_base, sizeof(metadata_base), "http://127.0.0.1:%u%s%s", metadata_port,
		 *fault ? "/fault/" : "", fault);
	source_test_base = metadata_base;
	fake_machine("{}");
	fake_machine_file("/proc/cmdline", "ro\n");
	fake_machine_file(FAKE_DMI "product_uuid", "4c4c4544-0042-3510-8052-b4c04f4e3732\n");
	if (strcmp(cloud, "ec2") == 0)
		fake_machine_file(FAKE_DMI "sys_vendor", "Amazon EC2\n");
	else if (strcmp(cloud, "azure") == 0)
		fake_machine_file(FAKE_DMI "chassis_asset_tag",
				  "7783-7084-3265-9085-8269-3286-77\n");
	else if (strcmp(cloud, "gce") == 0)
		fake_machine_file(FAKE_DMI "product_name", "Google Compute Engine\n");
	else if (strcmp(cloud, "openstack") == 0)
		fake_machine_file(FAKE_DMI "product_name", "OpenStack Nova\n");
	else if (strcmp(cloud, "nocloud-net") == 0) {
		snprintf(cmdline, sizeof(cmdline), "ro ds=nocloud;s=%s/seed/ quiet\n",
			 metadata_base);
		fake_machine_file("/proc/cmdline", cmdline);
	} else
		FAIL("there is no fake for the source '%s'", cloud);
}

/* The requests so far, one per line; the caller frees. */
__attribute__((unused)) static char *metadata_log(void)
{
	struct http_answer a CLEANUP(http_answer_free) = {0};
	struct err err = {0};
	char url[64];

	snprintf(url, sizeof(url), "http://127.0.0.1:%u/log", metadata_port);
	CHECK_OK(http_do(&(struct http_request){.url = url}, &a, &err), &err);
	return str_steal(&a.body);
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metadata services: what each says, and every fault with every source of the table.
 */
#include "tap.h"
#include "fake/metadata.h"

#include "base/clock.h"

#include <sched.h>
#include <sys/resource.h>

static const struct agent agent = {.root = FAKE_ROOT, .kind = "swarm", .role = "manager"};

static void load(const char *cloud, const char *fault, struct instance *ret)
{
	struct err err = {0};
	bool found = false;

	metadata_machine(cloud, fault);
	CHECK(source_detect(&agent) == source_find(cloud));
	CHECK_OK(source_load(&agent, false, 60, ret, &found, &err), &err);
	CHECK(found);
	CHECK_STR(ret->source, cloud);
}

/* Fails (without a second try when the error is not one of the network). */
static struct err fails(const char *cloud, const char *fault, double timeout)
{
	struct instance instance;
	struct err err = {0};
	bool found = true;

	metadata_machine(cloud, fault);
	if (source_load(&agent, false, timeout, &instance, &found, &err) >= 0)
		FAIL("%s with the fault %s: succeeded", cloud, fault);
	CHECK(!found);
	CHECK_CONTAINS(err.msg, "cannot read the metadata of the source '");
	for (const char *p = err.msg; *p; p++)
		if ((unsigned char)*p < ' ')
			FAIL("%s with the fault %s: a control character in the message", cloud,
			     fault);
	if (access(FAKE_ROOT INSTANCE_FILE, F_OK) == 0)
		FAIL("%s with the fault %s: something was kept", cloud, fault);
	return err;
}

TEST(ec2)
{
	struct instance i;

	start_metadata();
	load("ec2", "", &i);
	CHECK_STR(i.id, "i-1234567890abcdef0");
	CHECK_STR(i.hostname, "ip-10-251-50-12.ec2.internal");
	CHECK_STR(i.address, "10.251.50.12");
	CHECK_STR(i.zone, "us-east-1a");
	CHECK_STR(i.region, "us-east-1");
	CHECK_STR(i.kind, "m5.large");
	CHECK_INT(i.ssh_keys.count, 2);
	CHECK_STR(i.ssh_keys.items[1], "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5ec2-1 other");
	CHECK_INT(i.tags.count, 2);
	CHECK_STR(i.tags.items[0], "Name=a machine");
	CHECK_STR(i.tags.items[1], "role=manager");
	CHECK_STR(i.user_data.data, "#cloud-config\nhostname: ec2\n");
	CHECK(i.first_boot && !i.cached);
	instance_free(&i);
}

TEST(azure)
{
	struct instance i;

	start_metadata();
	load("azure", "", &i);
	CHECK_STR(i.id, "02aab8a4-74ef-476e-8182-f6d2ba4166a6");
	CHECK_STR(i.hostname, "examplevm");
	CHECK_STR(i.address, "10.144.133.132");
	CHECK_STR(i.zone, "westus2-2");
	CHECK_STR(i.region, "westus2");
	CHECK_STR(i.kind, "Standard_A3");
	CHECK_INT(i.ssh_keys.count, 2);
	CHECK_STR(i.ssh_keys.items[0], "ssh-rsa AAAAB3NzaC1yc2Eazure0 admin@example");
	CHECK_STR(i.tags.items[1], "foo=bar");
	CHECK_STR(i.user_data.data, "#cloud-config\nhostname: azure\n");
	instance_free(&i);
}

TEST(azure_of_an_older_version)
{
	struct instance i;

	start_metadata();
	load("azure", "old", &i);
	CHECK_STR(i.id, "02aab8a4-74ef-476e-8182-f6d2ba4166a6");
	CHECK_INT(i.user_data.len, 0);
	instance_free(&i);
}

TEST(gce)
{
	struct instance i;

	start_metadata();
	load("gce", "", &i);
	CHECK_STR(i.id, "8087716956832600273");
	CHECK_STR(i.hostname, "vm1.c.my-project.internal");
	CHECK_STR(i.address, "10.146.0.2");
	CHECK_STR(i.zone, "asia-northeast1-b");
	CHECK_STR(i.region, "asia-northeast1");
	CHECK_STR(i.kind, "n1-standard-1");
	/* Bob's is over. */
	CHECK_INT(i.ssh_keys.count, 3);
	CHECK_STR(i.ssh_keys.items[0], "ssh-rsa AAAAB3NzaC1yc2Egce0 alice@example");
	CHECK_CONTAINS(i.ssh_keys.items[1], "Egce2");
	CHECK_CONTAINS(i.ssh_keys.items[2], "Egce3");
	CHECK_STR(i.user_data.data, "#cloud-config\nhostname: gce\n");
	instance_free(&i);
}

TEST(openstack)
{
	struct instance i;

	start_metadata();
	load("openstack", "", &i);
	CHECK_STR(i.id, "83679162-1378-4288-a2d4-70e13ec132aa");
	CHECK_STR(i.hostname, "test.novalocal");
	CHECK_STR(i.address, "10.184.0.244");
	CHECK_STR(i.zone, "nova");
	CHECK_INT(i.ssh_keys.count, 1);
	CHECK_STR(i.user_data.data, "#cloud-config\nhostname: openstack\n");
	CHECK_STR(i.vendor_data.data, "#cloud-config\n{}\n");
	CHECK_CONTAINS(i.network_config.data, "tapcd9f6d46-4a");
	instance_free(&i);
}

TEST(nocloud_net)
{
	struct instance i;
	char cmdline[256];
	struct err err = {0};
	bool found;

	start_metadata();
	load("nocloud-net", "", &i);
	CHECK_STR(i.id, "iid-seed");
	CHECK_STR(i.hostname, "seeded");
	CHECK_STR(i.user_data.data, "#cloud-config\nhostname: seeded\n");
	CHECK_INT(i.vendor_data.len, 0);
	instance_free(&i);
	/* By the DMI serial number, without a slash at the end, and what DMI says in it. */
	fake_machine_file("/proc/cmdline", "ro\n");
	fake_machine_file(FAKE_DMI "chassis_serial", "seed\n");
	snprintf(cmdline, sizeof(cmdline),
		 "ds=nocloud;i=mine;s=http://127.0.0.1:%u/__dmi.chassis-serial-number__\n",
		 metadata_port);
	fake_machine_file(FAKE_DMI "product_serial", cmdline);
	CHECK_OK(source_load(&agent, false, 60, &i, &found, &err), &err);
	CHECK_STR(i.id, "mine");
	CHECK_STR(i.hostname, "seeded");
	instance_free(&i);
	CHECK(remove(FAKE_ROOT INSTANCE_FILE) == 0);
	fake_machine_file("/proc/cmdline", "ds=nocloud;s=ftp://10.0.0.1/\n");
	CHECK_ERR(source_load(&agent, false, 10, &i, &found, &err), &err, ERR_OTHER,
		  "is at no http, https or file URL");
}

TEST(password_of_a_seed_is_not_told)
{
	static const char *const faults[] = {"500", "reset", "html", "huge"};
	struct instance i;
	char cmdline[256];
	bool found;

	start_metadata();
	metadata_machine("nocloud-net", "");
	for (size_t k = 0; k < ARRAY_SIZE(faults); k++) {
		struct err err = {0};

		snprintf(cmdline, sizeof(cmdline),
			 "ds=nocloud;s=http://u:hunter2@127.0.0.1:%u/fault/%s/?hunter2=\n",
			 metadata_port, faults[k]);
		fake_machine_file("/proc/cmdline", cmdline);
		CHECK(source_load(&agent, false, 0, &i, &found, &err) < 0);
		if (strstr(err.msg, "hunter2") || strstr(err.hint, "hunter2"))
			FAIL("%s: %s", faults[k], err.msg);
	}
}

TEST(every_network_source_has_a_fake)
{
	start_metadata();
	for (const struct source *s = sources; s->name; s++) {
		struct instance i;

		if (!s->network)
			continue;
		load(s->name, "", &i);
		instance_free(&i);
		/* Another machine for the next one. */
		CHECK(rename(FAKE_ROOT, s->name) == 0);
	}
}

/* Each source in a process and a folder of its own, all at the same time: some faults take seconds. */
static void with_each_source(void (*check)(const char *cloud, const char *fault), const char *fault)
{
	pid_t pids[16];
	size_t count = 0;
	bool good = true;

	for (const struct source *s = sources; s->name; s++) {
		if (!s->network)
			continue;
		CHECK(mkdir(s->name, 0755) == 0);
		pids[count] = fork();
		CHECK(pids[count] >= 0);
		if (pids[count] == 0) {
			CHECK(chdir(s->name) == 0);
			check(s->name, fault);
			_exit(0);
		}
		count++;
	}
	CHECK_INT(count, 5);
	for (size_t i = 0; i < count; i++) {
		int status;

		CHECK(waitpid(pids[i], &status, 0) == pids[i]);
		good = good && status == 0;
	}
	CHECK(good);
}

static void never_comes(const char *cloud, const char *fault)
{
	struct err err = fails(cloud, fault, 0.6);

	if (err.code != ERR_NETWORK)
		FAIL("%s with the fault %s: %s", cloud, fault, err.msg);
}

/* What the server says is wrong: told at once, however much time there would be. */
static void is_wrong(const char *cloud, const char *fault)
{
	double start = clock_monotonic();
	struct err err = fails(cloud, fault, 600);

	if (err.code == ERR_NETWORK)
		FAIL("%s with the fault %s: would be tried again: %s", cloud, fault, err.msg);
	/* Far below the timeout, far above what a slow machine needs. */
	CHECK(clock_monotonic() - start < 300);
}

/* Any failure will do, as long as it is one and soon. */
static void fails_somehow(const char *cloud, const char *fault)
{
	fails(cloud, fault, 0.6);
}

static void comes_later(const char *cloud, const char *fault)
{
	struct instance i;
	double start = clock_monotonic();

	load(cloud, fault, &i);
	CHECK(clock_monotonic() - start >= 1);
	CHECK(i.first_boot && !i.cached && i.id && i.user_data.len);
	instance_free(&i);
}

#define FAULT(name, spec, check)               \
	TEST_TIMEOUT(fault_##name, 180)        \
	{                                      \
		start_metadata();              \
		with_each_source(check, spec); \
	}

FAULT(status_404, "404", never_comes)
FAULT(status_429, "429", never_comes)
FAULT(status_500, "500", never_comes)
FAULT(status_503, "503", never_comes)
FAULT(status_410, "410", never_comes)
FAULT(reset, "reset", never_comes)
FAULT(close, "close", never_comes)
FAULT(hang, "hang", never_comes)
FAULT(drip, "drip", never_comes)
FAULT(cut, "cut", never_comes)
FAULT(no_http, "nohttp", fails_somehow)
FAULT(headers_without_end, "headers", fails_somehow)
FAULT(huge, "huge", is_wrong)
FAULT(redirect, "redirect", fails_somehow)
FAULT(garbage, "garbage", is_wrong)
FAULT(html, "html", is_wrong)
FAULT(empty, "empty", is_wrong)
FAULT(deep, "deep", is_wrong)
FAULT(bad_values, "bad", is_wrong)
FAULT(not_yet, "404-for-1", comes_later)
FAULT(too_many_for_a_while, "429-for-1", comes_later)
FAULT(broken_for_a_while, "500-for-1", comes_later)
FAULT(resets_for_a_while, "reset-for-1", comes_later)

/* The service is gone at the next boot: what it said before is good for this machine, and for no other. */
static void kept(const char *cloud, const char *fault)
{
	struct instance i;
	struct err err = {0};
	bool found;

	load(cloud, "", &i);
	instance_free(&i);
	CHECK(remove(FAKE_ROOT INSTANCE_LIVE) == 0);
	metadata_machine(cloud, fault);
	CHECK_OK(source_load(&agent, false, 0.3, &i, &found, &err), &err);
	CHECK(found && i.cached && !i.first_boot && i.user_data.len);
	instance_free(&i);
	/* Before the network is up. */
	CHECK(remove(FAKE_ROOT INSTANCE_LIVE) == 0);
	CHECK_OK(source_load(&agent, true, 0, &i, &found, &err), &err);
	CHECK(found && i.cached && !i.first_boot && i.user_data.len);
	instance_free(&i);
	/* A copy of the disk in another machine. */
	fake_machine_file(FAKE_DMI "product_uuid", "another\n");
	CHECK_OK(source_load(&agent, true, 0, &i, &found, &err), &err);
	CHECK(!found);
	CHECK_ERR(source_load(&agent, false, 0.3, &i, &found, &err), &err, ERR_NETWORK, "");
}

FAULT(after_the_first_boot, "500", kept)

TEST(closed_port)
{
	struct instance i;
	struct err err = {0};
	bool found;

	metadata_port = fake_closed_port();
	metadata_machine("gce", "");
	CHECK_ERR(source_load(&agent, false, 0.5, &i, &found, &err), &err, ERR_NETWORK,
		  "cannot fetch");
}

/* A machine that is of no cloud asks nobody. */
TEST(never_asks_blindly)
{
	struct instance i;
	struct err err = {0};
	char *log;
	bool found;

	start_metadata();
	metadata_machine("gce", "");
	CHECK(remove(FAKE_ROOT FAKE_DMI "product_name") == 0);
	fake_machine_file(FAKE_DMI "sys_vendor", "QEMU\n");
	/* By chance the UUID begins as those of EC2. */
	fake_machine_file(FAKE_DMI "product_uuid", "ec2b8a4e-0042-3510-8052-b4c04f4e3732\n");
	CHECK_OK(source_load(&agent, false, 60, &i, &found, &err), &err);
	CHECK(!found);
	log = metadata_log();
	CHECK_STR(log, "");
	free(log);
}

TEST(detects_ec2)
{
	static const struct {
		const char *vendor, *uuid, *serial, *version, *hypervisor;
		bool is;
	} table[] = {
		{"Amazon EC2", "x", "x", "x", "x", true},
		{"Xen", "ec2e1916-9099-7caf-fd21-012345abcdef",
		 "EC2E1916-9099-7CAF-FD21-012345ABCDEF", "4.2", "x", true},
		{"Xen", "45E12AEC-DCD1-B213-94ED-012345ABCDEF", "x", "4.11.amazon", "x", true},
		{"Xen", "x", "x", "x", "ec2e1916-9099-7caf", true},
		{"Xen", "ec2e1916-9099-7caf-fd21-012345abcdef", "other", "4.11", "x", false},
		{"QEMU", "45E12AEC-DCD1-B213-94ED-012345ABCDEF", "x", "x", "x", false},
	};

	fake_machine("{}");
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		fake_machine_file(FAKE_DMI "sys_vendor", table[i].vendor);
		fake_machine_file(FAKE_DMI "product_uuid", table[i].uuid);
		fake_machine_file(FAKE_DMI "product_serial", table[i].serial);
		fake_machine_file(FAKE_DMI "product_version", table[i].version);
		fake_machine_file("/sys/hypervisor/uuid", table[i].hypervisor);
		if (source_ec2_detect(&agent) != table[i].is)
			FAIL("row %zu", i);
	}
}

/* "ds=NAME" is for clouds whose DMI says nothing. */
TEST(named_on_the_command_line)
{
	struct instance i;
	struct err err = {0};
	bool found;

	start_metadata();
	metadata_machine("gce", "");
	fake_machine_file("/proc/cmdline", "ds=OpenStack\n");
	CHECK_OK(source_load(&agent, false, 60, &i, &found, &err), &err);
	CHECK_STR(i.source, "openstack");
	instance_free(&i);
}

TEST(token_that_ends)
{
	struct instance i;
	char *log;
	unsigned int puts = 0;

	start_metadata();
	load("ec2", "expired", &i);
	CHECK_STR(i.id, "i-1234567890abcdef0");
	CHECK_INT(i.ssh_keys.count, 2);
	instance_free(&i);
	log = metadata_log();
	for (const char *p = log; (p = strstr(p, "PUT ")); p++)
		puts++;
	CHECK(puts > 1);
	free(log);
}

TEST(metadata_turned_off)
{
	struct err err;

	start_metadata();
	err = fails("ec2", "403", 600);
	CHECK_CONTAINS(err.msg, "is turned off");
}

TEST(ec2_and_openstack_over_ipv6)
{
	static char other[64];
	static const char *const clouds[] = {"ec2", "openstack"};

	start_metadata();
	snprintf(other, sizeof(other), "http://127.0.0.1:%u", metadata_port);
	for (size_t k = 0; k < ARRAY_SIZE(clouds); k++) {
		struct instance i;
		struct err err = {0};
		unsigned int open = metadata_port;
		bool found;

		metadata_port = fake_closed_port();
		metadata_machine(clouds[k], "");
		metadata_port = open;
		source_test_base6 = other;
		fake_machine_file("/sys/class/net/lo/operstate", "unknown\n");
		fake_machine_file("/sys/class/net/ens3/operstate", "up\n");
		CHECK_OK(source_load(&agent, false, 60, &i, &found, &err), &err);
		CHECK_STR(i.source, clouds[k]);
		instance_free(&i);
		CHECK(rename(FAKE_ROOT, clouds[k]) == 0);
	}
}

TEST(reports_to_azure)
{
	struct instance i;
	struct err err = {0};
	char *log;

	start_metadata();
	load("azure", "", &i);
	CHECK_OK(source_report(&agent, &i, NULL, 60, &err), &err);
	log = metadata_log();
	CHECK_CONTAINS(log, "POST /machine/?comp=health ");
	CHECK_CONTAINS(log, "<GoalStateIncarnation>7</GoalStateIncarnation>");
	CHECK_CONTAINS(log, "<ContainerId>c6d5526c-5ac2-4200-b6e2-56f2b70c5ab2</ContainerId>");
	CHECK_CONTAINS(log, "<InstanceId>b61f93d0-e1ed-40b2-b067-22c243233448.MachineRole_IN_0<");
	CHECK_CONTAINS(log, "<State>Ready</State>");
	CHECK(!strstr(log, "NotReady"));
	free(log);
	/* No instance at all: the platform is known by DMI. What goes out is escaped and has no secret. */
	CHECK_OK(source_report(&agent, NULL, "a <b> & SWMTKN-1-abcdefghijkl\x01", 60, &err), &err);
	log = metadata_log();
	CHECK_CONTAINS(log,
		       "<State>NotReady</State><Details><SubStatus>ProvisioningFailed</SubStatus>"
		       "<Description>a &lt;b&gt; &amp; (hidden)");
	CHECK(!strstr(log, "SWMTKN"));
	free(log);
	instance_free(&i);
}

TEST(reports_when_the_fabric_is_slow)
{
	struct err err = {0};

	start_metadata();
	metadata_machine("azure", "500-for-1");
	CHECK_OK(source_report(&agent, NULL, NULL, 30, &err), &err);
	metadata_machine("azure", "500");
	CHECK_ERR(source_report(&agent, NULL, NULL, 0.5, &err), &err, ERR_NETWORK,
		  "cannot report to Azure: ");
	for (size_t i = 0; i < 4; i++) {
		static const char *const faults[] = {"garbage", "html", "deep", "empty"};

		metadata_machine("azure", faults[i]);
		CHECK_ERR(source_report(&agent, NULL, NULL, 0, &err), &err, ERR_OTHER, "");
	}
}

TEST(reports_to_gce)
{
	struct err err = {0};
	char *log;

	start_metadata();
	metadata_machine("gce", "");
	CHECK_OK(source_report(&agent, NULL, NULL, 60, &err), &err);
	CHECK_OK(source_report(&agent, NULL, "no disk", 60, &err), &err);
	log = metadata_log();
	CHECK_CONTAINS(log,
		       "PUT /computeMetadata/v1/instance/guest-attributes/ingot/status 'ready'");
	CHECK_CONTAINS(log, "ingot/status 'failed: no disk'");
	free(log);
	/* Guest attributes are turned off: nobody wants to know. */
	metadata_machine("gce", "403");
	CHECK_OK(source_report(&agent, NULL, NULL, 60, &err), &err);
	metadata_machine("gce", "500");
	CHECK_ERR(source_report(&agent, NULL, NULL, 0, &err), &err, ERR_NETWORK, "answers 500");
}

TEST(nobody_to_report_to)
{
	struct instance i = {.source = mem_strdup("nocloud"), .id = mem_strdup("a")};
	struct err err = {0};

	fake_machine("{}");
	CHECK_OK(source_report(&agent, &i, NULL, 0, &err), &err);
	instance_free(&i);
	CHECK_OK(source_report(&agent, NULL, "why", 0, &err), &err);
}

/* The environment's proxy is for the world, not for the machine's own link. */
TEST(no_proxy_for_metadata)
{
	struct instance i;
	char proxy[64];

	start_metadata();
	snprintf(proxy, sizeof(proxy), "http://127.0.0.1:%u", fake_closed_port());
	setenv("http_proxy", proxy, 1);
	setenv("all_proxy", proxy, 1);
	load("ec2", "", &i);
	instance_free(&i);
}

TEST(include)
{
	struct str text = {0};
	struct err err = {0};
	char url[128];

	start_metadata();
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/seed/user-data", metadata_port);
	CHECK_OK(source_include(url, &text, &err), &err);
	CHECK_STR(text.data, "#cloud-config\nhostname: seeded\n");
	str_free(&text);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/seed/none", metadata_port);
	CHECK_ERR(source_include(url, &text, &err), &err, ERR_NETWORK, "the server answers 404");
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/fault/huge/seed/user-data", metadata_port);
	CHECK_ERR(source_include(url, &text, &err), &err, ERR_NETWORK, "larger than 1048576 bytes");
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/fault/redirect/x", metadata_port);
	CHECK_ERR(source_include(url, &text, &err), &err, ERR_NETWORK, "redirect");
	CHECK_ERR(source_include("file:///etc/passwd", &text, &err), &err, ERR_OTHER,
		  "not http or https");
	CHECK_ERR(source_include("gopher://x/", &text, &err), &err, ERR_OTHER, "not http");
	CHECK_INT(text.len, 0);
	str_free(&text);
}

/* A network of its own, in which the addresses of all clouds are ours. */
static void own_network(void)
{
	static const char *const commands[][8] = {
		{"ip", "link", "set", "lo", "up"},
		{"ip", "addr", "add", "168.63.129.16/32", "dev", "lo"},
		{"ip", "addr", "add", "fd00:ec2::254/128", "dev", "lo"},
		{"ip", "addr", "add", "fe80::a9fe:a9fe/64", "dev", "lo"},
	};

	if (unshare(CLONE_NEWNET) < 0)
		SKIP("needs the right to make a network namespace");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		run_program(commands[i]);
	start_metadata_at("[::]:80");
}

/* Nothing is redirected here: the true addresses, over IPv6 alone at first. */
TEST(true_addresses)
{
	static const char *const link_local[] = {"ip",  "addr", "add", "169.254.169.254/32",
						 "dev", "lo",   NULL};
	static const char *const six[] = {"ec2", "openstack"};
	static const char *const four[] = {"azure", "ec2", "gce", "openstack"};
	struct instance i;
	struct err err = {0};
	char *log, done[16];
	bool found;

	own_network();
	for (size_t k = 0; k < ARRAY_SIZE(six) + ARRAY_SIZE(four); k++) {
		const char *cloud = k < ARRAY_SIZE(six) ? six[k] : four[k - ARRAY_SIZE(six)];

		if (k == ARRAY_SIZE(six))
			run_program(link_local);
		metadata_machine(cloud, "");
		source_test_base = NULL;
		fake_machine_file("/sys/class/net/lo/operstate", "up\n");
		CHECK_OK(source_load(&agent, false, 60, &i, &found, &err), &err);
		CHECK_STR(i.source, cloud);
		CHECK(i.user_data.len && !i.cached);
		if (strcmp(cloud, "azure") == 0)
			CHECK_OK(source_report(&agent, &i, NULL, 60, &err), &err);
		instance_free(&i);
		snprintf(done, sizeof(done), "%zu", k);
		CHECK(rename(FAKE_ROOT, done) == 0);
	}
	log = metadata_log();
	CHECK_CONTAINS(log, "<State>Ready</State>");
	free(log);
}

/* No test of speed: the numbers are for whoever reads them. */
TEST(how_long_it_takes)
{
	start_metadata();
	for (const struct source *s = sources; s->name; s++) {
		struct rusage usage;
		struct instance i;
		struct err err = {0};
		double start;
		bool found;

		if (!s->network)
			continue;
		metadata_machine(s->name, "latency");
		start = clock_monotonic();
		CHECK_OK(source_load(&agent, false, 60, &i, &found, &err), &err);
		start = clock_monotonic() - start;
		CHECK(getrusage(RUSAGE_SELF, &usage) == 0);
		tap_note("%s: %.1f ms, at most %ld KiB so far", s->name, start * 1000,
			 usage.ru_maxrss);
		instance_free(&i);
		CHECK(rename(FAKE_ROOT, s->name) == 0);
	}
}

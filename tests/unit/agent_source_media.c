/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Seed media: config drives in a folder, Azure's CD and fabric, the XML that both speak, and a real file system that is
 * mounted where nobody sees it.
 */
#include "tap.h"
#include "fake/metadata.h"

#include "base/base64.h"
#include "base/fd.h"

#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/statvfs.h>

static const struct agent agent = {.root = FAKE_ROOT, .kind = "swarm", .role = "manager"};

static char *fixture(const char *name, size_t *ret_len)
{
	char path[256];

	snprintf(path, sizeof(path), "tests/fake/fixtures/%s", name);
	return tap_slurp(source_file(path), ret_len);
}

static void put_fixture(const char *name, const char *to)
{
	char *text = fixture(name, NULL);

	fake_machine_file(to, text);
	free(text);
}

TEST(config_drive)
{
	struct instance i = {0};
	struct err err = {0};
	int dir;

	put_fixture("openstack-meta_data.json", "/drive/openstack/latest/meta_data.json");
	put_fixture("openstack-network_data.json", "/drive/openstack/latest/network_data.json");
	fake_machine_file("/drive/openstack/latest/user_data", "#cloud-config\n{}\n");
	fake_machine_file("/drive/openstack/latest/vendor_data.json", "{\"cloud-init\":\"#!a\"}");
	dir = open(FAKE_ROOT "/drive", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK_OK(source_configdrive_read(dir, &i, &err), &err);
	CHECK_STR(i.id, "83679162-1378-4288-a2d4-70e13ec132aa");
	CHECK_STR(i.hostname, "test.novalocal");
	CHECK_STR(i.address, "10.184.0.244");
	CHECK_INT(i.ssh_keys.count, 1);
	CHECK_STR(i.user_data.data, "#cloud-config\n{}\n");
	CHECK_STR(i.vendor_data.data, "#!a");
	CHECK_CONTAINS(i.network_config.data, "\"services\"");
	instance_free(&i);
	/* Only who it is must be there. */
	CHECK(unlink(FAKE_ROOT "/drive/openstack/latest/network_data.json") == 0);
	CHECK(unlink(FAKE_ROOT "/drive/openstack/latest/vendor_data.json") == 0);
	CHECK(unlink(FAKE_ROOT "/drive/openstack/latest/user_data") == 0);
	CHECK_OK(source_configdrive_read(dir, &i, &err), &err);
	CHECK_INT(i.user_data.len, 0);
	instance_free(&i);
	/* A folder on the way that is a link out of the drive. */
	fake_machine_file("/elsewhere/meta_data.json", "{\"uuid\":\"x\"}");
	CHECK(rename(FAKE_ROOT "/drive/openstack/latest", FAKE_ROOT "/drive/openstack/x") == 0);
	CHECK(symlink("../../elsewhere", FAKE_ROOT "/drive/openstack/latest") == 0);
	CHECK_ERR(source_configdrive_read(dir, &i, &err), &err, ERR_OTHER, "leads over a link");
	CHECK(unlink(FAKE_ROOT "/drive/openstack/latest") == 0);
	CHECK_ERR(source_configdrive_read(dir, &i, &err), &err, ERR_OTHER,
		  "has no openstack/latest");
	close(dir);
}

TEST(bad_openstack_documents)
{
	static const struct {
		const char *meta, *network, *vendor, *message;
	} table[] = {
		{"", "", "", "meta_data.json:1:0: not valid JSON"},
		{"[]", "", "", "meta_data.json: it is no JSON object"},
		{"{\"secret", "", "", "not valid JSON"},
		{"{}", "", "", "has no uuid"},
		{"{\"uuid\":7}", "", "", "has no uuid"},
		{"{\"uuid\":\"../x\"}", "", "", "has no uuid"},
		{"{\"uuid\":\"a\"}", "x", "", "network_data.json:1:1: not valid JSON"},
		{"{\"uuid\":\"a\"}", "", "{", "vendor_data.json:1:1: not valid JSON"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct instance instance = {0};
		struct str parts[3] = {{0}};
		struct err err = {0};

		str_add(&parts[0], table[i].meta);
		str_add(&parts[1], table[i].network);
		str_add(&parts[2], table[i].vendor);
		CHECK_ERR(source_openstack_read(&parts[0], &parts[1], &parts[2], &instance, &err),
			  &err, ERR_OTHER, table[i].message);
		CHECK(!strstr(err.msg, "secret"));
		for (size_t k = 0; k < 3; k++)
			str_free(&parts[k]);
		instance_free(&instance);
	}
}

TEST(ovf)
{
	struct source_ovf ovf;
	struct err err = {0};
	size_t len;
	char *text = fixture("ovf-env.xml", &len);

	CHECK_OK(source_ovf_parse(text, len, &ovf, &err), &err);
	CHECK_STR(ovf.hostname, "from-the-cd");
	CHECK_STR(ovf.custom_data.data, "#cloud-config\nhostname: custom\n");
	source_ovf_free(&ovf);
	/* Whatever is cut off is no document. */
	for (size_t i = 0; i < len - 1; i++)
		if (source_ovf_parse(text, i, &ovf, NULL) >= 0)
			FAIL("the first %zu of %zu bytes are read", i, len);
	memcpy(strstr(text, "I2Ns"), "I2#s", 4);
	CHECK_ERR(source_ovf_parse(text, len, &ovf, &err), &err, ERR_OTHER, "is not base64");
	CHECK_ERR(source_ovf_parse("<a/>", 4, &ovf, &err), &err, ERR_OTHER, "has no Linux");
	free(text);
}

/* The second boot has no CD. */
TEST(custom_data_is_kept)
{
	static const char id[] = "02aab8a4-74ef-476e-8182-f6d2ba4166a6";
	struct source_ovf ovf;
	struct instance i;
	struct err err = {0};
	struct stat st;
	bool found;

	start_metadata();
	metadata_machine("azure", "");
	CHECK_OK(source_ovf_load(&agent, id, &ovf, &found, &err), &err);
	CHECK(!found);
	fake_machine_file("/var/lib/ingot/agent/azure-ovf.json",
			  "{\"id\":\"02aab8a4-74ef-476e-8182-f6d2ba4166a6\",\"hostname\":\"kept\","
			  "\"custom_data\":\"I2Nsb3VkLWNvbmZpZwo=\"}");
	CHECK_OK(source_load(&agent, false, 60, &i, &found, &err), &err);
	CHECK_STR(i.hostname, "kept");
	CHECK_STR(i.user_data.data, "#cloud-config\n");
	instance_free(&i);
	/* Of another instance: a copied disk. */
	fake_machine_file("/var/lib/ingot/agent/azure-ovf.json",
			  "{\"id\":\"other\",\"custom_data\":\"I2Nsb3VkLWNvbmZpZwo=\"}");
	CHECK_OK(source_load(&agent, false, 60, &i, &found, &err), &err);
	CHECK_STR(i.hostname, "examplevm");
	CHECK_STR(i.user_data.data, "#cloud-config\nhostname: azure\n");
	instance_free(&i);
	CHECK(stat(FAKE_ROOT INSTANCE_FILE, &st) == 0 && (st.st_mode & 07777) == 0600);
}

static bool add_line(void *context, const char *path, const char *text, size_t len)
{
	str_addf(context, "%s=%.*s\n", path, (int)len, text);
	return true;
}

TEST(xml)
{
	static const struct {
		const char *text, *lines; /* NULL: refused */
	} table[] = {
		{"<a>x</a>", "a=x\n"},
		{"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- c --><a><n:b c=\"1\" d='>'>1&amp;&#x41;</n:b ><c/></a>\n",
		 "a/b=1&A\na/c=\n"},
		{"<a>before<b>in</b>after</a>", "a/b=in\n"},
		{"<a><!-- <x> -- ></a> --></a>", "a=\n"},
		{"<a>&lt;&gt;&quot;&apos;&#10;</a>", "a=<>\"'\n\n"},
		{"", NULL},
		{"   ", NULL},
		{"<a>", NULL},
		{"<a></b>", NULL},
		{"<a></a></a>", NULL},
		{"<a></a><b></b>", NULL},
		{"<a/>text", NULL},
		{"text<a/>", NULL},
		{"<a b></a>", NULL},
		{"<a b=c></a>", NULL},
		{"<a b=\"c></a>", NULL},
		{"<a b=\"<\"></a>", NULL},
		{"<a b=\"1\"c=\"2\"></a>", NULL},
		{"<a/ >", NULL},
		{"< a></a>", NULL},
		{"<1></1>", NULL},
		{"<a:></a:>", NULL},
		{"<a:b:c></a:b:c>", NULL},
		{"<a>&unknown;</a>", NULL},
		{"<a>&amp</a>", NULL},
		{"<a>&#0;</a>", NULL},
		{"<a>&#27;</a>", NULL},
		{"<a>&#x100;</a>", NULL},
		{"<a>&#;</a>", NULL},
		{"<a>\x01</a>", NULL},
		{"<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>", NULL},
		{"<a><![CDATA[x]]></a>", NULL},
		{"<a><?php x ?></a>", NULL},
		{"<a><!-- </a>", NULL},
		{"<?xml <a/>", NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct str lines = {0};
		struct err err = {0};
		int r = source_xml_read(table[i].text, strlen(table[i].text), add_line, &lines,
					&err);

		if ((r == 0) != (table[i].lines != NULL))
			FAIL("%s: %s", table[i].text, r == 0 ? "is read" : err.msg);
		if (r == 0)
			CHECK_STR(lines.data, table[i].lines);
		str_free(&lines);
	}
}

TEST(deep_and_large_xml)
{
	struct str text = {0};
	struct str lines = {0};
	struct err err = {0};

	for (int i = 0; i < 16; i++)
		str_add(&text, "<abcdefgh>");
	for (int i = 0; i < 16; i++)
		str_add(&text, "</abcdefgh>");
	CHECK_OK(source_xml_read(text.data, text.len, add_line, &lines, &err), &err);
	text.len = 0;
	for (int i = 0; i < 17; i++)
		str_add(&text, "<a>");
	CHECK_ERR(source_xml_read(text.data, text.len, add_line, &lines, &err), &err, ERR_OTHER,
		  "too many elements in each other");
	text.len = 0;
	str_add(&text, "<");
	for (int i = 0; i < 65; i++)
		str_add(&text, "a");
	str_add(&text, "/>");
	CHECK_ERR(source_xml_read(text.data, text.len, add_line, &lines, &err), &err, ERR_OTHER,
		  "not a name of an element");
	text.len = 0;
	while (text.len <= 512 << 10)
		str_add(&text, "<a>aaaaaaaaaaaaaaaaaaaaaaaaaa</a>");
	CHECK_ERR(source_xml_read(text.data, text.len, add_line, &lines, &err), &err, ERR_OTHER,
		  "larger than");
	str_free(&text);
	str_free(&lines);
}

TEST(goal_state)
{
	struct source_goal goal;
	struct err err = {0};
	size_t len;
	char *text = fixture("goalstate.xml", &len), *at;

	CHECK_OK(source_goal_parse(text, len, &goal, &err), &err);
	CHECK_STR(goal.incarnation, "7");
	CHECK_STR(goal.container, "c6d5526c-5ac2-4200-b6e2-56f2b70c5ab2");
	CHECK_STR(goal.instance, "b61f93d0-e1ed-40b2-b067-22c243233448.MachineRole_IN_0");
	source_goal_free(&goal);
	/* It would go into a document of ours. */
	at = strstr(text, "c6d5526c");
	memcpy(at, "c6d&gt;c", 8);
	CHECK_ERR(source_goal_parse(text, len, &goal, &err), &err, ERR_OTHER, "lacks one");
	free(text);
}

TEST(dhcp_option_245)
{
	char address[16] = "-";

	CHECK(source_wireserver_option("# by networkd\nADDRESS=10.0.0.4\nOPTION_245=a83f8110\n",
				       address));
	CHECK_STR(address, "168.63.129.16");
	CHECK(source_wireserver_option("OPTION_245=0a000001", address));
	CHECK_STR(address, "10.0.0.1");
	CHECK(!source_wireserver_option("", address));
	CHECK(!source_wireserver_option("XOPTION_245=0a000001\n", address));
	CHECK(!source_wireserver_option("OPTION_245=\n", address));
	CHECK(!source_wireserver_option("OPTION_245=0a0000\n", address));
	CHECK(!source_wireserver_option("OPTION_245=0a000001ff\n", address));
	CHECK(!source_wireserver_option("OPTION_245=0a 0 0 1\n", address));
	CHECK(!source_wireserver_option("OPTION_245=+a-0 0x1\n", address));
}

/* Makes a block device of the file, which goes away with the last user; -1 where that is not possible. */
static int loop_device(const char *file, char device[32])
{
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	int image = open(file, O_RDWR | O_CLOEXEC);
	int number = control < 0 ? -1 : ioctl(control, LOOP_CTL_GET_FREE), fd;
	struct loop_config config = {.fd = (uint32_t)image,
				     .info.lo_flags = LO_FLAGS_AUTOCLEAR | LO_FLAGS_READ_ONLY};

	if (number < 0)
		return -1;
	snprintf(device, 32, "/dev/loop%d", number);
	fd = open(device, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || ioctl(fd, LOOP_CONFIGURE, &config) < 0)
		return -1;
	close(control);
	close(image);
	return fd;
}

/* The file system itself does not matter here: what this kernel has. tests/boot/cluster.t reads a real ISO 9660 seed. */
TEST(mounted_medium)
{
	static const char *const make[] = {"mkfs.ext4",       "-q",    "-d",
					   FAKE_ROOT "/seed", "image", NULL};
	static const char *const types[] = {"squashfs", "ext4", NULL};
	const struct agent here = {.root = ""};
	struct instance i = {0};
	struct err err = {0};
	struct statvfs fs;
	char device[32], *mounts;
	int loop, dir = -1;

	if (geteuid() != 0)
		SKIP("needs root");
	fake_machine_file("/seed/meta-data", "instance-id: on-a-disk\n");
	fake_machine_file("/seed/user-data", "#!/bin/sh\n");
	tap_spew("image", "", 0);
	CHECK(truncate("image", 4 << 20) == 0);
	setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
	run_program(make);
	loop = loop_device("image", device);
	if (loop < 0)
		SKIP("there are no loop devices here");
	if (source_open_device(&here, device, types, &dir, &err) < 0) {
		if (strstr(err.msg, "not permitted") || strstr(err.msg, "No such device"))
			SKIP(err.msg);
		FAIL("%s", err.msg);
	}
	CHECK_OK(source_read_seed(dir, "disk", &i, &err), &err);
	CHECK_STR(i.id, "on-a-disk");
	CHECK_STR(i.user_data.data, "#!/bin/sh\n");
	instance_free(&i);
	CHECK(fstatvfs(dir, &fs) == 0);
	CHECK((fs.f_flag & (ST_RDONLY | ST_NOSUID | ST_NODEV | ST_NOEXEC)) ==
	      (ST_RDONLY | ST_NOSUID | ST_NODEV | ST_NOEXEC));
	mounts = tap_slurp("/proc/self/mountinfo", NULL);
	CHECK(!strstr(mounts, device));
	free(mounts);
	close(dir);
	close(loop);
	/* Not a file system at all. */
	tap_spew("image", "", 0);
	CHECK(truncate("image", 1 << 20) == 0);
	loop = loop_device("image", device);
	CHECK(loop >= 0);
	CHECK_ERR(source_open_device(&here, device, types, &dir, &err), &err, ERR_OTHER,
		  "cannot mount '");
	close(loop);
}

TEST(labels)
{
	static const char *const names[2] = {"cidata", "CIDATA"};
	struct err err = {0};
	int dir = 7;

	fake_machine("{}");
	CHECK(!source_has_label(&agent, names));
	CHECK_OK(source_open_label(&agent, names, &dir, &err), &err);
	CHECK_INT(dir, -1);
	fake_machine_file("/dev/disk/by-label/CIDATA", "no device");
	CHECK(source_has_label(&agent, names));
	CHECK(source_nocloud_detect(&agent));
	CHECK_ERR(source_open_label(&agent, names, &dir, &err), &err, ERR_OTHER,
		  "cannot mount 'root/dev/disk/by-label/CIDATA' read-only: ");
	CHECK(!source_configdrive_detect(&agent));
	fake_machine_file("/dev/disk/by-label/config-2", "no device");
	CHECK(source_configdrive_detect(&agent));
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk_setup, fs_setup and mounts, with the real programs on files that stand for disks. What has content must come out
 * of it byte by byte unless user-data says overwrite: true.
 */
#include "fake/cloudconfig.h"

#include "agent/provision/disk.h"

#include "base/digest.h"
#include "base/proc.h"

#define MIB ((size_t)1 << 20)

static void need_tools(void)
{
	static const char *const names[] = {"sfdisk", "blkid", "mkfs.ext4", "mkswap"};

	proc_fix_path();
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		CLEANUP_FREE char *path = proc_find(names[i]);

		if (!path)
			SKIP("sfdisk, blkid, mkfs.ext4 or mkswap is missing");
	}
}

/* A disk of zeros; with text, that in its middle of the first MiB. */
static void make_disk(const char *name, size_t size, const char *text)
{
	CLEANUP_FREE char *path = mem_printf("root/dev/%s", name);
	struct err err = {0};
	int fd;

	CHECK_OK(path_make_dirs("root/dev", &err), &err);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	CHECK(fd >= 0 && ftruncate(fd, (off_t)size) == 0);
	if (text)
		CHECK_OK(fd_pwrite(fd, text, strlen(text), MIB / 2, path, &err), &err);
	close(fd);
}

static struct digest digest_of(const char *path)
{
	struct digest digest;
	struct err err = {0};

	CHECK_OK(digest_file(path, &digest, &err), &err);
	return digest;
}

static bool same(const struct digest *a, const struct digest *b)
{
	return memcmp(a->bytes, b->bytes, DIGEST_SIZE) == 0;
}

static char *output_of(const char *const *argv)
{
	struct str text = {0};
	struct err err = {0};

	CHECK_OK(proc_run(&(struct proc){.argv = argv, .output = &text}, &err), &err);
	str_add(&text, "");
	return str_steal(&text);
}

static void check_table(const char *path, const char *want)
{
	const char *argv[] = {"sfdisk", "-d", path, NULL};
	CLEANUP_FREE char *text = output_of(argv);

	CHECK_CONTAINS(text, want);
}

static void check_probe(const char *path, const char *type, const char *label)
{
	struct disk_content content;
	struct err err = {0};

	CHECK_OK(disk_probe(path, &content, &err), &err);
	CHECK_STR(content.type, type);
	CHECK_STR(content.label, label);
}

/* Applies it and returns whether something was remarked (left as it is). */
static bool remarks(const char *text)
{
	struct config_run *run = config_apply(text, CC_EARLY);
	bool any = json_array_size(run->cc.notes) > 0;

	if (run->cc.problems.count)
		FAIL("%s", run->cc.text.data);
	config_close(run);
	return any;
}

TEST(names_of_partitions)
{
	CLEANUP_FREE char *a = disk_partition("/dev/vdb", 2),
			  *b = disk_partition("/dev/nvme0n1", 12);

	CHECK_STR(a, "/dev/vdb2");
	CHECK_STR(b, "/dev/nvme0n1p12");
}

TEST(an_empty_disk_is_partitioned)
{
	need_tools();
	config_root();
	make_disk("vdb", 64 * MIB, NULL);
	CHECK(!remarks("disk_setup: {/dev/vdb: {table_type: gpt, layout: [25, [50, 82]]}}\n"));
	check_table("root/dev/vdb", "label: gpt");
	check_table("root/dev/vdb", "root/dev/vdb1 : start=        2048, size=       30720");
	check_table("root/dev/vdb", "type=0657FD6D-A4AB-43C4-84E5-0933C84B4F4F"); /* swap */
	make_disk("vdc", 64 * MIB, NULL);
	CHECK(!remarks("disk_setup: {vdc: {layout: true}}\n"));
	check_table("root/dev/vdc", "label: dos");
	check_table("root/dev/vdc",
		    "root/dev/vdc1 : start=        2048, size=      126976, type=83");
}

TEST(content_is_never_destroyed)
{
	static const char keep[] =
		"disk_setup: {/dev/vdb: {table_type: gpt, layout: true, overwrite: false}}\n";
	struct digest before, after;

	need_tools();
	config_root();
	/* Not a format that anybody knows: content all the same. */
	make_disk("vdb", 64 * MIB, "somebody's own format");
	before = digest_of("root/dev/vdb");
	CHECK(remarks(keep));
	after = digest_of("root/dev/vdb");
	CHECK(same(&before, &after));
	/* Decided for this instance: the next boot does not even look. */
	CHECK(!remarks(keep));
	/* Content at the end only, as some RAIDs have it. */
	make_disk("vdc", 64 * MIB, NULL);
	{
		struct err err = {0};
		int fd = open("root/dev/vdc", O_RDWR | O_CLOEXEC);

		CHECK(fd >= 0);
		CHECK_OK(fd_pwrite(fd, "x", 1, 64 * MIB - 1, "vdc", &err), &err);
		close(fd);
	}
	before = digest_of("root/dev/vdc");
	CHECK(remarks("disk_setup: {/dev/vdc: {table_type: gpt, layout: true}}\n"
		      "fs_setup: [{device: /dev/vdc, filesystem: ext4, label: data}]\n"));
	after = digest_of("root/dev/vdc");
	CHECK(same(&before, &after));
}

TEST(overwrite_destroys_once)
{
	static const char text[] =
		"disk_setup: {/dev/vdb: {table_type: gpt, layout: true, overwrite: true}}\n";
	struct digest before, after;

	need_tools();
	config_root();
	make_disk("vdb", 64 * MIB, "old");
	CHECK(!remarks(text));
	check_table("root/dev/vdb", "label: gpt");
	before = digest_of("root/dev/vdb");
	config_root();
	CHECK(!remarks(text));
	after = digest_of("root/dev/vdb");
	CHECK(same(&before, &after));
}

TEST(wrong_layouts_write_nothing)
{
	struct digest before, after;

	need_tools();
	config_root();
	make_disk("vdb", 64 * MIB, NULL);
	before = digest_of("root/dev/vdb");
	config_bad("disk_setup:\n  /dev/vdb: {layout: [60, 60]}\n", 2, "take 120 %");
	config_bad("disk_setup:\n  /dev/vdb: {layout: [0]}\n", 2, "from 1 to 100");
	config_bad("disk_setup:\n  /dev/vdb: {layout: [[50, 99]]}\n", 2,
		   "unknown type of a partition");
	config_bad("disk_setup:\n  /dev/vdb: {layout: [10, 10, 10, 10, 10]}\n", 2, "room for 4");
	config_bad("disk_setup:\n  /dev/vdb: {table_type: bsd, layout: true}\n", 2, "gpt or mbr");
	config_bad("disk_setup:\n  /dev/vdb: {layout: true, overwrit: true}\n", 2,
		   "did you mean 'overwrite'");
	config_bad("disk_setup:\n  /dev/vdz: {layout: true}\n", 2, "there is no device");
	config_bad("disk_setup:\n  /etc/passwd: {layout: true}\n", 2, "no device below /dev");
	config_bad("disk_setup:\n  /dev/../etc/passwd: {layout: true}\n", 2,
		   "no device below /dev");
	after = digest_of("root/dev/vdb");
	CHECK(same(&before, &after));
}

TEST(file_systems)
{
	struct digest before, after;

	need_tools();
	config_root();
	make_disk("vdb1", 16 * MIB, NULL);
	make_disk("vdb2", 16 * MIB, NULL);
	make_disk("vdb", 64 * MIB, NULL);
	CHECK(!remarks(
		"fs_setup:\n"
		"  - {device: /dev/vdb, partition: 1, filesystem: ext4, label: data, extra_opts: [-O, ^has_journal]}\n"
		"  - {device: /dev/vdb2, filesystem: swap, label: sw}\n"));
	check_probe("root/dev/vdb1", "ext4", "data");
	check_probe("root/dev/vdb2", "swap", "sw");
	/* Another instance on the same disk: what is there is what was asked for. */
	before = digest_of("root/dev/vdb1");
	CHECK(unlink("root/var/lib/ingot/agent/provision.json") == 0);
	CHECK(!remarks(
		"fs_setup: [{device: /dev/vdb, partition: auto, filesystem: ext4, label: data}]\n"));
	after = digest_of("root/dev/vdb1");
	CHECK(same(&before, &after));
	/* Another label: still content. */
	CHECK(remarks("fs_setup: [{device: /dev/vdb1, filesystem: ext4, label: other}]\n"));
	after = digest_of("root/dev/vdb1");
	CHECK(same(&before, &after));
	/* replace_fs names what may go. */
	CHECK(!remarks(
		"fs_setup: [{device: /dev/vdb2, partition: none, filesystem: ext4, label: new, replace_fs: swap}]\n"));
	check_probe("root/dev/vdb2", "ext4", "new");
	CHECK(!remarks(
		"fs_setup: [{device: /dev/vdb1, partition: 'none', filesystem: ext4, label: other, overwrite: true}]\n"));
	check_probe("root/dev/vdb1", "ext4", "other");
}

TEST(wrong_file_systems)
{
	need_tools();
	config_root();
	make_disk("vdb", 16 * MIB, NULL);
	config_bad("fs_setup:\n  - {device: /dev/vdb}\n", 2, "needs a filesystem");
	config_bad("fs_setup:\n  - {filesystem: ext4}\n", 2, "needs a device");
	config_bad("fs_setup:\n  - {device: /dev/vdb, filesystem: zfs}\n", 2,
		   "unknown file system");
	config_bad("fs_setup:\n  - {device: /dev/vdb, filesystem: ext4, label: '-x'}\n", 2,
		   "label:");
	config_bad(
		"fs_setup:\n  - {device: /dev/vdb, filesystem: ext4, label: longer-than-sixteen}\n",
		2, "label:");
	config_bad("fs_setup:\n  - {device: /dev/vdb, filesystem: ext4, partition: 3}\n", 2,
		   "has no partition 3");
	config_bad("fs_setup:\n  - {device: /dev/vdb, filesystem: ext4, cmd: mkfs}\n", 2,
		   "'cmd' is not supported");
	check_probe("root/dev/vdb", "", "");
}

/* ---- mounts ------------------------------------------------------------------------------------------------- */
/* Programs that note how they are called. */
static void fake_programs(void)
{
	CLEANUP_FREE char *here = realpath(".", NULL);
	CLEANUP_FREE char *path = mem_printf("%s/bin:%s", here, getenv("PATH"));
	CLEANUP_FREE char *text =
		mem_printf("#!/bin/sh\necho \"${0##*/} $*\" >>'%s/calls'\n", here);
	static const char *const names[] = {"mount", "swapon"};
	struct err err = {0};

	CHECK_OK(path_make_dirs("bin", &err), &err);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		CLEANUP_FREE char *file = mem_printf("bin/%s", names[i]);

		CHECK_OK(outfile_write(file, text, strlen(text), false, &err), &err);
		CHECK(chmod(file, 0755) == 0);
	}
	setenv("PATH", path, 1);
}

TEST(mounts)
{
	CLEANUP_FREE char *want = NULL, *device = NULL, *swap = NULL;

	config_root();
	fake_programs();
	make_disk("vdb1", MIB, NULL);
	make_disk("vdb2", MIB, NULL);
	CHECK(mkdir("root/mnt", 0755) == 0);
	config_good("mounts:\n"
		    "  - [vdb1, /var/lib/data, ext4, 'noatime,nofail', '0', '2']\n"
		    "  - [/dev/vdb2, none, swap, sw, '0', '0']\n"
		    "  - [tmpfs, /mnt, tmpfs, size=1M]\n"
		    "  - [/dev/vdz, null]\n"
		    "  - [vdb1, /var/x, auto, noauto]\n");
	device = realpath("root/dev/vdb1", NULL);
	swap = realpath("root/dev/vdb2", NULL);
	want = mem_printf("mount -t ext4 -o noatime,nofail -- %s root/var/lib/data\n"
			  "swapon -- %s\n"
			  "mount -t tmpfs -o size=1M -- tmpfs root/mnt\n",
			  device, swap);
	CHECK_FILE("calls", want);
	/* What is mounted stays so. */
	config_file("/proc/self/mountinfo",
		    "40 30 0:1 / root/var/lib/data rw - ext4 /dev/vdb1 rw\n");
	config_good("mounts: [[vdb1, /var/lib/data]]\n");
	CHECK_FILE("calls", want);
}

TEST(wrong_mounts)
{
	config_root();
	fake_programs();
	make_disk("vdb1", MIB, NULL);
	config_bad("mounts:\n  - [vdb1, /data]\n", 2, "cannot mount on '/data'");
	config_bad("mounts:\n  - [vdb1, /usr]\n", 2, "nothing may be mounted");
	config_bad("mounts:\n  - [vdb1, /var]\n", 2, "nothing may be mounted");
	config_bad("mounts:\n  - [vdb1, /var/lib/ingot/x]\n", 2, "agent's own");
	config_bad("mounts:\n  - [vdb1, '/var/../etc']\n", 2, "cannot mount");
	config_bad("mounts:\n  - [vdz, /var/z]\n", 2, "there is no device");
	config_bad("mounts:\n  - ['server:/x', /var/z, nfs]\n", 2, "needs the network");
	config_bad("mounts:\n  - [vdb1, /var/z, ext4, '-o x']\n", 2, "cannot be in mounts");
	config_bad("mounts:\n  - [vdb1]\n", 2, "needs a device and a folder");
	config_bad("mounts:\n  - vdb1\n", 2, "must be a list");
	CHECK_MISSING("calls");
}

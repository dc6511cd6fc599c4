/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingot-initrd without a machine: which partition it takes, what it accepts from the persist list,
 * that seeding copies what is missing and only that, and that names from /var cannot lead it astray.
 */
#include "../../firmware/initrd-helper/helper.h"
#include "../../firmware/initrd-helper/seed.h"
#include "tap.h"

#include <sys/xattr.h>

#define VAR_TYPE "4d21b016-b534-45c2-a9fb-5c16e091fd2d"
#define LINUX_TYPE "0fc63daf-8483-4772-8e79-3d69d8477de4"
#define DISK_BYTES (UINT64_C(8) << 20)

/* Overwrites eight bytes of a table. */
static void damage(const char *path, off_t offset)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	CHECK(fd >= 0);
	CHECK(pwrite(fd, "XXXXXXXX", 8, offset) == 8);
	close(fd);
}

/* A disk image with these sfdisk lines as its table: an independent writer. */
static void make_disk(const char *lines)
{
	FILE *sfdisk;

	tap_spew("disk", "", 0);
	CHECK(truncate("disk", (off_t)DISK_BYTES) == 0);
	sfdisk = popen("sfdisk -q disk >/dev/null", "w");
	CHECK(sfdisk != NULL);
	fprintf(sfdisk, "label: gpt\n%s", lines);
	CHECK_INT(pclose(sfdisk), 0);
}

static long find(struct err *err)
{
	int fd = open("disk", O_RDONLY | O_CLOEXEC);
	long number;

	CHECK(fd >= 0);
	number = gpt_find_var(fd, 512, DISK_BYTES, err);
	close(fd);
	return number;
}

TEST(the_var_partition_is_found_by_type_and_label)
{
	struct err err;

	make_disk("size=2048, type=" LINUX_TYPE ", name=var\n"
		  "size=2048, type=" VAR_TYPE ", name=variable\n"
		  "size=2048, type=" VAR_TYPE ", name=var\n");
	CHECK_INT(find(&err), 3);
}

TEST(a_disk_without_var_has_none)
{
	struct err err;

	make_disk("size=2048, type=" LINUX_TYPE ", name=var\n");
	CHECK_INT(find(&err), 0);
}

TEST(two_var_partitions_are_refused)
{
	struct err err;

	make_disk("size=2048, type=" VAR_TYPE ", name=var\n"
		  "size=2048, type=" VAR_TYPE ", name=var\n");
	CHECK_INT(find(&err), -1);
	CHECK_STR(err.text, "two partitions are labelled 'var': 1 and 2");
}

TEST(the_backup_table_replaces_a_damaged_primary)
{
	struct err err;

	make_disk("size=2048, type=" VAR_TYPE ", name=var\n");
	damage("disk", 512 + 40);
	CHECK_INT(find(&err), 1);
}

TEST(damaged_entries_count_as_a_damaged_table)
{
	struct err err;

	make_disk("size=2048, type=" VAR_TYPE ", name=var\n");
	damage("disk", 1024 + 56);
	CHECK_INT(find(&err), 1);
	damage("disk", (off_t)DISK_BYTES - 512 - 128 * 128 + 56);
	CHECK_INT(find(&err), -1);
	CHECK_STR(err.text, "cannot read the partition table: no valid copy");
}

TEST(sizes_that_make_no_sense_are_refused)
{
	struct err err;

	make_disk("size=2048, type=" VAR_TYPE ", name=var\n");
	CHECK_INT(gpt_find_var(-1, 512, 1024, &err), -1);
	CHECK_INT(gpt_find_var(-1, 0, DISK_BYTES, &err), -1);
	CHECK_INT(gpt_find_var(-1, 512, DISK_BYTES, &err), -1);
	CHECK_CONTAINS(err.text, "no valid copy");
}

TEST(file_systems_are_told_by_their_superblock)
{
	char block[4096] = {0};
	enum var_fs fs;
	struct err err;

	block[0x438] = 0x53;
	block[0x439] = (char)0xef;
	tap_spew("ext4", block, sizeof(block));
	CHECK_INT(disk_probe_fs("ext4", &fs, &err), 0);
	CHECK_INT(fs, VAR_FS_EXT4);
	memcpy(block, "XFSB", 4);
	tap_spew("xfs", block, sizeof(block));
	CHECK_INT(disk_probe_fs("xfs", &fs, &err), 0);
	CHECK_INT(fs, VAR_FS_XFS);
	tap_spew("short", block, 100);
	CHECK_INT(disk_probe_fs("short", &fs, &err), -1);
	CHECK_STR(err.text, "cannot read 'short': too short");
	memset(block, 0, sizeof(block));
	tap_spew("zero", block, sizeof(block));
	CHECK_INT(disk_probe_fs("zero", &fs, &err), -1);
	CHECK_STR(err.text, "'zero' holds neither ext4 nor xfs");
}

TEST(paths_of_the_persist_list)
{
	static const char *const good[] = {
		"a",           "a/",  "a/b",  "docker/certs.d",
		"kubernetes/", "..a", "a/.b", "a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p"};
	static const char *const bad[] = {
		"",     "/",    "/a",     ".",        "..",
		"a/..", "../a", "a/../b", "a//b",     "a/./b",
		"a b",  "a\tb", "a\x01",  "\xc3\xa4", "a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q"};
	char lengthy[300];

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (!etc_path_valid(good[i]))
			FAIL("'%s' was refused", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (etc_path_valid(bad[i]))
			FAIL("'%s' was accepted", bad[i]);
	memset(lengthy, 'a', sizeof(lengthy));
	lengthy[255] = '\0';
	CHECK(etc_path_valid(lengthy));
	lengthy[255] = 'a';
	lengthy[256] = '\0';
	CHECK(!etc_path_valid(lengthy));
}

static int open_dir(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	CHECK(fd >= 0);
	return fd;
}

static void make_image_var(void)
{
	CHECK(mkdir("src", 0755) == 0 && mkdir("src/lib", 0755) == 0);
	CHECK(mkdir("src/lib/private", 0700) == 0 && mkdir("src/lib/private/deep", 0751) == 0);
	tap_spew("src/lib/private/deep/file", "content", 7);
	CHECK(chmod("src/lib/private/deep", 0751) == 0);
	CHECK(chmod("src/lib/private/deep/file", 0640) == 0);
	tap_spew("src/lib/both", "of the image", 12);
	CHECK(symlink("../nowhere/dpkg", "src/lib/dpkg") == 0);
	CHECK(mkdir("src/spool", 01777) == 0 && chmod("src/spool", 01777) == 0);
	CHECK(mkdir("dst", 0755) == 0);
}

static void check_mode(const char *path, unsigned mode)
{
	struct stat st;

	CHECK(lstat(path, &st) == 0);
	CHECK_HEX((unsigned)st.st_mode & 07777u, mode);
}

TEST(seeding_copies_what_is_missing_and_nothing_else)
{
	struct err err = {""};
	struct stat from, to;
	char link[64] = {0};
	int src, dst;

	make_image_var();
	CHECK(mkdir("dst/lib", 0711) == 0 && chmod("dst/lib", 0711) == 0);
	tap_spew("dst/lib/both", "of the machine", 14);
	src = open_dir("src");
	dst = open_dir("dst");
	for (int run = 0; run < 2; run++) {
		if (seed_copy(src, dst, &err) != 0)
			FAIL("run %d: %s", run, err.text);
		CHECK_FILE("dst/lib/both", "of the machine");
		CHECK_FILE("dst/lib/private/deep/file", "content");
		check_mode("dst/lib", 0711);
		check_mode("dst/lib/private", 0700);
		check_mode("dst/lib/private/deep", 0751);
		check_mode("dst/lib/private/deep/file", 0640);
		check_mode("dst/spool", 01777);
		CHECK(readlink("dst/lib/dpkg", link, sizeof(link) - 1) > 0);
		CHECK_STR(link, "../nowhere/dpkg");
	}
	CHECK(stat("src/lib/private/deep/file", &from) == 0);
	CHECK(stat("dst/lib/private/deep/file", &to) == 0);
	CHECK_INT(to.st_mtim.tv_sec, from.st_mtim.tv_sec);
	CHECK_INT(to.st_mtim.tv_nsec, from.st_mtim.tv_nsec);
}

TEST(seeding_keeps_extended_attributes)
{
	char value[16] = {0};
	struct err err = {""};

	make_image_var();
	if (setxattr("src/lib/both", "user.test", "v", 1, 0) < 0 && errno == EOPNOTSUPP)
		SKIP("no user attributes on this file system");
	if (seed_copy(open_dir("src"), open_dir("dst"), &err) != 0)
		FAIL("%s", err.text);
	CHECK_INT(getxattr("dst/lib/both", "user.test", value, sizeof(value)), 1);
	CHECK_STR(value, "v");
}

TEST(seeding_starts_over_after_a_power_cut)
{
	struct err err = {""};

	make_image_var();
	/* What a cut leaves: half of a new directory, and half of a file in one that exists. */
	CHECK(mkdir("dst/.ingot-new.spool", 0700) == 0 && mkdir("dst/lib", 0755) == 0);
	tap_spew("dst/.ingot-new.spool/half", "x", 1);
	tap_spew("dst/lib/.ingot-new.both", "of th", 5);
	CHECK(mkdir("dst/lib/.ingot-new.private", 0500) == 0);
	if (seed_copy(open_dir("src"), open_dir("dst"), &err) != 0)
		FAIL("%s", err.text);
	CHECK_FILE("dst/lib/both", "of the image");
	CHECK_MISSING("dst/spool/half");
	CHECK_MISSING("dst/.ingot-new.spool");
	CHECK_MISSING("dst/lib/.ingot-new.both");
	CHECK_MISSING("dst/lib/.ingot-new.private");
}

TEST(a_link_on_var_is_not_followed)
{
	struct err err = {""};

	make_image_var();
	CHECK(mkdir("elsewhere", 0755) == 0);
	CHECK(symlink("../elsewhere", "dst/lib") == 0);
	CHECK(symlink("../elsewhere", "dst/.ingot-new.spool") == 0);
	if (seed_copy(open_dir("src"), open_dir("dst"), &err) != 0)
		FAIL("%s", err.text);
	CHECK(rmdir("elsewhere") == 0); /* nothing was written there */
	check_mode("dst/spool", 01777);
}

TEST(what_cannot_be_copied_is_an_error)
{
	struct err err = {""};

	make_image_var();
	CHECK(mkfifo("src/lib/pipe", 0644) == 0);
	CHECK_INT(seed_copy(open_dir("src"), open_dir("dst"), &err), -1);
	CHECK_STR(err.text, "cannot copy 'pipe': not a file, directory or link");
	/* Nothing became visible under its own name. */
	CHECK_MISSING("dst/lib");
	CHECK_MISSING("dst/spool");
}

TEST(a_replaced_file_has_the_exact_mode)
{
	struct err err = {""};
	int dir = open_dir(".");

	umask(077);
	tap_spew("id", "old", 3);
	tap_spew(".id.ingot-new", "half", 4);
	CHECK_INT(helper_write_file(dir, "id", "new\n", 0444, &err), 0);
	CHECK_FILE("id", "new\n");
	check_mode("id", 0444);
	CHECK_MISSING(".id.ingot-new");
}

TEST(files_that_are_links_or_too_long_are_not_read)
{
	struct err err = {""};
	char buf[8];

	tap_spew("long", "12345678", 8);
	tap_spew("fits", "1234567", 7);
	CHECK(symlink("fits", "link") == 0);
	CHECK_INT(helper_read_file(AT_FDCWD, "fits", buf, sizeof(buf), &err), 7);
	CHECK_STR(buf, "1234567");
	CHECK_INT(helper_read_file(AT_FDCWD, "long", buf, sizeof(buf), &err), -1);
	CHECK_INT(errno, EFBIG);
	CHECK_INT(helper_read_file(AT_FDCWD, "link", buf, sizeof(buf), &err), -1);
	CHECK_INT(errno, ELOOP);
	CHECK_INT(helper_read_file(AT_FDCWD, "none", buf, sizeof(buf), &err), -1);
	CHECK_INT(errno, ENOENT);
}

TEST(directories_are_never_opened_through_links_or_upwards)
{
	struct err err = {""};
	int dir, fd;

	CHECK(mkdir("base", 0755) == 0 && mkdir("outside", 0755) == 0);
	CHECK(symlink("../outside", "base/link") == 0);
	dir = open_dir("base");
	CHECK_INT(helper_open_dir(dir, "link/x", true, &err), -1);
	CHECK_INT(helper_open_dir(dir, "../outside", true, &err), -1);
	CHECK_INT(helper_open_dir(dir, "a/../../outside", true, &err), -1);
	CHECK_MISSING("outside/x");
	CHECK_INT(helper_open_dir(dir, "none", false, &err), -1);
	CHECK_INT(errno, ENOENT);
	umask(077);
	fd = helper_open_dir(dir, "lib/ingot", true, &err);
	CHECK(fd >= 0);
	check_mode("base/lib/ingot", 0755);
	close(fd);
}

TEST(the_machine_id_is_made_once)
{
	char first[33], again[33];
	struct err err = {""};
	int var;

	CHECK(mkdir("var", 0755) == 0);
	var = open_dir("var");
	CHECK_INT(ident_machine_id(var, first, &err), 0);
	CHECK_INT(strlen(first), 32);
	CHECK_INT(strspn(first, "0123456789abcdef"), 32);
	CHECK(first[12] == '4' && strchr("89ab", first[16]));
	CHECK_INT(ident_machine_id(var, again, &err), 0);
	CHECK_STR(again, first);
	check_mode("var/lib/ingot/machine-id", 0444);
	CHECK(unlink("var/lib/ingot/machine-id") == 0);
	CHECK_INT(ident_machine_id(var, again, &err), 0);
	CHECK(strcmp(first, again) != 0);
}

TEST(a_machine_without_a_name_gets_one)
{
	static const char id[] = "0123456789abcdef0123456789abcdef";
	char name[IDENT_HOSTNAME_MAX];

	CHECK(ident_hostname("ID=debian\nIMAGE_ID=\"swarm-manager\"\nX=1\n", id, name));
	CHECK_STR(name, "swarm-manager-01234567");
	CHECK(!ident_hostname("ID=debian\n", id, name));
	CHECK(!ident_hostname("\nIMAGE_ID=\"\"\n", id, name));
	CHECK(!ident_hostname("\nIMAGE_ID=\"a b\"\n", id, name));
	CHECK(!ident_hostname(
		"\nIMAGE_ID=\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"",
		id, name));
}

TEST(a_name_that_was_given_is_kept)
{
	static const char *const bad[] = {"", "\n", "-a\n", "a b\n", "a\nb/\x1b\n c"};
	char name[IDENT_HOSTNAME_MAX];
	int var;

	CHECK(mkdir("var", 0755) == 0 && mkdir("var/lib", 0755) == 0 &&
	      mkdir("var/lib/ingot", 0755) == 0);
	var = open_dir("var");
	CHECK(!ident_kept_hostname(var, name));
	tap_spew("var/lib/ingot/hostname", "m1.example.com\n", 15);
	CHECK(ident_kept_hostname(var, name));
	CHECK_STR(name, "m1.example.com");
	for (size_t i = 0; i < 4; i++) {
		tap_spew("var/lib/ingot/hostname", bad[i], strlen(bad[i]));
		CHECK(!ident_kept_hostname(var, name));
	}
	/* Only its first line. */
	tap_spew("var/lib/ingot/hostname", bad[4], strlen(bad[4]));
	CHECK(ident_kept_hostname(var, name));
	CHECK_STR(name, "a");
}

TEST(a_damaged_machine_id_is_replaced)
{
	static const char *const bad[] = {"",
					  "\n",
					  "0123",
					  "00000000000000000000000000000000\n",
					  "0123456789ABCDEF0123456789abcdef\n",
					  "0123456789abcdef0123456789abcdef0\n"};
	struct err err = {""};
	char id[33];
	int var;

	CHECK(mkdir("var", 0755) == 0 && mkdir("var/lib", 0755) == 0);
	CHECK(mkdir("var/lib/ingot", 0755) == 0);
	var = open_dir("var");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		unlink("var/lib/ingot/machine-id");
		tap_spew("var/lib/ingot/machine-id", bad[i], strlen(bad[i]));
		CHECK_INT(ident_machine_id(var, id, &err), 0);
		CHECK_INT(strlen(id), 32);
		CHECK(strncmp(id, bad[i], 32) != 0);
	}
}

TEST(a_credential_gives_the_machine_id_unless_there_is_one)
{
	static const char given[] = "0123456789abcdef0123456789abcdef";
	struct err err = {""};
	char id[33];
	int var;

	CHECK(mkdir("var", 0755) == 0 && mkdir("cred", 0755) == 0);
	CHECK(setenv("CREDENTIALS_DIRECTORY", "cred", 1) == 0);
	var = open_dir("var");
	tap_spew("cred/system.machine_id", "nonsense", 8);
	CHECK_INT(ident_machine_id(var, id, &err), 0);
	CHECK_INT(strlen(id), 32);
	CHECK(unlink("var/lib/ingot/machine-id") == 0);
	tap_spew("cred/system.machine_id", given, 32);
	CHECK_INT(ident_machine_id(var, id, &err), 0);
	CHECK_STR(id, given);
	tap_spew("cred/system.machine_id", "ffffffffffffffffffffffffffffffff", 32);
	CHECK_INT(ident_machine_id(var, id, &err), 0);
	CHECK_STR(id, given);
}

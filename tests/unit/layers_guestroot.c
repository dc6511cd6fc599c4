/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of a foreign disk as an entry of the cache: what is taken in, and which systems fit a profile.
 */
#include "tap.h"

#include "layers/guestroot.h"
#include "memimage.h"

#define STATUS                                                                                \
	"Package: dpkg\nStatus: install ok installed\nVersion: 1.22\nArchitecture: amd64\n\n" \
	"Package: gone\nStatus: deinstall ok config-files\nVersion: 1\nArchitecture: amd64\n\n"

static void spew(const char *path, const char *text)
{
	tap_spew(path, text, strlen(text));
}

static struct profile profile = {.base = {.distribution = "debian",
					  .release = "trixie",
					  .architecture = "amd64",
					  .image = "vendor.qcow2",
					  .sha256 = "00"}};

/* A root with these two files, as a tar. */
static int take_in(const char *os_release, const char *status, struct err *err)
{
	struct err ignored = {0};
	int fd, r;

	CHECK_OK(RUN(NULL, &ignored, "rm", "-rf", "root", "entry"), &ignored);
	CHECK_OK(RUN(NULL, &ignored, "mkdir", "-p", "root/etc", "root/var/lib/dpkg", "entry"),
		 &ignored);
	if (os_release)
		spew("root/etc/os-release", os_release);
	if (status)
		spew("root/var/lib/dpkg/status", status);
	CHECK_OK(RUN(NULL, &ignored, "tar", "-C", "root", "-cf", "tar", "."), &ignored);
	fd = open("tar", O_RDONLY | O_CLOEXEC);
	CHECK(fd >= 0);
	r = guestroot_import(fd, "entry", NULL, err);
	close(fd);
	return r;
}

TEST(a_system_that_fits)
{
	struct err err = {0};

	CHECK_OK(take_in("NAME=x\nID='debian'\nVERSION_CODENAME=\"trixie\"\n", STATUS, &err), &err);
	CHECK_EXISTS("entry/" GUESTROOT_TAR);
	CHECK_OK(guestroot_check("entry", &profile, &err), &err);
}

TEST(systems_that_do_not_fit)
{
	struct profile arm = profile;
	struct err err = {0};

	arm.base.architecture = "arm64";
	CHECK_OK(take_in("ID=debian\nVERSION_CODENAME=bookworm\n", STATUS, &err), &err);
	CHECK_ERR(guestroot_check("entry", &profile, &err), &err, ERR_PROFILE,
		  "its release is 'bookworm', not 'trixie'");
	CHECK_CONTAINS(err.hint, "set base.release");
	CHECK_OK(take_in("ID=ubuntu\nVERSION_CODENAME=trixie\n", STATUS, &err), &err);
	CHECK_ERR(guestroot_check("entry", &profile, &err), &err, ERR_PROFILE,
		  "its distribution is 'ubuntu', not 'debian'");
	CHECK_OK(take_in("ID=debian\nVERSION_CODENAME=trixie\n", STATUS, &err), &err);
	CHECK_ERR(guestroot_check("entry", &arm, &err), &err, ERR_PROFILE,
		  "its architecture is 'amd64', not 'arm64'");
	CHECK_OK(take_in("VERSION_CODENAMES=trixie\nID=debian", STATUS, &err), &err);
	CHECK_ERR(guestroot_check("entry", &profile, &err), &err, ERR_PROFILE,
		  "its release is 'unknown'");
}

TEST(what_is_no_debian_is_refused)
{
	struct err err = {0};

	CHECK_ERR(take_in(NULL, STATUS, &err), &err, ERR_VERIFY,
		  "its system has no '/etc/os-release'");
	CHECK_ERR(take_in("ID=fedora\n", NULL, &err), &err, ERR_VERIFY,
		  "its system has no '/var/lib/dpkg/status'");
	CHECK_ERR(take_in("ID=debian\n", "nonsense", &err), &err, ERR_VERIFY, "");
	spew("entry/guest.json", "{");
	CHECK_ERR(guestroot_check("entry", &profile, &err), &err, ERR_OTHER, "");
}

/* The hooks of the package step work in such a root from outside, perhaps as root. */
TEST(a_link_out_of_the_root_is_refused)
{
	static const char *const targets[] = {"/etc/passwd", "../../../etc"};
	struct err err = {0};
	int fd;

	for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
		CHECK_OK(RUN(NULL, &err, "rm", "-rf", "root", "entry"), &err);
		CHECK_OK(RUN(NULL, &err, "mkdir", "-p", "root/etc/kernel", "root/usr/lib", "entry"),
			 &err);
		CHECK(symlink("usr/lib", "root/lib") == 0); /* as every Debian has it */
		CHECK(symlink(targets[i], "root/etc/kernel/postinst.d") == 0);
		CHECK_OK(RUN(NULL, &err, "tar", "-C", "root", "-cf", "tar", "."), &err);
		fd = open("tar", O_RDONLY | O_CLOEXEC);
		CHECK_ERR(guestroot_import(fd, "entry", NULL, &err), &err, ERR_VERIFY,
			  "its '/etc/kernel/postinst.d' is a link to");
		close(fd);
		err_clear(&err);
	}
}

TEST(a_broken_stream_is_refused)
{
	struct err err = {0};
	int fd;

	CHECK(mkdir("entry", 0755) == 0);
	spew("tar", "this is not a tar archive at all, whatever its name says ........");
	fd = open("tar", O_RDONLY | O_CLOEXEC);
	CHECK_ERR(guestroot_import(fd, "entry", NULL, &err), &err, ERR_VERIFY,
		  "cannot read the image");
	close(fd);
}

TEST(the_key_is_the_digest_of_the_image)
{
	struct profile other = profile;
	struct digest a, b;

	other.base.image = "elsewhere.qcow2";
	guestroot_key(&profile, &a);
	guestroot_key(&other, &b);
	CHECK_MEM(&a, &b, sizeof(a));
	other.base.sha256 = "01";
	guestroot_key(&other, &b);
	CHECK(memcmp(&a, &b, sizeof(a)) != 0);
}

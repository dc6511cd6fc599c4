/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Google Cloud's archives: each field of gzip and tar, what GNU tar, bsdtar and Python make of them, and
 * reading ours, those of GNU tar, and damaged or hostile ones.
 */
#include "tap.h"

#include "base/mem.h"
#include "base/size.h"
#include "memimage.h"
#include "output/image.h"
#include "output/output.h"

#define MAIN_DATA (3 * MIB)

/* A disk of some runs of data; the rest are holes. */
struct disk {
	struct region regions[2048];
	struct region_list list;
	uint8_t *bytes; /* that all regions take their content from */
};

static struct disk *new_disk(uint64_t size)
{
	struct disk *disk = mem_alloc(sizeof(*disk));

	disk->bytes = mem_alloc(MAIN_DATA);
	fill_random(disk->bytes, MIB + 1000, 11);
	for (size_t i = MIB + 200000; i < MAIN_DATA; i++)
		disk->bytes[i] = (uint8_t)(i * i >> 13);
	disk->list.items = disk->regions;
	disk->list.size = size;
	return disk;
}

static void free_disk(struct disk **disk)
{
	free((*disk)->bytes);
	free(*disk);
}

static void add(struct disk *disk, uint64_t offset, uint64_t len)
{
	CHECK(disk->list.count < ARRAY_SIZE(disk->regions) && len <= MAIN_DATA);
	disk->regions[disk->list.count++] = (struct region){
		.offset = offset, .length = len, .bytes = disk->bytes, .fd = -1, .name = "part"};
}

static void write_gcp(const struct disk *disk, const char *path, struct output_result *result)
{
	struct output_target target = {
		.format = output_format_find("gcp"), .path = path, .options = {.no_sync = true}};
	struct err err = {0};

	CHECK_OK_PTR(target.format, &err);
	CHECK_OK(output_write_all(&disk->list, &target, 1, 2, NULL, result, &err), &err);
}

/* Whether both have only zeros from at to end, by their holes. */
static bool hole(int fd, off_t at, off_t end)
{
	off_t data = lseek(fd, at, SEEK_DATA);

	return data < 0 ? errno == ENXIO : data >= end;
}

static void check_same_files(const char *path, const char *want)
{
	CLEANUP_FREE uint8_t *a = mem_alloc(MIB), *b = mem_alloc(MIB);
	CLEANUP_FD int one = open(path, O_RDONLY | O_CLOEXEC),
		       two = open(want, O_RDONLY | O_CLOEXEC);
	off_t size = lseek(two, 0, SEEK_END);

	CHECK(one >= 0 && size > 0);
	CHECK_INT(lseek(one, 0, SEEK_END), size);
	for (off_t at = 0; at < size; at += (off_t)MIB) {
		off_t end = at + (off_t)MIB < size ? at + (off_t)MIB : size;
		size_t len = (size_t)(end - at);

		if (hole(one, at, end) && hole(two, at, end))
			continue;
		CHECK_INT(pread(one, a, len, at), (ssize_t)len);
		CHECK_INT(pread(two, b, len, at), (ssize_t)len);
		CHECK_MEM(a, b, len);
	}
}

/* Extracts disk.raw by a program and compares it with the file "want". */
static void check_extracted(const char *const argv[], bool sparse)
{
	struct err err = {0};
	struct stat st, want;

	unlink("disk.raw");
	CHECK_OK(run_tool(NULL, &err, argv), &err);
	check_same_files("disk.raw", "want");
	if (!sparse)
		return;
	CHECK_INT(stat("disk.raw", &st), 0);
	CHECK_INT(stat("want", &want), 0);
	/* Holes are whole MiB, those of the file that it was made of whole pages. */
	CHECK(st.st_blocks <= want.st_blocks * 256);
	unlink("disk.raw");
}

#define EXTRACT(sparse, ...) check_extracted((const char *const[]){__VA_ARGS__, NULL}, sparse)

static void check_read(const char *path)
{
	struct err err = {0};
	CLEANUP(image_close) struct image *image = image_open(path, &err);
	CLEANUP_FREE uint8_t *a = mem_alloc(MIB), *b = mem_alloc(MIB);
	CLEANUP_FD int fd = open("want", O_RDONLY | O_CLOEXEC);
	uint64_t seed = 5;

	CHECK_OK_PTR(image, &err);
	CHECK_STR(image->format, "gcp");
	CHECK_U64(image->size, (uint64_t)lseek(fd, 0, SEEK_END));
	for (off_t at = 0; (at = lseek(fd, at, SEEK_DATA)) >= 0; at += (off_t)MIB) {
		size_t n = image->size - (uint64_t)at < MIB ? image->size - (uint64_t)at : MIB;

		CHECK_INT(pread(fd, b, n, at), (ssize_t)n);
		CHECK_OK(image->pread(image, a, n, (uint64_t)at, &err), &err);
		CHECK_MEM(a, b, n);
	}
	for (int i = 0; i < 120; i++) {
		uint64_t at;
		size_t n;

		seed = seed * 6364136223846793005u + 1442695040888963407u;
		n = (size_t)(seed >> 33) % 150000;
		n = n < image->size ? n : image->size;
		/* Half of them where the data are. */
		at = (seed >> 20) % (i % 2 && image->size > 8 * MIB ? 8 * MIB : image->size - n);
		CHECK_INT(pread(fd, b, n, (off_t)at), (ssize_t)n);
		CHECK_OK(image->pread(image, a, n, at, &err), &err);
		CHECK_MEM(a, b, n);
	}
	CHECK_ERR(image->pread(image, a, 2, image->size - 1, &err), &err, ERR_VERIFY,
		  "beyond the end");
}

/* Writes the disk, lets everybody read it. */
static void check_disk(const struct disk *disk)
{
	struct output_result result;
	struct err err = {0};

	CHECK_INT(spew_regions("want", &disk->list), 0);
	write_gcp(disk, "image.tar.gz", &result);
	CHECK_OK(RUN(NULL, &err, "gzip", "-t", "image.tar.gz"), &err);
	EXTRACT(true, "tar", "-xzf", "image.tar.gz");
	EXTRACT(true, "bsdtar", "-xf", "image.tar.gz");
	EXTRACT(true, "python3", "-c",
		"import tarfile; t = tarfile.open('image.tar.gz'); m = t.getmembers();"
		"assert [x.name for x in m] == ['disk.raw'], m; t.extract(m[0])");
	check_read("image.tar.gz");
}

TEST_TIMEOUT(a_disk_with_holes, 120)
{
	CLEANUP(free_disk) struct disk *disk = new_disk(GIB);

	add(disk, 0, 100000);
	add(disk, 2 * MIB + 700, 2 * MIB);
	add(disk, 40 * MIB, 512);
	add(disk, 50 * MIB + 4096, 3 * MIB);
	add(disk, GIB - 512, 512);
	check_disk(disk);
}

TEST_TIMEOUT(a_disk_that_starts_and_ends_with_holes, 120)
{
	CLEANUP(free_disk) struct disk *disk = new_disk(GIB);

	add(disk, 5 * MIB + 70000, 3 * MIB);
	add(disk, 600 * MIB, 3 * MIB);
	check_disk(disk);
}

TEST_TIMEOUT(a_disk_of_zeros, 120)
{
	CLEANUP(free_disk) struct disk *disk = new_disk(GIB);
	struct stat st;

	check_disk(disk);
	/* 12 bytes for each MiB, in whole blocks of tar, are there for a map that is not needed. */
	CHECK_INT(stat("image.tar.gz", &st), 0);
	CHECK(st.st_size < 26 * 512 + 200);
}

/* As many entries as the map can have: it fills what is reserved for it. */
TEST_TIMEOUT(a_disk_of_which_every_second_chunk_has_data, 120)
{
	CLEANUP(free_disk) struct disk *disk = new_disk(GIB);
	struct output_result result;

	for (uint64_t at = 0; at < GIB; at += 2 * MIB)
		add(disk, at + 100, 10);
	CHECK_INT(spew_regions("want", &disk->list), 0);
	write_gcp(disk, "image.tar.gz", &result);
	EXTRACT(true, "tar", "-xzf", "image.tar.gz");
	check_read("image.tar.gz");
}

/* Sizes and offsets of 8 GiB and more are not octal. */
TEST_TIMEOUT(a_large_disk, 300)
{
	CLEANUP(free_disk) struct disk *disk = new_disk(10 * GIB);
	struct output_result result;

	add(disk, 0, 3 * MIB);
	add(disk, 8 * GIB - MIB - 5, 2 * MIB);
	for (uint64_t i = 0; i < 40; i++)
		add(disk, 9 * GIB + i * 3 * MIB, 1000);
	add(disk, 10 * GIB - 512, 512);
	CHECK_INT(spew_regions("want", &disk->list), 0);
	write_gcp(disk, "image.tar.gz", &result);
	EXTRACT(true, "tar", "-xzf", "image.tar.gz");
	EXTRACT(true, "bsdtar", "-xf", "image.tar.gz");
	check_read("image.tar.gz");
}

static uint64_t octal(const uint8_t *p)
{
	return strtoull((const char *)p, NULL, 8);
}

TEST(each_field_is_right)
{
	CLEANUP(free_disk) struct disk *disk = new_disk(GIB);
	struct output_result result;
	struct err err = {0};
	uint8_t *gz, *t;
	size_t len, gz_len;
	uint64_t sum = 0;

	add(disk, MIB, 512);
	add(disk, 3 * MIB, 2 * MIB);
	add(disk, 10 * MIB, 1);
	add(disk, 20 * MIB, 1);
	add(disk, 30 * MIB, 1);
	write_gcp(disk, "image.tar.gz", &result);
	gz = (uint8_t *)tap_slurp("image.tar.gz", &gz_len);
	CHECK_U64(gz_len, result.size);
	/* Deflate, no flags, no time, nothing about the machine. */
	CHECK_MEM(gz, "\x1f\x8b\x08\0\0\0\0\0\0\xff", 10);
	CHECK_OK(RUN(NULL, &err, "sh", "-c", "gzip -dc <image.tar.gz >image.tar"), &err);
	t = (uint8_t *)tap_slurp("image.tar", &len);
	CHECK_INT(len % 10240, 0);
	CHECK_STR((char *)t, "disk.raw");
	CHECK_STR((char *)t + 100, "0000644");
	CHECK_STR((char *)t + 108, "0000000");
	CHECK_STR((char *)t + 116, "0000000");
	CHECK_U64(octal(t + 124), 6 * MIB);
	CHECK_STR((char *)t + 136, "00000000000");
	CHECK_INT(t[156], 'S');
	CHECK_MEM(t + 257, "ustar  ", 8);
	CHECK_U64(octal(t + 386), MIB);
	CHECK_U64(octal(t + 398), MIB);
	CHECK_U64(octal(t + 410), 3 * MIB);
	CHECK_U64(octal(t + 422), 2 * MIB);
	CHECK_U64(octal(t + 434), 10 * MIB);
	CHECK_U64(octal(t + 446), MIB);
	CHECK_U64(octal(t + 458), 20 * MIB);
	CHECK_U64(octal(t + 470), MIB);
	CHECK_INT(t[482], 1);
	CHECK_U64(octal(t + 483), GIB);
	for (size_t i = 0; i < 512; i++)
		sum += i >= 148 && i < 156 ? ' ' : t[i];
	CHECK_U64(octal(t + 148), sum);
	CHECK_MEM(t + 148 + 6, "\0 ", 2);
	/* The rest of the map, and the hole that the disk ends with. */
	CHECK_U64(octal(t + 512), 30 * MIB);
	CHECK_U64(octal(t + 524), MIB);
	CHECK_U64(octal(t + 536), GIB);
	CHECK_U64(octal(t + 548), 0);
	CHECK_INT(t[560], 0);
	CHECK_INT(t[512 + 504], 0);
	CHECK_MEM(t + 1024, disk->bytes, 512);
	/* One member of gzip, nothing behind it; little of it is there for the map only. */
	CHECK_OK(
		RUN(NULL, &err, "python3", "-c",
		    "import zlib; z = zlib.decompressobj(31); b = open('image.tar.gz', 'rb').read();"
		    "z.decompress(b); assert z.eof and not z.unused_data"),
		&err);
	free(gz);
	free(t);
}

static void check_foreign(const char *command)
{
	struct err err = {0};

	unlink("foreign.tar.gz");
	CHECK_OK(RUN(NULL, &err, "sh", "-ec", command), &err);
	check_read("foreign.tar.gz");
}

TEST_TIMEOUT(archives_of_others_are_read, 120)
{
	CLEANUP(free_disk) struct disk *disk = new_disk(30 * MIB + 512);

	add(disk, 0, 100000);
	for (uint64_t i = 0; i < 50; i++)
		add(disk, 2 * MIB + i * 16384, 4096 + 17 * i);
	add(disk, 4 * MIB, 3 * MIB);
	add(disk, 9 * MIB, 3 * MIB);
	CHECK_INT(spew_regions("want", &disk->list), 0);
	CHECK_INT(link("want", "disk.raw"), 0);
	check_foreign("tar --format=oldgnu -Sczf foreign.tar.gz disk.raw");
	check_foreign("tar --format=oldgnu -czf foreign.tar.gz disk.raw");
	check_foreign("tar --format=gnu -Sczf foreign.tar.gz disk.raw");
	check_foreign("tar --format=ustar -czf foreign.tar.gz disk.raw");
	check_foreign("bsdtar --format=ustar -czf foreign.tar.gz disk.raw");
	check_foreign("tar --format=oldgnu -Scf t disk.raw; gzip -1 <t >foreign.tar.gz");
	check_foreign("tar --format=oldgnu -Scf t disk.raw; gzip -9 <t >foreign.tar.gz");
	/* A name, a comment, an extra field and the CRC of the header. */
	check_foreign("tar --format=oldgnu -Scf t disk.raw; python3 -c \""
		      "import zlib, struct; b = open('t', 'rb').read();"
		      "h = b'\\x1f\\x8b\\x08\\x1f' + bytes(6) + b'\\x04\\0abcdname\\0text\\0';"
		      "h += struct.pack('<H', zlib.crc32(h) & 65535);"
		      "c = zlib.compressobj(6, 8, -15);"
		      "open('foreign.tar.gz', 'wb').write(h + c.compress(b) + c.flush() +"
		      "struct.pack('<II', zlib.crc32(b), len(b)))\"");
	/* Flushes that look like full ones but are none: what follows refers to what was before. */
	check_foreign("tar --format=oldgnu -cf t disk.raw; python3 -c \""
		      "import zlib; b = open('t', 'rb').read(); c = zlib.compressobj(6, 8, 31);"
		      "f = open('foreign.tar.gz', 'wb');"
		      "[f.write(c.compress(b[i:i+50000]) + c.flush(zlib.Z_SYNC_FLUSH))"
		      " for i in range(0, len(b), 50000)]; f.write(c.flush())\"");
}

static void check_refused(const char *path, const char *message)
{
	struct err err = {0};

	CHECK_ERR_PTR(image_open(path, &err), &err, ERR_VERIFY, message);
	CHECK_CONTAINS(err.msg, path);
}

/* As check_foreign, for what must be refused. */
static void check_bad(const char *command, const char *message)
{
	struct err err = {0};

	unlink("foreign.tar.gz");
	CHECK_OK(RUN(NULL, &err, "sh", "-ec", command), &err);
	check_refused("foreign.tar.gz", message);
}

TEST(other_archives_are_refused)
{
	CLEANUP(free_disk) struct disk *disk = new_disk(5 * MIB);
	struct err err = {0};

	add(disk, MIB, MIB);
	CHECK_INT(spew_regions("disk.raw", &disk->list), 0);
	CHECK_INT(link("disk.raw", "other.raw"), 0);
	check_bad("gzip -c disk.raw >foreign.tar.gz", "a gzip file that has no tar archive in it");
	check_bad("gzip -c </dev/null >foreign.tar.gz", "that has no tar archive in it");
	check_bad("tar --format=oldgnu -czf foreign.tar.gz other.raw", "member is not disk.raw");
	check_bad("tar --format=oldgnu -czf foreign.tar.gz ./disk.raw", "member is not disk.raw");
	check_bad("tar --format=oldgnu -czf foreign.tar.gz disk.raw other.raw",
		  "a tar archive of more than disk.raw");
	check_bad("tar --format=pax -Sczf foreign.tar.gz disk.raw", "a tar archive of pax format");
	check_bad("tar --format=v7 -czf foreign.tar.gz disk.raw", "another format than old GNU's");
	check_bad("ln -sf other.raw l; tar --format=oldgnu --transform=s/^l$/disk.raw/ "
		  "-czf foreign.tar.gz l",
		  "another format than old GNU's");
	CHECK_ERR_PTR(image_open("foreign.tar.gz", &err), &err, ERR_VERIFY, "old GNU");
	CHECK_CONTAINS(err.hint, "tar --format=oldgnu -Sczf");
	/* Two members of gzip, zeros behind it, and a truncated tar in a whole gzip file. */
	check_bad("tar --format=oldgnu -cf t disk.raw; head -c 1000000 t | gzip >foreign.tar.gz;"
		  "tail -c +1000001 t | gzip >>foreign.tar.gz",
		  "there is something behind its end");
	check_bad("tar --format=oldgnu -czf foreign.tar.gz disk.raw; printf '\\0' >>foreign.tar.gz",
		  "there is something behind its end");
	check_bad("tar --format=oldgnu -cf t disk.raw; head -c 3000000 t | gzip >foreign.tar.gz",
		  "it ends early");
	check_bad("tar --format=oldgnu -Scf t disk.raw; head -c 1049088 t | gzip >foreign.tar.gz",
		  "it ends early");
	check_bad("(tar --format=oldgnu -cf - disk.raw; head -c 2000000 /dev/zero) | gzip "
		  ">foreign.tar.gz",
		  "it does not end");
}

#define TAR_DATA ((size_t)16384)

/* An archive of a 64 KiB disk with data at 8 KiB and at 32 KiB, made here. */
static void make_tar(uint8_t t[20480])
{
	memset(t, 0, 20480);
	strcpy((char *)t, "disk.raw");
	strcpy((char *)t + 124, "00000040000");
	t[156] = 'S';
	memcpy(t + 257, "ustar  ", 7);
	strcpy((char *)t + 386, "00000020000");
	strcpy((char *)t + 398, "00000020000");
	strcpy((char *)t + 410, "00000100000");
	strcpy((char *)t + 422, "00000020000");
	strcpy((char *)t + 483, "00000200000");
	fill_random(t + 512, TAR_DATA, 3);
}

static void spew_tar(uint8_t *t)
{
	unsigned sum = 0;
	struct err err = {0};

	for (size_t i = 0; i < 512; i++)
		sum += i >= 148 && i < 156 ? ' ' : t[i];
	snprintf((char *)t + 148, 8, "%06o", sum);
	t[155] = ' ';
	tap_spew("t", t, 20480);
	CHECK_OK(RUN(NULL, &err, "gzip", "-nf", "t"), &err);
}

/* Changes a field of the header, whose checksum stays right. */
static void check_field(size_t at, const void *value, size_t len, const char *message)
{
	uint8_t t[20480];

	make_tar(t);
	memcpy(t + at, value, len);
	spew_tar(t);
	check_refused("t.gz", message);
}

#define FIELD(at, text, message) check_field(at, text, sizeof(text) - 1, message)

TEST(hostile_maps_are_refused)
{
	static const char holes[] = "the map of its holes is wrong",
			  sizes[] = "the size of disk.raw is wrong";
	uint8_t t[20480], got[65536], disk[65536] = {0};
	struct err err = {0};
	struct image *image;

	make_tar(t);
	memcpy(disk + 8192, t + 512, 8192);
	memcpy(disk + 32768, t + 512 + 8192, 8192);
	spew_tar(t);
	image = image_open("t.gz", &err);
	CHECK_OK_PTR(image, &err);
	CHECK_U64(image->size, sizeof(disk));
	CHECK_OK(image->pread(image, got, sizeof(got), 0, &err), &err);
	CHECK_MEM(got, disk, sizeof(disk));
	image_close(&image);

	FIELD(386, "00000100000", holes); /* overlap */
	FIELD(386, "00000110000", holes); /* not sorted */
	FIELD(410, "00000170001", holes); /* leaves the disk */
	FIELD(410, "77777777777", holes);
	FIELD(386, "0000002000x", holes); /* no number */
	FIELD(386, "-0000020000", holes);
	FIELD(386, "\x80\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff", holes);
	FIELD(398, "\x80\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff", holes);
	FIELD(398, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", holes);
	FIELD(398, "\x80\0\0\1\0\0\0\0\0\0\0\0", holes);
	FIELD(398, "00000010000", holes);                    /* less than the member has */
	FIELD(422, "00000040000", holes);                    /* more than it has */
	check_field(386, (const uint8_t[24]){0}, 24, holes); /* an unused entry, then one more */
	FIELD(482, "\1", holes); /* more is said to follow, but is data (no map) */
	FIELD(482, "\2", holes);
	FIELD(483, "00000000000", sizes);
	FIELD(483, "\x80\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff", sizes);
	FIELD(483, "00000030000", sizes); /* less than the member has */
	FIELD(483, "00000100000", holes); /* the map leaves it */
	FIELD(483, "           ", sizes);
	FIELD(124, "00000200001", sizes);
	FIELD(124, "garbage", sizes);
	FIELD(0, "disk.ram", "member is not disk.raw");
	FIELD(0, "/disk.raw", "member is not disk.raw");
	FIELD(156, "1", "of another format");
	FIELD(257, "usxar", "of another format");
}

/* A member that claims to have more than the file can, however well it was compressed. */
TEST(bombs_are_refused_at_once)
{
	static const char huge[] = "\x80\0\0\0\0\0\x20\0\0\0\0\0"; /* 32 TiB */
	uint8_t t[20480];

	make_tar(t);
	memcpy(t + 124, huge, 12);
	memcpy(t + 483, huge, 12);
	memset(t + 386, 0, 96);
	strcpy((char *)t + 386, "00000000000");
	memcpy(t + 398, huge, 12);
	spew_tar(t);
	check_refused("t.gz", "it cannot have as much as it says");
}

/* The content of a disk of 1 GiB whose data are in its first MiB. */
static uint8_t first[MIB];

/* A file that was changed: refused, or it has what it had. */
static void check_changed(const uint8_t *file, size_t len)
{
	static uint8_t got[MIB];
	struct err err = {0};
	struct image *image;

	tap_spew("changed", file, len);
	image = image_open("changed", &err);
	if (!image) {
		CHECK_ERR(-1, &err, ERR_VERIFY, "cannot read 'changed': ");
		return;
	}
	CHECK_STR(image->format, "gcp");
	CHECK_U64(image->size, GIB);
	CHECK_OK(image->pread(image, got, MIB, 0, &err), &err);
	CHECK_MEM(got, first, MIB);
	CHECK_OK(image->pread(image, got, MIB, GIB - MIB, &err), &err);
	CHECK(got[0] == 0 && memcmp(got, got + 1, MIB - 1) == 0);
	image_close(&image);
}

TEST_TIMEOUT(no_damage_goes_unseen, 300)
{
	CLEANUP(free_disk) struct disk *disk = new_disk(GIB);
	struct output_result result;
	uint8_t *file;
	size_t len, data;

	for (size_t i = 0; i < 3000; i++)
		disk->bytes[i] = (uint8_t)(i * i >> 9);
	add(disk, 1000, 3000);
	memcpy(first + 1000, disk->bytes, 3000);
	write_gcp(disk, "good", &result);
	file = (uint8_t *)tap_slurp("good", &len);
	/* Behind gzip's header, the stored header of tar and the padding. */
	data = 10 + 5 + 512 + 24 * 512;
	CHECK(len > data && len < data + 10000);
	check_changed(file, len);
	for (size_t at = 0; at < len; at += at < 600 || at > len - 40 ? 1 : at < data ? 211 : 7)
		for (size_t bit = 0; bit < 8; bit += at < 15 || at > len - 9 ? 1 : 5) {
			file[at] ^= (uint8_t)(1u << bit);
			check_changed(file, len);
			file[at] ^= (uint8_t)(1u << bit);
		}
	/* Its first two bytes tell what it is. */
	for (size_t cut = 2; cut < len; cut += cut < 600 || cut > len - 40 ? 1 : 97) {
		struct err err = {0};

		tap_spew("changed", file, cut);
		CHECK_ERR_PTR(image_open("changed", &err), &err, ERR_VERIFY, "damaged");
	}
	free(file);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * After a client has done its work and is gone, nothing of passwords and tokens is left in memory: this process
 * looks for them in its own. It knows them only in a disguise.
 */
#include "fake/registry.h"
#include "tap.h"

#include "base/mem.h"
#include "oci/registry.h"

#define MASK 0x5a
#define HUGE_MAPPING (256ul << 20) /* a sanitizer's bookkeeping; nothing else is so large */

/* Each is what tests/fake/registry expects or hands out, with each byte masked. */
static const unsigned char password[] = {'s' ^ MASK, '3' ^ MASK, 'c' ^ MASK, 'r' ^ MASK,
					 'e' ^ MASK, 't' ^ MASK, ':' ^ MASK, 'x' ^ MASK};
static const unsigned char basic[] = {'O' ^ MASK, 'n' ^ MASK, 'M' ^ MASK, 'z' ^ MASK,
				      'Y' ^ MASK, '3' ^ MASK, 'J' ^ MASK, 'l' ^ MASK,
				      'd' ^ MASK, 'D' ^ MASK, 'p' ^ MASK, '4' ^ MASK};
static const unsigned char token[] = {'p' ^ MASK, 'r' ^ MASK, 'i' ^ MASK, 'v' ^ MASK, 'a' ^ MASK,
				      't' ^ MASK, 'e' ^ MASK, '-' ^ MASK, '0' ^ MASK};

static size_t count_in(const unsigned char *bytes, size_t len, const unsigned char *masked,
		       size_t masked_len)
{
	size_t count = 0;

	for (size_t i = 0; i + masked_len <= len; i++) {
		size_t n = 0;

		while (n < masked_len && (bytes[i + n] ^ MASK) == masked[n])
			n++;
		count += n == masked_len;
	}
	return count;
}

/* How often it is in the memory of this process that can be written. */
static size_t found(const char *name, const unsigned char *masked, size_t len)
{
	int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512], mode[8];
	unsigned long start, end;
	size_t count = 0;

	CHECK(memory >= 0 && maps);
	while (fgets(line, sizeof(line), maps)) {
		/* Windows overlap, so that nothing hides at a border; the window itself is left out. */
		static unsigned char window[1 << 16];
		size_t here = 0;

		if (sscanf(line, "%lx-%lx %7s", &start, &end, mode) != 3 || mode[1] != 'w' ||
		    end - start > HUGE_MAPPING)
			continue;
		for (unsigned long at = start; at < end; at += sizeof(window) - len + 1) {
			size_t want = end - at < sizeof(window) ? end - at : sizeof(window);
			ssize_t n = pread(memory, window, want, (off_t)at);

			if (at + want > (unsigned long)window &&
			    at < (unsigned long)window + sizeof(window))
				continue;
			if (n > 0)
				here += count_in(window, (size_t)n, masked, len);
		}
		memset(window, 0, sizeof(window));
		if (here)
			tap_note("%s: %zu in %s", name, here, line);
		count += here;
	}
	fclose(maps);
	close(memory);
	return count;
}

static char host[64];

/* Writes the file from a process of its own. */
static void put_credentials(void)
{
	const char *const argv[] = {
		"python3",
		"-c",
		"import base64, sys; open(sys.argv[1], 'w').write('{\"auths\": {\"%s\": {\"auth\": "
		"\"%s\"}}}' % (sys.argv[2], base64.b64encode(b'joe:s3cret' + b':x').decode()))",
		"config.json",
		host,
		NULL};

	run_program(argv);
}

static void resolve(const char *repository)
{
	const struct oci_registry known = {.name = host, .insecure = true};
	struct oci_client *client = oci_client_new(&known, 1);
	struct oci_reference ref CLEANUP(oci_reference_free) = {0};
	struct oci_descriptor d;
	struct err err = {0};
	char text[128];

	snprintf(text, sizeof(text), "%s/%s:1", host, repository);
	CHECK_OK(oci_reference_parse(text, &ref, &err), &err);
	CHECK_OK(oci_client_resolve(client, &ref, &d, &err), &err);
	oci_client_free(client);
}

TEST(the_search_finds)
{
	char *there = mem_alloc(sizeof(token) + 1);

	for (size_t i = 0; i < sizeof(token); i++)
		there[i] = (char)(token[i] ^ MASK);
	CHECK(found("planted token", token, sizeof(token)) > 0);
	mem_wipe(there, sizeof(token));
	CHECK_INT(found("planted token", token, sizeof(token)), 0);
	free(there);
}

TEST(nothing_is_left)
{
	char here[PATH_MAX];

	snprintf(host, sizeof(host), "127.0.0.1:%u", fake_registry(NULL));
	put_credentials();
	CHECK(getcwd(here, sizeof(here)));
	setenv("DOCKER_CONFIG", here, 1);
	resolve("fault/basic");
	resolve("fault/private");
	CHECK_INT(found("password", password, sizeof(password)), 0);
	CHECK_INT(found("base64", basic, sizeof(basic)), 0);
	CHECK_INT(found("token", token, sizeof(token)), 0);
}

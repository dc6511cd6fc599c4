/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Driver for fuzz targets in builds without libFuzzer (gcc has none): feeds each file named on the
 * command line to the target once, so that corpus and old crashes are replayed by `make test`.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Larger inputs are no fuzz inputs but a mistake. */
#define MAX_INPUT (16u << 20)

static int replay(const char *path)
{
	FILE *f = fopen(path, "re");
	uint8_t *data = NULL, *exact = NULL;
	size_t len;
	int ret = -1;

	if (!f) {
		fprintf(stderr, "cannot open '%s': %s\n", path, strerror(errno));
		return -1;
	}
	data = malloc(MAX_INPUT);
	if (!data)
		goto out;
	len = fread(data, 1, MAX_INPUT, f);
	if (ferror(f) || len == MAX_INPUT) {
		fprintf(stderr, "cannot read '%s'\n", path);
		goto out;
	}
	/* A copy of just this size lets AddressSanitizer see a read behind the end. */
	exact = malloc(len ? len : 1);
	if (!exact)
		goto out;
	memcpy(exact, data, len);
	LLVMFuzzerTestOneInput(exact, len);
	ret = 0;
out:
	free(exact);
	free(data);
	fclose(f);
	return ret;
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		/* Printed first, so that a crash names its input. */
		printf("%s\n", argv[i]);
		fflush(stdout);
		if (replay(argv[i]) < 0)
			return 1;
	}
	return 0;
}

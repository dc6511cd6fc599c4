/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine's identity. A read-only root cannot keep a machine-id, and an image must not carry
 * one, so it lives on /var and is put into the /etc overlay at each boot. See machine-id(5).
 */
#include "helper.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* Accepts 32 lower-case hexadecimal digits, not all zero, with at most one newline behind. */
static bool valid_id(const char *text, char id[33])
{
	size_t len = strlen(text);

	if (len == 33 && text[32] == '\n')
		len = 32;
	if (len != 32 || strspn(text, "0123456789abcdef") != 32 || strspn(text, "0") == 32)
		return false;
	memcpy(id, text, 32);
	id[32] = '\0';
	return true;
}

static int random_id(char id[33], struct err *err)
{
	unsigned char raw[16];

	if (getrandom(raw, sizeof(raw), 0) != (ssize_t)sizeof(raw))
		return helper_fail_errno(err, "cannot get random bytes");
	raw[6] = (unsigned char)((raw[6] & 0x0f) | 0x40); /* RFC 9562, version 4 */
	raw[8] = (unsigned char)((raw[8] & 0x3f) | 0x80);
	for (size_t i = 0; i < sizeof(raw); i++)
		snprintf(id + 2 * i, 3, "%02x", raw[i]);
	return 0;
}

/* Returns 1 and sets id when the manager passed a usable credential, else 0. */
static int credential_id(char id[33])
{
	const char *dir = getenv("CREDENTIALS_DIRECTORY");
	char path[HELPER_PATH_MAX], text[64];
	struct err err;

	if (!dir ||
	    (size_t)snprintf(path, sizeof(path), "%s/system.machine_id", dir) >= sizeof(path))
		return 0;
	if (helper_read_file(AT_FDCWD, path, text, sizeof(text), &err) < 0) {
		if (errno != ENOENT)
			helper_log(4, "%s", err.text);
		return 0;
	}
	if (valid_id(text, id))
		return 1;
	helper_log(4, "the credential system.machine_id is not a machine-id, ignoring it");
	return 0;
}

int ident_machine_id(int var, char id[33], struct err *err)
{
	char text[64], line[64];
	int dir = helper_open_dir(var, "lib/ingot", true, err);
	int rc = -1;

	if (dir < 0)
		return -1;
	if (helper_read_file(dir, "machine-id", text, sizeof(text), err) >= 0) {
		if (valid_id(text, id)) {
			close(dir);
			return 0;
		}
		helper_log(4, "the stored machine-id is damaged, making a new one");
	} else if (errno != ENOENT && errno != EFBIG) {
		close(dir);
		return -1;
	}
	if (credential_id(id) || random_id(id, err) == 0) {
		snprintf(line, sizeof(line), "%s\n", id);
		rc = helper_write_file(dir, "machine-id", line, 0444, err);
	}
	close(dir);
	return rc;
}

bool ident_hostname(const char *os_release, const char *id, char name[IDENT_HOSTNAME_MAX])
{
	static const char key[] = "\nIMAGE_ID=\"";
	const char *image = strstr(os_release, key);
	size_t len;

	if (!image)
		return false;
	image += sizeof(key) - 1;
	len = strspn(image, "abcdefghijklmnopqrstuvwxyz0123456789-");
	if (len == 0 || len > IDENT_HOSTNAME_MAX - 10 || image[len] != '"')
		return false;
	snprintf(name, IDENT_HOSTNAME_MAX, "%.*s-%.8s", (int)len, image, id);
	return true;
}

bool ident_kept_hostname(int var, char name[IDENT_HOSTNAME_MAX])
{
	static const char legal[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				    "0123456789.-";
	struct err err;
	size_t len;

	if (helper_read_file(var, "lib/ingot/hostname", name, IDENT_HOSTNAME_MAX, &err) < 0)
		return false;
	len = strspn(name, legal);
	if (len == 0 || name[0] == '-' || name[0] == '.' || (name[len] != '\n' && name[len]))
		return false;
	name[len] = '\0';
	return true;
}

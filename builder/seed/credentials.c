/* SPDX-License-Identifier: Apache-2.0 */
/*
 * systemd credentials (systemd.io/CREDENTIALS): one file per credential, and beside them what QEMU needs to
 * hand them to a machine. SMBIOS is read early and fast but small; what does not fit goes by fw_cfg.
 */
#include "seed/parts.h"

#include "base/base64.h"
#include "base/mem.h"

#include <string.h>

/* All strings of an SMBIOS 2 table; QEMU needs some of its 64 KiB for its own. */
#define SMBIOS_MAX ((size_t)48 << 10)
/* systemd takes no larger credential, and no more in all (CREDENTIALS_BYTES_MAX). */
#define CREDENTIALS_MAX ((size_t)1 << 20)

struct writer {
	const char *folder;
	struct seed *seed;
	struct str arguments;
	size_t smbios, total; /* bytes so far */
};

/* An argument of QEMU, in which a comma is written twice. */
static void add_argument(struct writer *w, const char *option, const char *start, const char *name)
{
	str_addf(&w->arguments, "%s\n%s", option, start);
	for (const char *p = w->folder ? w->folder : ""; *p; p++)
		str_addf(&w->arguments, *p == ',' ? "%c," : "%c", *p);
	str_addf(&w->arguments, "%s%s\n", w->folder ? "/" : "", name);
}

static int add(struct writer *w, const char *name, const void *bytes, size_t len, struct err *err)
{
	CLEANUP_FREE char *path = mem_printf("%s.smbios", name);
	CLEANUP(str_wipe) struct str text = {0};

	w->total += len;
	if (w->total > CREDENTIALS_MAX) {
		err_set(err, ERR_USAGE,
			"%s has %zu bytes: a machine takes credentials of %zu KiB in all (of which "
			"%zu KiB by SMBIOS, the others by fw_cfg)",
			name, len, CREDENTIALS_MAX >> 10, SMBIOS_MAX >> 10);
		return err_hint(err, "compress user-data with gzip, or use a nocloud format");
	}
	seed_add(w->seed, name, bytes, len);
	str_addf(&text, "io.systemd.credential.binary:%s=", name);
	base64_add(bytes, len, &text);
	if (w->smbios + text.len > SMBIOS_MAX) {
		CLEANUP_FREE char *start =
			mem_printf("name=opt/io.systemd.credentials/%s,file=", name);

		add_argument(w, "-fw_cfg", start, name);
		return 0;
	}
	/* From a file: what stands on a command line is seen by all users of the host. */
	w->smbios += text.len;
	seed_add(w->seed, path, text.data, text.len);
	add_argument(w, "-smbios", "type=11,path=", path);
	return 0;
}

int seed_credentials(const struct seed_input *input, struct seed *seed, struct err *err)
{
	const struct {
		const char *name;
		const struct seed_blob *blob;
	} rows[] = {
		{"ingot.network-config", &input->network_config},
		{"ingot.user-data", &input->user_data},
		{"ingot.vendor-data", &input->vendor_data},
	};
	CLEANUP(str_wipe) struct str meta = {0};
	struct writer w = {.folder = input->folder, .seed = seed};
	int r;

	seed_meta_data(input, seed, &meta);
	r = add(&w, "ingot.meta-data", meta.data, meta.len, err);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(rows); i++)
		if (rows[i].blob->len > 0)
			r = add(&w, rows[i].name, rows[i].blob->bytes, rows[i].blob->len, err);
	if (r == 0)
		seed_add(seed, "qemu.args", w.arguments.data, w.arguments.len);
	str_free(&w.arguments);
	return r;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line of mmdebstrap: the profile's packages, the repositories, and the scripts in
 * firmware/packages as hooks.
 */
#include "layers/bootstrap.h"

#include "base/fd.h"
#include "base/mem.h"

#include <string.h>

#define SCRIPT_MAX ((size_t)64 << 10) /* a script is one word of a command line */
#define DEBS "/var/cache/apt/archives"

enum { SETUP, RECORDS, ESSENTIAL, CUSTOMIZE, PATH_EXCLUDE };

const char *const bootstrap_scripts[] = {
	[SETUP] = "setup",         [RECORDS] = "records",           [ESSENTIAL] = "essential",
	[CUSTOMIZE] = "customize", [PATH_EXCLUDE] = "path-exclude", NULL};

const char *const bootstrap_image_script = "image";

/* What apt saw, for comparing with what the key says. */
static const char print_inrelease[] =
	"cd \"$1\"/var/lib/apt/lists && sha256sum -- *_InRelease | sed 's/^/" BOOTSTRAP_MARK
	"/' >&2";

static int add_text(struct strv *argv, const char *option, const struct bootstrap_input *input,
		    const char *script, struct err *err)
{
	CLEANUP_FREE char *path = mem_printf("%s/firmware/packages/%s", input->data, script);
	CLEANUP(str_free) struct str text = {0};

	if (fd_read_file(path, SCRIPT_MAX, &text, err) < 0)
		return -1;
	/* The text, not the path: it works wherever the sandbox can read. */
	strv_addf(argv, "%s=%s", option, text.data ? text.data : "");
	return 0;
}

static int add_script(struct strv *argv, const char *option, const struct bootstrap_input *input,
		      int script, struct err *err)
{
	return add_text(argv, option, input, bootstrap_scripts[script], err);
}

/* The script for base.image is run at this hook, too. */
static int add_image_script(struct strv *argv, const char *option,
			    const struct bootstrap_input *input, struct err *err)
{
	return input->image ? add_text(argv, option, input, bootstrap_image_script, err) : 0;
}

static int add_path_options(struct strv *argv, const struct bootstrap_input *input, struct err *err)
{
	CLEANUP_FREE char *path =
		mem_printf("%s/firmware/packages/%s", input->data, bootstrap_scripts[PATH_EXCLUDE]);
	CLEANUP(str_free) struct str text = {0};
	char *save = NULL;

	if (fd_read_file(path, SCRIPT_MAX, &text, err) < 0)
		return -1;
	for (char *line = strtok_r(text.data, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		if (line[0] == '+')
			strv_addf(argv, "--dpkgopt=path-include=%s", line + 1);
		else if (line[0] == '/')
			strv_addf(argv, "--dpkgopt=path-exclude=%s", line);
	}
	return 0;
}

static int add_hooks(struct strv *argv, const struct bootstrap_input *input, struct err *err)
{
	if (add_image_script(argv, "--setup-hook", input, err) < 0 ||
	    add_script(argv, "--setup-hook", input, SETUP, err) < 0)
		return -1;
	strv_addf(argv, "--setup-hook=sync-in %s " DEBS, input->debs);
	if (add_image_script(argv, "--extract-hook", input, err) < 0 ||
	    add_script(argv, "--extract-hook", input, RECORDS, err) < 0 ||
	    add_script(argv, "--essential-hook", input, ESSENTIAL, err) < 0 ||
	    add_image_script(argv, "--essential-hook", input, err) < 0)
		return -1;
	/* Before our own script cleans up. */
	strv_addf(argv, "--customize-hook=sync-out " DEBS " %s", input->new_debs);
	strv_addf(argv, "--customize-hook=%s", print_inrelease);
	if (add_script(argv, "--customize-hook", input, RECORDS, err) < 0 ||
	    add_image_script(argv, "--customize-hook", input, err) < 0)
		return -1;
	return add_script(argv, "--customize-hook", input, CUSTOMIZE, err);
}

/* Tells the hooks what is to be installed. */
static void add_names(struct strv *argv, const struct strv *names)
{
	CLEANUP(str_free) struct str text = {0};

	for (size_t i = 0; i < names->count; i++)
		str_addf(&text, "%s%s", i ? " " : "", names->items[i]);
	strv_addf(argv, "INGOT_PACKAGES=%s", text.data ? text.data : "");
}

int bootstrap_command(const struct bootstrap_input *input, const struct sandbox *box,
		      struct strv *argv, struct err *err)
{
	static const char *const options[] = {
		"--mode=root", /* of its namespace */
		"--format=tar",
		"--verbose",
		"--skip=download/empty", /* the downloads that were put there */
		"--skip=essential/unlink",
		"--skip=cleanup",    /* our own script has cleaned more by then */
		"--skip=output/dev", /* devtmpfs brings them */
		"--aptopt=APT::Install-Recommends \"false\"",
		"--aptopt=Acquire::Languages \"none\"",
		"--aptopt=Acquire::Retries \"3\"",
		"--dpkgopt=force-unsafe-io",
	};
	const struct profile *p = input->profile;
	CLEANUP(strv_free) struct strv names = {0};

	packages_requested(p, &names);
	sandbox_command(box, argv);
	strv_add(argv, "env");
	add_names(argv, &names);
	strv_addf(argv, "SOURCE_DATE_EPOCH=%lld", (long long)input->repositories->epoch);
	strv_addf(argv, "INGOT_VAR_FILESYSTEM=%s", p->disk.var.filesystem);
	strv_addf(argv, "INGOT_RECORDS=%s", input->records);
	if (input->image)
		strv_addf(argv, "INGOT_IMAGE=%s", input->image);
	strv_add(argv, input->program);
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		strv_add(argv, options[i]);
	strv_addf(argv, "--architectures=%s", p->base.architecture);
	if (p->base.keyring)
		strv_addf(argv, "--keyring=%s", p->base.keyring);
	/* A root that is there already gets its packages by our own script. */
	strv_addf(argv, "--variant=%s", input->image ? "custom" : "essential");
	for (size_t i = 0; i < names.count && !input->image; i++)
		strv_addf(argv, "--include=%s", names.items[i]);
	if (add_path_options(argv, input, err) < 0 || add_hooks(argv, input, err) < 0)
		return -1;
	strv_add(argv, p->base.release);
	strv_add(argv, "-");
	for (size_t i = 0; i < input->repositories->count; i++)
		strv_add(argv, input->repositories->items[i].line);
	return 0;
}

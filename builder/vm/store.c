/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disk, UEFI variables and console of a machine, nameless unless they are to be kept.
 */
#include "vm/store.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/size.h"
#include "vm/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define VARIABLES_MAX (16 * MIB)

/* Which state of which image a kept disk belongs to. */
static char *image_state(const char *image, struct err *err)
{
	CLEANUP_FREE char *real = realpath(image, NULL);
	struct stat st;

	if (!real || stat(real, &st) < 0) {
		err_sys(err, errno, "cannot open '%s'", image);
		return NULL;
	}
	return mem_printf("%s %llu %lld.%09ld\n", real, (unsigned long long)st.st_size,
			  (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
}

static int check_kept(const char *folder, const char *image, bool exists, struct err *err)
{
	CLEANUP_FREE char *path = path_join(folder, "image");
	CLEANUP_FREE char *state = image_state(image, err);
	CLEANUP(str_free) struct str before = {0};

	if (!state)
		return -1;
	if (!exists)
		return outfile_write(path, state, strlen(state), false, err);
	if (fd_read_file(path, 8192, &before, err) < 0)
		return -1;
	if (!before.data || strcmp(before.data, state) != 0) {
		err_set(err, ERR_USAGE, "the disk in '%s' belongs to another image or build",
			folder);
		return err_hint(err, "remove the folder, or name another one");
	}
	return 0;
}

static int make_disk(const struct vm_tools *tools, const struct vm_options *options,
		     const char *path, struct err *err)
{
	if (vm_disk_create(tools, &options->image, path, options->disk_size, err) < 0)
		return -1;
	return options->damage ? vm_disk_damage(path, options->damage, err) : 0;
}

static int copy_variables(const struct vm_tools *tools, int to, const char *name, struct err *err)
{
	CLEANUP(str_free) struct str bytes = {0};

	if (fd_read_file(tools->variables, VARIABLES_MAX, &bytes, err) < 0)
		return -1;
	return fd_write(to, bytes.data, bytes.len, name, err);
}

static int open_file(const char *path, int flags, int *ret_fd, struct err *err)
{
	*ret_fd = open(path, flags | O_CLOEXEC, 0644);
	return *ret_fd < 0 ? err_sys(err, errno, "cannot open '%s'", path) : 0;
}

static int open_kept(const struct vm_tools *tools, const struct vm_options *options,
		     struct vm_store *store, struct err *err)
{
	CLEANUP_FREE char *disk = path_join(options->keep, "disk.qcow2");
	CLEANUP_FREE char *variables = path_join(options->keep, "variables.fd");
	bool exists = access(disk, F_OK) == 0;
	struct stat st;

	if (path_make_dirs(options->keep, err) < 0 ||
	    check_kept(options->keep, options->image.path, exists, err) < 0 ||
	    (!exists && make_disk(tools, options, disk, err) < 0) ||
	    open_file(disk, O_RDWR, &store->disk, err) < 0 ||
	    open_file(variables, O_RDWR | O_CREAT, &store->variables, err) < 0)
		return -1;
	if (fstat(store->variables, &st) < 0)
		return err_sys(err, errno, "cannot read '%s'", variables);
	return st.st_size ? 0 : copy_variables(tools, store->variables, variables, err);
}

/* Everything in a temporary folder that is gone again when this returns. */
static int open_nameless(const struct vm_tools *tools, const struct vm_options *options,
			 struct vm_store *store, const char *folder, struct err *err)
{
	CLEANUP_FREE char *disk = path_join(folder, "disk.qcow2");
	CLEANUP_FREE char *variables = path_join(folder, "variables.fd");

	if (make_disk(tools, options, disk, err) < 0 ||
	    open_file(disk, O_RDWR, &store->disk, err) < 0 ||
	    open_file(variables, O_RDWR | O_CREAT | O_EXCL, &store->variables, err) < 0)
		return -1;
	return copy_variables(tools, store->variables, variables, err);
}

static int open_console(const struct vm_options *options, struct vm_store *store,
			const char *folder, struct err *err)
{
	CLEANUP_FREE char *path =
		options->console ? mem_strdup(options->console) : path_join(folder, "console.log");

	if (open_file(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, &store->console_writer, err) <
	    0)
		return -1;
	return open_file(path, O_RDONLY, &store->console, err);
}

int vm_store_open(const struct vm_tools *tools, const struct vm_options *options,
		  struct vm_store *store, struct err *err)
{
	const char *tmp = getenv("TMPDIR");
	CLEANUP_FREE char *folder = mem_printf("%s/ingot-vm.XXXXXX", tmp && *tmp ? tmp : "/tmp");
	int r;

	*store = VM_STORE_NONE;
	if (!mkdtemp(folder))
		return err_sys(err, errno, "cannot create '%s'", folder);
	r = options->keep ? open_kept(tools, options, store, err)
			  : open_nameless(tools, options, store, folder, err);
	if (r == 0 && !options->terminal)
		r = open_console(options, store, folder, err);
	if (path_remove_all(folder, r < 0 ? NULL : err) < 0)
		r = -1;
	if (r < 0)
		vm_store_close(store);
	return r;
}

void vm_store_close(struct vm_store *store)
{
	fd_close(&store->disk);
	fd_close(&store->variables);
	fd_close(&store->console);
	fd_close(&store->console_writer);
}

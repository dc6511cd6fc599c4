/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line of QEMU as a pure function: a q35 machine with UEFI and virtio devices, nothing by
 * default.
 */
#include "vm/machine.h"

#include "base/base64.h"
#include "base/mem.h"
#include "base/size.h"

#include <stdio.h>
#include <string.h>

/* An SMBIOS table of this form cannot be larger, and QEMU needs some room for its own strings. */
#define CREDENTIALS_MAX 49152

static int add_forward(const char *forward, struct str *net, struct err *err)
{
	unsigned host, guest;
	char protocol[4], rest;

	if (sscanf(forward, "%3[a-z]:%5u:%5u%c", protocol, &host, &guest, &rest) != 3 ||
	    (strcmp(protocol, "tcp") != 0 && strcmp(protocol, "udp") != 0) || host < 1 ||
	    host > 65535 || guest < 1 || guest > 65535)
		return err_set(err, ERR_USAGE,
			       "bad forward '%.60s', expected tcp:HOSTPORT:GUESTPORT or udp:...",
			       forward);
	/* Only for this machine: what an image offers is not meant for the network around us. */
	str_addf(net, ",hostfwd=%s:127.0.0.1:%u-:%u", protocol, host, guest);
	return 0;
}

static int add_network(const struct vm_options *options, struct strv *argv, struct err *err)
{
	CLEANUP(str_free) struct str net = {0};

	/* 10.0.2.0/24, QEMU's own choice, is what Docker gives to the second network of a swarm. */
	str_addf(&net, "user,id=net%s%s", options->link ? ",net=198.18.0.0/24" : "",
		 options->isolated ? ",restrict=on" : "");
	for (const char *const *f = options->forwards; f && *f; f++)
		if (add_forward(*f, &net, err) < 0)
			return -1;
	strv_add(argv, "-netdev");
	strv_add(argv, net.data);
	strv_add(argv, "-device");
	/* No option ROM: nobody boots from this network. */
	strv_addf(argv, "virtio-net-pci,netdev=net,romfile=%s%s", options->mac ? ",mac=" : "",
		  options->mac ? options->mac : "");
	if (options->link) {
		strv_add(argv, "-netdev");
		strv_addf(argv, "socket,id=link,fd=%d", options->link->fd);
		strv_add(argv, "-device");
		strv_addf(argv, "virtio-net-pci,netdev=link,romfile=,mac=%s", options->link->mac);
	}
	return 0;
}

static bool is_credential_name(const char *name)
{
	return *name && strlen(name) < 200 &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_@") ==
		       strlen(name);
}

static int add_credentials(const struct vm_credential *items, size_t count, size_t *total,
			   struct strv *argv, struct err *err)
{
	for (size_t i = 0; i < count; i++) {
		CLEANUP(str_free) struct str text = {0};

		if (!is_credential_name(items[i].name))
			return err_set(err, ERR_USAGE, "bad credential name '%.60s'",
				       items[i].name);
		str_addf(&text, "type=11,value=io.systemd.credential.binary:%s=", items[i].name);
		base64_add(items[i].value, strlen(items[i].value), &text);
		*total += text.len;
		if (*total > CREDENTIALS_MAX)
			return err_set(err, ERR_USAGE, "the credentials are too large together");
		strv_add(argv, "-smbios");
		strv_add(argv, text.data);
	}
	return 0;
}

static void add_basics(const struct vm_tools *tools, const struct vm_options *options,
		       struct strv *argv)
{
	uint64_t memory = options->memory ? options->memory : 2 * GIB;

	strv_add(argv, tools->qemu);
	strv_add(argv, "-nodefaults");
	strv_add(argv, "-no-user-config");
	strv_add(argv, "-display");
	strv_add(argv, "none");
	strv_add(argv, "-machine");
	strv_add(argv, "q35,pflash0=firmware,pflash1=variables");
	strv_add(argv, "-accel");
	strv_add(argv, options->kvm ? "kvm" : "tcg,thread=multi");
	strv_add(argv, "-cpu");
	strv_add(argv, vm_tools_cpu(tools, options->kvm));
	strv_add(argv, "-smp");
	strv_addf(argv, "%u", options->cpus ? options->cpus : 2);
	strv_add(argv, "-m");
	strv_addf(argv, "%llu", (unsigned long long)(memory / MIB));
	strv_add(argv, "-device");
	strv_add(argv, "virtio-rng-pci");
}

static void add_disks(const struct vm_tools *tools, const struct vm_files *files, struct strv *argv)
{
	strv_add(argv, "-blockdev");
	strv_addf(argv,
		  "driver=raw,node-name=firmware,read-only=on,file.driver=file,file.filename=%s",
		  tools->firmware);
	/* Open files that have no name any more cannot be left behind, whatever happens to us. */
	strv_add(argv, "-add-fd");
	strv_addf(argv, "fd=%d,set=1", files->variables);
	strv_add(argv, "-blockdev");
	strv_add(argv, "driver=raw,node-name=variables,file.driver=file,"
		       "file.filename=/dev/fdset/1");
	strv_add(argv, "-add-fd");
	strv_addf(argv, "fd=%d,set=2", files->disk);
	strv_add(argv, "-blockdev");
	/* no-flush: a power cut of the host may lose this disk. */
	strv_add(argv, "driver=qcow2,node-name=disk,discard=unmap,cache.no-flush=on,"
		       "file.driver=file,file.filename=/dev/fdset/2,file.discard=unmap,"
		       "file.cache.no-flush=on");
	strv_add(argv, "-device");
	strv_add(argv, "virtio-blk-pci,drive=disk,bootindex=0");
}

static void add_seed(int seed, struct strv *argv)
{
	if (seed <= 0)
		return;
	strv_add(argv, "-add-fd");
	strv_addf(argv, "fd=%d,set=4", seed);
	strv_add(argv, "-blockdev");
	strv_add(argv, "driver=raw,node-name=seed,read-only=on,file.driver=file,"
		       "file.filename=/dev/fdset/4");
	strv_add(argv, "-device");
	strv_add(argv, "virtio-blk-pci,drive=seed");
}

static void add_console(const struct vm_options *options, const struct vm_files *files,
			struct strv *argv)
{
	strv_add(argv, "-chardev");
	if (options->terminal) {
		strv_add(argv, "stdio,id=console,mux=on,signal=off");
		strv_add(argv, "-mon");
		strv_add(argv, "chardev=console,mode=readline");
	} else {
		strv_add(argv, "file,id=console,path=/dev/fdset/3");
		strv_add(argv, "-add-fd");
		strv_addf(argv, "fd=%d,set=3", files->console);
	}
	strv_add(argv, "-serial");
	strv_add(argv, "chardev:console");
}

int vm_machine_arguments(const struct vm_tools *tools, const struct vm_options *options,
			 const struct vm_files *files, struct strv *argv, struct err *err)
{
	size_t total = 0;

	add_basics(tools, options, argv);
	add_disks(tools, files, argv);
	add_seed(options->seed, argv);
	add_console(options, files, argv);
	strv_add(argv, "-chardev");
	strv_addf(argv, "socket,id=qmp,fd=%d", files->qmp);
	strv_add(argv, "-mon");
	strv_add(argv, "chardev=qmp,mode=control");
	if (add_network(options, argv, err) < 0 ||
	    add_credentials(options->credentials, options->credential_count, &total, argv, err) < 0)
		return -1;
	if (options->shell) {
		size_t count;
		const struct vm_credential *items = vm_guest_credentials(&count);

		strv_add(argv, "-chardev");
		strv_addf(argv, "socket,id=shell,fd=%d", files->shell);
		strv_add(argv, "-device");
		strv_add(argv, "virtio-serial-pci");
		strv_add(argv, "-device");
		strv_add(argv, "virtserialport,chardev=shell,name=ingot.test");
		return add_credentials(items, count, &total, argv, err);
	}
	return 0;
}

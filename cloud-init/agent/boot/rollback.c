/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `ingot-agent rollback`: what happens when the health check failed. A counted boot that is not healthy
 * is given back to the boot loader, which has another try or the other slot. A boot that was good before
 * stays up, broken as it may be: a reboot would not bring another image, and somebody can look at it.
 */
#include "agent/agent.h"
#include "agent/boot/platform.h"
#include "agent/report.h"
#include "agent/verbs.h"

#include "base/mem.h"
#include "base/proc.h"

#include <syslog.h>

/* Entries start with "+3". One with no tries left is booted again only if all others are bad, too; the
 * boot loader goes on counting then (+0-4). */
#define BOOT_TRIES 3

int verb_rollback(const struct verb_options *options, struct err *err)
{
	static const char *const reboot[] = {"systemctl", "reboot", NULL};
	const struct proc proc = {.argv = reboot};
	CLEANUP(agent_close) struct agent agent;
	struct err image_err = {0};
	struct platform_boot boot;
	struct report report = {0};

	/* An image that cannot even say what it is should be left, too. */
	if (agent_open(&agent, options->root, &image_err) < 0)
		report_log(&report, LOG_ERR, "ROLLBACK", &image_err, "the image is damaged");
	if (platform_boot(&agent, &boot, err) < 0)
		return err_wrap(err, "cannot tell whether this boot is counted");
	if (!boot.counted) {
		report_log(&report, LOG_WARNING, "ROLLBACK", NULL,
			   "not healthy, but this image was marked good before: staying up");
		return 0;
	}
	if (boot.left == 0 && boot.done > BOOT_TRIES) {
		report_log(&report, LOG_ERR, "ROLLBACK", NULL,
			   "not healthy, and there is no other image ('%s'): staying up",
			   boot.entry);
		return 0;
	}
	report_log(&report, LOG_ERR, "ROLLBACK", NULL,
		   "not healthy: rebooting, '%s' has %u tries left", boot.entry, boot.left);
	proc_fix_path();
	return proc_run(&proc, err);
}

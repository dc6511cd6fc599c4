/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checks that every image has to pass. A new check is a new row; the commands may use what the base
 * profile brings.
 */
#include "vm/checks.h"

#include "base/json.h"

#include <string.h>

/* Not boot-complete.target: only a boot on trial pulls that in. Whether such a boot becomes good is for the
 * check of the marks. */
const char vm_check_boot_complete[] =
	"until systemctl is-active -q ingot-health.service; do\n"
	"    if systemctl is-failed -q ingot-health.service; then\n"
	"        systemctl status --no-pager -l ingot-health.service; exit 1\n"
	"    fi\n"
	"    sleep 0.5\n"
	"done\n"
	/* "degraded" is for the check of failed units. */
	"systemctl is-system-running --wait || true\n";

/* The keys are on /var, wherever sshd is told to look for them. */
const char vm_check_identity[] =
	"echo \"machine-id $(cat /etc/machine-id)\"\n"
	"if [ -x /usr/sbin/sshd ]; then\n"
	"    for key in $(/usr/sbin/sshd -T 2>/dev/null | sed -n 's/^hostkey //p'); do\n"
	"        [ -s $key.pub ] && echo \"$(basename $key) $(cut -d' ' -f2 $key.pub)\"\n"
	"    done\n"
	"fi\n"
	"if [ -s /var/lib/docker/swarm/docker-state.json ]; then\n"
	"    docker info --format 'swarm-node {{.Swarm.NodeID}}'\n"
	"    docker info --format 'swarm-cluster {{if .Swarm.Cluster}}{{.Swarm.Cluster.ID}}{{end}}'\n"
	"fi\n"
	"true\n";

const struct vm_check vm_checks[] = {
	{.name = "root is mounted read-only",
	 .run = "findmnt -no OPTIONS / | tr , '\\n' | grep -qx ro || { findmnt /; exit 1; }\n"
		"for d in / /usr /opt /root; do\n"
		"    ! touch $d/.ingot-test 2>/dev/null || { echo \"$d is writable\"; exit 1; }\n"
		"done",
	 .again = true},
	{.name = "root is verified against the hash on the command line",
	 .run = "hash=$(tr ' ' '\\n' </proc/cmdline | sed -n 's/^roothash=//p')\n"
		"[ ${#hash} = 64 ] || { echo \"root hash '$hash'\"; exit 1; }\n"
		"disk=$(basename \"$(readlink -f \"$(findmnt -nvo SOURCE /)\")\")\n"
		"name=$(cat /sys/block/$disk/dm/name) || exit 1\n"
		"veritysetup status $name && veritysetup status $name | grep -q 'verified$' &&\n"
		"    dmsetup table $name | grep -wi $hash && [ \"$(cat /sys/block/$disk/ro)\" = 1 ]",
	 .again = true},
	{.name = "/etc holds only what may change",
	 .run = "mode=$(cat /usr/lib/ingot/etc-mode 2>/dev/null)\n"
		"[ \"$mode\" != persistent ] || { echo 'kept by the profile'; exit 0; }\n"
		"cd /run/ingot-initrd/etc/upper || exit 1\n"
		"persist=$(sed 's,^/*,,;s,/*$,,;/^#/d;/^$/d' /usr/lib/ingot/etc-persist 2>/dev/null)\n"
		"found=$(find . ! -type d -printf '%P\\n' | grep -vxF \"machine-id\n$persist\")\n"
		"[ -z \"$found\" ] || { echo \"changed: $found\"; exit 1; }",
	 .again = true},
	{.name = "second slot is there and empty",
	 .run = "lsblk -rno PARTLABEL,SIZE\n"
		"[ \"$(lsblk -rno PARTLABEL | grep -cx _empty)\" = 2 ]"},
	{.name = "var is a file system of its own that fills the disk",
	 .run = "part=$(basename \"$(readlink -f \"$(findmnt -no SOURCE /var)\")\")\n"
		"disk=$(lsblk -no PKNAME /dev/$part) && [ -n \"$disk\" ] || exit 1\n"
		"cd /sys/block/$disk || exit 1\n"
		"free=$(($(cat size) - $(cat $part/start) - $(cat $part/size)))\n"
		"echo \"$part on $disk, $free sectors behind it\"; [ $free -lt 65536 ]"},
	{.name = "no unit failed",
	 .run = "failed=$(systemctl --failed --plain --no-legend)\n"
		"[ -z \"$failed\" ] || { echo \"$failed\"; exit 1; }",
	 .again = true},
	{.name = "services of the profile run",
	 .run = "units=$(sed 's/.*\"services\":\\[\\([^]]*\\)\\].*/\\1/;t;d' "
		"/usr/lib/ingot/image.json | tr -d '\"' | tr , ' ')\n"
		"for unit in $units; do\n"
		"    systemctl is-active -q $unit || { systemctl status --no-pager $unit; exit 1; }\n"
		"done; echo $units",
	 .again = true,
	 .wait = 30},
	{.name = "firewall drops what no rule allows",
	 .run = "grep -q '\"firewall\":false' /usr/lib/ingot/image.json && { echo 'off'; exit 0; }\n"
		"nft list ruleset | grep 'type filter hook input' | grep 'policy drop'",
	 .again = true},
	{.name = "machine-id is a new one",
	 .run = "grep -Ex '[0-9a-f]{32}' /etc/machine-id && ! grep -q '^0*$' /etc/machine-id"},
	{.name = "SSH host keys are there and private",
	 .run = "[ -x /usr/sbin/sshd ] || { echo 'no sshd in this image'; exit 0; }\n"
		"n=0; for key in $(/usr/sbin/sshd -T | sed -n 's/^hostkey //p'); do\n"
		"    [ -s $key ] || continue\n"
		"    [ \"$(stat -c %a:%u $key)\" = 600:0 ] || { ls -l $key; exit 1; }; n=$((n + 1))\n"
		"done; echo \"$n keys\"; [ $n -gt 0 ]",
	 .wait = 60},
	{.name = "boot is marked good",
	 .run = "ls /efi/EFI/Linux || exit 1\n"
		"[ -n \"$(ls /efi/EFI/Linux/*.efi)\" ] && ! ls /efi/EFI/Linux | grep -q '+'",
	 .again = true,
	 .wait = 60},
	{.name = "agent says that the role is healthy",
	 .run = "ingot-agent status --json",
	 .judge = vm_check_healthy,
	 .again = true,
	 .wait = 60},
	{.name = "engines have the preloaded containers",
	 .run = "list=/usr/share/ingot/containers/images.json\n"
		"[ -e $list ] || { echo 'none in this image'; exit 0; }\n"
		"text=$(tr -d ' \\n' <$list)\n"
		"names=$(echo \"$text\" | sed 's/\"names\":\\[/\\n&/g' |\n"
		"    sed -n 's/^\"names\":\\[\"\\([^]]*\\)\".*/\\1/p' | tr -d '\"' | tr , ' ')\n"
		"[ -n \"$names\" ] || echo 'none has a name'\n"
		"for name in $names; do\n"
		"    case $text in *'\"docker\":{'*)\n"
		"        docker image inspect -f \"docker: $name {{.Id}}\" $name || exit 1 ;; esac\n"
		"    case $text in *'\"containerd\":{'*)\n"
		"        ctr -n k8s.io images ls -q | grep -x $name || exit 1 ;; esac\n"
		"done",
	 .again = true,
	 .wait = 60},
	{.name = "machine is an active member of a swarm",
	 .run = "ingot-agent status --json",
	 .judge = vm_check_swarm,
	 .swarm = true,
	 .again = true,
	 .wait = 120},
	{0},
};

static json_t *parse_status(const char *output, struct str *why)
{
	struct err err = {0};
	json_t *status = json_parse(output, strlen(output), "status", &err);

	if (!status)
		str_addf(why, "%s\n%s", err.msg, output);
	return status;
}

bool vm_check_healthy(const char *output, struct str *why)
{
	CLEANUP_JSON json_t *status = parse_status(output, why);
	const json_t *health = json_object_get(status, "health");
	const char *now = json_member_string(health, "now");
	const json_t *last = json_object_get(health, "last_check");

	if (!status)
		return false;
	if (now && strcmp(now, "ok") == 0 && json_is_true(json_object_get(last, "healthy")))
		return true;
	str_addf(why, "health is '%s', not 'ok', or it was not when the boot ended\n%s",
		 now ? now : "unknown", output);
	return false;
}

bool vm_check_swarm(const char *output, struct str *why)
{
	CLEANUP_JSON json_t *status = parse_status(output, why);
	const json_t *engine = json_object_get(status, "engine");
	const json_t *join = json_object_get(status, "join");
	const char *swarm = json_member_string(engine, "swarm");
	const char *node = json_member_string(engine, "node_id");
	const char *joined = json_member_string(join, "node_id");

	if (!status)
		return false;
	if (swarm && strcmp(swarm, "active") == 0 && node && joined && strcmp(node, joined) == 0 &&
	    json_is_true(json_object_get(join, "joined")))
		return true;
	str_addf(why, "engine says '%s', node '%s'; the agent noted node '%s'\n%s",
		 swarm ? swarm : "unknown", node ? node : "none", joined ? joined : "none", output);
	return false;
}

/* Finds the value of "NAME value" in a text of such lines; its length in *ret_len. */
static const char *fact(const char *text, const char *name, size_t name_len, size_t *ret_len)
{
	for (const char *line = text; *line;) {
		size_t len = strcspn(line, "\n");

		if (len > name_len && strncmp(line, name, name_len) == 0 && line[name_len] == ' ') {
			*ret_len = len - name_len - 1;
			return line + name_len + 1;
		}
		line += len + (line[len] == '\n');
	}
	return NULL;
}

bool vm_check_identities(const char *a, const char *b, bool same, struct str *why)
{
	size_t count = 0;

	for (const char *line = a; *line;) {
		size_t len = strcspn(line, "\n"), name = strcspn(line, " \n"), other_len = 0;
		size_t own = name < len ? len - name - 1 : 0;
		const char *other = fact(b, line, name, &other_len);

		if (own == 0) {
			str_addf(why, "no value for '%.*s'", (int)len, line);
			return false;
		}
		if (!other) {
			str_addf(why, "'%.*s' is missing in:\n%s", (int)name, line, b);
			return false;
		}
		if ((own == other_len && strncmp(line + name + 1, other, own) == 0) != same) {
			str_addf(why, "'%.*s' is %s: '%.*s' and '%.*s'", (int)name, line,
				 same ? "not the same" : "the same", (int)own, line + name + 1,
				 (int)other_len, other);
			return false;
		}
		count++;
		line += len + (line[len] == '\n');
	}
	if (count == 0)
		str_add(why, "nothing to compare");
	return count > 0;
}

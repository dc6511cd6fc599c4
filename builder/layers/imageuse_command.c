/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command lines of container engines: which word is the image. A new command, or an option that
 * takes a value, is a word in a table here.
 */
#include "layers/imageuse_parts.h"

#include "base/mem.h"
#include "base/path.h"

#include <string.h>

/* Options of "run" and "create" of all engines that follow docker's (docker 26, podman 5, nerdctl 2). */
#define RUN_VALUED                                                                                 \
	"--add-host --annotation --arch --attach --authfile --blkio-weight --blkio-weight-device " \
	"--cap-add --cap-drop --cert-dir --cgroup-conf --cgroup-parent --cgroupns --cgroups "      \
	"--chrootdirs --cidfile --conmon-pidfile --cosign-key --cpu-count --cpu-percent "          \
	"--cpu-period --cpu-quota --cpu-rt-period --cpu-rt-runtime --cpu-shares --cpus "           \
	"--cpuset-cpus --cpuset-mems --creds --decryption-key --detach-keys --device "             \
	"--device-cgroup-rule --device-read-bps --device-read-iops --device-write-bps "            \
	"--device-write-iops --dns --dns-opt --dns-option --dns-search --domainname --entrypoint " \
	"--env --env-file --env-merge --expose --gidmap --gpus --group-add --group-entry "         \
	"--health-cmd --health-interval --health-log-destination --health-max-log-count "          \
	"--health-max-log-size --health-on-failure --health-retries --health-start-interval "      \
	"--health-start-period --health-startup-cmd --health-startup-interval "                    \
	"--health-startup-retries --health-startup-success --health-startup-timeout "              \
	"--health-timeout --hooks-dir --hostname --hostuser --image-volume --init-ctr "            \
	"--init-path --intel-rdt-closid --io-maxbandwidth --io-maxiops --ip --ip6 --ipc "          \
	"--ipfs-address --isolation --kernel-memory --label --label-file --link "                  \
	"--link-local-ip --log-driver --log-opt --mac-address --memory --memory-reservation "      \
	"--memory-swap --memory-swappiness --mount --name --net --net-alias --network "            \
	"--network-alias --oom-score-adj --os --passwd-entry --personality --pid --pidfile "       \
	"--pids-limit --platform --pod --pod-id-file --preserve-fd --preserve-fds --publish "      \
	"--pull --rdt-class --requires --restart --retry --retry-delay --runtime --sdnotify "      \
	"--seccomp-policy --secret --security-opt --shm-size --shm-size-systemd --stop-signal "    \
	"--stop-timeout --storage-opt --subgidname --subuidname --sysctl --systemd --timeout "     \
	"--tmpfs --tz --uidmap --ulimit --umask --unsetenv --user --userns --uts --variant "       \
	"--verify --volume --volume-driver --volumes-from --workdir "                              \
	"-a -c -e -h -l -m -p -u -v -w "
#define RUN_FLAGS                                                                               \
	"--detach --disable-content-trust --env-host --help --http-proxy --init --interactive " \
	"--no-healthcheck --no-hostname --no-hosts --oom-kill-disable --passwd --privileged "   \
	"--publish-all --quiet --read-only --read-only-tmpfs --replace --rm --rmi --sig-proxy " \
	"--tls-verify --tty --unsetenv-all --use-api-socket -P -d -i -q -t "
#define SERVICE_VALUED                                                                          \
	"--cap-add --cap-drop --config --constraint --container-label --credential-spec --dns " \
	"--dns-option --dns-search --endpoint-mode --entrypoint --env --env-file "              \
	"--generic-resource --group --health-cmd --health-interval --health-retries "           \
	"--health-start-interval --health-start-period --health-timeout --host --hostname "     \
	"--isolation --label --limit-cpu --limit-memory --limit-pids --log-driver --log-opt "   \
	"--max-concurrent --mode --mount --name --network --oom-score-adj --placement-pref "    \
	"--publish --replicas --replicas-max-per-node --reserve-cpu --reserve-memory "          \
	"--restart-condition --restart-delay --restart-max-attempts --restart-window "          \
	"--rollback-delay --rollback-failure-action --rollback-max-failure-ratio "              \
	"--rollback-monitor --rollback-order --rollback-parallelism --secret "                  \
	"--stop-grace-period --stop-signal --sysctl --ulimit --update-delay "                   \
	"--update-failure-action --update-max-failure-ratio --update-monitor --update-order "   \
	"--update-parallelism --user --workdir -e -l -p -u -w "
#define SERVICE_FLAGS                                                                    \
	"--detach --init --no-healthcheck --no-resolve-image --quiet --read-only --tty " \
	"--with-registry-auth -d -q -t "
#define CTR_VALUED                                                                               \
	"--annotation --apparmor-default-profile --apparmor-profile --blockio-class "            \
	"--blockio-config-file --cap-add --cap-drop --cgroup --config --cpu-period --cpu-quota " \
	"--cpu-shares --cpus --cpuset-cpus --cpuset-mems --cwd --device --env --env-file "       \
	"--fifo-dir --gidmap --gpus --hostname --label --log-uri --memory-limit --mount "        \
	"--pid-file --platform --rdt-class --rootfs-propagation --runc-binary --runc-root "      \
	"--runtime --runtime-config-path --sandbox --seccomp-profile --snapshotter "             \
	"--snapshotter-label --uidmap --user --with-ns -c -u "
#define CTR_FLAGS                                                                                  \
	"--allow-new-privs --cni --detach --net-host --no-pivot --null-io --privileged "           \
	"--privileged-without-host-devices --read-only --remap-labels --rm --runc-systemd-cgroup " \
	"--seccomp --tty -d -t "
#define COMPOSE_VALUED                                                                  \
	"--ansi --env-file --file --parallel --profile --progress --project-directory " \
	"--project-name --podman-path -f -p "
#define COMPOSE_FLAGS "--all-resources --compatibility --dry-run --no-ansi --verbose --version -v "
#define STACK_VALUED "--compose-file --namespace --orchestrator --resolve-image -c "
#define STACK_FLAGS "--detach --prune --quiet --with-registry-auth -d -q "
#define PLAY_VALUED                                                                             \
	"--annotation --authfile --build-context --cert-dir --configmap --context-dir --creds " \
	"--ip --log-driver --log-opt --mac-address --network --publish --seccomp-profile-root " \
	"--service-container --userns "
#define PLAY_FLAGS                                                                           \
	"--build --down --force --no-hosts --no-pod-prefix --publish-all --quiet --replace " \
	"--start --tls-verify --wait -q -w "

static const struct program {
	const char *name;
	const char *engine;         /* of struct imageuse */
	const char *valued, *flags; /* options before the command */
} programs[] = {
	{"docker", "docker",
	 "--config --context --host --log-level --tlscacert --tlscert --tlskey -H -c -l ",
	 "--debug --tls --tlsverify -D "},
	{"podman", "podman",
	 "--cgroup-manager --cdi-spec-dir --conmon --connection --events-backend --hooks-dir "
	 "--identity --imagestore --log-level --module --namespace --network-cmd-path "
	 "--network-config-dir --out --root --runroot --runtime --runtime-flag --ssh --storage-driver "
	 "--storage-opt --tmpdir --url --volumepath -c ",
	 "--noout --remote --syslog --transient-store -r "},
	{"nerdctl", "containerd",
	 "--address --cgroup-manager --cni-netconfpath --cni-path --data-root --host --host-gateway-ip "
	 "--hosts-dir --namespace --snapshotter --storage-driver --userns-remap -H -a -n ",
	 "--debug --debug-full --experimental --insecure-registry "},
	{"ctr", "containerd", "--address --connect-timeout --namespace --timeout -a -n ",
	 "--debug "},
	{"docker-compose", "docker", COMPOSE_VALUED, COMPOSE_FLAGS},
	{"podman-compose", "podman", COMPOSE_VALUED, COMPOSE_FLAGS},
};

enum what { IMAGE, COMPOSE, STACK, KUBE };

static const struct command {
	const char *program; /* NULL: docker and those that follow it */
	const char *words;
	enum what what;
	const char *valued, *flags;
} commands[] = {
	{NULL, "run", IMAGE, RUN_VALUED, RUN_FLAGS},
	{NULL, "create", IMAGE, RUN_VALUED, RUN_FLAGS},
	{NULL, "container run", IMAGE, RUN_VALUED, RUN_FLAGS},
	{NULL, "container create", IMAGE, RUN_VALUED, RUN_FLAGS},
	{NULL, "compose", COMPOSE, COMPOSE_VALUED, COMPOSE_FLAGS},
	{"docker", "service create", IMAGE, SERVICE_VALUED, SERVICE_FLAGS},
	{"docker", "stack deploy", STACK, STACK_VALUED, STACK_FLAGS},
	{"docker", "stack up", STACK, STACK_VALUED, STACK_FLAGS},
	{"podman", "play kube", KUBE, PLAY_VALUED, PLAY_FLAGS},
	{"podman", "kube play", KUBE, PLAY_VALUED, PLAY_FLAGS},
	{"ctr", "run", IMAGE, CTR_VALUED, CTR_FLAGS},
	{"ctr", "containers create", IMAGE, CTR_VALUED, CTR_FLAGS},
	{"ctr", "container create", IMAGE, CTR_VALUED, CTR_FLAGS},
	{"ctr", "c create", IMAGE, CTR_VALUED, CTR_FLAGS},
	{"docker-compose", "", COMPOSE, "", ""},
	{"podman-compose", "", COMPOSE, "", ""},
};

/* Words of one command, and how far they are read. */
struct line {
	struct imageuse_finder *f;
	const struct imageuse_site *site;
	char **words;
	size_t count, at;
	struct strv files;     /* Compose files that options name */
	const char *directory; /* --project-directory, or NULL */
	bool rootfs;           /* podman's --rootfs: the word is a folder */
};

static bool is_listed(const char *list, const char *word, size_t len)
{
	for (const char *p = list; (p = strstr(p, word)); p += len)
		if ((p == list || p[-1] == ' ') && p[len] == ' ')
			return true;
	return false;
}

static bool listed(const char *list, const char *word, size_t len)
{
	CLEANUP_FREE char *one = mem_strndup(word, len);

	return len && is_listed(list, one, len);
}

static void take_value(struct line *l, const char *option, size_t len, const char *value)
{
	if (!value)
		return;
	if (listed("--file -f --compose-file -c ", option, len))
		strv_add(&l->files, value);
	else if (listed("--project-directory ", option, len))
		l->directory = value;
}

/* "-itd" or "-p80:80": each letter an option, the first that takes a value takes the rest. */
static bool skip_letters(struct line *l, const char *valued, const char *flags)
{
	const char *word = l->words[l->at++];

	for (size_t i = 1; word[i]; i++) {
		char option[3] = {'-', word[i], '\0'};

		if (is_listed(valued, option, 2)) {
			const char *rest = word + i + 1 + (word[i + 1] == '=');

			if (word[i + 1])
				take_value(l, option, 2, rest);
			else if (l->at < l->count)
				take_value(l, option, 2, l->words[l->at++]);
			return true;
		}
		if (word[i] == '=')
			return true;
		if (!is_listed(flags, option, 2))
			return false;
	}
	return true;
}

/* Goes behind the options; returns the one that the tables do not have, or NULL. */
static const char *skip_options(struct line *l, const char *valued, const char *flags)
{
	while (l->at < l->count && l->words[l->at][0] == '-' && l->words[l->at][1]) {
		const char *word = l->words[l->at], *equals = strchr(word, '=');
		size_t len = equals ? (size_t)(equals - word) : strlen(word);

		if (strcmp(word, "--") == 0) {
			l->at++;
			return NULL;
		}
		if (word[1] != '-') {
			if (!skip_letters(l, valued, flags))
				return word;
			continue;
		}
		l->at++;
		l->rootfs |= strcmp(word, "--rootfs") == 0;
		if (equals) {
			take_value(l, word, len, equals + 1);
		} else if (listed(valued, word, len)) {
			if (l->at < l->count)
				take_value(l, word, len, l->words[l->at++]);
		} else if (!listed(flags, word, len) && strcmp(word, "--rootfs") != 0) {
			return word;
		}
	}
	return NULL;
}

/* How many words of the line are this command, or 0. */
static size_t match(const struct line *l, const char *words)
{
	size_t n = 0;

	while (*words) {
		size_t len = strcspn(words, " ");

		if (l->at + n >= l->count || strlen(l->words[l->at + n]) != len ||
		    strncmp(l->words[l->at + n], words, len) != 0)
			return 0;
		words += len + (words[len] == ' ');
		n++;
	}
	return n;
}

static const struct command *find_command(struct line *l, const struct program *program)
{
	bool ctr = strcmp(program->name, "ctr") == 0;
	bool compose = str_has_suffix(program->name, "-compose");

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		const struct command *c = &commands[i];
		size_t n;

		if (c->program ? strcmp(c->program, program->name) != 0 : ctr || compose)
			continue;
		n = match(l, c->words);
		if (n || !*c->words) {
			l->at += n;
			return c;
		}
	}
	return NULL;
}

/* A path of the command line in the image, or NULL when it is relative to nobody knows what. */
static char *full_path(const char *folder, const char *path)
{
	if (path[0] == '/')
		return mem_strdup(path);
	return folder ? path_join(folder, str_has_prefix(path, "./") ? path + 2 : path) : NULL;
}

static void add_file(struct line *l, const char *path, enum imageuse_kind kind)
{
	CLEANUP_FREE char *full = full_path(l->site->folder, path);

	/* "-": what comes through a pipe is no file. */
	if (strcmp(path, "-") == 0)
		return;
	if (full && !strpbrk(full, "$%"))
		imageuse_yaml(l->f, full, kind, l->site, l->site->engine);
	else
		imageuse_add_unknown(l->f, l->site, "it is not known where '%s' is", path);
}

/* Without -f Compose looks for its file in the project's folder. */
static void add_default_compose(struct line *l)
{
	static const char *const names[] = {"compose.yaml", "compose.yml", "docker-compose.yaml",
					    "docker-compose.yml"};
	const char *folder = l->directory ? l->directory : l->site->folder;
	CLEANUP_FREE char *full = folder ? full_path(l->site->folder, folder) : NULL;

	for (size_t i = 0; full && i < ARRAY_SIZE(names); i++) {
		CLEANUP_FREE char *path = path_join(full, names[i]);

		if (!tree_resolve(l->f->tree, path))
			continue;
		add_file(l, path, IMAGEUSE_COMPOSE);
		return;
	}
	imageuse_add_unknown(l->f, l->site, "no Compose file is named, and none is in '%s'",
			     full ? full : "the folder it starts in");
}

static void take_command(struct line *l, const struct command *c)
{
	const char *unknown = skip_options(l, c->valued, c->flags);

	if (unknown) {
		imageuse_add_unknown(l->f, l->site, "option '%s' of '%s' is not known", unknown,
				     c->words);
		return;
	}
	switch (c->what) {
	case IMAGE:
		if (l->at < l->count && !l->rootfs)
			imageuse_add(l->f, l->site, l->words[l->at]);
		break;
	case KUBE:
		if (l->at < l->count)
			add_file(l, l->words[l->at], IMAGEUSE_KUBE);
		break;
	case COMPOSE:
	case STACK:
		for (size_t i = 0; i < l->files.count; i++)
			add_file(l, l->files.items[i],
				 c->what == STACK ? IMAGEUSE_STACK : IMAGEUSE_COMPOSE);
		if (!l->files.count && c->what == COMPOSE)
			add_default_compose(l);
		break;
	}
}

static const struct program *find_program(const char *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(programs); i++)
		if (strcmp(path_base(word), programs[i].name) == 0)
			return &programs[i];
	return NULL;
}

/* "docker service update --image IMAGE SERVICE". */
static bool take_update(struct line *l)
{
	if (!match(l, "service update"))
		return false;
	for (size_t i = l->at; i < l->count; i++) {
		if (str_has_prefix(l->words[i], "--image="))
			imageuse_add(l->f, l->site, l->words[i] + strlen("--image="));
		else if (strcmp(l->words[i], "--image") == 0 && i + 1 < l->count)
			imageuse_add(l->f, l->site, l->words[i + 1]);
	}
	return true;
}

static void take_program(struct imageuse_finder *f, const struct imageuse_site *site,
			 const struct program *program, char **words, size_t count)
{
	struct imageuse_site here = *site;
	struct line l = {.f = f, .site = &here, .words = words, .count = count, .at = 1};
	const struct command *command;
	const char *unknown = skip_options(&l, program->valued, program->flags);

	here.engine = program->engine;
	if (!str_has_suffix(program->name, "-compose"))
		strv_free(&l.files); /* -c is docker's context here */
	if (unknown)
		imageuse_add_unknown(f, &here, "option '%s' of %s is not known", unknown,
				     program->name);
	else if (!take_update(&l) && (command = find_command(&l, program)))
		take_command(&l, command);
	strv_free(&l.files);
}

static void take_script(struct imageuse_finder *f, const struct imageuse_site *site,
			const char *script, int depth);

/* The script of "sh -c SCRIPT", also "-ec" or "-e -c"; NULL for none. */
static const char *shell_script(char **words, size_t count)
{
	static const char *const shells[] = {"sh", "bash", "dash", "ash", "busybox"};
	bool shell = false;

	for (size_t i = 0; i < ARRAY_SIZE(shells); i++)
		shell |= strcmp(path_base(words[0]), shells[i]) == 0;
	for (size_t i = 1; shell && i + 1 < count; i++)
		if (words[i][0] == '-' && words[i][1] != '-' && strchr(words[i], 'c'))
			return words[i + 1];
	return NULL;
}

/* Programs and words of shells that start what follows them. */
static bool starts_others(const char *word)
{
	static const char *const names[] = {
		"env",         "exec",    "nice",  "ionice", "timeout", "sudo",    "systemd-run",
		"systemd-cat", "chrt",    "flock", "nohup",  "setsid",  "setpriv", "time",
		"if",          "then",    "else",  "do",     "while",   "until",   "!",
		"{",           "command", "xargs", "runuser"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(path_base(word), names[i]) == 0)
			return true;
	return false;
}

static void take_words(struct imageuse_finder *f, const struct imageuse_site *site, char **words,
		       size_t count, int depth)
{
	bool started = true;

	for (size_t i = 0; i < count && started; i++) {
		const struct program *program = find_program(words[i]);
		const char *script = shell_script(words + i, count - i);

		if (program) {
			take_program(f, site, program, words + i, count - i);
			return;
		}
		if (script) {
			if (depth < IMAGEUSE_COMMAND_DEPTH)
				take_script(f, site, script, depth + 1);
			return;
		}
		/* Behind one of these its options and their values come first. */
		started = i > 0 || starts_others(words[i]) || strchr(words[i], '=');
	}
}

static void take_commands(struct imageuse_finder *f, const struct imageuse_site *site,
			  const struct strv *words, int depth)
{
	size_t from = 0;

	for (size_t i = 0; i <= words->count; i++) {
		if (i < words->count && strcmp(words->items[i], "\n") != 0)
			continue;
		if (i > from)
			take_words(f, site, words->items + from, i - from, depth);
		from = i + 1;
	}
}

static void take_script(struct imageuse_finder *f, const struct imageuse_site *site,
			const char *script, int depth)
{
	CLEANUP(strv_free) struct strv words = {0};

	imageuse_words(script, true, site->variables, &words);
	take_commands(f, site, &words, depth);
}

void imageuse_command(struct imageuse_finder *f, const struct imageuse_site *site,
		      const char *command)
{
	CLEANUP(strv_free) struct strv words = {0};

	imageuse_words(command + strspn(command, "@-:+!|"), false, site->variables, &words);
	take_commands(f, site, &words, 0);
}

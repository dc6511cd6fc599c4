#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# ingot boot and ingot test from the command line, with a fake QEMU and an image of a few megabytes: what
# they print, their exit codes, and that nothing is left behind. tests/boot/ runs real images.
. "${0%/*}/../lib.sh"
requires jq python3 qemu-img qemu-io sfdisk prove

mkdir bin image cache tmp none
ln -s "$top/tests/fake/qemu" bin/qemu-system-x86_64
for tool in qemu-img qemu-io; do ln -s "$(command -v $tool)" none/; done
export PATH=$tmp/bin:$PATH TMPDIR=$tmp/tmp INGOT_CACHE=$tmp/cache
sum() { sha256sum image/x.raw; }
orphans() { pgrep -f "fake/qemu.*$tmp" || true; }

truncate -s 8M image/x.raw
printf 'label: gpt\nsize=1MiB, type=%s\nsize=2MiB, type=%s\n' C12A7328-F81F-11D2-BA4B-00A0C93EC93B \
    4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709 | sfdisk -q image/x.raw
printf 'hsqs' | dd of=image/x.raw bs=1 seek=$((2 * 1048576)) conv=notrunc status=none
cat >image/manifest.json <<'E2'
{"name": "x", "join": {"kind": "none"}, "artifacts": [{"file": "x.raw", "format": "raw"}],
 "tests": [{"name": "own # test", "run": "exit 0", "expect": "leaving", "timeout": 5},
           {"name": "plain", "run": "true"}]}
E2
before=$(sum)

# The time in the superblock, which the last machine of the test finds changed.
export FAKE_VERIFIES=$((2 * 1048576 + 8))
run_ok 'a good image passes' "$INGOT" test --kvm off --only o image/x.raw
is "$(head -n 1 <<<"$out")" 'TAP version 13' 'the version of TAP comes first'
like "$out" '^1\.\.[0-9]+$' 'with a plan'
like "$out" '^ok [0-9]+ - profile: own   test$' 'the tests of the profile run, their names are no directives'
like "$out" '^ok [0-9]+ - second machine: ' 'a second machine is booted'
unlike "$out" 'swarm' 'a role that joins nothing is not asked for a swarm'
is "$(sum)" "$before" 'the image stays as it is'
is "$(ls tmp)" '' 'no temporary file is left'

export FAKE_GUEST=writable
run_status 8 'a bad image fails with exit code 8' "$INGOT" test --kvm off --quick image/x.raw
like "$out" '^not ok [0-9]+ - root is mounted read-only$' 'the bad check is named'
like "$err" '^#   / is writable$' 'why is on standard error'
like "$err" '^ingot: 1 of [0-9]+ checks of .x\.raw. failed$' 'one message at the end'
log=$(sed -n 's/^# console log: //p' <<<"$err")
like "$(cat "$log")" 'Linux version' 'the console log is kept'
# shellcheck disable=SC2016
run_status 1 'prove agrees' prove -e 'bash -c' \
    "'$INGOT' test --kvm off --quick --only read-only image/x.raw"
like "$out" 'Failed 1/1 subtests' 'prove counts one failure'
run_status 8 '--json' "$INGOT" --json test --kvm off --quick --only read-only image/x.raw
is "$(jq -r 'select(.event == "test") | "\(.name) \(.passed)"' <<<"$out")" 'root is mounted read-only false' \
    'tests are events'
run_status 8 '--keep-log' "$INGOT" test --kvm off --quick --only read-only --keep-log logs image/x.raw
exists logs/console-boot.log 'the log is where it should be'
unset FAKE_GUEST
run_ok '--keep-log of a good one' "$INGOT" test --kvm off --quick --keep-log logs2 image/x.raw
exists logs2/console-boot.log 'the log is kept too'
run_status 2 '--only without a match' "$INGOT" test --kvm off --quick --only 'no such check' image/x.raw
like "$err" "no check has 'no such check' in its name" 'says so'
rm -rf tmp/*

run_ok 'boot --run' "$INGOT" boot --kvm off --headless --console console.log --run 'exit 0' --run true image/x.raw
is "$out" 'leaving' 'output of the commands is on standard output'
like "$err" '^x\.raw: shell after [0-9.]+ s$' 'times are told'
like "$err" '^x\.raw: healthy after [0-9.]+ s$' 'times of each state'
like "$err" '^x\.raw: off after [0-9.]+ s$' 'it is switched off'
like "$(cat console.log)" 'Linux version' 'the console is in its file'
run_status 8 'a command fails' "$INGOT" boot --kvm off --headless --run 'exit 3' --run true image/x.raw
like "$err" '1 of 2 commands failed' 'says so'
run_status 1 'the guest dies' "$INGOT" boot --kvm off --headless --run die image/x.raw
like "$err" 'Kernel panic - not syncing: test' 'the end of the console is in the message'
run_ok 'boot --json' "$INGOT" --json boot --kvm off --headless --run latin-1 image/x.raw
is "$(jq -r 'select(.event == "command") | "\(.command) \(.exit) \(.output)"' <<<"$out")" 'latin-1 0 na?ve' \
    'commands are events, whatever they print'
is "$(jq -r 'select(.event == "machine") | .state' <<<"$out" | tr '\n' ' ')" 'on shell healthy off ' \
    'states are events'
run_ok 'boot --keep' "$INGOT" boot --kvm off --headless --keep kept --run true image/x.raw
exists kept/disk.qcow2 'the disk is kept'
is "$(sum)" "$before" 'the image stays as it is'

# A machine without --run goes on until it is ended; then its QEMU is gone too.
for signal in INT TERM KILL; do
    "$INGOT" boot --kvm off --headless --console "$tmp/console.$signal" image/x.raw 2>err.$signal &
    pid=$!
    wait_for 20 test -s "console.$signal" || bail "no machine for SIG$signal"
    qemu=$(pgrep -P $pid)
    # A background job of a shell ignores SIGINT, but ingot sets its own handlers.
    kill -$signal $pid
    wait $pid 2>/dev/null || true
    if wait_for 10 bash -c "! kill -0 $qemu 2>/dev/null"; then
        ok "no QEMU is left after SIG$signal"
    else
        not_ok "no QEMU is left after SIG$signal" "$(ps -fp "$qemu")"
    fi
    is "$(ls tmp)" '' "no temporary file is left after SIG$signal"
done

# Formats that QEMU reads too; the last machine finds the byte wrong, so it reads the same disk.
run_ok 'more formats' "$INGOT" -q convert image/x.raw --format qcow2,vhd,vmdk,gcp --output more
for format in qcow2 vhd vmdk; do
    run_ok "$format is tested" "$INGOT" test --kvm off more/x.$format
    like "$out" '^ok [0-9]+ - .*flipped bit' "the bit flips in $format too"
done
run_status 2 'an image that QEMU does not read' "$INGOT" boot --kvm off --headless --run true more/x.gcp.tar.gz
like "$err" 'QEMU reads no images of format gcp' 'says so'
like "$err" 'ingot convert --format qcow2' 'and what helps'
rm -rf more

run_status 2 'bad --kvm' "$INGOT" boot --kvm maybe image/x.raw
like "$err" "expected auto, on or off" 'says what is expected'
run_status 2 'bad --forward' "$INGOT" boot --kvm off --headless --forward 22:22 --run true image/x.raw
like "$err" "bad forward '22:22', expected tcp:HOSTPORT:GUESTPORT" 'says what is expected'
run_status 2 'bad --disk' "$INGOT" boot --kvm off --disk 4X image/x.raw
run_status 2 'disk smaller than the image' "$INGOT" boot --kvm off --headless --disk 4M image/x.raw
run_status 2 'bad --memory' "$INGOT" boot --kvm off -m 1 image/x.raw
run_status 2 '--run without --headless' "$INGOT" boot --run true image/x.raw
run_status 2 'no operand' "$INGOT" boot
printf 'x' >image/small.raw
run_status 5 'no disk' "$INGOT" boot --kvm off --headless --run true image/small.raw
truncate -s 8M image/empty.raw
run_status 5 'no root to damage' "$INGOT" test --kvm off image/empty.raw
is "$(orphans)" '' 'no machine runs any more'

# The real QEMU with its console on a terminal: firmware speaks, Ctrl-A X ends it.
cat >terminal.py <<'E2'
import os, pty, select, sys, termios, time
pid, master = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
seen, sent, raw, until = b'', False, False, time.time() + 100
while time.time() < until:
    if select.select([master], [], [], 1)[0]:
        try:
            seen += os.read(master, 65536)
        except OSError:
            break
    if not sent and b'BdsDxe: ' in seen:
        raw = not termios.tcgetattr(master)[3] & termios.ICANON
        os.write(master, b'\x01x')
        sent = True
else:
    os.kill(pid, 9)
    sys.exit('timeout: %r' % seen[-500:])
status = os.waitpid(pid, 0)[1]
print('spoke', sent, 'raw', raw, 'status', status)
E2
rm bin/qemu-system-x86_64
run_ok 'boot on a terminal' python3 terminal.py "$INGOT" boot --kvm off -m 256 image/empty.raw
is "$out" 'spoke True raw True status 0' 'the firmware is on the terminal, Ctrl-A X ends it'

run_status 6 'no QEMU' env PATH="$tmp/none" "$INGOT" boot --kvm off image/x.raw
like "$err" "^ingot: cannot find 'qemu-system-x86_64'$" 'says what is missing'
like "$err" '^hint: install the package qemu-system-x86' 'says what to install'

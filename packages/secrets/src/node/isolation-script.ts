/**
 * Runs as the first process of a task's own namespaces, before any privilege is dropped. All input comes as positional
 * arguments or through fixed names in the environment: nothing that a user wrote is ever part of a script.
 *
 * Arguments: the mount program, the task's directory, where the task is to see it, the working directory, the number of hidden
 * directories, these, and then the command that drops privileges and starts the task.
 *
 * The descriptor keeps the task's own directory in reach while the place where it lies is hidden. The shell stays as process 1: it
 * reaps orphans, lets the task have the default reactions to signals, and its end takes every process of the task with it.
 */
export const SETUP_SCRIPT = `set -eu
mount=$1 place=$3 cwd=$4 hidden=$5
exec 3<"$2" 4<&0
shift 5
PATH=/usr/sbin:/usr/bin:/sbin:/bin
while [ "$hidden" -gt 0 ]; do
  "$mount" -n -t tmpfs -o size=64k,mode=0755,nosuid,nodev,noexec tmpfs "$1"
  shift
  hidden=$((hidden - 1))
done
mkdir -p "$place"
"$mount" -n --no-canonicalize --bind /proc/self/fd/3 "$place"
"$mount" -n -o remount,bind,ro,nosuid,nodev,noexec "$place"
exec 3<&-
cd "$cwd"
trap : HUP INT QUIT TERM USR1 USR2
"$@" <&4 4<&- &
task=$!
exec 4<&- </dev/null
while :; do
  status=0
  wait "$task" || status=$?
  kill -0 "$task" 2>/dev/null || exit "$status"
done`

/** Prefix of the names under which the task's environment travels through the privileged steps. */
export const CARRIER = 'LEASTWISE_CARRIED_'

/**
 * What runs as the task's user, without any privilege: only here does the task's environment take effect, so that no variable of a
 * task (a loader path, a shell's start file) can reach the steps before. It needs no variable of its own, which one of the task's could
 * overwrite.
 *
 * @param count - How many variables travel; the only thing that the script depends on.
 */
export function launchScript(count: number): string {
  const steps = Array.from({ length: count }, (_, at) => `export "$${CARRIER}${at}"; unset ${CARRIER}${at}`)
  return ['unset PATH PWD OLDPWD', ...steps, 'exec "$@"'].join('\n')
}

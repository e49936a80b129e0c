import { spawnSync } from 'node:child_process'
import { readdirSync, rmSync } from 'node:fs'
import { program } from './needs.ts'

/** One network namespace with an address of its own on a private segment. */
export interface Namespace {
  readonly name: string
  /** Its IPv4 address on the segment. */
  readonly address: string
  /** The command that runs `argv` inside; it does not fork, so the child's pid is that of `argv`. */
  readonly enter: (argv: readonly string[]) => readonly [string, ...string[]]
}

/** A few namespaces on one bridge, cut off from the machine's own network. */
export interface Segment<Names extends string> extends Disposable {
  readonly at: (name: Names) => Namespace
}

const PREFIX = 'leastwise'
const NETNS_DIR = '/run/netns'

function ip(...args: readonly string[]): void {
  const done = spawnSync(program('ip'), args, { encoding: 'utf8' })
  if (done.status !== 0) throw new Error(`ip ${args.join(' ')}: ${done.stderr.trim()}`)
}

/** Whether a process with this pid is there, whoever owns it. */
export const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

const namespaces = (): readonly string[] => {
  try {
    return readdirSync(NETNS_DIR).filter((name) => name.startsWith(`${PREFIX}-`))
  } catch {
    return []
  }
}

/** What a killed run left: its namespaces carry its pid. */
function sweep(): void {
  for (const name of namespaces()) {
    if (isAlive(Number(name.split('-')[1]))) continue
    spawnSync(program('ip'), ['netns', 'del', name])
    rmSync(`${NETNS_DIR}/${name}`, { force: true })
  }
}

let segments = 0

/** Namespaces of this process that are still there; empty once every segment is disposed. */
export const ownNamespaces = (): readonly string[] =>
  namespaces().filter((name) => name.startsWith(`${PREFIX}-${process.pid}-`))

/** Makes the namespaces, links them, and gives them the addresses 10.213.N.1, .2, … in the order of their names. */
export function createSegment<Names extends string>(names: readonly Names[]): Segment<Names> {
  sweep()
  segments += 1
  const net = (process.pid + segments) % 250
  const prefix = `${PREFIX}-${process.pid}-${segments}`
  const hub = `${prefix}-hub`
  const made: string[] = []
  const remove = (): void => {
    for (const name of made.reverse()) spawnSync(program('ip'), ['netns', 'del', name])
  }
  const add = (name: string): void => {
    ip('netns', 'add', name)
    made.push(name)
    ip('-n', name, 'link', 'set', 'lo', 'up')
  }
  const all = new Map<string, Namespace>()
  try {
    add(hub)
    ip('-n', hub, 'link', 'add', 'bridge0', 'type', 'bridge')
    ip('-n', hub, 'link', 'set', 'bridge0', 'up')
    for (const [at, name] of names.entries()) {
      const full = `${prefix}-${name}`
      const address = `10.213.${net}.${at + 1}`
      add(full)
      ip('-n', hub, 'link', 'add', `port${at}`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', full)
      ip('-n', hub, 'link', 'set', `port${at}`, 'master', 'bridge0', 'up')
      ip('-n', full, 'address', 'add', `${address}/24`, 'dev', 'eth0')
      ip('-n', full, 'link', 'set', 'eth0', 'up')
      // `ip netns exec` would mount /sys anew and hide the control groups that an engine needs.
      const enter = (argv: readonly string[]): readonly [string, ...string[]] => [
        program('nsenter'),
        `--net=${NETNS_DIR}/${full}`,
        ...argv,
      ]
      all.set(name, { name: full, address, enter })
    }
  } catch (error) {
    remove()
    throw error
  }
  return {
    at: (name) => all.get(name)!,
    [Symbol.dispose]: remove,
  }
}

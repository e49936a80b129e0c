import { spawnSync } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { describe } from 'vitest'

/** Programs that a test of a real peer asks for, and the Debian package each one comes from. */
const PACKAGES = {
  cfssl: 'golang-cfssl',
  docker: 'docker.io',
  dockerd: 'docker.io',
  etcd: 'etcd-server',
  etcdctl: 'etcd-client',
  ip: 'iproute2',
  nsenter: 'util-linux',
  openssl: 'openssl',
  setpriv: 'util-linux',
  'softhsm2-util': 'softhsm2',
  strace: 'strace',
} as const

export type Program = keyof typeof PACKAGES
export type Need = Program | 'root'

const isExecutable = (path: string): boolean => {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

const found = new Map<Program, string | null>()

/**
 * Where the Debian package put the program. The PATH is not asked: another build of the same name may come first there,
 * and these tests are about the stock one.
 */
export function programPath(name: Program): string | null {
  const known = found.get(name)
  if (known !== undefined) return known
  const listed = spawnSync('dpkg', ['-L', PACKAGES[name]], { encoding: 'utf8' })
  const lines = listed.error === undefined ? listed.stdout.split('\n') : []
  const path = lines.find((line) => /\/s?bin\//.test(line) && line.endsWith(`/${name}`) && isExecutable(line)) ?? null
  found.set(name, path)
  return path
}

/** The path of a program that the suite has already asked for with {@link needs}. */
export function program(name: Program): string {
  const path = programPath(name)
  if (path === null) throw new Error(`${name} is missing: install the Debian package ${PACKAGES[name]}`)
  return path
}

function lack(need: Need): string | null {
  if (need === 'root') return process.getuid?.() === 0 ? null : 'not running as root'
  return programPath(need) === null ? `no ${need} (Debian package ${PACKAGES[need]})` : null
}

/** Why a suite with these needs cannot run here, or null when it can. */
export function needs(...all: readonly Need[]): string | null {
  const lacks = all.map(lack).filter((reason) => reason !== null)
  return lacks.length === 0 ? null : lacks.join(', ')
}

/** A suite that runs where its peers are, and otherwise says in its title why it did not: the run's last lines list these. */
export function describePeer(title: string, reason: string | null, body: () => void): void {
  describe.skipIf(reason !== null)(reason === null ? title : `${title} [${reason}]`, body)
}

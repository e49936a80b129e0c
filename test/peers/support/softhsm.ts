import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { needs, program } from './needs.ts'

const LIBRARY = '/usr/lib/softhsm/libsofthsm2.so'

/** Why SoftHSM cannot be used here, or null when it can. */
export function lacksSoftHsm(): string | null {
  const lack = needs('softhsm2-util', 'openssl')
  if (lack !== null) return lack
  try {
    createRequire(import.meta.url)('node-webcrypto-p11')
    return null
  } catch {
    return 'no addon: npm rebuild pkcs11js --ignore-scripts=false'
  }
}

/** A SoftHSM with tokens of its own, and nothing of the machine's. */
export interface SoftHsm {
  readonly library: string
  readonly config: string
  readonly directory: string
  readonly addToken: (label: string, pin: string) => void
  readonly deleteToken: (label: string) => void
}

/** Sets SoftHSM up in a fresh directory, for this process: it reads its configuration when the library is first used. */
export function softHsm(): SoftHsm & Disposable {
  const directory = mkdtempSync(join(tmpdir(), 'leastwise-softhsm-'))
  const config = join(directory, 'softhsm2.conf')
  mkdirSync(join(directory, 'tokens'))
  writeFileSync(config, `directories.tokendir = ${join(directory, 'tokens')}\nlog.level = ERROR\n`)
  process.env['SOFTHSM2_CONF'] = config
  const util = (...args: readonly string[]): void => {
    const { status, stderr } = spawnSync(program('softhsm2-util'), args, { encoding: 'utf8' })
    if (status !== 0) throw new Error(`softhsm2-util ended with ${status}: ${stderr}`)
  }
  return {
    library: LIBRARY,
    config,
    directory,
    addToken: (label, pin) => {
      util('--init-token', '--free', '--label', label, '--pin', pin, '--so-pin', '87654321')
    },
    deleteToken: (label) => {
      util('--delete-token', '--token', label)
    },
    [Symbol.dispose]: () => {
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

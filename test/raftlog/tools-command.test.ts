import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { anyOf, clearWrapper, type KeyWrapper, splitUnlockKey, unlockKeyWrapper } from '@leastwise/raftlog'
import { createLog, fileKeyStore, openLog, passphraseWrapper, systemRandom } from '@leastwise/raftlog/node'
import { beforeEach, describe, expect, it } from 'vitest'
import { type LogExitCode, runLogCommand } from '../../packages/raftlog/src/node/tools/log-command.ts'
import { tempDir } from '../support/temp-dir.ts'
import { utf8 } from './log-support.ts'
import { flipped, frameOffsets } from './tools-support.ts'

const BIN = resolve(import.meta.dirname, '../../packages/raftlog/bin/log.js')
const BUILT = resolve(import.meta.dirname, '../../packages/raftlog/dist/node/tools/log-command.js')
const FIRST = `${'1'.padStart(20, '0')}.log`
const MARK = 'MARKED-CONTENT'
const KEY = Uint8Array.from({ length: 32 }, (_, at) => 0x30 + at)
const KEY_TEXT = `SWMKEY-1-${Buffer.from(KEY).toString('base64').replace(/=+$/, '')}`
const PASSPHRASE = 'correct horse battery staple'

let home: string
const at = (name: string): string => join(home, name)

async function make(wrapper: KeyWrapper): Promise<void> {
  const place = { directory: at('log'), clusterId: 'c', logId: 'n', keys: fileKeyStore(at('keys')), wrapper }
  const log = await createLog({ ...place, segmentBytes: 300 })
  for (let index = 1; index <= 6; index += 1) await log.append([utf8(`${MARK}-${index}\u001b[2J`)])
  await log.close()
}

function secret(name: string, text: string): string {
  writeFileSync(at(name), text, { mode: 0o600 })
  return at(name)
}

async function run(
  args: readonly string[],
  input = '',
): Promise<{ readonly code: LogExitCode; readonly out: string; readonly err: string }> {
  let [out, err] = ['', '']
  const world = {
    out: (text: string) => {
      out += text
    },
    err: (text: string) => {
      err += text
    },
    input: async () => utf8(input),
  }
  const code = await runLogCommand(args, world, { signal: new AbortController().signal })
  // Whatever it does, it prints no part of what unlocks.
  for (const hidden of [KEY_TEXT.slice(9), PASSPHRASE]) expect(`${out}${err}`).not.toContain(hidden)
  return { code, out, err }
}

const damage = (name: string): void => {
  const bytes = new Uint8Array(readFileSync(join(at('log'), name)))
  writeFileSync(join(at('log'), name), flipped(bytes, frameOffsets(bytes)[1]! + 42))
}

beforeEach(() => {
  home = tempDir()
})

describe('leastwise-log inspect', () => {
  it('lists without any key', async () => {
    await make(unlockKeyWrapper(KEY, systemRandom))
    const blind = await run(['inspect', at('log')])
    expect(blind).toMatchObject({ code: 0, err: '' })
    expect(blind.out).toContain(`${FIRST}: segment, `)
    expect(blind.out).toContain('as claimed')
    expect(blind.out).not.toContain('entry 1')
    const { out } = await run(['inspect', at('log'), '--keys', at('keys')])
    expect(out).toMatch(/^key ring: wrapped by unlock-[0-9a-f]{16}: current [0-9a-f]{32} \(72 bytes wrapped\)\n/)
  })

  it('redacts content, or shows it in a form that commands no terminal', async () => {
    await make(clearWrapper)
    const args = ['inspect', at('log'), '--keys', at('keys')]
    const { out } = await run(args)
    expect(out).toContain(`    entry 1, term 1, ${MARK.length + 6} bytes\n`)
    expect(out).not.toContain(MARK)
    const shown = await run([...args, '--show-content'])
    expect(shown.out).toContain(`: "${MARK}-1\\u001b[2J"\n`)
    expect(shown.out).not.toContain('\u001b')
  })

  it('prints one object a line with --json', async () => {
    await make(clearWrapper)
    const { out } = await run(['inspect', at('log'), '--keys', at('keys'), '--json', '--show-content'])
    const items = out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { type: string; index?: string; content?: string })
    expect(items.find(({ type }) => type === 'entry')).toMatchObject({
      index: '1',
      content: Buffer.from(`${MARK}-1\u001b[2J`).toString('base64'),
    })
  })

  it('says 1 where something is damaged', async () => {
    await make(clearWrapper)
    damage(FIRST)
    const { code, out } = await run(['inspect', at('log'), '--keys', at('keys')])
    expect(code).toBe(1)
    expect(out).toMatch(/DAMAGED, \d+ bytes, RECORD_NOT_AUTHENTIC/)
  })
})

describe('leastwise-log verify', () => {
  it.each([
    [
      'an unlock key',
      () => unlockKeyWrapper(KEY, systemRandom),
      () => ['--unlock-key-file', secret('key', `${KEY_TEXT}\n`)],
    ],
    [
      'shares',
      () => unlockKeyWrapper(KEY, systemRandom),
      () => [
        '--unlock-key-file',
        secret('shares', splitUnlockKey(KEY, { k: 2, n: 3, random: systemRandom }).slice(1).join('\n')),
      ],
    ],
    ['a passphrase', () => passphraseWrapper(PASSPHRASE), () => ['--passphrase-file', secret('phrase', PASSPHRASE)]],
  ])('opens with %s', async (_, wrapper, options) => {
    await make(wrapper())
    const { code, out } = await run(['verify', at('log'), '--keys', at('keys'), ...options()])
    expect({ code, out }).toEqual({
      code: 0,
      out: 'whole: cluster c, log n, 2 files, 7 frames, 6 entries, indices 1 to 6\n',
    })
  })

  it('takes the key from what is piped in', async () => {
    await make(unlockKeyWrapper(KEY, systemRandom))
    const args = ['verify', at('log'), '--keys', at('keys'), '--unlock-key-file', '-']
    expect((await run(args, `${KEY_TEXT}\n`)).code).toBe(0)
    expect(await run(args, 'nothing')).toMatchObject({ code: 2, out: '' })
    // Cut short, or all that a command printed with it: that is no share.
    for (const given of [KEY_TEXT.slice(0, 30), `${KEY_TEXT}\n\nkeep it safe`])
      expect((await run(args, given)).err).toContain('KEYS_WRONG: unlock key is damaged')
  })

  it('says 1 and where, when something is damaged', async () => {
    await make(clearWrapper)
    damage(FIRST)
    const { code, out } = await run(['verify', at('log'), '--keys', at('keys'), '--json'])
    expect(code).toBe(1)
    expect(JSON.parse(out)).toMatchObject({
      verdict: 'damaged',
      findings: [{ file: FIRST, code: 'RECORD_NOT_AUTHENTIC' }],
    })
  })

  it('needs the log to be of the cluster that is named', async () => {
    await make(clearWrapper)
    const { code, out } = await run(['verify', at('log'), '--keys', at('keys'), '--cluster', 'other', '--log', 'n'])
    expect(code).toBe(1)
    expect(out).toContain('LOG_FOREIGN')
  })

  it('is refused while the log is open, unless told that nothing else uses it', async () => {
    await make(clearWrapper)
    const args = ['verify', at('log'), '--keys', at('keys')]
    const place = { directory: at('log'), clusterId: 'c', logId: 'n', keys: fileKeyStore(at('keys')) }
    const log = await openLog({ ...place, wrapper: clearWrapper })
    expect(await run(args)).toMatchObject({ code: 2, err: expect.stringContaining('LOG_BUSY') as string })
    expect((await run([...args, '--no-lock'])).code).toBe(0)
    await log.close()
  })

  it('does not take a secret that others can read, nor a wrong one', async () => {
    await make(unlockKeyWrapper(KEY, systemRandom))
    const path = secret('key', KEY_TEXT)
    const args = ['verify', at('log'), '--keys', at('keys'), '--unlock-key-file', path]
    chmodSync(path, 0o644)
    expect((await run(args)).err).toContain('DIRECTORY_UNSAFE')
    chmodSync(path, 0o600)
    writeFileSync(path, `SWMKEY-1-${'A'.repeat(43)}`)
    expect((await run(args)).err).toContain('KEYS_WRONG')
    writeFileSync(path, 'x'.repeat(10_000))
    expect((await run(args)).err).toContain('KEYS_WRONG')
    expect((await run(['verify', at('log'), '--keys', at('keys')])).err).toContain('KEYS_LOCKED')
    expect((await run([...args.slice(0, -1), at('nowhere')])).err).toContain('KEYS_WRONG')
  })

  it('says that the ring is another one, and takes neither an option twice nor what is no id', async () => {
    await make(clearWrapper)
    const keys = fileKeyStore(at('other'))
    await (await createLog({ directory: at('log-2'), clusterId: 'c', logId: 'n', keys, wrapper: clearWrapper })).close()
    const other = await run(['verify', at('log'), '--keys', at('other')])
    expect(other).toMatchObject({ code: 1, err: '' })
    expect(other.out).toContain('RECORD_UNKNOWN_KEY')
    expect(other.out).not.toContain('LOG_FOREIGN')
    const args = ['verify', at('log'), '--keys', at('keys')]
    expect(await run([...args, '--keys', at('other')])).toMatchObject({ code: 2, out: '' })
    expect(await run([...args, '--json', '--json'])).toMatchObject({ code: 2, out: '' })
    expect(await run([...args, '--cluster', 'two words'])).toMatchObject({ code: 2, out: '' })
  })

  it('opens with one of several keepers', async () => {
    await make(anyOf([unlockKeyWrapper(systemRandom.bytes(32), systemRandom), unlockKeyWrapper(KEY, systemRandom)]))
    const path = secret('key', KEY_TEXT)
    expect(await run(['verify', at('log'), '--keys', at('keys'), '--unlock-key-file', path])).toMatchObject({ code: 0 })
    writeFileSync(path, `SWMKEY-1-${'A'.repeat(43)}`)
    expect((await run(['verify', at('log'), '--keys', at('keys'), '--unlock-key-file', path])).err).toContain(
      'KEYS_WRONG',
    )
  })
})

describe('leastwise-log repair', () => {
  it('says what it kept, what it salvaged and what is lost', async () => {
    await make(clearWrapper)
    damage(FIRST)
    const args = ['repair', at('log'), '--keys', at('keys'), '--out', at('new'), '--salvage', at('rest')]
    const { code, out } = await run(args)
    expect(code).toBe(1)
    expect(out).toContain('log: indices 1 to 1\n')
    expect(out).toContain('lost: indices from 2 to 2\n')
    const [file] = readdirSync(at('rest'))
    expect(out).toContain(`in ${file}\n`)
    expect((await run(['verify', at('new'), '--keys', at('keys')])).code).toBe(0)
    const rest = await run(['inspect', at('rest'), '--keys', at('keys'), '--show-content'])
    expect(rest.out).toContain(`${MARK}-3`)
    expect((await run(args)).err).toContain('LOG_EXISTS')
  })

  it('writes neither into the damaged log nor the salvage into the new one, by whatever path', async () => {
    await make(clearWrapper)
    const before = readdirSync(at('log'))
    symlinkSync(at('log'), at('link'))
    const asked = (out: string, salvage: string) =>
      run(['repair', at('log'), '--keys', at('keys'), '--out', at(out), '--salvage', at(salvage)])
    for (const [out, salvage] of [
      ['log/new', 'rest'],
      ['new', 'log/rest'],
      ['link/new', 'rest'],
      ['new', 'link'],
      ['new', 'new/rest'],
      ['rest/new', 'rest'],
    ] as const) {
      const { code, err } = await asked(out, salvage)
      expect([code, err], `${out} ${salvage}`).toEqual([2, expect.stringContaining('three directories')])
    }
    expect(readdirSync(at('log'))).toEqual(before)
    expect(readdirSync(home).sort()).toEqual(['keys', 'link', 'log'])
  })

  it('says 0 where nothing is lost', async () => {
    await make(clearWrapper)
    const args = ['repair', at('log'), '--keys', at('keys'), '--out', at('new'), '--salvage', at('rest'), '--json']
    const { code, out } = await run(args)
    expect(code).toBe(0)
    expect(JSON.parse(out)).toMatchObject({ log: { firstIndex: '1', lastIndex: '6' }, salvaged: [], lost: [] })
    expect(existsSync(at('rest'))).toBe(false)
  })
})

describe('leastwise-log used wrongly', () => {
  it.each([
    [[]],
    [['inspect']],
    [['toString', 'x']],
    [['verify', 'x']],
    [['repair', 'x', '--keys', 'y']],
    [['inspect', 'x', '--wrong', KEY_TEXT]],
    [['inspect', 'x', KEY_TEXT]],
    [['verify', 'x', '--keys', 'y', '--unlock-key-file', 'a', '--passphrase-file', 'b']],
  ])('%j says 2 and repeats nothing', async (args) => {
    const { code, out, err } = await run(args)
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err).toMatch(/^leastwise-log: .*; see --help\n$/)
  })

  it('prints its usage', async () => {
    const { code, out } = await run(['--help'])
    expect(code).toBe(0)
    expect(out).toContain('usage: leastwise-log inspect DIR')
  })

  it('says 2 for a directory that is not there', async () => {
    expect(await run(['inspect', at('absent')])).toMatchObject({ code: 2, out: '' })
  })
})

it.skipIf(!existsSync(BUILT))('leastwise-log runs as a process, with the key piped in', async () => {
  await make(unlockKeyWrapper(KEY, systemRandom))
  const args = ['verify', at('log'), '--keys', at('keys'), '--unlock-key-file', '-']
  const done = spawnSync(process.execPath, [BIN, ...args], { encoding: 'utf8', input: KEY_TEXT })
  expect(done).toMatchObject({ status: 0, stderr: '' })
  expect(done.stdout).toContain('whole: cluster c, log n')
})

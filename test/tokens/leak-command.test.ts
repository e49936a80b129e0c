import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type LeakExitCode, runLeakCommand } from '../../packages/tokens/src/node/leak-command.ts'
import { listStaged, scanStaged } from '../../packages/tokens/src/node/leak-staged.ts'
import { tempDir } from '../support/temp-dir.ts'
import { MARKED_KEY, MARKED_TOKEN, MARKS } from './leak-support.ts'

const BIN = resolve(import.meta.dirname, '../../packages/tokens/bin/scan-leaks.js')
const hasGit = spawnSync('git', ['--version']).status === 0
const isRoot = process.getuid?.() === 0
const HINT = '(trust digest 5891b5b5…)'
const signal = new AbortController().signal

interface Ran {
  readonly status: number | null
  readonly out: string
  readonly err: string
}

/** Nobody's configuration and no hook that these tests themselves run in. */
const PLAIN_ENV: NodeJS.ProcessEnv = {
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('GIT_'))),
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_CEILING_DIRECTORIES: tmpdir(),
}

/** The command as a process. Whatever it does, it prints no part of a marked secret. */
function run(
  cwd: string,
  args: readonly string[],
  options: { readonly uid?: number; readonly env?: NodeJS.ProcessEnv } = {},
): Ran {
  const done = spawnSync(process.execPath, [BIN, ...args], { cwd, encoding: 'utf8', env: PLAIN_ENV, ...options })
  expect(MARKS.filter((mark) => `${done.stdout}${done.stderr}`.includes(mark))).toEqual([])
  return { status: done.status, out: done.stdout, err: done.stderr }
}

function git(cwd: string, ...args: readonly string[]): Ran {
  const who = ['-c', 'user.name=x', '-c', 'user.email=x@example.org', '-c', 'commit.gpgsign=false']
  const done = spawnSync('git', [...who, ...args], { cwd, encoding: 'utf8', env: PLAIN_ENV })
  return { status: done.status, out: done.stdout, err: done.stderr }
}

function repository(): string {
  const dir = tempDir()
  expect(git(dir, 'init', '--quiet').status).toBe(0)
  return dir
}

async function inProcess(args: readonly string[]): Promise<{ code: LeakExitCode; out: string; err: string }> {
  let [out, err] = ['', '']
  const output = {
    out: (text: string) => {
      out += text
    },
    err: (text: string) => {
      err += text
    },
  }
  return { code: await runLeakCommand(args, output, { signal }), out, err }
}

describe('leastwise-scan-leaks', () => {
  it('is silent and says 0 when there is nothing', () => {
    const dir = tempDir()
    writeFileSync(join(dir, 'file'), 'SWMTKN-1-placeholder')
    expect(run(dir, ['.'])).toEqual({ status: 0, out: '', err: '' })
  })

  it('says where and what, and 1', () => {
    const dir = tempDir()
    writeFileSync(join(dir, 'a b.txt'), `\n  "${MARKED_TOKEN}"\n${MARKED_KEY}`)
    expect(run(dir, ['a b.txt'])).toEqual({
      status: 1,
      out: `a b.txt:2:4: join-token ${HINT}\na b.txt:3:1: unlock-key\n`,
      err: 'leastwise-scan-leaks: 2 found; take them out, and rotate each that anybody else may have seen\n',
    })
  })

  it('prints one object a line with --json', () => {
    const dir = tempDir()
    writeFileSync(join(dir, 'file'), `${MARKED_TOKEN}\n${MARKED_KEY}`)
    const { status, out } = run(dir, ['--json', 'file', 'absent'])
    expect(status).toBe(1)
    const place = { type: 'leak', path: 'file', place: 'content' }
    expect(
      out
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as unknown),
    ).toEqual([
      { ...place, kind: 'join-token', line: 1, column: 1, offset: 0, length: 85, digestPrefix: '5891b5b5' },
      { ...place, kind: 'unlock-key', line: 2, column: 1, offset: 86, length: 52, digestPrefix: null },
      { type: 'unread', path: 'absent', reason: 'absent' },
    ])
  })

  it('says 2 when something could not be read and nothing was found, 1 when something was', async () => {
    const dir = tempDir()
    writeFileSync(join(dir, 'file'), MARKED_KEY)
    symlinkSync('file', join(dir, 'link'))
    const absent = join(dir, 'absent')
    expect(await inProcess([absent])).toEqual({
      code: 2,
      out: '',
      err: `leastwise-scan-leaks: ${absent}: is not there\n`,
    })
    expect((await inProcess([join(dir, 'link')])).code).toBe(2)
    expect((await inProcess([absent, dir])).code).toBe(1)
  })

  it('says 2 for a file that its user may not read', () => {
    const dir = tempDir()
    writeFileSync(join(dir, 'file'), MARKED_KEY)
    chmodSync(join(dir, 'file'), 0)
    chmodSync(dir, 0o755)
    const { status, err } = run(dir, ['file'], isRoot ? { uid: 65_534 } : {})
    expect({ status, err }).toEqual({
      status: 2,
      err: 'leastwise-scan-leaks: file: cannot be read: give this user access\n',
    })
  })

  it.each([
    ['no arguments', []],
    ['an unknown option', ['--what', 'x']],
    ['an option that is a token', [`--token=${MARKED_TOKEN}`]],
    ['a value for a flag', [`--json=${MARKED_TOKEN}`, 'x']],
    ['only --json', ['--json']],
  ])('says 2 for %s, and repeats none of it', async (_what, args) => {
    const { code, out, err } = await inProcess(args)
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err).toMatch(/see --help\n$/)
    expect(MARKS.filter((mark) => err.includes(mark))).toEqual([])
  })

  it('explains itself', async () => {
    const { code, out } = await inProcess(['--help'])
    expect(code).toBe(0)
    for (const word of ['PATH...', '--staged', '--json', 'Exit code']) expect(out).toContain(word)
  })

  it('prints no secret that is in a path, and no path that forges a line or commands the terminal', () => {
    const dir = tempDir()
    mkdirSync(join(dir, MARKED_TOKEN))
    writeFileSync(join(dir, MARKED_TOKEN, 'x'), MARKED_KEY)
    writeFileSync(join(dir, 'y\n\u001b[2J\u202e'), MARKED_KEY)
    const { status, out } = run(dir, ['.', `./absent-${MARKED_TOKEN}`])
    const clean = `${MARKED_TOKEN.slice(0, 60)}[redacted]`
    expect(status).toBe(1)
    expect(out.split('\n')).toEqual([
      `./${clean}: join-token in the name ${HINT}`,
      `./${clean}/x:1:1: unlock-key`,
      './y\\u{a}\\u{1b}[2J\\u{202e}:1:1: unlock-key',
      `./absent-${clean}: join-token in the name ${HINT}`,
      '',
    ])
    expect(run(dir, ['--json', '.']).status).toBe(1)
  })

  it('takes what follows -- for paths', async () => {
    expect((await inProcess(['--', '--json'])).err).toBe('leastwise-scan-leaks: --json: is not there\n')
  })
})

describe.skipIf(!hasGit)('leastwise-scan-leaks --staged', () => {
  it('looks at what is staged, not at the work tree', () => {
    const dir = repository()
    writeFileSync(join(dir, 'staged'), `\n ${MARKED_TOKEN}`)
    writeFileSync(join(dir, 'harmless'), 'x')
    git(dir, 'add', '.')
    writeFileSync(join(dir, 'staged'), 'changed since')
    writeFileSync(join(dir, 'harmless'), MARKED_KEY)
    expect(run(dir, ['--staged'])).toMatchObject({ status: 1, out: `staged:2:2: join-token ${HINT}\n` })
    git(dir, 'add', '.')
    expect(run(dir, ['--staged'])).toMatchObject({ status: 1, out: 'harmless:1:1: unlock-key\n' })
  })

  it('looks below the paths that are named, and names all from the top', () => {
    const dir = repository()
    mkdirSync(join(dir, 'sub/deep'), { recursive: true })
    for (const name of ['top', 'sub/one', 'sub/deep/two']) writeFileSync(join(dir, name), MARKED_KEY)
    git(dir, 'add', '.')
    git(dir, 'config', 'diff.relative', 'true')
    const sub = join(dir, 'sub')
    expect(run(sub, ['--staged']).out.split('\n')).toEqual([
      'sub/deep/two:1:1: unlock-key',
      'sub/one:1:1: unlock-key',
      'top:1:1: unlock-key',
      '',
    ])
    expect(run(sub, ['--staged', 'deep']).out).toBe('sub/deep/two:1:1: unlock-key\n')
    expect(run(sub, ['--staged', '*'])).toEqual({ status: 0, out: '', err: '' })
  })

  it('reads changes, renames, links and names of any kind, and not what is deleted or unchanged', () => {
    const dir = repository()
    for (const name of ['kept', 'deleted', 'before', 'changed']) writeFileSync(join(dir, name), MARKED_KEY + name)
    git(dir, 'add', '.')
    git(dir, 'commit', '--quiet', '--message', 'x')
    expect(run(dir, ['--staged'])).toEqual({ status: 0, out: '', err: '' })
    git(dir, 'rm', '--quiet', 'deleted')
    git(dir, 'mv', 'before', 'after')
    writeFileSync(join(dir, 'changed'), `${MARKED_KEY} anew`)
    writeFileSync(join(dir, 'a "b"\n\\ é'), MARKED_KEY)
    writeFileSync(join(dir, 'empty'), '')
    symlinkSync(MARKED_TOKEN, join(dir, 'link'))
    git(dir, 'add', '.')
    expect(run(dir, ['--staged']).out.split('\n')).toEqual([
      'a "b"\\u{a}\\ é:1:1: unlock-key',
      'after:1:1: unlock-key',
      'changed:1:1: unlock-key',
      `link:1:1: join-token ${HINT}`,
      '',
    ])
  })

  it('prints no secret of a name', () => {
    const dir = repository()
    writeFileSync(join(dir, MARKED_TOKEN), '')
    git(dir, 'add', '.')
    const { status, out } = run(dir, ['--staged'])
    expect({ status, out }).toEqual({
      status: 1,
      out: `${MARKED_TOKEN.slice(0, 60)}[redacted]: join-token in the name ${HINT}\n`,
    })
  })

  it('reads many and large files', async () => {
    const dir = repository()
    for (let at = 0; at < 300; at += 1) writeFileSync(join(dir, `f${at}`), `${at} ${at % 100 === 0 ? MARKED_KEY : ''}`)
    writeFileSync(join(dir, 'large'), `${'x'.repeat(3_000_000)}\n${MARKED_TOKEN}`)
    git(dir, 'add', '.')
    expect(run(dir, ['--staged']).out.split('\n')).toEqual([
      'f0:1:3: unlock-key',
      'f100:1:5: unlock-key',
      'f200:1:5: unlock-key',
      `large:2:1: join-token ${HINT}`,
      '',
    ])
  })

  it('passes over submodules', () => {
    const dir = repository()
    git(dir, 'update-index', '--add', '--cacheinfo', `160000,${'1'.repeat(40)},module`)
    expect(run(dir, ['--staged'])).toEqual({ status: 0, out: '', err: '' })
  })

  it('tells of content that git has lost', () => {
    const dir = repository()
    for (const name of ['a', 'b']) writeFileSync(join(dir, name), `${MARKED_KEY} ${name}`)
    git(dir, 'add', '.')
    const object = git(dir, 'rev-parse', ':a').out.trim()
    rmSync(join(dir, '.git/objects', object.slice(0, 2), object.slice(2)))
    expect(run(dir, ['--staged'])).toMatchObject({ status: 1, out: 'b:1:1: unlock-key\n' })
    git(dir, 'rm', '--cached', '--quiet', 'b')
    expect(run(dir, ['--staged'])).toEqual({
      status: 2,
      out: '',
      err: 'leastwise-scan-leaks: a: could not be read\n',
    })
  })

  it('says 2 where there is no work tree, and where there is no git', () => {
    const dir = tempDir()
    const cannot =
      'leastwise-scan-leaks: git cannot say what is staged; run it in a work tree, with git installed, and name paths inside of it\n'
    expect(run(dir, ['--staged'])).toEqual({ status: 2, out: '', err: cannot })
    expect(run(repository(), ['--staged'], { env: { PATH: dir } })).toEqual({ status: 2, out: '', err: cannot })
    expect(run(repository(), ['--staged', dir])).toEqual({ status: 2, out: '', err: cannot })
  })

  it('stops a commit as a hook, and lets a clean one pass', () => {
    const dir = repository()
    const hook = join(dir, '.git/hooks/pre-commit')
    mkdirSync(join(dir, '.git/hooks'), { recursive: true })
    writeFileSync(hook, `#!/bin/sh\nexec '${process.execPath}' '${BIN}' --staged\n`)
    chmodSync(hook, 0o755)
    writeFileSync(join(dir, 'file'), MARKED_TOKEN)
    git(dir, 'add', '.')
    const refused = git(dir, 'commit', '--message', 'x')
    expect(refused.status).toBe(1)
    expect(refused.out + refused.err).toContain(`file:1:1: join-token ${HINT}`)
    writeFileSync(join(dir, 'file'), 'clean')
    // `-a` makes git use an index of its own for the commit; the hook must see that one.
    expect(git(dir, 'commit', '-a', '--message', 'x').status).toBe(0)
    writeFileSync(join(dir, 'file'), MARKED_TOKEN)
    expect(git(dir, 'commit', '-a', '--message', 'x').status).toBe(1)
    expect(git(dir, 'log', '--format=%s').out).toBe('x\n')
  })

  it('stops with the reason of its signal', async () => {
    const reason = new Error('enough')
    await expect(listStaged([], { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    const files = [{ path: 'file', object: '1'.repeat(40) }]
    await expect(scanStaged(files, { signal: AbortSignal.abort(reason) }).next()).rejects.toBe(reason)
  })
})

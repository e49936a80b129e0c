import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { blocks } from './blocks.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const PAGE = join(ROOT, 'README.md')
const BIN = join(ROOT, 'node_modules/.bin')
const LIMIT_MS = 60_000
/** How long what the tour started may take to end when the tour itself failed. */
const GRACE_MS = 5_000

const tour = existsSync(PAGE) ? blocks(readFileSync(PAGE, 'utf8')).filter(({ language }) => language === 'sh') : []

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const address = server.address()
  await new Promise<void>((done) =>
    server.close(() => {
      done()
    }),
  )
  return typeof address === 'object' ? (address?.port ?? 0) : 0
}

/** Runs a script as the leader of a process group, which ends with it. */
async function execute(
  script: string,
  cwd: string,
  path: string,
): Promise<{ readonly code: number | null; readonly output: string }> {
  const child = spawn('sh', ['-e'], {
    cwd,
    detached: true,
    env: { ...process.env, PATH: path, LEASTWISE_DATA: '' },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
  const signal = (name: NodeJS.Signals): void => {
    try {
      process.kill(-(child.pid ?? 0), name)
    } catch {
      // The whole group is gone already.
    }
  }
  const closed = new Promise<void>((done) => {
    child.on('close', () => {
      done()
    })
  })
  const exited = new Promise<number | null>((done) => {
    child.on('exit', done)
  })
  const limit = setTimeout(() => {
    output += '\nthe tour took too long'
    signal('SIGTERM')
  }, LIMIT_MS)
  child.stdin.end(script)
  const code = await exited
  clearTimeout(limit)
  // First politely: a worker takes its files off tmpfs before it goes.
  signal('SIGTERM')
  const insist = setTimeout(() => {
    signal('SIGKILL')
  }, GRACE_MS)
  await closed
  clearTimeout(insist)
  return { code, output }
}

describe.skipIf(!existsSync(PAGE))('the tour of the README', () => {
  it('is there', () => {
    expect(tour.length).toBeGreaterThan(0)
  })

  it('runs as it is written, within a minute, and leaves nothing behind', {
    timeout: LIMIT_MS + 2 * GRACE_MS,
  }, async () => {
    expect(existsSync(join(BIN, 'leastwise-orchestrator')), 'the command is not installed').toBe(true)
    const place = mkdtempSync(join(tmpdir(), 'leastwise-tour-'))
    const roots = (): readonly string[] => readdirSync('/dev/shm').filter((name) => name.startsWith('leastwise-'))
    const before = new Set(roots())
    try {
      // Outside of a clone npx would look for the command on the network; this one takes it from the PATH.
      const shim = join(place, 'bin')
      const empty = join(place, 'empty')
      mkdirSync(shim)
      mkdirSync(empty)
      writeFileSync(join(shim, 'npx'), '#!/bin/sh\nexec "$@"\n', { mode: 0o755 })
      // Another manager may run on this machine, perhaps by the same tour.
      const script = tour
        .map(({ text }) => text)
        .join('\n')
        .replaceAll('127.0.0.1:4242', `127.0.0.1:${await freePort()}`)
      const { code, output } = await execute(script, empty, [shim, BIN, process.env['PATH'] ?? ''].join(delimiter))
      expect({ code, output }).toMatchObject({ code: 0 })
      for (const shown of ['ready', 'complete', 'locked', 'db-password', 'NODE_EVICTED'])
        expect(output).toContain(shown)
      expect(output).not.toContain('correct horse')
      expect(output).not.toContain('SWMKEY')
      expect(readdirSync(empty)).toEqual([])
      // Workers of other tests come and go; what the tour's own left would still be there in the end.
      const left = roots().filter((name) => !before.has(name) && output.includes(name.slice(-25)))
      expect(left).toEqual([])
    } finally {
      rmSync(place, { recursive: true, force: true })
    }
  })
})

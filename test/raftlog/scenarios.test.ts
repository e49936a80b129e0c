import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type HardState, memoryLog, type SealedLog } from '@leastwise/raftlog'
import { describe, expect, it } from 'vitest'
import { crashDisk } from './crash-disk.ts'
import { createOn, openOn, text, utf8 } from './log-support.ts'

const DIRECTORY = join(import.meta.dirname, '../vectors/raftlog/scenarios')
const files = readdirSync(DIRECTORY).filter((name) => name.endsWith('.txt'))

interface Place {
  readonly create: () => Promise<SealedLog>
  readonly reopen: (log: SealedLog) => Promise<SealedLog>
}

const onFiles = (segmentBytes: number) => (): Place => {
  const disk = crashDisk()
  return {
    create: async () => await createOn(disk, { segmentBytes }),
    reopen: async (log) => {
      await log.close()
      return await openOn(disk, { segmentBytes })
    },
  }
}

const engines: Readonly<Record<string, () => Place>> = {
  memory: () => ({ create: async () => memoryLog(), reopen: async (log) => log }),
  'one large segment': onFiles(1 << 20),
  'segments of a few frames': onFiles(400),
  'a segment for each frame': onFiles(1),
}

const parseState = (words: string): HardState => {
  const [term = '', vote = '', commit = ''] = words.split('/')
  return { term: BigInt(term), vote: vote === '-' ? null : vote, commit: BigInt(commit) }
}

const formatState = (state: HardState | null): string =>
  state === null ? 'none' : `${state.term}/${state.vote ?? '-'}/${state.commit}`

function snapshotOf([place = '', word = '']: readonly string[]) {
  const [index = '', term = ''] = place.split('/')
  return { index: BigInt(index), term: BigInt(term), data: utf8(word) }
}

async function append(log: SealedLog, [term = '', ...rest]: readonly string[]): Promise<string> {
  const option = (name: string): string | undefined =>
    rest.find((word) => word.startsWith(`${name}=`))?.slice(name.length + 1)
  const at = option('at')
  const state = option('state')
  const { first, last } = await log.append(rest.filter((word) => !word.includes('=')).map(utf8), {
    term: BigInt(term),
    ...(at === undefined ? {} : { at: BigInt(at) }),
    ...(state === undefined ? {} : { state: parseState(state) }),
  })
  return `${first}-${last}`
}

async function entries(log: SealedLog, [from, to]: readonly string[]): Promise<string> {
  const range = {
    ...(from === undefined ? {} : { from: BigInt(from) }),
    ...(to === undefined ? {} : { to: BigInt(to) }),
  }
  const seen: string[] = []
  for await (const { index, term, data } of log.entries(range)) seen.push(`${index}/${term} ${text(data)}`)
  return seen.join(', ') || 'none'
}

async function play(log: SealedLog, [command = '', ...words]: readonly string[]): Promise<string> {
  const [first = ''] = words
  switch (command) {
    case 'append':
      return await append(log, words)
    case 'state':
      await log.saveState(parseState(first))
      return 'ok'
    case 'snapshot':
      await log.saveSnapshot(snapshotOf(words))
      return 'ok'
    case 'install':
      await log.installSnapshot(snapshotOf(words))
      return 'ok'
    case 'compact':
      await log.compact(BigInt(first))
      return 'ok'
    case 'rotate':
      await log.rotateDek({ snapshot: (index) => ({ index, term: log.lastTerm, data: utf8('rotated') }) })
      return 'ok'
    case 'entries':
      return await entries(log, words)
    case 'entry': {
      const found = await log.entry(BigInt(first))
      return found === null ? 'none' : `${found.index}/${found.term} ${text(found.data)}`
    }
    case 'term':
      return String((await log.termAt(BigInt(first))) ?? 'none')
    case 'first':
      return String(log.firstIndex)
    case 'last':
      return `${log.lastIndex}/${log.lastTerm}`
    case 'hard':
      return formatState(log.state)
    case 'newest': {
      const found = await log.loadSnapshot()
      return found === null ? 'none' : `${found.index}/${found.term} ${text(found.data)}`
    }
    default:
      throw new Error(`no such command: ${command}`)
  }
}

async function outcome(log: SealedLog, words: readonly string[]): Promise<string> {
  try {
    return await play(log, words)
  } catch (error) {
    if (error instanceof RangeError) return 'refused'
    if (error instanceof Error && 'code' in error) return String(error.code)
    throw error
  }
}

// Files go as a whole, so a log may keep entries longer than it was asked to; what it says of them is then the truth.
const isEarlier = (words: readonly string[], said: string, wanted: string): boolean =>
  (words[0] === 'first' && BigInt(said) <= BigInt(wanted)) ||
  (wanted === 'LOG_GAP' && ['term', 'entry', 'entries'].includes(words[0] ?? ''))

describe.each(Object.entries(engines))('a log: %s', (name, setUp) => {
  const isExact = name === 'memory'

  it.each(files)('lives as %s says', async (file) => {
    const { create, reopen } = setUp()
    let log = await create()
    const model = memoryLog()
    const lines = readFileSync(join(DIRECTORY, file), 'utf8').split('\n')
    for (const [at, line] of lines.entries()) {
      if (line === '' || line.startsWith('#')) continue
      const [command = '', wanted = ''] = line.split(' -> ')
      const words = command.split(' ')
      if (command === 'reopen') {
        log = await reopen(log)
        continue
      }
      await outcome(model, words)
      // What was to be dropped and is still there is not asked for.
      const asked = command === 'entries' ? [command, String(model.firstIndex)] : words
      const said = await outcome(log, asked)
      if (!isExact && isEarlier(words, said, wanted)) continue
      expect(said, `${file}:${at + 1}: ${line}`).toBe(wanted)
    }
    await log.close()
  })
})

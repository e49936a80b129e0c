import { crc32 } from 'node:zlib'
import { clearWrapper, openSealedLog, RaftLogError } from '@leastwise/raftlog'
import { describe, expect, it } from 'vitest'
import { MAX_BODY_BYTES } from '../../packages/raftlog/src/format/frame.ts'
import { FIXTURE_NAMES, type Fixture, fixture, IDENTITY } from './damaged-fixtures.ts'
import { partsOn, text } from './log-support.ts'
import {
  type Directory,
  diskOf,
  frameOffsets,
  inspectAll,
  repairOn,
  salvagedLines,
  verifyOn,
  withFile,
} from './tools-support.ts'

const isSlow = process.env['SLOW'] === '1'
const isLogFile = (name: string): boolean => /^\d{20}\.(?:log|snap)$/.test(name)

/** One damage, and which entries it may cost: those of one file, or of one frame of it. */
interface Damage {
  readonly what: string
  readonly directory: Directory
  readonly file: string | null
  readonly frame?: number
}

/** Entries as `index:term:text`, or the code of the refusal; whatever is no coded refusal fails the test. */
async function coded<T>(run: () => Promise<T>): Promise<T | string> {
  try {
    return await run()
  } catch (error) {
    if (error instanceof RaftLogError) return error.code
    throw error
  }
}

/** What opening, reading to the end and loading the snapshot give. */
async function readWhole(directory: Directory): Promise<{ lines: readonly string[]; refusal: string | null }> {
  const lines: string[] = []
  const log = await coded(
    async () => await openSealedLog(partsOn(diskOf(directory), { ...IDENTITY, wrapper: directory.wrapper })),
  )
  if (typeof log === 'string') return { lines, refusal: log }
  const refusal = await coded(async () => {
    for await (const { index, term, data } of log.entries()) lines.push(`${index}:${term}:${text(data)}`)
    await log.loadSnapshot()
    return null
  })
  return { lines, refusal }
}

const isWithin = (lines: readonly string[], known: ReadonlySet<string>): boolean =>
  lines.every((line) => known.has(line))

/** Entries by the file and the frame that holds them; and every line that ever was true. */
interface Chart {
  readonly known: ReadonlySet<string>
  readonly places: ReadonlyMap<string, { readonly file: string; readonly frame: number }>
}

async function chartOf(made: Fixture): Promise<Chart> {
  const places = new Map<string, { file: string; frame: number }>()
  const known = new Set<string>(made.entries)
  let frame = 0
  for (const item of await inspectAll(diskOf(made), { wrapper: made.wrapper, content: 'shown' })) {
    if (item.type === 'frame') frame = item.offset
    if (item.type !== 'entry') continue
    const line = `${item.index}:${item.term}:${text(item.content!)}`
    known.add(line)
    places.set(line, { file: item.file, frame })
  }
  return { known, places }
}

/** What holds for every damage, without the tools. */
async function checkReading(chart: Chart, { directory, what }: Damage): Promise<void> {
  const read = await readWhole(directory)
  expect(isWithin(read.lines, chart.known), `${what}: read`).toBe(true)
}

/** Everything that holds for every damage. */
async function check(made: Fixture, chart: Chart, damage: Damage): Promise<void> {
  const { directory, what } = damage
  const { wrapper } = directory
  const read = await readWhole(directory)
  expect(isWithin(read.lines, chart.known), `${what}: read`).toBe(true)

  const verified = await coded(async () => await verifyOn(diskOf(directory), wrapper))
  if (typeof verified === 'string') expect(read.refusal, `${what}: verify ${verified}`).not.toBeNull()
  else {
    const isRefused = verified.verdict === 'damaged'
    expect(isRefused, `${what}: verify ${JSON.stringify(verified.findings)} against ${read.refusal}`).toBe(
      read.refusal !== null,
    )
    if (!isRefused) expect(verified.entries).toBe(BigInt(read.lines.length))
  }

  await coded(async () => await inspectAll(diskOf(directory), { keyless: true }))
  const seen = await coded(async () => await inspectAll(diskOf(directory), { wrapper, content: 'shown' }))
  if (typeof seen !== 'string') {
    const lines = seen.flatMap((item) =>
      item.type === 'entry' ? [`${item.index}:${item.term}:${text(item.content!)}`] : [],
    )
    expect(isWithin(lines, chart.known), `${what}: inspect`).toBe(true)
  }

  const repaired = await coded(async () => await repairOn(diskOf(directory), wrapper))
  if (typeof repaired === 'string') {
    // Then there was nothing to keep, or no key for it.
    expect(repaired, `${what}: repair`).toMatch(/^KEYS_|^LOG_MISSING$|^RECORD_UNSUPPORTED_VERSION$/)
    return
  }
  const kept: string[] = []
  if (repaired.report.log !== null) {
    const log = await openSealedLog(partsOn(repaired.target, { ...IDENTITY, wrapper }))
    for await (const { index, term, data } of log.entries()) kept.push(`${index}:${term}:${text(data)}`)
    const snapshot = await log.loadSnapshot()
    if (snapshot !== null) expect(`${snapshot.index}:${text(snapshot.data)}`).toBe(made.snapshot)
  }
  const salvaged = repaired.salvage.contents.size === 0 ? [] : await salvagedLines(repaired.salvage, wrapper)
  expect(isWithin([...kept, ...salvaged], chart.known), `${what}: repair`).toBe(true)
  for (const line of made.entries) {
    if (kept.includes(line) || salvaged.includes(line)) continue
    const place = chart.places.get(line)!
    expect(place.file, `${what}: lost ${line}`).toBe(damage.file)
    if (damage.frame !== undefined) expect(place.frame, `${what}: lost ${line}`).toBe(damage.frame)
  }
}

/** Every byte of header, heads and tags; of the bodies every seventh. */
function* flips(made: Fixture): Generator<Damage, void, void> {
  const lastSegment = [...made.files.keys()]
    .filter((name) => name.endsWith('.log'))
    .sort()
    .at(-1)
  for (const [file, bytes] of made.files) {
    if (!isLogFile(file)) continue
    const offsets = frameOffsets(bytes)
    const header = offsets[0]!
    const isStructure = (at: number): boolean => {
      const begin = offsets.findLast((offset) => offset <= at)
      const end = offsets.find((offset) => offset > at)
      return begin === undefined || end === undefined || at - begin < 40 || end - at <= 16
    }
    for (let at = 0; at < bytes.length; at += 1) {
      if (!isStructure(at) && at % 7 !== 0) continue
      const copy = bytes.slice()
      copy[at]! ^= 1 << (at & 7)
      // One byte of a header costs nothing, nor does one of a head, except at the very end, where a crash may have been.
      const begin = offsets.findLast((offset) => offset <= at) ?? 0
      const isLast = file === lastSegment && offsets.at(-2) === begin
      const isCheap = at < header || (at - begin < 40 && !isLast)
      const cost = isCheap ? { file: null } : { file, frame: begin }
      yield { what: `${file} flipped at ${at}`, directory: withFile(made, file, copy), ...cost }
    }
  }
}

function* cuts(made: Fixture): Generator<Damage, void, void> {
  for (const [file, bytes] of made.files) {
    if (!isLogFile(file)) continue
    const lengths = new Set(
      [0, 1, bytes.length, ...frameOffsets(bytes)].flatMap((at) => [at - 1, at, at + 1, at + 39, at + 40]),
    )
    for (const length of lengths) {
      if (length < 0 || length >= bytes.length) continue
      yield { what: `${file} cut to ${length}`, directory: withFile(made, file, bytes.slice(0, length)), file }
    }
    yield { what: `${file} longer`, directory: withFile(made, file, Uint8Array.of(...bytes, 9, 9, 9)), file }
  }
}

/** Lengths that a forger without the key can write so that every checksum is right. */
function* lengths(made: Fixture): Generator<Damage, void, void> {
  for (const [file, bytes] of made.files) {
    if (!isLogFile(file)) continue
    for (const length of [0, 95, 0xffff]) {
      const copy = bytes.slice()
      new DataView(copy.buffer).setUint16(6, length)
      yield { what: `${file} header of ${length}`, directory: withFile(made, file, copy), file }
    }
    for (const at of frameOffsets(bytes).slice(0, -1)) {
      for (const length of [0, 1, MAX_BODY_BYTES, MAX_BODY_BYTES + 1, 0xffffffff]) {
        const copy = bytes.slice()
        const view = new DataView(copy.buffer)
        view.setUint32(at + 12, length)
        view.setUint32(at + 36, crc32(copy.subarray(at, at + 36)))
        yield { what: `${file} body of ${length} at ${at}`, directory: withFile(made, file, copy), file, frame: at }
      }
    }
  }
}

function* rings(made: Fixture): Generator<Damage, void, void> {
  const ring = made.ring!
  for (let at = 0; at < ring.length; at += 1) {
    const copy = ring.slice()
    copy[at]! ^= 1 << (at & 7)
    yield { what: `ring flipped at ${at}`, directory: { ...made, ring: copy }, file: null }
    yield { what: `ring cut to ${at}`, directory: { ...made, ring: ring.slice(0, at) }, file: null }
  }
  yield { what: 'ring gone', directory: { ...made, ring: null }, file: null }
}

/** Files that are gone, doubled, swapped, or replaced by garbage. */
function* entries(made: Fixture): Generator<Damage, void, void> {
  const names = [...made.files.keys()].filter(isLogFile)
  const garbage = Uint8Array.from({ length: 300 }, (_, at) => (at * 7919) & 0xff)
  for (const file of names) {
    const bytes = made.files.get(file)!
    yield { what: `${file} gone`, directory: withFile(made, file, null), file }
    yield { what: `${file} garbage`, directory: withFile(made, file, garbage), file }
    for (const other of ['00000000000000000007.log', '00000000000000000000.log', '00000000000000000002.snap']) {
      if (!made.files.has(other))
        yield { what: `${file} also as ${other}`, directory: withFile(made, other, bytes), file: null }
    }
    yield { what: `${file} as temporary`, directory: withFile(made, `${file}.tmp`, bytes), file: null }
    for (const other of names.filter((name) => name > file)) {
      const swapped = withFile(withFile(made, file, made.files.get(other)!), other, bytes)
      yield { what: `${file} and ${other} swapped`, directory: swapped, file: null }
    }
  }
}

const KINDS = { flips, cuts, lengths, rings, entries } as const

describe('the directories of the corpus', () => {
  it.each(FIXTURE_NAMES)('%s is whole, or torn, and a repair gives it back', async (name) => {
    const made = fixture(name)
    const { lines, refusal } = await readWhole(made)
    expect({ lines, refusal }).toEqual({ lines: made.entries, refusal: null })
    await check(made, await chartOf(made), { what: name, directory: made, file: null })
  })
})

describe.each(FIXTURE_NAMES)('%s, damaged', (name) => {
  it.each(Object.keys(KINDS) as (keyof typeof KINDS)[])('by %s, is refused with a code or repaired', async (kind) => {
    const made = fixture(name)
    const chart = await chartOf(made)
    let count = 0
    for (const damage of KINDS[kind](made)) {
      count += 1
      // A log is opened with every damage there is; all the tools get every tenth flip, or every one in a long run.
      const isThorough = isSlow || kind !== 'flips' || count % 10 === 0
      await (isThorough ? check(made, chart, damage) : checkReading(chart, damage))
    }
    expect(count).toBeGreaterThan(0)
  })
})

it.skipIf(!isSlow)('two damages at once are no worse', async () => {
  for (const name of FIXTURE_NAMES) {
    const made = fixture(name)
    const chart = await chartOf(made)
    for (const first of cuts(made)) {
      for (const second of entries({ ...made, ...first.directory })) {
        const { directory } = second
        const read = await readWhole(directory)
        expect(isWithin(read.lines, chart.known)).toBe(true)
        await coded(async () => await repairOn(diskOf(directory), directory.wrapper))
      }
    }
  }
})

describe('the locked directory', () => {
  it('needs its key for everything but a look from outside', async () => {
    const { wrapper: _, ...made } = fixture('locked')
    for (const run of [inspectAll, verifyOn, repairOn]) {
      await expect(run(diskOf({ ...made, wrapper: clearWrapper }))).rejects.toThrowCode('KEYS_LOCKED')
    }
    expect((await inspectAll(diskOf({ ...made, wrapper: clearWrapper }), { keyless: true })).length).toBeGreaterThan(3)
  })
})

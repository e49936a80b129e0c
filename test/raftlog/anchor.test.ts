import { spawnSync } from 'node:child_process'
import { chmodSync, cpSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { inspect } from 'node:util'
import {
  type AnchorHead,
  type Anchoring,
  acceptRolledBackLog,
  clearWrapper,
  headKeeper,
  memoryAnchor,
  quorumAnchor,
  type RaftLogError,
  type RollbackAnchor,
  type SealedLog,
} from '@leastwise/raftlog'
import { createLog, fileAnchor, fileKeyStore, headFile, openLog } from '@leastwise/raftlog/node'
import { describe, expect, it } from 'vitest'
import { headAt } from '../contract/anchor.ts'
import { manualClock } from '../support/manual-clock.ts'
import { seededRandom } from '../support/seeded-random.ts'
import { tempDir } from '../support/temp-dir.ts'
import { COUNTER_KEY, counted, fakeCounter, fakeFile, fakePeer } from './anchor-support.ts'
import { type CrashDisk, crashDisk } from './crash-disk.ts'
import { createOn, LOG, openOn, readAll, utf8 } from './log-support.ts'

const copyOf = (disk: CrashDisk): CrashDisk =>
  crashDisk({
    names: new Map([...disk.contents].map(([name, { bytes, stable }]) => [name, { bytes, stable }])),
    ring: disk.ring(),
  })

const add = async (log: SealedLog, ...words: string[]): Promise<void> => {
  for (const word of words) await log.append([utf8(word)])
}

const refusalOf = async (opening: Promise<SealedLog>): Promise<RaftLogError> => {
  const outcome = await opening.catch((error: unknown) => error)
  expect(outcome).toBeInstanceOf(Error)
  return outcome as RaftLogError
}

/** A log that was copied after two entries and went on to four. */
async function copiedLog(anchor: RollbackAnchor = memoryAnchor()) {
  const disk = crashDisk()
  const anchoring: Anchoring = { anchor }
  const log = await createOn(disk, { anchoring })
  await add(log, 'a', 'b')
  const old = copyOf(disk)
  await add(log, 'c', 'd')
  return { disk, old, log, anchor, anchoring }
}

describe('an older copy of the disk', () => {
  it('is refused, and the refusal names both places', async () => {
    const { old, log, anchoring } = await copiedLog()
    await log.close()
    const refusal = await refusalOf(openOn(old, { anchoring }))
    expect(refusal.code).toBe('ROLLED_BACK')
    expect(refusal.rollback).toMatchObject({
      kind: 'older',
      epoch: 1,
      anchored: { sequence: 1n, index: 4n, term: 1n },
      found: { sequence: 1n, index: 2n, term: 1n },
    })
    expect(refusal.message).toContain('anchored is entry 4')
    expect(refusal.message).toContain('found is entry 2')
    expect(refusal.message).toContain('beginning epoch 2')
  })

  it('is left as it is by the refusal', async () => {
    const { old, log, anchoring } = await copiedLog()
    await log.close()
    old.put('00000000000000000009.log.tmp', utf8('half'))
    const before = [...old.contents].map(([name, { bytes }]) => [name, [...bytes]])
    await expect(openOn(old, { anchoring })).rejects.toThrowCode('ROLLED_BACK')
    expect([...old.contents].map(([name, { bytes }]) => [name, [...bytes]])).toEqual(before)
  })

  it('is refused although its last frames look torn', async () => {
    const { disk, log, anchoring } = await copiedLog()
    const [name, { bytes }] = [...disk.contents].find(([file]) => file.endsWith('.log'))!
    disk.put(name, bytes.slice(0, -5))
    const torn = copyOf(disk)
    await log.close().catch(() => undefined)
    await expect(openOn(torn, { anchoring })).rejects.toThrowCode('ROLLED_BACK')
  })

  it('is refused where a log is to be created anew', async () => {
    const { log, anchoring } = await copiedLog()
    await log.close()
    const refusal = await refusalOf(createOn(crashDisk(), { anchoring }))
    expect(refusal).toMatchObject({ code: 'ROLLED_BACK', rollback: { kind: 'older', found: null } })
  })

  it('is opened without the anchor: nothing else can tell', async () => {
    const { old, log } = await copiedLog()
    await log.close()
    const opened = await openOn(old)
    expect(opened.lastIndex).toBe(2n)
    await opened.close()
  })
})

describe('a copy that an operator accepts', () => {
  it('begins an epoch, and the branch that was given up is refused from then on', async () => {
    const { disk, old, log, anchor, anchoring } = await copiedLog()
    await log.close()
    const accepted = await openOn(old, { anchoring: { anchor, [acceptRolledBackLog]: 2 } })
    expect(await readAll(accepted)).toEqual(['1:1:a', '2:1:b'])
    expect((await anchor.read())?.epoch).toBe(2)
    // Although nothing was written since: the new branch has a segment of its own.
    const refusal = await refusalOf(openOn(copyOf(disk), { anchoring }))
    expect(refusal).toMatchObject({ code: 'ROLLED_BACK', rollback: { epoch: 2 } })
    await add(accepted, 'other c', 'other d', 'other e')
    await accepted.close()
    expect(await refusalOf(openOn(disk, { anchoring }))).toMatchObject({ code: 'ROLLED_BACK' })
    await (await openOn(old, { anchoring })).close()
  })

  it('is accepted once: the same value accepts nothing later', async () => {
    const { disk, old, log, anchor } = await copiedLog()
    await log.close()
    const option: Anchoring = { anchor, [acceptRolledBackLog]: 2 }
    const accepted = await openOn(old, { anchoring: option })
    await add(accepted, 'x')
    await accepted.close()
    await (await openOn(old, { anchoring: option })).close()
    expect((await anchor.read())?.epoch).toBe(2)
    await expect(openOn(disk, { anchoring: option })).rejects.toThrowCode('ROLLED_BACK')
  })

  it('is not accepted under any other epoch, nor does a good log begin one', async () => {
    const { disk, old, log, anchor } = await copiedLog()
    await log.close()
    for (const epoch of [0, 1, 3]) {
      await expect(openOn(copyOf(old), { anchoring: { anchor, [acceptRolledBackLog]: epoch } })).rejects.toThrowCode(
        'ROLLED_BACK',
      )
    }
    await (await openOn(disk, { anchoring: { anchor, [acceptRolledBackLog]: 2 } })).close()
    expect((await anchor.read())?.epoch).toBe(1)
  })

  it('may be an empty directory', async () => {
    const { disk, log, anchor, anchoring } = await copiedLog()
    await log.close()
    const fresh = crashDisk()
    const created = await createOn(fresh, { anchoring: { anchor, [acceptRolledBackLog]: 2 } })
    await add(created, 'new')
    await created.close()
    await (await openOn(fresh, { anchoring })).close()
    await expect(openOn(disk, { anchoring })).rejects.toThrowCode('ROLLED_BACK')
  })
})

describe('an anchor that remembers nothing', () => {
  it('is begun with a new log, before anything is written', async () => {
    const anchor = memoryAnchor()
    const heads: (AnchorHead | null)[] = []
    const watched: RollbackAnchor = {
      read: anchor.read,
      advance: async (head, after) => {
        heads.push(head)
        await anchor.advance(head, after)
      },
    }
    const log = await createOn(crashDisk(), { anchoring: { anchor: watched } })
    expect(heads[0]).toMatchObject({ sequence: 0n, index: 0n, epoch: 1 })
    expect(heads.at(-1)).toMatchObject({ sequence: 1n, index: 0n })
    await log.close()
  })

  it('is refused for a log that exists, until an operator trusts the disk', async () => {
    const disk = crashDisk()
    const log = await createOn(disk)
    await add(log, 'a')
    await log.close()
    const anchor = memoryAnchor()
    await expect(openOn(disk, { anchoring: { anchor } })).rejects.toThrowCode('ANCHOR_EMPTY')
    await (await openOn(disk, { anchoring: { anchor, [acceptRolledBackLog]: 1 } })).close()
    await (await openOn(disk, { anchoring: { anchor } })).close()
    expect(await anchor.read()).toMatchObject({ epoch: 1, index: 1n })
  })

  it('is not what a missing log is told by', async () => {
    await expect(openOn(crashDisk(), { anchoring: { anchor: memoryAnchor() } })).rejects.toThrowCode('LOG_MISSING')
  })

  it('does not serve another log', async () => {
    const { log, anchoring } = await copiedLog()
    await log.close()
    await expect(createOn(crashDisk(), { anchoring, logId: 'node-2' })).rejects.toThrowCode('LOG_FOREIGN')
  })
})

describe('two copies of one machine', () => {
  it('cannot both go on: the older process is stopped', async () => {
    const { disk, log, anchoring } = await copiedLog()
    const clone = await openOn(copyOf(disk), { anchoring })
    await add(clone, 'clone')
    await expect(add(log, 'e')).rejects.toThrowCode('ANCHOR_CONFLICT')
    await expect(add(log, 'f')).rejects.toThrowCode('LOG_FAILED')
    await add(clone, 'goes on')
    await clone.close()
    await log.close()
    expect(await refusalOf(openOn(copyOf(disk), { anchoring }))).toMatchObject({
      code: 'ROLLED_BACK',
      rollback: { kind: 'older' },
    })
    // Without the anchor it can be written on, past the other one; that does not make it the right one.
    for (let nth = 0; nth < 3; nth += 1) {
      const bare = await openOn(disk)
      await add(bare, 'past')
      await bare.close()
    }
    expect(await refusalOf(openOn(disk, { anchoring }))).toMatchObject({
      code: 'ROLLED_BACK',
      rollback: { kind: 'forked' },
    })
  })
})

describe('a strict anchor', () => {
  it('stands at each append before it is acknowledged', async () => {
    const { log, anchor } = await copiedLog()
    for (let index = 5n; index < 9n; index += 1n) {
      await add(log, 'more')
      expect((await anchor.read())?.index).toBe(index)
    }
    await log.saveState({ term: 4n, vote: 'node-2', commit: 3n })
    const before = (await anchor.read())!
    await log.close()
    // A vote that was given is not taken back either: the frame counts, although no entry came.
    expect(before).toMatchObject({ index: 8n })
    expect((await anchor.read())!.offset).toBeGreaterThan(before.offset)
  })

  it('that cannot be reached stops the log, and what was written is there afterwards', async () => {
    const peer = fakePeer()
    const { disk, log, anchoring } = await copiedLog(peer.anchor)
    peer.wire = 'mute'
    await expect(add(log, 'e')).rejects.toThrowCode('ANCHOR_UNREACHABLE')
    await expect(add(log, 'f')).rejects.toThrowCode('LOG_FAILED')
    await log.close()
    await expect(openOn(copyOf(disk), { anchoring })).rejects.toThrowCode('ANCHOR_UNREACHABLE')
    peer.wire = 'up'
    const again = await openOn(disk, { anchoring })
    expect(again.lastIndex).toBe(5n)
    await add(again, 'f')
    await again.close()
  })

  it('goes on with the keys after a change of them that it could not be told of', async () => {
    const peer = fakePeer()
    const { disk, log, anchoring } = await copiedLog(peer.anchor)
    for (const wire of ['deaf', 'mute'] as const) {
      peer.wire = wire
      await expect(log.rewrap(clearWrapper)).rejects.toThrowCode('ANCHOR_UNREACHABLE')
      peer.wire = 'up'
      await add(log, `after ${wire}`)
    }
    await log.rewrap(clearWrapper)
    await add(log, 'e')
    await log.close()
    await (await openOn(disk, { anchoring })).close()
  })
})

describe('a lazy anchor', () => {
  it('lags by fewer frames than it says, and a copy from within that window is not noticed', async () => {
    const clock = manualClock()
    const anchor = memoryAnchor()
    const disk = crashDisk()
    const log = await createOn(disk, {
      anchoring: { anchor, pace: { kind: 'lazy', frames: 4, everyMs: 60_000, clock } },
    })
    const copies: CrashDisk[] = []
    for (let index = 1n; index <= 10n; index += 1n) {
      await add(log, 'x')
      expect((await anchor.read())!.index).toBe(index - (index % 4n))
      copies.push(copyOf(disk))
    }
    const anchored = (await anchor.read())!.index
    for (const [at, copy] of copies.entries()) {
      const opening = openOn(copy, { anchoring: { anchor: { ...anchor, advance: async () => undefined } } })
      if (BigInt(at + 1) >= anchored) await (await opening).close()
      else await expect(opening).rejects.toThrowCode('ROLLED_BACK')
    }
    await log.close()
    expect((await anchor.read())!.index).toBe(10n)
  })

  it('is advanced by the first frame after its time', async () => {
    const clock = manualClock()
    const anchor = memoryAnchor()
    const pace = { kind: 'lazy', frames: 1000, everyMs: 500, clock } as const
    const log = await createOn(crashDisk(), { anchoring: { anchor, pace } })
    await add(log, 'a')
    expect((await anchor.read())!.index).toBe(0n)
    await clock.advance(499)
    await add(log, 'b')
    expect((await anchor.read())!.index).toBe(0n)
    await clock.advance(1)
    await add(log, 'c')
    expect((await anchor.read())!.index).toBe(3n)
    await log.close()
  })

  it('stands at the end before a snapshot is kept or segments go', async () => {
    const clock = manualClock()
    const anchor = memoryAnchor()
    const disk = crashDisk()
    const pace = { kind: 'lazy', frames: 1000, everyMs: 1e9, clock } as const
    const log = await createOn(disk, { anchoring: { anchor, pace }, segmentBytes: 300 })
    for (let nth = 0; nth < 12; nth += 1) await add(log, 'x'.repeat(60))
    await log.saveSnapshot({ index: 8n, term: 1n, data: utf8('state') })
    await log.compact(8n)
    await add(log, 'y')
    expect((await anchor.read())!.index).toBe(12n)
    // The process dies here: the anchor lags, and is found all the same.
    const opened = await openOn(copyOf(disk), { anchoring: { anchor } })
    expect(opened.lastIndex).toBe(13n)
    await opened.close()
    await log.close().catch(() => undefined)
  })

  it('refuses a pace that is none', async () => {
    const clock = manualClock()
    for (const [frames, everyMs] of [
      [0, 1],
      [1.5, 1],
      [1, 0],
      [1, Number.NaN],
    ] as const) {
      const anchoring: Anchoring = { anchor: memoryAnchor(), pace: { kind: 'lazy', frames, everyMs, clock } }
      await expect(createOn(crashDisk(), { anchoring })).rejects.toThrow(RangeError)
    }
  })
})

describe('a quorum of anchors', () => {
  it('goes on while most of them answer, and finds a rollback with any of these', async () => {
    const peers = [fakePeer(), fakePeer(), fakePeer()]
    const { disk, old, log, anchoring } = await copiedLog(quorumAnchor(peers.map(({ anchor }) => anchor)))
    peers[0]!.wire = 'slow'
    await add(log, 'e')
    peers[0]!.wire = 'up'
    peers[1]!.wire = 'deaf'
    await add(log, 'f')
    await log.close()
    for (const away of peers) {
      for (const peer of peers) peer.wire = peer === away ? 'slow' : 'up'
      await expect(openOn(copyOf(old), { anchoring })).rejects.toThrowCode('ROLLED_BACK')
    }
    const again = await openOn(disk, { anchoring })
    expect(again.lastIndex).toBe(6n)
    await again.close()
  })

  it('stops when too few answer', async () => {
    const peers = [fakePeer(), fakePeer(), fakePeer()]
    const { disk, log, anchoring } = await copiedLog(quorumAnchor(peers.map(({ anchor }) => anchor)))
    peers[0]!.wire = 'deaf'
    peers[2]!.wire = 'mute'
    await expect(add(log, 'e')).rejects.toThrowCode('ANCHOR_UNREACHABLE')
    await log.close()
    await expect(openOn(copyOf(disk), { anchoring })).rejects.toThrowCode('ANCHOR_UNREACHABLE')
    for (const peer of peers) peer.wire = 'up'
    await (await openOn(disk, { anchoring })).close()
  })

  it('finds a rollback although some of them forgot, or tell an old head', async () => {
    const keepers = Array.from({ length: 5 }, () => headKeeper())
    const quorumOf = (members: readonly ReturnType<typeof headKeeper>[]): RollbackAnchor =>
      quorumAnchor(
        members.map((keeper) => fakePeer(keeper).anchor),
        { quorum: 4 },
      )
    const { old, log } = await copiedLog(quorumOf(keepers))
    const oldHeads = keepers[0]!.heads()
    await add(log, 'e')
    await log.close()
    // 2 x 4 - 5 - 1 = 2 of them may do so.
    const turned = [headKeeper(), headKeeper({ heads: oldHeads }), ...keepers.slice(2)]
    await expect(openOn(old, { anchoring: { anchor: quorumOf(turned) } })).rejects.toThrowCode('ROLLED_BACK')
  })

  it('refuses a quorum that two processes could have at once', () => {
    const anchors = Array.from({ length: 4 }, memoryAnchor)
    for (const quorum of [0, 2, 5, 2.5]) expect(() => quorumAnchor(anchors, { quorum })).toThrow(RangeError)
    expect(() => quorumAnchor([])).toThrow(RangeError)
    expect(() => quorumAnchor(Array.from({ length: 16 }, memoryAnchor))).toThrow(RangeError)
  })
})

describe('an anchor on a counter', () => {
  it('finds the disk put back together with its own file', async () => {
    const [counter, file] = [fakeCounter(), fakeFile()]
    const { old, log, anchoring } = await copiedLog(counted(counter, file))
    await log.close()
    for (const bytes of file.history.slice(0, -1)) {
      file.bytes = bytes
      await expect(openOn(copyOf(old), { anchoring })).rejects.toThrowCode('ROLLED_BACK')
    }
  })

  it('finishes an advance that was cut short before or after it counted', async () => {
    const [counter, file] = [fakeCounter(), fakeFile()]
    const anchor = counted(counter, file)
    await anchor.advance(headAt(1n), null)
    for (const fail of ['before', 'after'] as const) {
      const before = (await anchor.read())!
      counter.fail = fail
      const head = headAt(before.count + 1n)
      await expect(anchor.advance(head, before)).rejects.toThrow()
      expect(await counted(counter, file).read()).toEqual(head)
      expect(await anchor.read()).toEqual(head)
    }
  })

  it('gives no value of the counter to two heads', async () => {
    const [counter, file] = [fakeCounter(), fakeFile()]
    const anchor = counted(counter, file)
    counter.fail = 'before'
    await expect(anchor.advance(headAt(1n), null)).rejects.toThrow()
    await anchor.advance(headAt(2n), headAt(1n))
    file.bytes = file.history[0]!
    await expect(anchor.read()).rejects.toThrowCode('ROLLED_BACK')
  })

  it('refuses a changed file, a file of another key, and a counter that was replaced', async () => {
    const [counter, file] = [fakeCounter(), fakeFile()]
    await counted(counter, file).advance(headAt(1n), null)
    const good = file.bytes!
    for (let at = 0; at < good.length; at += 1) {
      file.bytes = good.slice()
      file.bytes[at]! ^= 1 << (at % 8)
      await expect(counted(counter, file).read()).rejects.toThrowCode('ANCHOR_MALFORMED')
      file.bytes = good.slice(0, at)
      await expect(counted(counter, file).read()).rejects.toThrowCode('ANCHOR_MALFORMED')
    }
    file.bytes = good
    await expect(counted(fakeCounter(3n), file).read()).rejects.toThrowCode('ROLLED_BACK')
    expect(await counted(counter, file).read()).toEqual(headAt(1n))
  })

  it('shows its key in nothing that is printed', async () => {
    const [counter, file] = [fakeCounter(), fakeFile()]
    const anchor = counted(counter, file)
    file.bytes = new Uint8Array(200)
    const error = await anchor.read().catch((caught: unknown) => caught)
    const printed = inspect([anchor, error], { depth: 9, showHidden: true })
    expect(printed).not.toContain(Buffer.from(COUNTER_KEY).toString('hex').slice(0, 16))
    expect(printed).not.toContain('92, 92, 92')
  })
})

describe('a peer that keeps heads', () => {
  it('answers a caller about its own log alone', async () => {
    const keeper = headKeeper()
    const { encodeAnchorRequest } = await import('@leastwise/raftlog')
    const nonce = new Uint8Array(16)
    const request = encodeAnchorRequest({ kind: 'advance', nonce, head: headAt(1n), after: null })
    await expect(keeper.answer(request, { clusterId: 'cluster-1', logId: 'node-2' })).rejects.toThrowCode('LOG_FOREIGN')
    const read = encodeAnchorRequest({ kind: 'read', nonce, clusterId: 'cluster-1', logId: LOG })
    await expect(keeper.answer(read, { clusterId: 'cluster-2', logId: LOG })).rejects.toThrowCode('LOG_FOREIGN')
    expect(keeper.heads()).toEqual([])
  })

  it('writes a head down before it says so, and has it not if that fails', async () => {
    const kept: AnchorHead[] = []
    let full = false
    const keeper = headKeeper({
      keep: async (head) => {
        if (full) throw new Error('disk is full')
        kept.push(head)
      },
    })
    const { anchor } = fakePeer(keeper)
    await anchor.advance(headAt(1n), null)
    expect(kept).toEqual([headAt(1n)])
    full = true
    await expect(anchor.advance(headAt(2n), headAt(1n))).rejects.toThrowCode('ANCHOR_UNREACHABLE')
    expect(keeper.heads()).toEqual([headAt(1n)])
  })

  it('keeps a bounded number of them', async () => {
    const heads = Array.from({ length: 1024 }, (_, nth) => headAt(1n, { logId: `other-${nth}` }))
    const { anchor } = fakePeer(headKeeper({ heads }))
    await expect(anchor.advance(headAt(1n), null)).rejects.toThrowCode('ANCHOR_UNREACHABLE')
    expect(() => headKeeper({ heads: [...heads, headAt(1n)] })).toThrow(RangeError)
    expect(() => headKeeper({ heads: [headAt(1n), headAt(2n)] })).toThrow(RangeError)
  })

  it('refuses heads that no log sends', async () => {
    const { anchor } = fakePeer()
    await expect(anchor.advance(headAt(2n), headAt(2n))).rejects.toThrowCode('ANCHOR_UNREACHABLE')
    await expect(memoryAnchor().advance(headAt(2n), headAt(2n))).rejects.toThrow(RangeError)
    await expect(memoryAnchor().advance(headAt(3n, { epoch: 3 }), headAt(2n))).rejects.toThrow(RangeError)
  })

  it('is not believed with an answer to another question', async () => {
    const keeper = headKeeper()
    const { remoteAnchor } = await import('@leastwise/raftlog')
    const answers: Uint8Array[] = []
    const anchor = remoteAnchor({
      clusterId: 'cluster-1',
      logId: LOG,
      random: seededRandom(5),
      exchange: async (request) => {
        answers.push(await keeper.answer(request, { clusterId: 'cluster-1', logId: LOG }))
        return answers[0]!
      },
    })
    expect(await anchor.read()).toBeNull()
    await expect(anchor.read()).rejects.toThrowCode('ANCHOR_MALFORMED')
  })
})

describe('an anchor in a file', () => {
  it('guards a log on a real disk', async () => {
    const [directory, elsewhere] = [tempDir(), tempDir()]
    const options = {
      directory: join(directory, 'log'),
      clusterId: 'cluster-1',
      logId: LOG,
      keys: fileKeyStore(join(directory, 'keys')),
      wrapper: clearWrapper,
      anchoring: { anchor: fileAnchor(join(elsewhere, 'head')) },
    }
    const log = await createLog(options)
    await add(log, 'a')
    await log.close()
    cpSync(options.directory, join(directory, 'copy'), { recursive: true })
    const again = await openLog(options)
    await add(again, 'b')
    await again.close()
    await (await openLog(options)).close()
    rmSync(options.directory, { recursive: true })
    cpSync(join(directory, 'copy'), options.directory, { recursive: true })
    chmodSync(options.directory, 0o700)
    await expect(openLog(options)).rejects.toThrowCode('ROLLED_BACK')
  })

  it('refuses a file that is another’s to write, a link, a directory, a pipe, or none of its kind', async () => {
    const directory = tempDir()
    const path = join(directory, 'head')
    await fileAnchor(path).advance(headAt(1n), null)
    chmodSync(path, 0o666)
    await expect(fileAnchor(path).read()).rejects.toThrowCode('DIRECTORY_UNSAFE')
    symlinkSync(path, join(directory, 'link'))
    await expect(fileAnchor(join(directory, 'link')).read()).rejects.toThrowCode('DIRECTORY_UNSAFE')
    await expect(fileAnchor(directory).read()).rejects.toThrowCode('ANCHOR_MALFORMED')
    // Nobody writes into it, and whoever waits for that waits for ever.
    expect(spawnSync('mkfifo', [join(directory, 'pipe')]).status).toBe(0)
    await expect(fileAnchor(join(directory, 'pipe')).read()).rejects.toThrowCode('ANCHOR_MALFORMED')
    writeFileSync(join(directory, 'large'), new Uint8Array(5000))
    await expect(fileAnchor(join(directory, 'large')).read()).rejects.toThrowCode('ANCHOR_MALFORMED')
    await expect(headFile(join(directory, 'large')).load()).rejects.toThrowCode('ANCHOR_MALFORMED')
    await expect(fileAnchor(join(directory, 'none', 'head')).advance(headAt(1n), null)).rejects.toThrowCode(
      'DIRECTORY_UNWRITABLE',
    )
  })
})

import {
  counterAnchor,
  type HeadFile,
  headKeeper,
  type MonotonicCounter,
  type RollbackAnchor,
  remoteAnchor,
} from '@leastwise/raftlog'
import { nodeCipherSuite } from '@leastwise/raftlog/node'
import { seededRandom } from '../support/seeded-random.ts'
import { CLUSTER, LOG } from './log-support.ts'

/** A counter in memory that can fail before or after it counts. */
export interface FakeCounter extends MonotonicCounter {
  fail: 'before' | 'after' | null
  value: bigint
}

export function fakeCounter(start = 40n): FakeCounter {
  const counter: FakeCounter = {
    fail: null,
    value: start,
    read: async () => counter.value,
    increment: async () => {
      const { fail } = counter
      counter.fail = null
      if (fail === 'before') throw new Error('counter is gone')
      counter.value += 1n
      if (fail === 'after') throw new Error('answer is lost')
    },
  }
  return counter
}

/** A file in memory, with all that was ever written to it. */
export interface FakeFile extends HeadFile {
  bytes: Uint8Array | null
  readonly history: Uint8Array[]
}

export function fakeFile(): FakeFile {
  const file: FakeFile = {
    bytes: null,
    history: [],
    load: async () => file.bytes,
    save: async (bytes) => {
      file.bytes = bytes.slice()
      file.history.push(bytes.slice())
    },
  }
  return file
}

export const COUNTER_KEY = new Uint8Array(32).fill(0x5c)

export const counted = (counter: MonotonicCounter, file: HeadFile): RollbackAnchor =>
  counterAnchor({ counter, file, key: COUNTER_KEY, suite: nodeCipherSuite })

/** A peer in this process, reached over a wire that can be cut. */
export interface FakePeer {
  readonly anchor: RollbackAnchor
  readonly keeper: ReturnType<typeof headKeeper>
  /** `deaf`: requests are lost. `mute`: they arrive, answers are lost. `slow`: no answer ever. */
  wire: 'up' | 'deaf' | 'mute' | 'slow'
}

let seed = 1000

export function fakePeer(keeper: ReturnType<typeof headKeeper> = headKeeper()): FakePeer {
  seed += 1
  const peer: FakePeer = {
    keeper,
    wire: 'up',
    anchor: remoteAnchor({
      clusterId: CLUSTER,
      logId: LOG,
      random: seededRandom(seed),
      exchange: async (request) => {
        if (peer.wire === 'deaf') throw new Error('connection refused')
        const answer = await keeper.answer(request, { clusterId: CLUSTER, logId: LOG })
        if (peer.wire === 'slow') return await new Promise(() => undefined)
        if (peer.wire === 'mute') throw new Error('connection reset')
        return answer
      },
    }),
  }
  return peer
}

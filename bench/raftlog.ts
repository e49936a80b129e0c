import { randomBytes } from 'node:crypto'
import { FRAME_TYPE, type FrameContext, sealFrame } from '@leastwise/raftlog'
import { nodeCipherSuite } from '@leastwise/raftlog/node'
import nacl from 'tweetnacl'
import { type Contestant, race, type Standing } from './harness.ts'
import { type Area, ratioRow } from './row.ts'

const FRAME_RECORDS = 64
const LENGTH_BYTES = 4

/** One sealed frame of all records: lengths and records copied into its body, one key, a counter as nonce. */
function frameSealer(records: readonly Uint8Array[]): Contestant {
  const context: FrameContext = { key: nodeCipherSuite.aead(randomBytes(32)), headerHash: randomBytes(32), life: 0 }
  const bodyBytes = records.reduce((sum, record) => sum + LENGTH_BYTES + record.length, 0)
  // As the log does: one buffer is filled while the other is on its way, and both serve for ever.
  const body = new Uint8Array(bodyBytes)
  const view = new DataView(body.buffer)
  let previous: Uint8Array = randomBytes(16)
  let number = 0
  return {
    name: 'leastwise',
    units: records.length,
    run: () => {
      let at = 0
      for (const record of records) {
        view.setUint32(at, record.length)
        body.set(record, at + LENGTH_BYTES)
        at += LENGTH_BYTES + record.length
      }
      const index = BigInt(number * records.length + 1)
      const head = { type: FRAME_TYPE.entries, count: records.length, bodyBytes, index, term: 1n }
      previous = sealFrame(context, { number, previous }, head, body, nodeCipherSuite).tag
      number += 1
    },
  }
}

/** Each record sealed on its own, the nonce a counter: drawing random ones would cost more. */
function recordSealer(records: readonly Uint8Array[]): Contestant {
  const key = new Uint8Array(randomBytes(nacl.secretbox.keyLength))
  const nonce = new Uint8Array(nacl.secretbox.nonceLength)
  const view = new DataView(nonce.buffer)
  let number = 0
  return {
    name: 'tweetnacl, record by record',
    units: records.length,
    run: () => {
      for (const record of records) {
        view.setUint32(0, number)
        number += 1
        nacl.secretbox(record, nonce, key)
      }
    },
  }
}

/** Records with random bytes. */
export const recordsOf = (count: number, bytes: number): readonly Uint8Array[] =>
  Array.from({ length: count }, () => new Uint8Array(randomBytes(bytes)))

/** Sealing what one group commit holds. */
export const seal: Area = async function* (effort) {
  for (const { bytes, size, atLeast } of [
    { bytes: 128, size: '128 B', atLeast: 20 },
    { bytes: 1024, size: '1 KiB', atLeast: 15 },
  ]) {
    const records = recordsOf(FRAME_RECORDS, bytes)
    const standings = await race([frameSealer(records), recordSealer(records)], effort)
    const [ours, theirs] = standings as [Standing, Standing]
    yield ratioRow(
      { job: `seal: a frame of ${FRAME_RECORDS} records of ${size}`, unit: 'records/s', atLeast },
      ours,
      theirs,
    )
  }
}

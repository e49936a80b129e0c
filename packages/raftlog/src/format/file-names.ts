/** Twenty digits hold every number of 64 bits, so names sort as their numbers do. */
const DIGITS = 20
const NAME = /^(\d{20})\.(log|snap)$/
const TEMPORARY = /^\d{20}\.(?:log|snap)\.tmp$/

/** What a name in a log directory stands for; null for a file that is not ours. */
export type LogFileName =
  | { readonly kind: 'segment' | 'snapshot'; readonly number: bigint }
  | { readonly kind: 'temporary' }
  | null

/** Name of the segment with this number. */
export const segmentName = (sequence: bigint): string => `${sequence.toString().padStart(DIGITS, '0')}.log`

/** Name of the snapshot at this index. */
export const snapshotName = (index: bigint): string => `${index.toString().padStart(DIGITS, '0')}.snap`

/** Name under which a file is written before it takes its own. */
export const temporaryName = (name: string): string => `${name}.tmp`

/** Tells what a name in a log directory stands for. */
export function parseFileName(name: string): LogFileName {
  if (TEMPORARY.test(name)) return { kind: 'temporary' }
  const [, digits, extension] = NAME.exec(name) ?? []
  if (digits === undefined) return null
  const number = BigInt(digits)
  if (number >> 63n !== 0n) return null
  return { kind: extension === 'log' ? 'segment' : 'snapshot', number }
}

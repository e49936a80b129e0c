import type { KeyWrapper } from '@leastwise/raftlog'
import type { KeyPin, LogHead } from '@leastwise/raftlog-etcd'
import { OrchestratorError } from '../../errors.ts'
import { decodePlain, encodePlain } from '../../plain-data.ts'

/** What a manager keeps of its part in the shared log, in its key file; there the secret part is wrapped under its unlock key. */
export interface OwnMembership {
  /** Counts its box keys, from 1. */
  readonly number: number
  /** Secret part of its box key, 32 bytes. */
  readonly secretKey: Uint8Array
  /** The newest data key that it has seen; null until another manager has let it in. */
  readonly pin: KeyPin | null
  /** The newest entry that it has seen when it last wrote this; null before. */
  readonly head: LogHead | null
}

/** Its name among the companions of the key file. */
export const MEMBERSHIP = 'etcd-member'

/** The key file authenticates what hosts keep in it and does not hide it: the secret part is wrapped here. */
export async function encodeMembership(
  { number, secretKey, pin, head }: OwnMembership,
  wrapper: KeyWrapper,
): Promise<Uint8Array> {
  return encodePlain({
    number,
    wrappedKey: await wrapper.wrap(secretKey),
    pin: pin === null ? null : { generation: pin.generation, mark: pin.mark },
    head: head === null ? null : { index: head.index, term: head.term, frames: head.frames, tag: head.tag },
  })
}

const fieldsOf = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {}

const isPin = (value: unknown): value is KeyPin => {
  const { generation, mark } = fieldsOf(value)
  return typeof generation === 'number' && typeof mark === 'string'
}

const isHead = (value: unknown): value is LogHead => {
  const { index, term, frames, tag } = fieldsOf(value)
  return [index, term, frames].every((number) => typeof number === 'bigint') && tag instanceof Uint8Array
}

/** @throws {@link OrchestratorError} `JOURNAL_UNREADABLE` */
export async function decodeMembership(bytes: Uint8Array, wrapper: KeyWrapper): Promise<OwnMembership> {
  const { number, wrappedKey, pin, head } = fieldsOf(decodePlain(bytes))
  const secretKey = wrappedKey instanceof Uint8Array ? await wrapper.unwrap(wrappedKey) : null
  if (
    typeof number === 'number' &&
    secretKey?.length === 32 &&
    (pin === null || isPin(pin)) &&
    (head === null || isHead(head))
  )
    return { number, secretKey, pin, head }
  throw new OrchestratorError(
    'JOURNAL_UNREADABLE',
    'the key file does not say what part this manager has in the log; restore it from a backup',
  )
}

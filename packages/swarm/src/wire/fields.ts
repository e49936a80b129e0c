import { SwarmError } from '../errors.ts'
import { MAX_ID_CHARS, MAX_TEXT_CHARS } from './limits.ts'

/** Who made the message that is being read: it decides the code of a refusal. */
export type Sender = 'caller' | 'manager'

/** The refusal of a message that says something it must not. `what` names the field, never its content. */
export function malformed(sender: Sender, what: string): SwarmError {
  return sender === 'caller'
    ? new SwarmError('REQUEST_MALFORMED', `${what} in the request is not usable, send it as the protocol describes`)
    : new SwarmError(
        'MESSAGE_MALFORMED',
        `${what} in the manager's message is not usable, check that it is a swarm manager`,
      )
}

const ID = /^[0-9A-Za-z][0-9A-Za-z._-]*$/

/** A non-empty id made of letters, digits, dot, dash and underscore. */
export function idField(text: string, sender: Sender, what: string): string {
  if (text.length > MAX_ID_CHARS || !ID.test(text)) throw malformed(sender, what)
  return text
}

/** Text that may be empty but not long. */
export function textField(text: string, sender: Sender, what: string): string {
  if (text.length > MAX_TEXT_CHARS) throw malformed(sender, what)
  return text
}

/** A message that must be there. */
export function present<T>(value: T | undefined, sender: Sender, what: string): T {
  if (value === undefined) throw malformed(sender, what)
  return value
}

/** A 64-bit number that has to fit into a JavaScript number exactly. */
export function safeNumber(value: bigint, sender: Sender, what: string): number {
  if (value < BigInt(Number.MIN_SAFE_INTEGER) || value > BigInt(Number.MAX_SAFE_INTEGER)) throw malformed(sender, what)
  return Number(value)
}

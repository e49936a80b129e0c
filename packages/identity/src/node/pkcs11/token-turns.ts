import { hsmError, isSessionGone, tokenFailure } from './p11-failure.ts'
import { type LoadP11, libraryName } from './p11-library.ts'
import type { P11Crypto, P11Package } from './p11-shape.ts'
import {
  closeSession,
  type FoundToken,
  findToken,
  type LoginTime,
  openSession,
  type TokenChoice,
} from './token-session.ts'

/** The PIN, or who asks for it. It is asked for when the token is opened, and again when a lost session is opened anew. */
export type PinSource = string | (() => string | Promise<string>)

export interface TokenParts {
  readonly library: string
  readonly token: TokenChoice
  readonly pin: PinSource
}

/** A token that is used by one operation after the other: a session of PKCS #11 has room for one. */
export interface TokenTurns {
  readonly label: string
  readonly serialNumber: string
  /** Waits for its turn. What only reads, signs or decrypts may be done again in a fresh session when the old one is lost. */
  readonly use: <T>(repeat: 'repeatable' | 'once', work: (crypto: P11Crypto) => Promise<T>) => Promise<T>
  /** Waits for what is under way, logs out and closes. */
  readonly close: () => Promise<void>
}

const MAX_PIN_LENGTH = 256

// The login belongs to the process. A second opening would be logged in whatever its PIN, and its end would log the first one out.
const open = new WeakMap<P11Package, Set<string>>()

async function readPin(pin: PinSource): Promise<string> {
  const value = typeof pin === 'function' ? await pin() : pin
  if (typeof value !== 'string' || value.length === 0 || value.length > MAX_PIN_LENGTH)
    throw new TypeError(`pin must be a text of 1 to ${MAX_PIN_LENGTH} letters`)
  return value
}

/** Opens the token, and keeps it open until it is closed. */
export async function openTurns(parts: TokenParts, load: LoadP11): Promise<TokenTurns> {
  const p11 = await load()
  const library = libraryName(parts.library)
  const first = findToken(p11, library, parts.token)
  const { label, serialNumber } = first
  const taken = open.get(p11) ?? new Set<string>()
  open.set(p11, taken)
  const name = `${library}\n${serialNumber}\n${label}`
  if (taken.has(name))
    throw hsmError('HSM_BUSY', 'this process has the token open already; share it, or close it first')
  // One and the same token from now on, wherever it is plugged in.
  const choice: TokenChoice = { label, serialNumber }
  const session = (found: FoundToken, text: string, time: LoginTime): P11Crypto =>
    openSession(p11, found, { pin: text, time })
  // Taken before anybody is asked for the PIN, which may be a while.
  taken.add(name)
  let crypto: P11Crypto | null
  try {
    crypto = session(first, await readPin(parts.pin), 'first')
  } catch (error) {
    taken.delete(name)
    throw error
  }

  let ended: Error | null = null
  let closed = false
  let last: Promise<unknown> = Promise.resolve()
  const inTurn = async <T>(work: () => T | Promise<T>): Promise<T> => {
    const turn = last.then(work)
    last = turn.catch(() => undefined)
    return await turn
  }

  const reopen = async (): Promise<P11Crypto> => {
    if (crypto !== null) closeSession(crypto)
    crypto = null
    const text = await readPin(parts.pin)
    try {
      crypto = session(findToken(p11, library, choice), text, 'again')
      return crypto
    } catch (error) {
      // Tries are few: a PIN that was refused once is not tried a second time.
      const failure = tokenFailure(error)
      if (failure.code === 'HSM_PIN_REFUSED') ended = failure
      throw failure
    }
  }

  return {
    label,
    serialNumber,
    use: async (repeat, work) =>
      await inTurn(async () => {
        if (ended !== null) throw ended
        const fresh = crypto === null
        const current = crypto ?? (await reopen())
        try {
          return await work(current)
        } catch (error) {
          if (!isSessionGone(error)) throw tokenFailure(error)
          if (fresh || repeat === 'once') {
            closeSession(current)
            crypto = null
            throw tokenFailure(error)
          }
        }
        const again = await reopen()
        try {
          return await work(again)
        } catch (error) {
          throw tokenFailure(error)
        }
      }),
    close: async () => {
      await inTurn(() => {
        if (closed) return
        closed = true
        ended = hsmError('HSM_CLOSED', 'token was closed; open it anew')
        if (crypto !== null) closeSession(crypto)
        crypto = null
        taken.delete(name)
      })
    },
  }
}

import { hsmError, isLoggedIn, isPinRefused, tokenFailure } from './p11-failure.ts'
import { slotsOf } from './p11-library.ts'
import type { P11Crypto, P11Package, P11Session, P11Slot, P11Token } from './p11-shape.ts'

/** Which token: whatever is given must match, and exactly one token must. */
export interface TokenChoice {
  readonly label?: string
  /** Stays with the token; a label can be given twice. */
  readonly serialNumber?: string
  /** Place in the list of slots that hold a token, from 0. It may change whenever a token comes or goes. */
  readonly slot?: number
}

export interface FoundToken {
  readonly slot: P11Slot
  readonly label: string
  readonly serialNumber: string
  readonly flags: number
}

/** Who logs in: somebody who brings the PIN for the first time, or the program again with one that was right. */
export type LoginTime = 'first' | 'again'

// Session and token flags of PKCS #11 (version 2.40, sections 3.2 and 3.3).
const SERIAL_SESSION = 0x4
const READ_WRITE = 0x2
const PIN_FINAL_TRY = 0x20000
const PIN_LOCKED = 0x40000

const LOCKED = 'pin of the token is locked; have its security officer unlock it'

/** `null` for one that does not answer: what is wrong with another token is no reason not to find this one. */
function tokenOf(slot: P11Slot): P11Token | null {
  try {
    return slot.getToken()
  } catch {
    return null
  }
}

/**
 * Finds the token.
 *
 * @throws `HSM_TOKEN_ABSENT` if there is none, or more than one.
 */
export function findToken(p11: P11Package, library: string, choice: TokenChoice): FoundToken {
  const found = slotsOf(p11, library).flatMap((slot, index): readonly FoundToken[] => {
    const token = tokenOf(slot)
    const { label = token?.label, serialNumber = token?.serialNumber, slot: place = index } = choice
    if (token === null || token.label !== label || token.serialNumber !== serialNumber || place !== index) return []
    return [{ slot, label: token.label, serialNumber: token.serialNumber, flags: token.flags }]
  })
  const [only, ...more] = found
  if (only === undefined) {
    throw hsmError(
      'HSM_TOKEN_ABSENT',
      'no such token is present and answers; insert it, or look at its label and serial number',
      {
        retryable: true,
      },
    )
  }
  if (more.length > 0)
    throw hsmError('HSM_TOKEN_ABSENT', `${found.length} such tokens are present; give the serial number of one`)
  return only
}

/** Refuses to use up the last try without an operator, and any try on a PIN that is locked. */
function checkTries(flags: number, time: LoginTime): void {
  if ((flags & PIN_LOCKED) !== 0) throw hsmError('HSM_PIN_REFUSED', LOCKED)
  if ((flags & PIN_FINAL_TRY) !== 0 && time === 'again') {
    throw hsmError(
      'HSM_PIN_REFUSED',
      'pin of the token has one try left, which is not used up without an operator; close it and open it anew',
    )
  }
}

function login(session: P11Session, pin: string, time: LoginTime): void {
  try {
    session.login(pin)
  } catch (error) {
    if (time === 'again' && isLoggedIn(error)) return
    session.close()
    // The login is the whole process's: what somebody else logged in to does not say whether this PIN is right.
    if (isLoggedIn(error))
      throw hsmError('HSM_BUSY', 'somebody in this process is logged in to the token; use what he opened')
    if (isPinRefused(error)) {
      throw hsmError(
        'HSM_PIN_REFUSED',
        'token refused the pin; give the right one before its tries are used up, it is not tried again by itself',
      )
    }
    throw tokenFailure(error)
  }
}

/** Opens a session in which the keys of the token can be used. */
export function openSession(
  p11: P11Package,
  { slot, flags }: FoundToken,
  { pin, time }: { readonly pin: string; readonly time: LoginTime },
): P11Crypto {
  checkTries(flags, time)
  let session: P11Session
  try {
    session = slot.open(SERIAL_SESSION | READ_WRITE)
  } catch (error) {
    throw tokenFailure(error)
  }
  login(session, pin, time)
  return new p11.Crypto({ session })
}

/** Logs out and closes, whatever is left of the session. */
export function closeSession({ session }: P11Crypto): void {
  for (const step of [session.logout.bind(session), session.close.bind(session)]) {
    try {
      step()
    } catch {
      // A session that is gone is closed.
    }
  }
}

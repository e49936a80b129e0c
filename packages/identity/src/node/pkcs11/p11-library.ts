import { realpathSync } from 'node:fs'
import { hsmError, isInitialized, isTokenGone, returnValueOf, tokenFailure } from './p11-failure.ts'
import type { P11Library, P11Package, P11Slot } from './p11-shape.ts'

/** How the optional package is loaded; a test puts its own in this place. */
export type LoadP11 = () => Promise<P11Package>

// By name, so that whoever has no HSM needs neither the package nor its types.
const PACKAGE = 'node-webcrypto-p11'

export const loadP11: LoadP11 = async () => {
  try {
    return (await import(PACKAGE)) as P11Package
  } catch {
    throw hsmError(
      'HSM_NOT_INSTALLED',
      'node-webcrypto-p11 cannot be loaded; install it beside this package and build its addon: npm rebuild pkcs11js --ignore-scripts=false',
    )
  }
}

/** No machine has more readers; it only bounds a search. */
const MAX_SLOTS = 64

// A library is initialized once for the whole process, and finalizing it would end the sessions of everybody in it. So it is kept, and never finalized.
const libraries = new WeakMap<P11Package, Map<string, P11Library>>()

/** One path for one library, so that two spellings are not taken for two libraries. A bare name is left for the system to find. */
export function libraryName(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return path
  }
}

function loadLibrary(p11: P11Package, name: string): P11Library {
  let last: unknown
  for (let slot = 0; slot < MAX_SLOTS; slot += 1) {
    try {
      // The package loads a library only together with a session. That is closed at once; any slot that gives one will do.
      const { slot: opened, session } = new p11.Crypto({ library: name, slot })
      session.close()
      return opened.module
    } catch (error) {
      if (error instanceof Error && error.message.startsWith('Slot by index')) break
      if (returnValueOf(error) === 0) {
        throw hsmError(
          'HSM_LIBRARY_INVALID',
          'pkcs #11 library cannot be loaded; give the path of the shared library that came with the hsm',
        )
      }
      // An empty slot, or a token that was never initialized: the next one may be better.
      if (!isTokenGone(error)) throw tokenFailure(error)
      last = error
    }
  }
  throw last === undefined
    ? hsmError('HSM_TOKEN_ABSENT', 'no token is present; insert or initialize one', { retryable: true })
    : tokenFailure(last)
}

/** The slots that hold a token, of a library that is loaded when it is needed first and initialized again if somebody finalized it. */
export function slotsOf(p11: P11Package, name: string): readonly P11Slot[] {
  const known = libraries.get(p11) ?? new Map<string, P11Library>()
  libraries.set(p11, known)
  const library = known.get(name) ?? loadLibrary(p11, name)
  known.set(name, library)
  try {
    library.initialize()
  } catch (error) {
    if (!isInitialized(error)) throw tokenFailure(error)
  }
  try {
    const slots = library.getSlots(true)
    return Array.from({ length: Math.min(slots.length, MAX_SLOTS) }, (_, index) => slots.items(index))
  } catch (error) {
    throw tokenFailure(error)
  }
}

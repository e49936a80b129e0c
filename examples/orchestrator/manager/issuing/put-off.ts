import { IdentityError } from '@leastwise/identity'
import { OrchestratorError } from '../../errors.ts'
import { sleepUntilWoken } from '../../sleepers.ts'

/** Why a request could not be signed. */
export interface Refusal {
  readonly code: string
  /** Whether time alone may mend it. */
  readonly retryable: boolean
}

/** Requests that could not be signed and are tried again. */
export interface PutOff {
  /** Signs all of them; keeps those that are refused for later. Rejects when it is not signing that fails. */
  readonly all: (nodeIds: Iterable<string>) => Promise<void>
  /** One that was refused. @returns null, and nothing is kept, if `error` is no refusal to sign. */
  readonly add: (nodeId: string, error: unknown) => Refusal | null
  readonly state: () => { readonly requests: number; readonly code: string | null }
  readonly run: (signal: AbortSignal) => Promise<void>
}

export interface PutOffOptions {
  readonly issueNow: (nodeId: string) => Promise<void>
  readonly sleep: (ms: number, options: { readonly signal: AbortSignal }) => Promise<void>
  readonly onPutOff: (refusal: Refusal) => void
}

/** The first pause, which doubles up to the longest one for as long as nothing is signed. */
export const FIRST_PAUSE_MS = 500
export const LONGEST_PAUSE_MS = 30_000

function refusalIn(error: unknown): Refusal | null {
  if (error instanceof IdentityError) return error
  // The intermediate of this manager is being signed.
  if (error instanceof OrchestratorError && error.code === 'INTERMEDIATE_MISSING')
    return { code: error.code, retryable: true }
  return null
}

export function createPutOff({ issueNow, sleep, onPutOff }: PutOffOptions): PutOff {
  const waiting = new Set<string>()
  const sleepers = new Set<() => void>()
  let code: string | null = null

  const add = (nodeId: string, error: unknown): Refusal | null => {
    const refusal = refusalIn(error)
    if (refusal === null) return null
    waiting.add(nodeId)
    code = refusal.code
    onPutOff(refusal)
    for (const wake of [...sleepers]) wake()
    return refusal
  }

  /** @returns false if the one that signs is not there now, so that the others need not be tried. */
  const signOne = async (nodeId: string): Promise<boolean> => {
    try {
      await issueNow(nodeId)
    } catch (error) {
      const refusal = add(nodeId, error)
      if (refusal === null) throw error
      return !refusal.retryable
    }
    waiting.delete(nodeId)
    if (waiting.size === 0) code = null
    return true
  }

  const all = async (nodeIds: Iterable<string>): Promise<void> => {
    let there = true
    for (const nodeId of nodeIds) {
      if (there) there = await signOne(nodeId)
      else waiting.add(nodeId)
    }
  }

  return {
    all,
    add,
    state: () => ({ requests: waiting.size, code }),
    run: async (signal) => {
      for (let pauseMs = FIRST_PAUSE_MS; !signal.aborted; ) {
        if (waiting.size === 0) {
          pauseMs = FIRST_PAUSE_MS
          await sleepUntilWoken(sleepers, signal)
          continue
        }
        await sleep(pauseMs, { signal })
        const before = waiting.size
        await all([...waiting])
        pauseMs = waiting.size < before ? FIRST_PAUSE_MS : Math.min(2 * pauseMs, LONGEST_PAUSE_MS)
      }
    },
  }
}

/** An append as its client saw it; every one has a value of its own. Moments are counted, or measured by one clock. */
export interface AppendCall {
  readonly kind: 'append'
  readonly value: string
  readonly invoked: number
  readonly returned: number
  /** `ok`: acknowledged, at `index`. `failed`: refused, nothing was appended. `unknown`: nobody said. */
  readonly outcome: 'ok' | 'failed' | 'unknown'
  readonly index?: number
}

/** A read of the whole log. */
export interface ReadCall {
  readonly kind: 'read'
  readonly values: readonly string[]
  readonly invoked: number
  readonly returned: number
}

export type Call = AppendCall | ReadCall

/** A call in its place in the order that the log itself gives. */
interface Placed {
  readonly what: string
  readonly place: number
  readonly invoked: number
  readonly returned: number
}

/**
 * What is wrong with a history of calls on an append-only log that in the end holds `final`; nothing if it is
 * linearizable: there is one order of all calls, in which each append puts its value at the end and each read sees what is
 * there, and no call comes before one that had returned before it began.
 *
 * The log fixes that order: appends by their index, a read behind the last entry that it saw. So it is enough to look
 * for a call that began after one that the log puts behind it had returned.
 */
export function violations(calls: readonly Call[], final: readonly string[]): readonly string[] {
  const wrong: string[] = []
  const indexOf = new Map<string, number>()
  for (const [at, value] of final.entries()) {
    if (indexOf.has(value)) wrong.push(`${value} is in the log twice`)
    else indexOf.set(value, at + 1)
  }
  const invoked = new Set(calls.flatMap((call) => (call.kind === 'append' ? [call.value] : [])))
  for (const value of final) if (!invoked.has(value)) wrong.push(`${value} was never appended`)

  const placed: Placed[] = []
  for (const call of calls) {
    if (call.kind === 'read') {
      const strange = call.values.findIndex((value, at) => value !== final[at])
      if (strange >= 0)
        wrong.push(`a read saw ${call.values[strange]!} at ${strange + 1}, the log holds another value there`)
      placed.push({ ...call, what: `a read of ${call.values.length}`, place: 2 * call.values.length + 1 })
      continue
    }
    const index = indexOf.get(call.value)
    if (call.outcome === 'failed' && index !== undefined) wrong.push(`${call.value} was refused and is in the log`)
    if (call.outcome === 'ok' && index === undefined) wrong.push(`${call.value} was acknowledged and is lost`)
    if (call.outcome === 'ok' && index !== undefined && index !== call.index)
      wrong.push(`${call.value} is not where it was acknowledged`)
    if (index === undefined) continue
    // Where nobody said that it was done, it may have been done at any later moment.
    const returned = call.outcome === 'ok' ? call.returned : Number.POSITIVE_INFINITY
    placed.push({ what: call.value, place: 2 * index, invoked: call.invoked, returned })
  }

  placed.sort((a, b) => a.place - b.place)
  let latest: Placed | null = null
  let pending: Placed[] = []
  for (const call of placed) {
    if (pending[0] !== undefined && pending[0].place < call.place) {
      for (const each of pending) if (latest === null || each.invoked > latest.invoked) latest = each
      pending = []
    }
    if (latest !== null && call.returned < latest.invoked)
      wrong.push(`${latest.what} began after ${call.what} was over, and stands before it`)
    pending.push(call)
  }
  return wrong
}

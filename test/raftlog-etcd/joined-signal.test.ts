import { getEventListeners } from 'node:events'
import { describe, expect, it } from 'vitest'
import { joinSignals, onAbort } from '../../packages/raftlog-etcd/src/joined-signal.ts'

const listeners = (signal: AbortSignal): number => getEventListeners(signal, 'abort').length

describe('joined signals', () => {
  it('follow each of theirs, with its reason, until they are disposed', () => {
    for (const nth of [0, 1]) {
      const parts = [new AbortController(), new AbortController()]
      using joined = joinSignals(parts[0]!.signal, undefined, parts[1]!.signal)
      expect(joined.signal.aborted).toBe(false)
      const reason = new Error('enough')
      parts[nth]!.abort(reason)
      expect(joined.signal.reason).toBe(reason)
    }
    const control = new AbortController()
    const left = joinSignals(control.signal)
    left[Symbol.dispose]()
    control.abort()
    expect(left.signal.aborted).toBe(false)
    expect(joinSignals(control.signal).signal.reason).toBe(control.signal.reason)
  })

  it('put one listener on a signal, however many they are, and none when they are gone', () => {
    const control = new AbortController()
    const many = Array.from({ length: 50 }, () => joinSignals(control.signal))
    expect(listeners(control.signal)).toBe(1)
    for (const each of many.slice(1)) each[Symbol.dispose]()
    expect(listeners(control.signal)).toBe(1)
    many[0]![Symbol.dispose]()
    expect(listeners(control.signal)).toBe(0)
    // Disposing twice takes nothing from those that came later.
    using later = joinSignals(control.signal)
    many[0]![Symbol.dispose]()
    expect(listeners(control.signal)).toBe(1)
    control.abort()
    expect(later.signal.aborted).toBe(true)
  })

  it('tell the others also if one leaves while it is told', () => {
    const control = new AbortController()
    const told: string[] = []
    const first = onAbort(control.signal, () => {
      told.push('first')
      first[Symbol.dispose]()
    })
    onAbort(control.signal, () => told.push('second'))
    control.abort()
    expect(told).toEqual(['first', 'second'])
  })
})

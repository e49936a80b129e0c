import { inspect } from 'node:util'
import {
  type AssignedTask,
  type AssignmentSet,
  completeSet,
  createHold,
  type Hold,
  incrementalSet,
  Secret,
} from '@leastwise/secrets'
import { describe, expect, it } from 'vitest'
import { secretReaderContract } from '../contract/secret-reader.ts'
import { bytesOf, textOf } from './catalogue-driver.ts'

const { signal } = new AbortController()
const secret = (id: string, value = `value of ${id}`) => ({ id, name: id, value: Secret.copyOf(bytesOf(value)) })
const task = (id: string, ...secretIds: readonly string[]): AssignedTask => ({ id, secretIds })
type Change = AssignmentSet<AssignedTask>['changes'][number]
const put = (...items: readonly (AssignedTask | ReturnType<typeof secret>)[]): readonly Change[] =>
  items.map((item) =>
    'value' in item
      ? { action: 'update', item: { kind: 'secret', secret: item } }
      : { action: 'update', item: { kind: 'task', task: item } },
  )
const drop = (kind: 'secret' | 'task', id: string): Change => ({ action: 'remove', item: { kind, id } })

/** A hold whose memory can be looked at, and a stream that numbers its sets. */
function watched() {
  const memory: Uint8Array[] = []
  const hold = createHold<AssignedTask>({
    allocate: (sizeBytes) => {
      const bytes = new Uint8Array(sizeBytes)
      memory.push(bytes)
      return bytes
    },
  })
  const next = (...changes: readonly Change[]) =>
    hold.apply({ type: 'incremental', appliesTo: hold.cursor(), resultsIn: `${Number(hold.cursor()) + 1}`, changes })
  const open = (...changes: readonly Change[]) =>
    hold.apply({ type: 'complete', appliesTo: '', resultsIn: '1', changes })
  const zeros = () => memory.map((bytes) => bytes.every((byte) => byte === 0))
  const read = async (taskId: string, id: string) => {
    using value = await hold.reader(taskId).read(id, { signal })
    return value.expose(textOf)
  }
  return { hold, next, open, zeros, read }
}

secretReaderContract('the reader of a hold', () => {
  const hold = createHold<AssignedTask>()
  hold.apply(completeSet({ secrets: [secret('s1', 'one'), secret('another')], tasks: [task('t1', 's1')] }))
  return { reader: hold.reader('t1'), id: 's1', value: bytesOf('one') }
})

describe('a hold', () => {
  it('shows a task its own secrets and no others', async () => {
    const { open, read } = watched()
    open(...put(secret('s1'), secret('s2'), task('t1', 's1'), task('t2', 's2')))
    expect(await read('t1', 's1')).toBe('value of s1')
    await expect(read('t1', 's2')).rejects.toThrowCode('SECRET_NOT_GRANTED')
    await expect(read('t3', 's2')).rejects.toThrowCode('SECRET_NOT_GRANTED')
  })

  it('tells what a set changed for tasks', () => {
    const { open, next } = watched()
    const [t1, t2] = [task('t1'), task('t2')]
    expect(open(...put(t1))).toEqual({ updated: [t1], removed: [] })
    expect(next(...put(t2), drop('task', 't1'), drop('task', 't9'))).toEqual({ updated: [t2], removed: ['t1'] })
    expect(open(...put(t1))).toEqual({ updated: [t1], removed: ['t2'] })
  })

  it('wipes a secret with its last task, not before', () => {
    const { hold, open, next, zeros } = watched()
    open(...put(secret('s1'), task('t1', 's1'), task('t2', 's1', 's1')))
    next(drop('task', 't1'))
    expect([hold.ids(), zeros()]).toEqual([['s1'], [false]])
    next(drop('task', 't2'))
    expect([hold.ids(), zeros()]).toEqual([[], [true]])
  })

  it('hands a secret from one task to the next within a set, in either order', () => {
    const { hold, open, next, zeros } = watched()
    open(...put(secret('s1'), task('t1', 's1')))
    next(drop('task', 't1'), ...put(task('t2', 's1')))
    next(...put(task('t3', 's1')), drop('task', 't2'))
    expect([hold.ids(), zeros()]).toEqual([['s1'], [false]])
  })

  it('follows a task that needs other secrets now', async () => {
    const { hold, open, next, read, zeros } = watched()
    open(...put(secret('s1'), task('t1', 's1')))
    next(...put(secret('s2'), task('t1', 's2')))
    expect([hold.ids(), zeros()]).toEqual([['s2'], [true, false]])
    await expect(read('t1', 's1')).rejects.toThrowCode('SECRET_NOT_GRANTED')
  })

  it('keeps a secret whose task is still to come', async () => {
    const { open, next, read } = watched()
    open(...put(secret('s1')))
    next(...put(task('t1', 's1')))
    expect(await read('t1', 's1')).toBe('value of s1')
  })

  it('wipes a value that is replaced', async () => {
    const { open, next, read, zeros } = watched()
    open(...put(secret('s1', 'old'), task('t1', 's1')))
    next(...put(secret('s1', 'new')))
    expect(zeros()).toEqual([true, false])
    expect(await read('t1', 's1')).toBe('new')
  })

  it('wipes what the manager removes, although a task still wants it', async () => {
    const { open, next, read, zeros } = watched()
    open(...put(secret('s1'), task('t1', 's1')))
    next(drop('secret', 's1'))
    expect(zeros()).toEqual([true])
    await expect(read('t1', 's1')).rejects.toThrowCode('SECRET_UNKNOWN')
  })

  it('wipes all but the listed when a stream opens anew', () => {
    const { hold, open, zeros } = watched()
    open(...put(secret('s1'), secret('s2'), task('t1', 's1'), task('t2', 's2')))
    open(...put(secret('s2'), task('t2', 's2')))
    expect([hold.ids(), zeros()]).toEqual([['s2'], [true, true, false]])
  })

  it('lets go of everything at once', async () => {
    const { hold, open, read, zeros } = watched()
    open(...put(secret('s1'), secret('s2'), task('t1', 's1')))
    hold.clear()
    expect([hold.size(), hold.tasks(), hold.cursor(), zeros()]).toEqual([0, [], '', [true, true]])
    await expect(read('t1', 's1')).rejects.toThrowCode('SECRET_NOT_GRANTED')
    open(...put(secret('s1'), task('t1', 's1')))
    hold[Symbol.dispose]()
    expect(zeros()).toEqual([true, true, true])
  })

  it('copies: the values of a set stay their maker', () => {
    const { open, zeros, hold } = watched()
    const mine = secret('s1', 'mine')
    open(...put(mine, task('t1', 's1')))
    hold.clear()
    expect(zeros()).toEqual([true])
    expect(mine.value.expose(textOf)).toBe('mine')
  })

  it('prints no value', () => {
    const { hold, open } = watched()
    open(...put(secret('s1', 'hunter2-marked'), task('t1', 's1')))
    expect(
      inspect(hold, { depth: 20, showHidden: true }) + inspect(hold.reader('t1')) + JSON.stringify(hold),
    ).not.toContain('hunter2')
  })
})

describe('a task that ended on the worker first', () => {
  it('loses its secrets at once, and its reader', async () => {
    const { hold, open, read, zeros } = watched()
    open(...put(secret('s1'), task('t1', 's1')))
    const reader = hold.reader('t1')
    hold.release('t1')
    hold.release('t1')
    expect([hold.size(), zeros()]).toEqual([0, [true]])
    await expect(reader.read('s1', { signal })).rejects.toThrowCode('SECRET_NOT_GRANTED')
    await expect(read('t1', 's1')).rejects.toThrowCode('SECRET_NOT_GRANTED')
  })

  it('does not get them back by sets that still list it', () => {
    const { hold, open, next, zeros } = watched()
    open(...put(secret('s1'), secret('s2'), task('t1', 's1'), task('t2', 's2')))
    hold.release('t1')
    expect(next(...put(task('t1', 's1'))).updated).toEqual([])
    expect(open(...put(secret('s1'), secret('s2'), task('t1', 's1'), task('t2', 's2'))).removed).toEqual([])
    expect([hold.ids(), hold.tasks().map(({ id }) => id), zeros()]).toEqual([['s2'], ['t2'], [true, true, true, false]])
    expect(next(drop('task', 't1'), drop('secret', 's1')).removed).toEqual(['t1'])
  })

  it('makes a new task that needs the wiped value ask for a fresh stream, and changes nothing', async () => {
    const { hold, open, next, read } = watched()
    open(...put(secret('s1'), task('t1', 's1')))
    hold.release('t1')
    expect(() => next(...put(task('t2', 's1')))).toThrowCode('ASSIGNMENT_GAP')
    expect([hold.cursor(), hold.tasks()]).toEqual(['1', []])
    open(...put(secret('s1'), task('t2', 's1')))
    expect(await read('t2', 's1')).toBe('value of s1')
  })

  it('needs no fresh stream when the value comes with the set, or was removed in between', async () => {
    const { hold, open, next, read } = watched()
    open(...put(secret('s1'), task('t1', 's1')))
    hold.release('t1')
    next(...put(secret('s1'), task('t2', 's1')))
    expect(await read('t2', 's1')).toBe('value of s1')
    hold.release('t2')
    next(drop('task', 't2'), drop('secret', 's1'))
    next(...put(task('t3', 's1')))
    await expect(read('t3', 's1')).rejects.toThrowCode('SECRET_UNKNOWN')
  })
})

describe('a set that is refused', () => {
  const untouched = (hold: Hold<AssignedTask>, act: () => unknown, code: string): void => {
    const before = [hold.cursor(), hold.ids(), hold.tasks()]
    expect(act).toThrowCode(code)
    expect([hold.cursor(), hold.ids(), hold.tasks()]).toEqual(before)
  }

  it('leaves the hold as it was', () => {
    const { hold, open, next } = watched()
    open(...put(secret('s1'), task('t1', 's1')))
    untouched(
      hold,
      () => hold.apply({ type: 'incremental', appliesTo: '7', resultsIn: '8', changes: [drop('task', 't1')] }),
      'ASSIGNMENT_GAP',
    )
    untouched(hold, () => next(drop('task', 't1'), ...put(task('../x'))), 'ID_INVALID')
    untouched(hold, () => open(...put(secret('s2', ''))), 'SECRET_VALUE_SIZE')
    untouched(
      hold,
      () => hold.apply({ type: 'complete', appliesTo: '1', resultsIn: '2', changes: [] }),
      'ASSIGNMENT_INVALID',
    )
  })

  it('is not needed by a set that follows', () => {
    const { hold, open } = watched()
    open(...put(task('t1')))
    const set = incrementalSet({ secrets: [], tasks: [task('t1')] }, { secrets: [], tasks: [] }, hold.cursor())
    expect(set).not.toBeNull()
    if (set !== null) hold.apply(set)
    expect(() => set !== null && hold.apply(set)).toThrowCode('ASSIGNMENT_GAP')
  })
})

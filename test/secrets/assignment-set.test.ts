import {
  type AssignedTask,
  type AssignmentSet,
  type AssignmentView,
  applySet,
  checkSet,
  completeSet,
  FRESH_CURSOR,
  incrementalSet,
  MAX_CURSOR_LENGTH,
  MAX_TASK_SECRETS,
  Secret,
} from '@leastwise/secrets'
import { describe, expect, it } from 'vitest'
import { bytesOf } from './catalogue-driver.ts'

const secret = (id: string, value = 'value', name = id) => ({ id, name, value: Secret.copyOf(bytesOf(value)) })
const task = (id: string, ...secretIds: readonly string[]): AssignedTask => ({ id, secretIds })
const fresh: AssignmentView<AssignedTask> = { cursor: FRESH_CURSOR, assignments: { secrets: [], tasks: [] } }
const set = (change: Partial<AssignmentSet<AssignedTask>>): AssignmentSet<AssignedTask> => ({
  type: 'incremental',
  appliesTo: '1',
  resultsIn: '2',
  changes: [],
  ...change,
})

describe('making sets', () => {
  it('opens a stream with everything', () => {
    const [s1, t1] = [secret('s1'), task('t1', 's1')]
    expect(completeSet({ secrets: [s1], tasks: [t1] })).toEqual({
      type: 'complete',
      appliesTo: '',
      resultsIn: '1',
      changes: [
        { action: 'update', item: { kind: 'secret', secret: s1 } },
        { action: 'update', item: { kind: 'task', task: t1 } },
      ],
    })
  })

  it('sends what changed, in order, and counts on', () => {
    const [t1, t2] = [task('t1', 's1'), task('t2', 's2')]
    const s2 = secret('s2')
    expect(incrementalSet({ secrets: [secret('s1')], tasks: [t1] }, { secrets: [s2], tasks: [t2] }, '9')).toEqual({
      type: 'incremental',
      appliesTo: '9',
      resultsIn: '10',
      changes: [
        { action: 'update', item: { kind: 'secret', secret: s2 } },
        { action: 'update', item: { kind: 'task', task: t2 } },
        { action: 'remove', item: { kind: 'task', id: 't1' } },
        { action: 'remove', item: { kind: 'secret', id: 's1' } },
      ],
    })
  })

  it('says nothing when nothing changed, and looks at values, not at handles', () => {
    const t1 = task('t1', 's1')
    const before = { secrets: [secret('s1')], tasks: [t1] }
    expect(incrementalSet(before, { secrets: [secret('s1')], tasks: [t1] }, '1')).toBeNull()
    expect(incrementalSet(before, { secrets: [secret('s1', 'other')], tasks: [t1] }, '1')?.changes).toHaveLength(1)
    expect(
      incrementalSet(before, { secrets: [secret('s1', 'value', 'renamed')], tasks: [t1] }, '1')?.changes,
    ).toHaveLength(1)
  })

  it('asks the host whether a task changed', () => {
    const before = { secrets: [], tasks: [task('t1')] }
    const after = { secrets: [], tasks: [task('t1')] }
    expect(incrementalSet(before, after, '1')?.changes).toHaveLength(1)
    expect(incrementalSet(before, after, '1', { sameTask: (a, b) => a.id === b.id })).toBeNull()
  })

  it.each(['', '0', '01', 'x', '1234567890123456'])('refuses the cursor %j', (cursor) => {
    expect(() => incrementalSet(fresh.assignments, fresh.assignments, cursor)).toThrow(RangeError)
  })
})

describe('receiving sets', () => {
  it('takes a complete set at any cursor and drops what it does not list', () => {
    const view = applySet(
      { cursor: '5', assignments: { secrets: [secret('old')], tasks: [task('t0')] } },
      completeSet({ secrets: [secret('s1')], tasks: [task('t1', 's1')] }),
    )
    expect([
      view.cursor,
      view.assignments.secrets.map(({ id }) => id),
      view.assignments.tasks.map(({ id }) => id),
    ]).toEqual(['1', ['s1'], ['t1']])
  })

  it('refuses a set that does not follow', () => {
    const view = { ...fresh, cursor: '3' }
    for (const appliesTo of ['2', '4', ''])
      expect(() => applySet(view, set({ appliesTo, resultsIn: '9' }))).toThrowCode('ASSIGNMENT_GAP')
    expect(() => applySet(fresh, set({ appliesTo: '', resultsIn: '1' }))).toThrowCode('ASSIGNMENT_GAP')
    expect(applySet(view, set({ appliesTo: '3', resultsIn: '4' })).cursor).toBe('4')
  })

  it('does not mind the removal of what is not there', () => {
    const changes = [
      { action: 'remove', item: { kind: 'secret', id: 's1' } },
      { action: 'remove', item: { kind: 'task', id: 't1' } },
    ] as const
    expect(applySet({ ...fresh, cursor: '1' }, set({ changes })).assignments).toEqual(fresh.assignments)
  })

  it.each<[string, Partial<AssignmentSet<AssignedTask>>, string]>([
    ['a set that leads nowhere', { resultsIn: '' }, 'ASSIGNMENT_INVALID'],
    ['a set that stands still', { resultsIn: '1' }, 'ASSIGNMENT_INVALID'],
    ['a long cursor', { resultsIn: '9'.repeat(MAX_CURSOR_LENGTH + 1) }, 'ASSIGNMENT_INVALID'],
    ['a complete set that applies to another', { type: 'complete' }, 'ASSIGNMENT_INVALID'],
    [
      'too many changes',
      {
        changes: Array.from(
          { length: 100_001 },
          () => ({ action: 'remove', item: { kind: 'task', id: 't' } }) as const,
        ),
      },
      'ASSIGNMENT_INVALID',
    ],
    ['a bad id', { changes: [{ action: 'remove', item: { kind: 'secret', id: '../x' } }] }, 'ID_INVALID'],
    [
      'a bad id of a secret',
      { changes: [{ action: 'update', item: { kind: 'secret', secret: secret('') } }] },
      'ID_INVALID',
    ],
    [
      'a bad id of a task',
      { changes: [{ action: 'update', item: { kind: 'task', task: task('a/b') } }] },
      'ID_INVALID',
    ],
    [
      'a bad id in a task',
      { changes: [{ action: 'update', item: { kind: 'task', task: task('t', '..') } }] },
      'ID_INVALID',
    ],
    [
      'an empty value',
      { changes: [{ action: 'update', item: { kind: 'secret', secret: secret('s', '') } }] },
      'SECRET_VALUE_SIZE',
    ],
    [
      'an oversize value',
      {
        changes: [
          {
            action: 'update',
            item: { kind: 'secret', secret: { ...secret('s'), value: new Secret(new Uint8Array(512_000)) } },
          },
        ],
      },
      'SECRET_VALUE_SIZE',
    ],
    [
      'a task of too many secrets',
      {
        changes: [
          {
            action: 'update',
            item: {
              kind: 'task',
              task: task('t', ...Array.from({ length: MAX_TASK_SECRETS + 1 }, (_, at) => `s${at}`)),
            },
          },
        ],
      },
      'ASSIGNMENT_INVALID',
    ],
  ])('refuses %s', (_, change, code) => {
    expect(() => {
      checkSet('1', set(change))
    }).toThrowCode(code)
  })
})

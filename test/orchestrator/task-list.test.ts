import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  findTask,
  hasEnded,
  listTasks,
  type TaskCommand,
  type TaskList,
  type TaskSecret,
  taskList,
} from '../../examples/orchestrator/manager/task-list.ts'

const secret = (target: string): TaskSecret => ({
  secretId: 's1',
  name: 'db',
  target,
  uid: null,
  gid: null,
  mode: 0o400,
})
const runOf = (id: string, more: Partial<Extract<TaskCommand, { type: 'run' }>> = {}): TaskCommand => ({
  type: 'run',
  id,
  nodeId: 'node-a',
  command: ['sleep', '1'],
  secrets: [],
  now: 7,
  ...more,
})
const after = (tasks: TaskList, ...commands: readonly TaskCommand[]): TaskList =>
  commands.reduce((state, command) => taskList.decide(state, command).reduce(taskList.evolve, state), tasks)
const report = (id: string, more: Partial<Extract<TaskCommand, { type: 'report' }>> = {}): TaskCommand => ({
  type: 'report',
  id,
  nodeId: 'node-a',
  state: 'running',
  exitCode: null,
  message: '',
  ...more,
})

describe('the task list', () => {
  it('keeps a task as it was asked for, assigned at first', () => {
    const tasks = after(taskList.initial, runOf('t1', { secrets: [secret('a'), secret('b')] }))
    expect(listTasks(tasks)).toEqual([
      {
        id: 't1',
        nodeId: 'node-a',
        command: ['sleep', '1'],
        secrets: [secret('a'), secret('b')],
        createdAt: 7,
        state: 'assigned',
        exitCode: null,
        message: '',
      },
    ])
  })

  it.each([
    ['no word', []],
    ['an empty program', ['']],
    ['a zero byte', ['sh', '-c', 'a\0b']],
    ['more than 64 KiB', ['sh', 'x'.repeat(64 * 1024)]],
    ['more than 64 KiB of wide characters', ['sh', 'é'.repeat(32 * 1024)]],
  ])('refuses a command of %s', (_what, command) => {
    expect(() => taskList.decide(taskList.initial, runOf('t1', { command }))).toThrowCode('TASK_INVALID')
  })

  it('takes a command of exactly 64 KiB, and empty words after the first', () => {
    expect(after(taskList.initial, runOf('t1', { command: ['sh', 'x'.repeat(64 * 1024 - 4)] })).byId.size).toBe(1)
    expect(after(taskList.initial, runOf('t1', { command: ['sh', '', ''] })).byId.size).toBe(1)
  })

  it('refuses two secrets with one target, and an id that is taken', () => {
    expect(() => taskList.decide(taskList.initial, runOf('t1', { secrets: [secret('a'), secret('a')] }))).toThrowCode(
      'TASK_INVALID',
    )
    expect(() => taskList.decide(after(taskList.initial, runOf('t1')), runOf('t1'))).toThrowCode('TASK_INVALID')
  })

  it('refuses to remove what is not there', () => {
    expect(() => taskList.decide(taskList.initial, { type: 'remove', id: 't1' })).toThrowCode('NOT_FOUND')
  })

  it('lets a node speak of its own tasks only', () => {
    const tasks = after(taskList.initial, runOf('t1'))
    expect(taskList.decide(tasks, report('t1', { nodeId: 'node-b' }))).toEqual([])
    expect(taskList.decide(tasks, report('t2'))).toEqual([])
  })

  it.each(['complete', 'shutdown', 'failed', 'rejected', 'remove', 'orphaned'] as const)(
    'never wakes a task that is %s',
    (state) => {
      const ended = after(taskList.initial, runOf('t1'), report('t1', { state, exitCode: 1 }))
      expect(hasEnded(findTask(ended, 't1')!)).toBe(true)
      expect(taskList.decide(ended, report('t1', { state: 'running' }))).toEqual([])
    },
  )

  it('writes nothing down for news that are none', () => {
    const tasks = after(taskList.initial, runOf('t1'), report('t1'))
    expect(taskList.decide(tasks, report('t1', { message: 'again' }))).toEqual([])
    expect(taskList.decide(tasks, report('t1', { state: 'failed', exitCode: 3 }))).toHaveLength(1)
  })

  it('cuts what a node says to 512 characters', () => {
    const tasks = after(taskList.initial, runOf('t1'), report('t1', { state: 'failed', message: 'x'.repeat(5_000) }))
    expect(findTask(tasks, 't1')?.message).toBe('x'.repeat(512))
  })

  it('forgets the tasks of a node that is gone, and no others', () => {
    const tasks = after(taskList.initial, runOf('t1'), runOf('t2', { nodeId: 'node-b' }), {
      type: 'forget-node',
      nodeId: 'node-a',
    })
    expect(listTasks(tasks).map(({ id }) => id)).toEqual(['t2'])
  })

  it('is the same after a replay, and no state is changed in place', () => {
    const ids = fc.constantFrom('t1', 't2', 't3')
    const nodes = fc.constantFrom('node-a', 'node-b')
    const command: fc.Arbitrary<TaskCommand> = fc.oneof(
      fc.tuple(ids, nodes).map(([id, nodeId]) => runOf(id, { nodeId })),
      fc
        .tuple(
          ids,
          nodes,
          fc.constantFrom('running', 'complete', 'failed', 'preparing' as const),
          fc.option(fc.integer({ min: 0, max: 255 })),
        )
        .map(([id, nodeId, state, exitCode]) => report(id, { nodeId, state, exitCode })),
      ids.map((id) => ({ type: 'remove', id }) as const),
      nodes.map((nodeId) => ({ type: 'forget-node', nodeId }) as const),
    )
    fc.assert(
      fc.property(fc.array(command, { maxLength: 30 }), (commands) => {
        let state = taskList.initial
        const journal = []
        const seen: { readonly state: TaskList; readonly then: string }[] = []
        for (const one of commands) {
          seen.push({ state, then: JSON.stringify(listTasks(state)) })
          try {
            const events = taskList.decide(state, one)
            state = events.reduce(taskList.evolve, state)
            journal.push(...events)
          } catch (error) {
            expect(['TASK_INVALID', 'NOT_FOUND']).toContain((error as { code: string }).code)
          }
        }
        expect(journal.reduce(taskList.evolve, taskList.initial)).toEqual(state)
        for (const earlier of seen) expect(JSON.stringify(listTasks(earlier.state))).toBe(earlier.then)
      }),
    )
  })
})

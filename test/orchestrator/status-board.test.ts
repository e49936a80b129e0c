import type { TaskState, TaskStatusUpdate } from '@leastwise/swarm'
import { describe, expect, it } from 'vitest'
import { createStatusBoard } from '../../examples/orchestrator/worker/status-board.ts'
import { isCollected } from '../support/garbage.ts'

const update = (taskId: string, state: TaskState): TaskStatusUpdate => ({
  taskId,
  state,
  at: 1,
  message: '',
  error: '',
  exitCode: null,
  pid: 0,
})
const shown = (updates: readonly TaskStatusUpdate[] | undefined): readonly string[] =>
  (updates ?? []).map(({ taskId, state }) => `${taskId} ${state}`)

describe('the status board of a worker', () => {
  it('tells a new session the newest state of every task, in one go', async () => {
    const board = createStatusBoard()
    board.post(update('a', 'preparing'))
    board.post(update('b', 'running'))
    board.post(update('a', 'running'))
    const stop = new AbortController()
    const updates = board.updates({ signal: stop.signal })
    expect(shown((await updates.next()).value as readonly TaskStatusUpdate[])).toEqual(['a running', 'b running'])
    stop.abort()
    expect((await updates.next()).done).toBe(true)
  })

  it('then tells each change once, and only what changed', async () => {
    const board = createStatusBoard()
    const stop = new AbortController()
    const updates = board.updates({ signal: stop.signal })
    board.post(update('a', 'running'))
    await updates.next()
    const waiting = updates.next()
    board.post(update('b', 'running'))
    expect(shown((await waiting).value as readonly TaskStatusUpdate[])).toEqual(['b running'])
    const next = updates.next()
    board.post(update('a', 'complete'))
    expect(shown((await next).value as readonly TaskStatusUpdate[])).toEqual(['a complete'])
    stop.abort()
  })

  it('repeats everything to the session after a lost one', async () => {
    const board = createStatusBoard()
    board.post(update('a', 'complete'))
    const first = new AbortController()
    await board.updates({ signal: first.signal }).next()
    first.abort()
    const second = new AbortController()
    const again = board.updates({ signal: second.signal })
    expect(shown((await again.next()).value as readonly TaskStatusUpdate[])).toEqual(['a complete'])
    second.abort()
  })

  it('says nothing of a task that it was told to forget', async () => {
    const board = createStatusBoard()
    board.post(update('a', 'running'))
    board.post(update('b', 'running'))
    board.forget('a')
    const stop = new AbortController()
    expect(shown((await board.updates({ signal: stop.signal }).next()).value as readonly TaskStatusUpdate[])).toEqual([
      'b running',
    ])
    stop.abort()
  })

  it('ends a wait when the session ends', async () => {
    const stop = new AbortController()
    const waiting = createStatusBoard().updates({ signal: stop.signal }).next()
    stop.abort()
    expect((await waiting).done).toBe(true)
  })

  it('wakes a session that still waits although an older one waits too', async () => {
    const board = createStatusBoard()
    const stop = new AbortController()
    const first = board.updates({ signal: stop.signal }).next()
    const second = board.updates({ signal: stop.signal }).next()
    board.post(update('a', 'running'))
    expect(shown((await first).value as readonly TaskStatusUpdate[])).toEqual(['a running'])
    expect(shown((await second).value as readonly TaskStatusUpdate[])).toEqual(['a running'])
    stop.abort()
  })

  it('leaves nothing behind on the signal of a session, however long it lasts', async () => {
    const board = createStatusBoard()
    const stop = new AbortController()
    let listeners = 0
    const counting = Object.assign(Object.create(stop.signal) as AbortSignal, {
      addEventListener: (): void => void (listeners += 1),
      removeEventListener: (): void => void (listeners -= 1),
    })
    Object.defineProperty(counting, 'aborted', { get: () => stop.signal.aborted })
    const updates = board.updates({ signal: counting })
    for (let turn = 0; turn < 20; turn += 1) {
      const waiting = updates.next()
      board.post(update('a', 'running'))
      await waiting
    }
    expect(listeners).toBe(0)
  })

  it('keeps nothing of a task that it was told to forget, however long the session lasts', async () => {
    const board = createStatusBoard()
    const stop = new AbortController()
    const updates = board.updates({ signal: stop.signal })
    const sendOne = async (taskId: string): Promise<WeakRef<object>> => {
      const sent = update(taskId, 'complete')
      board.post(sent)
      await updates.next()
      board.forget(taskId)
      return new WeakRef(sent)
    }
    const sent = await sendOne('a')
    // The latest may still be in the hands of whoever waits for the next.
    await sendOne('b')
    const waiting = updates.next()
    expect(await isCollected(sent)).toBe(true)
    stop.abort()
    await waiting
  })
})

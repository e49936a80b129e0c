import { assert, beforeAll, describe, expect, it } from 'vitest'
import { assignmentSets } from '../../examples/orchestrator/manager/assignment-sets.ts'
import { type ClusterState, emptyCluster } from '../../examples/orchestrator/manager/cluster-state.ts'
import type { Store } from '../../examples/orchestrator/manager/store.ts'
import {
  listTasks,
  type TaskCommand,
  type TaskList,
  type TaskRecord,
  taskList,
} from '../../examples/orchestrator/manager/task-list.ts'

const NODES = 10_000
const PER_NODE = 10

let looks = 0
const nodeIdOf = (node: number): string => `node-${node}`
/** Counts who asks where it is. */
const counted = (node: number, number: number): TaskRecord => ({
  id: `task-${node}-${number}`,
  get nodeId() {
    looks += 1
    return nodeIdOf(node)
  },
  command: ['sleep'],
  secrets: [],
  createdAt: number,
  state: 'running',
  exitCode: null,
  message: '',
})

let full: TaskList
beforeAll(() => {
  full = taskList.initial
  for (let node = 0; node < NODES; node += 1)
    for (let number = 0; number < PER_NODE; number += 1)
      full = taskList.evolve(full, { type: 'task-created', task: counted(node, number) })
})

/** References in what `after` does not share with `before`: what was copied. */
function copied(before: unknown, after: unknown): number {
  const shared = new Set<unknown>()
  const note = (one: unknown): void => {
    for (const child of childrenOf(one)) {
      shared.add(child)
      note(child)
    }
  }
  note(before)
  const count = (one: unknown): number => {
    if (shared.has(one)) return 0
    const children = childrenOf(one)
    return children.length + children.reduce<number>((sum, child) => sum + count(child), 0)
  }
  return count(after)
}
function childrenOf(one: unknown): readonly unknown[] {
  if (one instanceof Map) return [...(one as Map<string, unknown>).values()]
  if (Array.isArray(one)) return one
  if (typeof one !== 'object' || one === null || 'command' in one) return []
  return Object.values(one)
}

const decided = (state: TaskList, command: TaskCommand): TaskList =>
  taskList.decide(state, command).reduce(taskList.evolve, state)

const report = (state: 'complete' | 'failed'): TaskCommand => ({
  type: 'report',
  id: 'task-5000-3',
  nodeId: nodeIdOf(5000),
  state,
  exitCode: 0,
  message: '',
})
const run: TaskCommand = { type: 'run', id: 'one-more', nodeId: nodeIdOf(5000), command: ['true'], secrets: [], now: 1 }

describe('with ten tasks on each of ten thousand nodes', () => {
  it.each([
    ['a report', report('complete')],
    ['one task more', run],
    ['one task less', { type: 'remove', id: 'task-5000-3' } as const],
    ['a node that is gone', { type: 'forget-node', nodeId: nodeIdOf(5000) } as const],
  ])('%s copies what lies on its way, and looks at no task of another node', (_what, command) => {
    expect(listTasks(full)).toHaveLength(NODES * PER_NODE)
    looks = 0
    const after = decided(full, command)
    expect(looks).toBeLessThanOrEqual(2 * PER_NODE)
    expect(copied(full, after)).toBeGreaterThan(0)
    expect(copied(full, after)).toBeLessThan(1500)
  })

  it('a node looks at its own tasks when one of them changes, and at nothing when others’ do', async () => {
    const states: ClusterState[] = []
    const of = (tasks: TaskList): ClusterState => ({ ...emptyCluster, tasks })
    let tasks = full
    states.push(of(tasks))
    for (let node = 1; node <= 100; node += 1) {
      tasks = decided(tasks, { type: 'remove', id: `task-${node}-0` })
      states.push(of(tasks))
    }
    tasks = decided(tasks, { ...run, nodeId: nodeIdOf(0) })
    states.push(of(tasks))
    const seen: number[] = []
    const store: Pick<Store, 'watch'> = {
      watch: async function* () {
        for (const state of states) {
          looks = 0
          yield state
          seen.push(looks)
          await Promise.resolve()
        }
      },
    }
    const sets = []
    const { signal } = new AbortController()
    for await (const set of assignmentSets(store as Store, nodeIdOf(0), { signal })) sets.push(set)
    expect(sets.map(({ kind, changes }) => [kind, changes.length])).toEqual([
      ['complete', PER_NODE],
      ['incremental', 1],
    ])
    // The first state, and the one in which the node got a task.
    expect(seen[0]).toBeLessThanOrEqual(2 * PER_NODE)
    expect(seen.slice(1, -1)).toEqual(new Array(100).fill(0))
    assert(seen.length === states.length)
  })
})

import { type AssignedTask, type AssignmentSet, createHold, Secret, SecretsError } from '@leastwise/secrets'
import fc from 'fast-check'
import { expect, it } from 'vitest'

const id = fc.constantFrom('s0', 's1', 's2', 's3')
const taskId = fc.constantFrom('t0', 't1', 't2')
const change: fc.Arbitrary<AssignmentSet<AssignedTask>['changes'][number]> = fc.oneof(
  fc.record({
    action: fc.constant('update' as const),
    item: fc.record({
      kind: fc.constant('secret' as const),
      secret: fc.record({
        id,
        name: fc.constant('n'),
        value: fc.integer({ min: 1, max: 255 }).map((byte) => new Secret(new Uint8Array([byte]))),
      }),
    }),
  }),
  fc.record({
    action: fc.constant('update' as const),
    item: fc.record({
      kind: fc.constant('task' as const),
      task: fc.record({ id: taskId, secretIds: fc.array(id, { maxLength: 3 }) }),
    }),
  }),
  fc.record({ action: fc.constant('remove' as const), item: fc.record({ kind: fc.constant('secret' as const), id }) }),
  fc.record({
    action: fc.constant('remove' as const),
    item: fc.record({ kind: fc.constant('task' as const), id: taskId }),
  }),
)
const step = fc.oneof(
  fc.record({
    do: fc.constantFrom('complete' as const, 'incremental' as const, 'incremental' as const),
    changes: fc.array(change, { maxLength: 6 }),
  }),
  fc.record({ do: fc.constant('release' as const), taskId }),
  fc.record({ do: fc.constant('clear' as const) }),
)

it('what is held is in memory once, and all else is zero, after any history', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const memory: Uint8Array[] = []
      const hold = createHold<AssignedTask>({
        allocate: (sizeBytes) => {
          memory.push(new Uint8Array(sizeBytes))
          return memory.at(-1) ?? new Uint8Array()
        },
      })
      let count = 0
      for (const one of steps) {
        if (one.do === 'clear') hold.clear()
        else if (one.do === 'release') hold.release(one.taskId)
        else {
          count += 1
          const fresh = one.do === 'complete' || hold.cursor() === ''
          try {
            hold.apply({
              type: fresh ? 'complete' : 'incremental',
              appliesTo: fresh ? '' : hold.cursor(),
              resultsIn: `c${count}`,
              changes: one.changes,
            })
          } catch (error) {
            if (!(error instanceof SecretsError) || error.code !== 'ASSIGNMENT_GAP') throw error
          }
        }
        expect(memory.filter((bytes) => bytes[0] !== 0)).toHaveLength(hold.size())
        expect(hold.ids()).toHaveLength(hold.size())
      }
      hold.clear()
      expect(memory.every((bytes) => bytes[0] === 0)).toBe(true)
    }),
    { numRuns: 400 },
  )
})

it('a released task never reads again, whatever the stream says, until it is removed', () => {
  fc.assert(
    fc.property(fc.array(fc.array(change, { maxLength: 6 }), { maxLength: 10 }), (sets) => {
      const hold = createHold<AssignedTask>()
      hold.apply({
        type: 'complete',
        appliesTo: '',
        resultsIn: 'c',
        changes: [{ action: 'update', item: { kind: 'task', task: { id: 't0', secretIds: ['s0'] } } }],
      })
      hold.release('t0')
      for (const [at, changes] of sets.entries()) {
        const kept = changes.filter(
          ({ action, item }) => !(action === 'remove' && item.kind === 'task' && item.id === 't0'),
        )
        try {
          hold.apply({ type: 'incremental', appliesTo: hold.cursor(), resultsIn: `c${at}`, changes: kept })
        } catch (error) {
          if (!(error instanceof SecretsError)) throw error
        }
        expect(hold.tasks().map((task) => task.id)).not.toContain('t0')
      }
    }),
  )
})

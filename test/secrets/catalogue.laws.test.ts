import {
  type Assignments,
  type AssignmentView,
  applySet,
  assignmentsOf,
  catalogueHistory,
  completeSet,
  createHold,
  FRESH_CURSOR,
  type GrantedTask,
  incrementalSet,
  inspectSecret,
  listSecrets,
  type SecretCatalogueCommand,
  type SecretCatalogueState,
  SecretsError,
  secretCatalogue,
} from '@leastwise/secrets'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { bytesOf, driveCatalogue, textOf } from './catalogue-driver.ts'

const SECRETS = ['s0', 's1', 's2', 's3', 's4']
const TASKS = ['t0', 't1', 't2', 't3', 't4', 't5']
const NODES = ['n0', 'n1', 'n2']
const secretId = fc.constantFrom(...SECRETS)
const taskId = fc.constantFrom(...TASKS)
const nodeId = fc.constantFrom(...NODES)

const command: fc.Arbitrary<SecretCatalogueCommand> = fc.oneof(
  fc.record({
    type: fc.constant('create' as const),
    id: secretId,
    name: fc.constantFrom('a', 'B', 'b', 'c', 'd'),
    value: fc.constantFrom('', 'x', 'yy').map(bytesOf),
    labels: fc.constantFrom({}, { k: 'v' }),
    now: fc.nat(),
  }),
  fc.record({
    type: fc.constant('update-labels' as const),
    id: secretId,
    labels: fc.constantFrom({}, { k: 'w' }),
    version: fc.integer({ min: 1, max: 3 }),
    now: fc.nat(),
  }),
  fc.record({ type: fc.constant('remove' as const), id: secretId }),
  fc.record({
    type: fc.constant('grant' as const),
    taskId,
    nodeId,
    references: fc.array(
      fc.record({
        secretId,
        target: fc.constantFrom('f', 'g', 'h'),
        uid: fc.constantFrom(null, 0),
        gid: fc.constant(null),
        mode: fc.constant(0o400),
      }),
      { maxLength: 3 },
    ),
  }),
  fc.record({ type: fc.constant('release' as const), taskId }),
  fc.record({ type: fc.constant('release-node' as const), nodeId }),
)
const commands = fc.array(command, { maxLength: 60 })

/** The catalogue once more, as dumb as it can be: two arrays, every rule spelled out. */
function oracle() {
  let secrets: { id: string; name: string; value: string; version: number }[] = []
  let tasks: { id: string; node: string; references: string; secretIds: string[] }[] = []
  const run = (one: SecretCatalogueCommand): boolean => {
    switch (one.type) {
      case 'create': {
        const taken = secrets.some(({ id, name }) => id === one.id || name.toLowerCase() === one.name.toLowerCase())
        if (taken || one.value.length === 0) return false
        secrets.push({ id: one.id, name: one.name, value: textOf(one.value), version: 1 })
        return true
      }
      case 'update-labels': {
        const secret = secrets.find(({ id, version }) => id === one.id && version === one.version)
        if (secret === undefined) return false
        secret.version += 1
        return true
      }
      case 'remove': {
        if (!secrets.some(({ id }) => id === one.id) || tasks.some(({ secretIds }) => secretIds.includes(one.id)))
          return false
        secrets = secrets.filter(({ id }) => id !== one.id)
        return true
      }
      case 'grant': {
        const ids = one.references.map((reference) => reference.secretId)
        const targets = one.references.map(({ target }) => target)
        if (ids.some((id) => !secrets.some((secret) => secret.id === id)) || new Set(targets).size < targets.length)
          return false
        const references = JSON.stringify(
          one.references.map((reference) => [reference.secretId, reference.target, reference.uid]),
        )
        const before = tasks.find(({ id }) => id === one.taskId)
        if (before !== undefined) return before.node === one.nodeId && before.references === references
        tasks.push({ id: one.taskId, node: one.nodeId, references, secretIds: ids })
        return true
      }
      case 'release':
        tasks = tasks.filter(({ id }) => id !== one.taskId)
        return true
      case 'release-node':
        tasks = tasks.filter(({ node }) => node !== one.nodeId)
        return true
    }
  }
  const assigned = (node: string) => {
    const mine = tasks.filter((task) => task.node === node)
    const needed = new Set(mine.flatMap(({ secretIds }) => secretIds))
    return {
      tasks: mine.map(({ id }) => id).sort(),
      secrets: secrets
        .filter(({ id }) => needed.has(id))
        .map(({ id, value }) => `${id}=${value}`)
        .sort(),
    }
  }
  return { run, assigned, secrets: () => secrets, tasks: () => tasks }
}

const attempt = (run: (one: SecretCatalogueCommand) => unknown, one: SecretCatalogueCommand): boolean => {
  try {
    run(one)
    return true
  } catch (error) {
    if (!(error instanceof SecretsError)) throw error
    return false
  }
}
const shown = ({ secrets, tasks }: Assignments<GrantedTask>) => ({
  tasks: tasks.map(({ id }) => id).sort(),
  secrets: secrets.map(({ id, value }) => `${id}=${value.expose(textOf)}`).sort(),
})
const answers = (state: SecretCatalogueState) => ({
  secrets: SECRETS.map((id) => inspectSecret(state, id)),
  nodes: NODES.map((node) => [shown(assignmentsOf(state, node)), assignmentsOf(state, node).tasks]),
})

it('agrees with a dumb oracle after every command', () => {
  fc.assert(
    fc.property(commands, (list) => {
      const { run, state } = driveCatalogue()
      const dumb = oracle()
      for (const one of list) {
        const before = state()
        const taken = attempt(run, one)
        expect(taken).toBe(dumb.run(one))
        if (!taken) expect(state()).toBe(before)
        for (const node of NODES) expect(shown(assignmentsOf(state(), node))).toEqual(dumb.assigned(node))
      }
      expect(
        listSecrets(state())
          .map(({ id, version }) => [id, version])
          .sort(),
      ).toEqual(
        dumb
          .secrets()
          .map(({ id, version }) => [id, version])
          .sort(),
      )
      for (const { id } of dumb.secrets()) {
        expect(inspectSecret(state(), id)?.users.map((user) => user.taskId)).toEqual(
          dumb
            .tasks()
            .filter(({ secretIds }) => secretIds.includes(id))
            .map((task) => task.id)
            .sort(),
        )
      }
    }),
    { numRuns: 300 },
  )
})

it('the log, and the shortest history, give the same state back', () => {
  fc.assert(
    fc.property(commands, (list) => {
      const { run, state, log } = driveCatalogue()
      for (const one of list) attempt(run, one)
      expect(answers(log.reduce(secretCatalogue.evolve, secretCatalogue.initial))).toEqual(answers(state()))
      expect(answers([...catalogueHistory(state())].reduce(secretCatalogue.evolve, secretCatalogue.initial))).toEqual(
        answers(state()),
      )
    }),
  )
})

it('incremental sets lead where a complete one does, for a view and for a hold', () => {
  fc.assert(
    fc.property(commands, nodeId, (list, node) => {
      const { run, state } = driveCatalogue()
      const hold = createHold<GrantedTask>()
      const first = completeSet(assignmentsOf(state(), node))
      let view: AssignmentView<GrantedTask> = applySet(
        { cursor: FRESH_CURSOR, assignments: { secrets: [], tasks: [] } },
        first,
      )
      let sent = assignmentsOf(state(), node)
      hold.apply(first)
      for (const one of list) {
        attempt(run, one)
        const next = assignmentsOf(state(), node)
        const set = incrementalSet(sent, next, view.cursor)
        if (set === null) {
          expect(shown(next)).toEqual(shown(sent))
          continue
        }
        view = applySet(view, set)
        hold.apply(set)
        sent = next
        expect(shown(view.assignments)).toEqual(shown(applySet(view, completeSet(next)).assignments))
        expect(hold.ids()).toEqual(next.secrets.map(({ id }) => id))
        expect(
          hold
            .tasks()
            .map(({ id }) => id)
            .sort(),
        ).toEqual(next.tasks.map(({ id }) => id))
        expect(hold.cursor()).toBe(view.cursor)
      }
    }),
    { numRuns: 200 },
  )
})

it('sets name secrets before the tasks that need them, and remove tasks before secrets', () => {
  fc.assert(
    fc.property(commands, nodeId, (list, node) => {
      const { run, state } = driveCatalogue()
      for (const one of list.slice(0, list.length / 2)) attempt(run, one)
      const before = assignmentsOf(state(), node)
      for (const one of list.slice(list.length / 2)) attempt(run, one)
      const order = ['update secret', 'update task', 'remove task', 'remove secret']
      const steps =
        incrementalSet(before, assignmentsOf(state(), node), '7')?.changes.map(({ action, item }) =>
          order.indexOf(`${action} ${item.kind}`),
        ) ?? []
      expect(steps).toEqual(steps.toSorted())
    }),
  )
})

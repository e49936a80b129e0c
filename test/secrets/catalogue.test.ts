import { inspect } from 'node:util'
import {
  assignmentsOf,
  catalogueHistory,
  type GrantReference,
  grantOf,
  inspectSecret,
  listSecrets,
  MAX_LABEL_KEY_BYTES,
  MAX_LABEL_VALUE_BYTES,
  MAX_LABELS,
  MAX_REFERENCES,
  MAX_SECRET_BYTES,
  SecretsError,
  secretByName,
  secretCatalogue,
} from '@leastwise/secrets'
import { describe, expect, it } from 'vitest'
import { bytesOf, createSecret, driveCatalogue, grantTask, textOf } from './catalogue-driver.ts'

const MARK = 'hunter2-marked-value'

describe('creating', () => {
  it('lists and inspects all but the value', () => {
    const { run, state } = driveCatalogue()
    run({ ...createSecret('s1', 'db', MARK), type: 'create', labels: { env: 'test' } } as never)
    const summary = {
      id: 's1',
      name: 'db',
      labels: { env: 'test' },
      createdAt: 1000,
      updatedAt: 1000,
      version: 1,
      sizeBytes: MARK.length,
    }
    expect(listSecrets(state())).toEqual([summary])
    expect(inspectSecret(state(), 's1')).toEqual({ ...summary, users: [] })
    expect(secretByName(state(), 'DB')).toEqual({ ...summary, users: [] })
    expect(inspectSecret(state(), 's2')).toBeNull()
    expect(secretByName(state(), 'other')).toBeNull()
    expect(() => secretByName(state(), '/')).toThrowCode('SECRET_NAME_INVALID')
  })

  it('sorts the list by name', () => {
    const { run, state } = driveCatalogue()
    for (const name of ['c', 'a', 'b']) run(createSecret(`id-${name}`, name))
    expect(listSecrets(state()).map(({ name }) => name)).toEqual(['a', 'b', 'c'])
  })

  it('keeps the value apart from the bytes of the caller', () => {
    const { run, state, log } = driveCatalogue()
    const value = bytesOf('value')
    run({ type: 'create', id: 's1', name: 'db', value, labels: {}, now: 1 })
    value.fill(0)
    const [event] = log
    expect(event?.type === 'secret-created' && textOf(event.value)).toBe('value')
    if (event?.type === 'secret-created') event.value.fill(0)
    run(grantTask('t1', 'n1', 's1'))
    expect(assignmentsOf(state(), 'n1').secrets[0]?.value.expose(textOf)).toBe('value')
  })

  it('takes 1 to 511,999 bytes', () => {
    const { run, state } = driveCatalogue()
    const create = (sizeBytes: number) => () =>
      run({
        type: 'create',
        id: `s${sizeBytes}`,
        name: `n${sizeBytes}`,
        value: new Uint8Array(sizeBytes),
        labels: {},
        now: 1,
      })
    expect(MAX_SECRET_BYTES).toBe(511_999)
    create(1)()
    create(511_999)()
    expect(create(0)).toThrowCode('SECRET_VALUE_SIZE')
    expect(create(512_000)).toThrowCode('SECRET_VALUE_SIZE')
    expect(listSecrets(state()).map(({ sizeBytes }) => sizeBytes)).toEqual([1, 511_999])
  })

  it('refuses a name or id that is taken, and bad ones', () => {
    const { run, state } = driveCatalogue()
    run(createSecret('s1', 'Db'))
    const before = state()
    expect(() => run(createSecret('s2', 'dB'))).toThrowCode('SECRET_EXISTS')
    expect(() => run(createSecret('s1', 'other'))).toThrowCode('SECRET_EXISTS')
    expect(() => run(createSecret('s2', '-'))).toThrowCode('SECRET_NAME_INVALID')
    expect(() => run(createSecret('../s', 'other'))).toThrowCode('ID_INVALID')
    expect(() => run(createSecret('x'.repeat(129), 'other'))).toThrowCode('ID_INVALID')
    expect(() => run(createSecret('s2', 'other', 'value', Number.NaN))).toThrow(RangeError)
    expect(state()).toBe(before)
  })

  it.each<[string, Record<string, string>]>([
    ['too many', Object.fromEntries(Array.from({ length: MAX_LABELS + 1 }, (_, at) => [`k${at}`, '']))],
    ['an empty key', { '': 'x' }],
    ['a long key', { ['k'.repeat(MAX_LABEL_KEY_BYTES + 1)]: '' }],
    ['a long value', { k: 'é'.repeat(MAX_LABEL_VALUE_BYTES / 2 + 1) }],
    ['a control character', { k: 'a\u0000b' }],
    ['half a surrogate pair', { k: '\udc00' }],
  ])('refuses labels with %s', (_, labels) => {
    const { run } = driveCatalogue()
    expect(() => run({ type: 'create', id: 's1', name: 'db', value: bytesOf('x'), labels, now: 1 })).toThrowCode(
      'SECRET_LABELS_INVALID',
    )
  })

  it('takes labels with names that objects have themselves', () => {
    const { run, state } = driveCatalogue()
    const labels = JSON.parse('{"__proto__":"a","constructor":"b"}') as Record<string, string>
    run({ type: 'create', id: 's1', name: 'db', value: bytesOf('x'), labels, now: 1 })
    expect(Object.entries(listSecrets(state())[0]?.labels ?? {})).toEqual([
      ['__proto__', 'a'],
      ['constructor', 'b'],
    ])
  })
})

describe('updating labels', () => {
  it('replaces them at the version that the caller saw', () => {
    const { run, state } = driveCatalogue()
    run(createSecret('s1', 'db'))
    run({ type: 'update-labels', id: 's1', labels: { a: '1' }, version: 1, now: 2000 })
    expect(inspectSecret(state(), 's1')).toMatchObject({
      labels: { a: '1' },
      version: 2,
      createdAt: 1000,
      updatedAt: 2000,
    })
    expect(() => run({ type: 'update-labels', id: 's1', labels: {}, version: 1, now: 3000 })).toThrowCode(
      'SECRET_VERSION_STALE',
    )
    expect(() => run({ type: 'update-labels', id: 's9', labels: {}, version: 1, now: 3000 })).toThrowCode(
      'SECRET_UNKNOWN',
    )
    expect(() => run({ type: 'update-labels', id: 's1', labels: { '': '' }, version: 2, now: 3000 })).toThrowCode(
      'SECRET_LABELS_INVALID',
    )
  })
})

describe('granting', () => {
  it('gives a node exactly what its tasks need', () => {
    const { run, state } = driveCatalogue()
    for (const id of ['s1', 's2', 's3']) run(createSecret(id, `name-${id}`, `value of ${id}`))
    run(grantTask('t1', 'n1', 's1'))
    run(grantTask('t2', 'n1', 's1', 's2'))
    run(grantTask('t3', 'n2', 's2'))
    const { secrets, tasks } = assignmentsOf(state(), 'n1')
    expect(secrets.map(({ id, name, value }) => [id, name, value.expose(textOf)])).toEqual([
      ['s1', 'name-s1', 'value of s1'],
      ['s2', 'name-s2', 'value of s2'],
    ])
    expect(tasks.map(({ id, secretIds }) => [id, secretIds])).toEqual([
      ['t1', ['s1']],
      ['t2', ['s1', 's2']],
    ])
    expect(assignmentsOf(state(), 'n2').secrets.map(({ id }) => id)).toEqual(['s2'])
    expect(assignmentsOf(state(), 'n3')).toEqual({ secrets: [], tasks: [] })
    expect(inspectSecret(state(), 's1')?.users).toEqual([
      { taskId: 't1', nodeId: 'n1' },
      { taskId: 't2', nodeId: 'n1' },
    ])
    expect(grantOf(state(), 't3')).toMatchObject({ nodeId: 'n2', secretIds: ['s2'] })
    expect(grantOf(state(), 't9')).toBeNull()
  })

  it('lists a secret once that a task has under two names', () => {
    const { run, state } = driveCatalogue()
    run(createSecret('s1', 'db'))
    run(grantTask('t1', 'n1', 's1', 's1'))
    expect(assignmentsOf(state(), 'n1').secrets).toHaveLength(1)
    expect(grantOf(state(), 't1')?.references).toHaveLength(2)
  })

  it('may be repeated, not changed', () => {
    const { run, state } = driveCatalogue()
    run(createSecret('s1', 'db'))
    run(grantTask('t1', 'n1', 's1'))
    expect(run(grantTask('t1', 'n1', 's1'))).toEqual([])
    const before = state()
    expect(() => run(grantTask('t1', 'n2', 's1'))).toThrowCode('TASK_GRANTED')
    expect(() => run(grantTask('t1', 'n1'))).toThrowCode('TASK_GRANTED')
    expect(state()).toBe(before)
  })

  const reference: GrantReference = { secretId: 's1', target: 'f', uid: null, gid: null, mode: 0o400 }
  it.each<[string, readonly GrantReference[], string]>([
    ['an unknown secret', [{ ...reference, secretId: 's2' }], 'SECRET_UNKNOWN'],
    ['a path', [{ ...reference, target: '../f' }], 'REFERENCE_INVALID'],
    ['a special mode', [{ ...reference, mode: 0o2400 }], 'REFERENCE_INVALID'],
    ['an impossible owner', [{ ...reference, uid: 2 ** 32 }], 'REFERENCE_INVALID'],
    ['one target twice', [reference, reference], 'TARGET_DUPLICATE'],
    [
      'too many references',
      Array.from({ length: MAX_REFERENCES + 1 }, (_, at) => ({ ...reference, target: `f${at}` })),
      'REFERENCE_INVALID',
    ],
  ])('refuses %s', (_, references, code) => {
    const { run, state } = driveCatalogue()
    run(createSecret('s1', 'db'))
    const before = state()
    expect(() => run({ type: 'grant', taskId: 't1', nodeId: 'n1', references })).toThrowCode(code)
    expect(() => run({ type: 'grant', taskId: '.', nodeId: 'n1', references: [] })).toThrowCode('ID_INVALID')
    expect(() => run({ type: 'grant', taskId: 't1', nodeId: '', references: [] })).toThrowCode('ID_INVALID')
    expect(state()).toBe(before)
  })
})

describe('removing and releasing', () => {
  it('refuses to remove what a task uses, and names the tasks', () => {
    const { run, state } = driveCatalogue()
    run(createSecret('s1', 'db'))
    for (const task of ['t5', 't3', 't4', 't1', 't2']) run(grantTask(task, 'n1', 's1'))
    try {
      run({ type: 'remove', id: 's1' })
      expect.unreachable()
    } catch (error) {
      expect(error).toBeInstanceOf(SecretsError)
      expect(error).toMatchObject({ code: 'SECRET_IN_USE', taskIds: ['t1', 't2', 't3', 't4', 't5'] })
      expect(String(error)).toContain('t1, t2, t3 and 2 more')
    }
    expect(listSecrets(state())).toHaveLength(1)
  })

  it('removes after the last release, and the name is free again', () => {
    const { run, state } = driveCatalogue()
    run(createSecret('s1', 'db'))
    run(grantTask('t1', 'n1', 's1'))
    run({ type: 'release', taskId: 't1' })
    expect(run({ type: 'release', taskId: 't1' })).toEqual([])
    run({ type: 'remove', id: 's1' })
    expect(listSecrets(state())).toEqual([])
    expect(() => run({ type: 'remove', id: 's1' })).toThrowCode('SECRET_UNKNOWN')
    run(createSecret('s2', 'DB'))
    expect(secretByName(state(), 'db')?.id).toBe('s2')
  })

  it('releases a whole node and no other', () => {
    const { run, state } = driveCatalogue()
    run(createSecret('s1', 'db'))
    for (const [task, node] of [
      ['t1', 'n1'],
      ['t2', 'n1'],
      ['t3', 'n2'],
    ] as const)
      run(grantTask(task, node, 's1'))
    expect(run({ type: 'release-node', nodeId: 'n1' })).toEqual([
      { type: 'task-released', taskId: 't1' },
      { type: 'task-released', taskId: 't2' },
    ])
    expect(run({ type: 'release-node', nodeId: 'n1' })).toEqual([])
    expect(assignmentsOf(state(), 'n1')).toEqual({ secrets: [], tasks: [] })
    expect(inspectSecret(state(), 's1')?.users).toEqual([{ taskId: 't3', nodeId: 'n2' }])
  })
})

describe('the state', () => {
  it('stays as it was when it is evolved further', () => {
    const { run, state } = driveCatalogue()
    run(createSecret('s1', 'db'))
    run(grantTask('t1', 'n1', 's1'))
    const before = state()
    run({ type: 'release', taskId: 't1' })
    run({ type: 'remove', id: 's1' })
    expect(assignmentsOf(before, 'n1').secrets[0]?.value.expose(textOf)).toBe('value')
    expect(listSecrets(before)).toHaveLength(1)
  })

  it('prints no value, neither do assignments or an event handled as a whole state', () => {
    const { run, state } = driveCatalogue()
    run(createSecret('s1', 'db', MARK))
    run(grantTask('t1', 'n1', 's1'))
    const shown = [state(), assignmentsOf(state(), 'n1'), listSecrets(state()), inspectSecret(state(), 's1')].map(
      (value) => inspect(value, { depth: 50, showHidden: true }) + JSON.stringify(value),
    )
    for (const text of shown) {
      expect(text).not.toContain(MARK)
      expect(text).not.toContain([...bytesOf(MARK)].slice(0, 6).join(', '))
      expect(text).not.toContain(Buffer.from(MARK).toString('base64').slice(0, 8))
    }
  })

  it('is fast with ten thousand nodes', () => {
    const { run, state } = driveCatalogue()
    run(createSecret('s1', 'shared'))
    const started = process.hrtime.bigint()
    for (let at = 0; at < 10_000; at += 1) run(grantTask(`t${at}`, `n${at}`, 's1'))
    const took = Number(process.hrtime.bigint() - started) / 1e6
    expect(assignmentsOf(state(), 'n9999').secrets).toHaveLength(1)
    expect(inspectSecret(state(), 's1')?.users).toHaveLength(10_000)
    // Far above what sharing the structure takes, far below what a copy of all grants for each new one would.
    expect(took).toBeLessThan(3000)
  })

  it('has a shortest history that leads to it', () => {
    const { run, state } = driveCatalogue()
    run(createSecret('s1', 'db'))
    run(createSecret('s2', 'gone'))
    run({ type: 'remove', id: 's2' })
    run({ type: 'update-labels', id: 's1', labels: { a: 'b' }, version: 1, now: 5 })
    run({ type: 'update-labels', id: 's1', labels: { a: 'c' }, version: 2, now: 6 })
    run(grantTask('t1', 'n1', 's1'))
    const history = [...catalogueHistory(state())]
    expect(history.map(({ type }) => type)).toEqual(['secret-created', 'secret-labelled', 'task-granted'])
    const again = history.reduce(secretCatalogue.evolve, secretCatalogue.initial)
    expect(inspectSecret(again, 's1')).toEqual(inspectSecret(state(), 's1'))
    expect(assignmentsOf(again, 'n1').tasks).toEqual(assignmentsOf(state(), 'n1').tasks)
  })
})

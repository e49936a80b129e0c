import {
  allocateTaskUser,
  type IsolationCapabilities,
  type IsolationRequest,
  planIsolation,
  SECRETS_DIR_VARIABLE,
  TASK_USER_RANGE,
} from '@leastwise/secrets/node'
import { describe, expect, it } from 'vitest'

const programs = { unshare: '/usr/bin/unshare', setpriv: '/usr/bin/setpriv', mount: '/usr/bin/mount', sh: '/bin/sh' }
const asRoot: IsolationCapabilities = {
  root: true,
  levels: ['namespace', 'uid', 'directory'],
  runSecrets: true,
  programs,
}
const asUser: IsolationCapabilities = { root: false, levels: ['namespace', 'directory'], runSecrets: false, programs }
const user = { uid: 1900000001, gid: 1900000002 }
const request: IsolationRequest = {
  deliveryRoot: '/dev/shm/root',
  taskId: 't1',
  command: 'cmd',
  args: ['a b', '$(id)', '; id'],
  env: { A: '1', LD_PRELOAD: '/evil.so' },
}

describe('planIsolation', () => {
  it('takes the strongest level, or the one that is asked for', () => {
    expect(planIsolation(asRoot, { ...request, user }).level).toBe('namespace')
    expect(planIsolation(asRoot, { ...request, user, level: 'uid' }).level).toBe('uid')
    expect(planIsolation(asUser, request).level).toBe('namespace')
    expect(planIsolation({ ...asUser, levels: ['directory'] }, request).level).toBe('directory')
  })

  it('starts a task as its user where no namespace helps', () => {
    expect(planIsolation(asRoot, { ...request, user, level: 'uid', cwd: '/srv' })).toEqual({
      level: 'uid',
      command: 'cmd',
      args: request.args,
      env: { ...request.env, [SECRETS_DIR_VARIABLE]: '/dev/shm/root/t1' },
      cwd: '/srv',
      ...user,
      secretsDirectory: '/dev/shm/root/t1',
    })
  })

  it('names the directory in the environment at every level', () => {
    expect(planIsolation(asRoot, { ...request, user })).toMatchObject({
      secretsDirectory: '/run/secrets',
      env: { LEASTWISE_CARRIED_2: 'LEASTWISE_SECRETS_DIR=/run/secrets' },
    })
    expect(planIsolation(asUser, request).secretsDirectory).toBe('/dev/shm/root/t1')
    expect(planIsolation(asUser, { ...request, level: 'directory' }).env).toEqual({
      ...request.env,
      LEASTWISE_SECRETS_DIR: '/dev/shm/root/t1',
    })
  })

  it('lets no variable of the task reach the privileged steps', () => {
    const { env } = planIsolation(asRoot, { ...request, user })
    expect(Object.keys(env).every((name) => name.startsWith('LEASTWISE_CARRIED_'))).toBe(true)
  })

  it('passes what the host wrote as arguments, never as a script', () => {
    for (const plan of [
      planIsolation(asRoot, { ...request, user, hide: ['/var/x y'] }),
      planIsolation(asUser, { ...request, hide: ['/var/x y'] }),
    ]) {
      expect(plan.args.slice(-4)).toEqual(['cmd', ...request.args])
      const scripts = plan.args.filter((_, at) => plan.args[at - 1] === '-c')
      expect(scripts).toHaveLength(2)
      expect(scripts.join('')).not.toMatch(/cmd|\$\(id\)|; id|x y|dev\/shm/)
    }
  })

  it('drops every capability and forbids new ones', () => {
    const root = planIsolation(asRoot, { ...request, user }).args
    expect(root).toEqual(
      expect.arrayContaining([
        '--reuid=1900000001',
        '--regid=1900000002',
        '--clear-groups',
        '--inh-caps=-all',
        '--bounding-set=-all',
        '--no-new-privs',
      ]),
    )
    expect(planIsolation(asUser, request).args).toEqual(
      expect.arrayContaining([
        '--user',
        '--map-current-user',
        '--ambient-caps=-all',
        '--inh-caps=-all',
        '--bounding-set=-all',
        '--no-new-privs',
      ]),
    )
  })

  it.each<[string, IsolationCapabilities, Partial<IsolationRequest>]>([
    ['a level that the machine lacks', asUser, { level: 'uid' }],
    ['another user without root', asUser, { user }],
    ['root when nothing keeps tasks apart', { ...asRoot, levels: ['directory'] }, { user }],
    ['a missing program', { ...asRoot, programs: { ...programs, setpriv: null } }, { user }],
  ])('refuses %s', (_, capabilities, change) => {
    expect(() => planIsolation(capabilities, { ...request, ...change })).toThrowCode('ISOLATION_UNAVAILABLE')
  })

  it('takes mistakes of the host as such', () => {
    expect(() => planIsolation(asRoot, request)).toThrow(RangeError)
    expect(() => planIsolation(asRoot, { ...request, user, level: 'directory' })).toThrow(RangeError)
    for (const name of ['', 'A B', '1A', 'A=B', 'A-B', 'LEASTWISE_CARRIED_0'])
      expect(() => planIsolation(asUser, { ...request, env: { [name]: '' } })).toThrow(RangeError)
    expect(() => planIsolation(asUser, { ...request, env: { A: 'x\0y' } })).toThrow(RangeError)
    for (const change of [{ deliveryRoot: 'x' }, { cwd: '.' }, { hide: ['x'] }])
      expect(() => planIsolation(asUser, { ...request, ...change })).toThrow(TypeError)
  })
})

describe('allocateTaskUser', () => {
  it('gives the lowest number that no task has', () => {
    const { first } = TASK_USER_RANGE
    expect(allocateTaskUser(new Set())).toBe(first)
    expect(allocateTaskUser(new Set([first, first + 2]))).toBe(first + 1)
  })

  it('says when all are taken', () => {
    expect(() => allocateTaskUser(new Set([5, 6]), { first: 5, count: 2 })).toThrowCode('ISOLATION_UNAVAILABLE')
  })
})

import { randomUUID } from 'node:crypto'
import { rmSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { deliver, type GrantReference, planDelivery, Secret, type SecretReader, withdraw } from '@leastwise/secrets'
import {
  allocateTaskUser,
  type IsolationCapabilities,
  type IsolationLevel,
  type IsolationRequest,
  openTmpfsMount,
  planIsolation,
  probeIsolation,
  startTask,
  type TmpfsMount,
} from '@leastwise/secrets/node'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { asOrdinaryUser, canDropUser } from './as-ordinary-user.ts'
import { bytesOf } from './catalogue-driver.ts'
import { freshRootUntil, isRoot, tmpfsMissing } from './tmpfs-root.ts'

const { signal } = new AbortController()
const missing = tmpfsMissing()
const reader: SecretReader = { read: async (id) => Secret.copyOf(bytesOf(`value of ${id}`)) }
const PATH = { PATH: '/usr/bin:/bin:/usr/sbin:/sbin' }
const reference: GrantReference = { secretId: 's1', target: 'file', uid: null, gid: null, mode: 0o400 }

describe.skipIf(missing !== null)(`isolation for real${missing === null ? '' : ` (skipped: ${missing})`}`, () => {
  let mount: TmpfsMount
  let capabilities: IsolationCapabilities
  let remove: () => void
  const taken = new Set<number>()

  beforeAll(async () => {
    const fresh = freshRootUntil()
    remove = fresh.remove
    mount = openTmpfsMount(fresh.path, { reach: isRoot ? 'tasks' : 'owner' })
    capabilities = await probeIsolation(mount, { signal })
  })
  afterAll(() => {
    mount[Symbol.dispose]()
    remove()
  })

  /** A delivered task that is ready to be started. */
  const prepared = async (
    taskId: string,
    references = [reference],
  ): Promise<Pick<IsolationRequest, 'deliveryRoot' | 'taskId' | 'user'>> => {
    const id = allocateTaskUser(taken)
    taken.add(id)
    const user = { uid: id, gid: id }
    await deliver(mount, planDelivery(taskId, references, isRoot ? user : null), reader, { signal })
    return { deliveryRoot: mount.root, taskId, ...(isRoot ? { user } : {}) }
  }
  const run = async (request: IsolationRequest, input = '') => {
    const task = await startTask(planIsolation(capabilities, request), {
      stdio: [input === '' ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    })
    task.child.stdin?.end(input)
    const { stdout, stderr } = task.child
    if (stdout === null || stderr === null) throw new Error('expected pipes')
    const [out, err, exit] = await Promise.all([text(stdout), text(stderr), task.exited])
    return { out, err, ...exit }
  }
  const shell = (script: string, ...args: readonly string[]) => ({
    command: '/bin/sh',
    args: ['-c', script, 'sh', ...args],
    env: PATH,
  })
  const only = (level: IsolationLevel) => (context: { skip: (condition: boolean, note: string) => void }) => {
    context.skip(!capabilities.levels.includes(level), `this machine does not allow the level ${level}`)
    context.skip(isRoot && level === 'directory', 'root keeps tasks apart by users')
  }

  it('finds a level that works, and leaves nothing of the probe', async () => {
    expect(capabilities.root).toBe(isRoot)
    expect(capabilities.levels.at(-1)).toBe('directory')
    expect(await mount.list()).toEqual([])
    if (isRoot) expect(capabilities.levels).toContain('uid')
  })

  it('does not probe on when it is told to stop', async () => {
    const reason = new Error('enough')
    await expect(probeIsolation(mount, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    expect(await mount.list()).toEqual([])
  })

  describe.each<IsolationLevel>(['namespace', 'uid', 'directory'])('level %s', (level) => {
    const check = only(level)

    it('shows the task its secrets where the environment says', async (context) => {
      check(context)
      const request = await prepared(`show-${level}`)
      const { out, err, code } = await run({
        ...request,
        ...shell(
          'cat "$LEASTWISE_SECRETS_DIR/file"; stat -c " %a" "$LEASTWISE_SECRETS_DIR/file"; ls "$LEASTWISE_SECRETS_DIR"',
        ),
        level,
      })
      expect({ out, err, code }).toEqual({ out: 'value of s1 400\nfile\n', err: '', code: 0 })
    })

    it('keeps a second task out of the files of the first', async (context) => {
      check(context)
      context.skip(level === 'directory', 'tasks of one user are not kept apart at this level')
      await prepared(`first-${level}`)
      const second = await prepared(`second-${level}`)
      const { out, code } = await run({
        ...second,
        ...shell('cat "$1" 2>&1; ls "$2" 2>&1; exit 3', `${mount.root}/first-${level}/file`, mount.root),
        level,
      })
      expect(code).toBe(3)
      expect(out).not.toContain('value of')
      expect(out).not.toContain(`first-${level}\n`)
    })

    it('passes arguments, environment, directory, input and exit code untouched', async (context) => {
      check(context)
      const request = await prepared(`pass-${level}`)
      const args = ['a b', '$(id)', "'; id #", '', '*', '-n', '\n']
      const env = { ...PATH, ODD: ' two\nlines "$HOME" `id` \\', EMPTY: '', leastwise_at: 'mine', IFS: ',' }
      const script =
        'for one in "$@"; do printf "[%s]" "$one"; done; printf "|%s|%s|%s|" "$ODD" "${EMPTY-unset}" "$(pwd)"; cat; exit 42'
      const { out, code } = await run(
        { ...request, command: '/bin/sh', args: ['-c', script, 'sh', ...args], env, cwd: '/usr', level },
        'from input',
      )
      expect(code).toBe(42)
      expect(out).toBe(`${args.map((one) => `[${one}]`).join('')}|${env.ODD}||/usr|from input`)
    })

    it('inherits nothing from the worker, and no more than it was given', async (context) => {
      check(context)
      const request = await prepared(`env-${level}`)
      const { out } = await run({ ...request, command: '/usr/bin/env', args: [], env: { ONLY: 'this' }, level })
      const names = out
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => line.split('=')[0])
      expect(
        names.filter((name) => name !== 'PWD' && name !== '_' && name !== 'SHLVL' && name !== 'OLDPWD').sort(),
      ).toEqual(['LEASTWISE_SECRETS_DIR', 'ONLY'])
    })

    it('ends with all its children when its group is told to', async (context) => {
      check(context)
      const request = await prepared(`kill-${level}`)
      const task = await startTask(
        planIsolation(capabilities, { ...request, ...shell('sleep 1000 & sleep 1000 & echo up; wait'), level }),
        { stdio: ['ignore', 'pipe', 'ignore'] },
      )
      const { stdout } = task.child
      if (stdout === null) throw new Error('expected a pipe')
      await new Promise((resolve) => stdout.once('data', resolve))
      task.signal('SIGTERM')
      const closed = new Promise((resolve) => task.child.once('close', resolve))
      expect(await task.exited).not.toMatchObject({ code: 0 })
      // The pipe closes only when no child holds it any more.
      await closed
      task.signal('SIGKILL')
    })

    it('loses its files when they are withdrawn', async (context) => {
      check(context)
      const request = await prepared(`gone-${level}`)
      const task = await startTask(
        planIsolation(capabilities, {
          ...request,
          ...shell('cd "$LEASTWISE_SECRETS_DIR"; exec 5<file; echo up; read line; cat <&5 | tr "\\0" z; ls'),
          level,
        }),
        { stdio: ['pipe', 'pipe', 'ignore'] },
      )
      const { stdout, stdin } = task.child
      if (stdout === null || stdin === null) throw new Error('expected pipes')
      const out = text(stdout)
      await new Promise((resolve) => stdout.once('readable', resolve))
      await withdraw(mount, `gone-${level}`)
      stdin.end('\n')
      await task.exited
      expect(await out).toBe('up\nzzzzzzzzzzz')
    })
  })

  describe('level namespace', () => {
    const check = only('namespace')

    it('is shown under /run/secrets where that can be, and cannot be written to', async (context) => {
      check(context)
      const request = await prepared('run-secrets')
      const { out, code } = await run({
        ...request,
        ...shell(
          'echo "$LEASTWISE_SECRETS_DIR"; grep -c " $LEASTWISE_SECRETS_DIR ro,nosuid,nodev,noexec" /proc/self/mountinfo; echo x > "$LEASTWISE_SECRETS_DIR/new" 2>/dev/null && exit 9; exit 0',
        ),
      })
      expect([out, code]).toEqual([capabilities.runSecrets ? '/run/secrets\n1\n' : `${mount.root}/run-secrets\n1\n`, 0])
      if (isRoot) expect(capabilities.runSecrets).toBe(true)
    })

    it('has no privilege and cannot gain one, nor undo the hiding', async (context) => {
      check(context)
      // The same user in both: only the mounts keep it out.
      const hidden = await prepared('hidden')
      const request = { ...(await prepared('no-privilege')), ...(isRoot ? { user: hidden.user } : {}) }
      const script = `grep -E 'Cap(Eff|Prm|Bnd|Amb)|NoNewPrivs' /proc/self/status | tr -d '\\t\\n'
        umount "$1" 2>/dev/null; umount -l "$1" 2>/dev/null; umount "$LEASTWISE_SECRETS_DIR" 2>/dev/null
        unshare --user --map-root-user --mount umount "$1" 2>/dev/null
        unshare --user --map-root-user --mount sh -c 'umount -l "$1"; cat "$1/hidden/file"' sh "$1" 2>/dev/null
        cat "$1/hidden/file" 2>/dev/null; exit 0`
      const { out } = await run({ ...request, ...shell(script, mount.root) })
      const none = '0'.repeat(16)
      expect(out).toBe(`CapPrm:${none}CapEff:${none}CapBnd:${none}CapAmb:${none}NoNewPrivs:1`)
    })

    it('sees no process but its own', async (context) => {
      check(context)
      const request = await prepared('processes')
      const { out } = await run({
        ...request,
        ...shell(
          'ls -d /proc/[0-9]* | wc -l; ls /proc/1/root/ 2>/dev/null | wc -l; kill -0 "$1" 2>/dev/null && echo alive',
          String(process.pid),
        ),
      })
      const [processes, root, ...rest] = out.trim().split('\n')
      expect(Number(processes)).toBeLessThan(8)
      expect([root, rest]).toEqual(['0', []])
    })

    it('does not see what else is hidden', async (context) => {
      check(context)
      const request = await prepared('hide')
      const elsewhere = process.cwd()
      const { out } = await run({ ...request, ...shell('ls -A "$1"; echo end', elsewhere), hide: [elsewhere] })
      expect(out).toBe('end\n')
    })

    it('ends what left its process group, too', async (context) => {
      check(context)
      const request = await prepared('daemon')
      const task = await startTask(
        planIsolation(capabilities, { ...request, ...shell('setsid sleep 1000 & echo up; exit 0') }),
        { stdio: ['ignore', 'pipe', 'ignore'] },
      )
      // The escaped process holds the pipe: it closes only because the whole namespace ends.
      await new Promise((resolve) => task.child.once('close', resolve))
      expect(await task.exited).toEqual({ code: 0, signal: null })
    })

    it('says by its exit code that a command does not exist', async (context) => {
      check(context)
      const request = await prepared('not-there')
      expect((await run({ ...request, command: '/not/there', args: [], env: {} })).code).toBe(127)
    })

    it.runIf(isRoot)('honours owners that a reference names, for a task of that user only', async (context) => {
      check(context)
      const request = await prepared('owners', [{ ...reference, uid: 1234, gid: 1234 }])
      const read = shell('cat "$LEASTWISE_SECRETS_DIR/file" 2>/dev/null; id -u; id -G')
      expect((await run({ ...request, ...read, user: { uid: 1234, gid: 1234 } })).out).toBe('value of s11234\n1234\n')
      expect((await run({ ...request, ...read, user: { uid: 1235, gid: 1235 } })).out).toBe('1235\n1235\n')
    })

    it.runIf(isRoot)('leaves a task that is uid 0 without the rights of root', async (context) => {
      check(context)
      await prepared('beside-root', [{ ...reference, uid: 0, gid: 0 }])
      const request = await prepared('as-root', [{ ...reference, uid: 0, gid: 0 }])
      const { out } = await run({
        ...request,
        ...shell(
          'id -u; umount -l "$1" 2>/dev/null; cat "$1/beside-root/file" 2>/dev/null; cat "$LEASTWISE_SECRETS_DIR/file"',
          mount.root,
        ),
        user: { uid: 0, gid: 0 },
      })
      expect(out).toBe('0\nvalue of s1')
    })
  })

  it('rejects a start that fails', async (context) => {
    context.skip(isRoot && !capabilities.levels.includes('uid'), 'no plain level here')
    const request = await prepared('no-start')
    await expect(
      startTask(
        planIsolation(capabilities, {
          ...request,
          command: '/not/there',
          args: [],
          env: {},
          level: isRoot ? 'uid' : 'directory',
        }),
      ),
    ).rejects.toMatchObject({ code: 'ENOENT' })
  })
})

describe.runIf(missing === null && canDropUser())('the same as an ordinary user', () => {
  it('delivers, keeps tasks apart as far as the machine allows, and refuses to give files away', () => {
    const name = `ordinary-${randomUUID()}`
    onTestFinished(() => {
      rmSync(`/dev/shm/leastwise-65534-${name}`, { recursive: true, force: true })
    })
    const result = asOrdinaryUser(`
      import { text } from 'node:stream/consumers'
      const { signal } = new AbortController()
      const mount = edge.chooseTmpfs({ name: '${name}' })
      const reader = { read: async (id) => core.Secret.copyOf(new TextEncoder().encode('value of ' + id)) }
      const give = (taskId, uid) => core.deliver(mount, core.planDelivery(taskId, [{ secretId: 's1', target: 'file', uid, gid: null, mode: 0o400 }], null), reader, { signal })
      await give('t1', null)
      await give('t2', null)
      const refused = await give('t3', 0).then(() => 'given', (error) => error.code)
      const capabilities = await edge.probeIsolation(mount, { signal })
      const plan = edge.planIsolation(capabilities, {
        deliveryRoot: mount.root, taskId: 't1', command: '/bin/sh', env: { PATH: '/usr/bin:/bin' },
        args: ['-c', 'cat "$LEASTWISE_SECRETS_DIR/file"; cat "$1/t2/file" 2>/dev/null; id -u', 'sh', mount.root],
      })
      const task = await edge.startTask(plan, { stdio: ['ignore', 'pipe', 'ignore'] })
      const out = await text(task.child.stdout)
      await task.exited
      const tasks = await mount.list()
      await core.withdrawExcept(mount, [])
      const { rmdirSync, readdirSync } = await import('node:fs')
      const left = readdirSync(mount.root)
      rmdirSync(mount.root)
      console.log(JSON.stringify({ uid: process.getuid(), root: mount.root, refused, tasks, left, level: plan.level, out, levels: capabilities.levels }))
    `) as { readonly level: IsolationLevel; readonly levels: readonly IsolationLevel[] }
    const apart = result.level === 'namespace'
    expect(result).toEqual({
      uid: 65534,
      root: `/dev/shm/leastwise-65534-${name}`,
      refused: 'OWNER_REFUSED',
      tasks: ['t1', 't2'],
      left: [],
      level: result.levels[0],
      levels: apart ? ['namespace', 'directory'] : ['directory'],
      out: apart ? 'value of s165534\n' : 'value of s1value of s165534\n',
    })
  })
})

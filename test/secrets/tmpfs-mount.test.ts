import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  fstatSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  statfsSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { type FileOwner, Secret, type SecretFile, SecretsError } from '@leastwise/secrets'
import { chooseTmpfs, openTmpfsMount, swapActive, type TmpfsMount, tmpfsCandidates } from '@leastwise/secrets/node'
import { describe, expect, it, onTestFinished } from 'vitest'
import { fullMountContract, secretMountContract } from '../contract/secret-mount.ts'
import { tempDir } from '../support/temp-dir.ts'
import { bytesOf } from './catalogue-driver.ts'
import { freshRoot, isRoot, lookAt, tmpfsMissing } from './tmpfs-root.ts'

const { signal } = new AbortController()
const OWN: FileOwner = { uid: null, gid: null, mode: 0o500 }
const file = (name: string, text: string, change: Partial<SecretFile> = {}): SecretFile => ({
  name,
  uid: null,
  gid: null,
  mode: 0o400,
  value: Secret.copyOf(bytesOf(text)),
  ...change,
})
const open = (root: string, options?: Parameters<typeof openTmpfsMount>[1]): TmpfsMount => {
  const mount = openTmpfsMount(root, options)
  onTestFinished(() => {
    mount[Symbol.dispose]()
  })
  return mount
}
const underTest = (root: string) => ({
  mount: open(root),
  look: (taskId: string) => lookAt(root, taskId),
  count: () => readdirSync(root).length,
})
const onDisk = statfsSync('/').type === statfsSync('/tmp').type && statfsSync('/tmp').type !== 0x01021994
const missing = tmpfsMissing()

describe.skipIf(missing !== null)(`on real tmpfs${missing === null ? '' : ` (skipped: ${missing})`}`, () => {
  secretMountContract('openTmpfsMount', () => underTest(freshRoot()))

  describe('opening', () => {
    it('makes the root, closed to others unless tasks are to pass through', () => {
      const root = freshRoot()
      const mount = open(root)
      expect([mount.root, mount.kind, mount.swept, statSync(root).mode & 0o7777]).toEqual([root, 'tmpfs', 0, 0o700])
      expect(mount.swappable && !swapActive()).toBe(false)
      open(root, { reach: 'tasks' })
      expect(statSync(root).mode & 0o7777).toBe(0o711)
      open(root)
      expect(statSync(root).mode & 0o7777).toBe(0o700)
    })

    it('wipes what a crashed process left, complete or not', async () => {
      const root = freshRoot()
      const before = openTmpfsMount(root)
      await before.place('t1', OWN, [file('a', 'alpha')], { signal })
      mkdirSync(join(root, '.arriving-x'))
      writeFileSync(join(root, '.arriving-x', 'half'), 'secret')
      writeFileSync(join(root, 'stray'), 'x')
      symlinkSync('/etc/passwd', join(root, 'link'))
      const reading = openSync(join(root, 't1', 'a'), 'r')
      before[Symbol.dispose]()
      expect(open(root).swept).toBe(4)
      expect(readdirSync(root)).toEqual([])
      const seen = new Uint8Array(5)
      expect([readSync(reading, seen), seen]).toEqual([5, new Uint8Array(5)])
      closeSync(reading)
      expect(existsSync('/etc/passwd')).toBe(true)
    })

    it.runIf(onDisk)('refuses a directory on a disk', () => {
      const dir = tempDir()
      expect(() => openTmpfsMount(join(dir, 'root'))).toThrowCode('NOT_TMPFS')
    })

    it('refuses a symbolic link, as the root and above it', () => {
      const root = freshRoot()
      mkdirSync(root, 0o700)
      mkdirSync(join(root, 'real'), 0o700)
      symlinkSync(join(root, 'real'), join(root, 'link'))
      expect(() => openTmpfsMount(join(root, 'link'))).toThrowCode('MOUNT_UNSAFE')
      expect(() => openTmpfsMount(join(root, 'link', 'inner'))).toThrowCode('MOUNT_UNSAFE')
      expect(readdirSync(join(root, 'real'))).toEqual([])
    })

    it('refuses a file, other permissions, and a place that others may exchange', () => {
      const root = freshRoot()
      mkdirSync(root, 0o700)
      writeFileSync(join(root, 'file'), '')
      expect(() => openTmpfsMount(join(root, 'file'))).toThrowCode('MOUNT_UNSAFE')
      mkdirSync(join(root, 'open'))
      chmodSync(join(root, 'open'), 0o777)
      expect(() => openTmpfsMount(join(root, 'open'))).toThrowCode('MOUNT_UNSAFE')
      expect(() => openTmpfsMount(join(root, 'open', 'inner'))).toThrowCode('MOUNT_UNSAFE')
      expect(readdirSync(join(root, 'open'))).toEqual([])
    })

    it.runIf(isRoot)('refuses what belongs to another user', () => {
      const root = freshRoot()
      mkdirSync(root, 0o700)
      mkdirSync(join(root, 'theirs'), 0o700)
      chownSync(join(root, 'theirs'), 65534, 65534)
      expect(() => openTmpfsMount(join(root, 'theirs'))).toThrowCode('MOUNT_UNSAFE')
      expect(() => openTmpfsMount(join(root, 'theirs', 'inner'))).toThrowCode('MOUNT_UNSAFE')
    })

    it('says when the parent is missing, and takes absolute paths only', () => {
      expect(() => openTmpfsMount(join(freshRoot(), 'inner'))).toThrowCode('MOUNT_FAILED')
      for (const path of ['relative', '/dev/shm/../shm/x', '/dev/shm/x/', ''])
        expect(() => openTmpfsMount(path)).toThrow(TypeError)
    })

    it('goes with everything in it when the worker leaves', async () => {
      const root = freshRoot()
      const mount = open(root)
      await mount.place('t1', OWN, [file('a', 'alpha')], { signal })
      const reading = openSync(join(root, 't1', 'a'), 'r')
      await mount.remove()
      const seen = new Uint8Array(5)
      expect([readSync(reading, seen), seen, existsSync(root)]).toEqual([5, new Uint8Array(5), false])
      closeSync(reading)
      await expect(mount.list()).rejects.toThrow(TypeError)
    })

    it('ends a delivery that is under way when it is disposed, and sweeps it at the next opening', async () => {
      const root = freshRoot()
      const mount = open(root)
      const many = Array.from({ length: 200 }, (_, at) => file(`f${at}`, 'x'))
      const placing = mount.place('t1', OWN, many, { signal })
      mount[Symbol.dispose]()
      await expect(placing).rejects.toThrow(TypeError)
      expect(open(root).swept).toBe(1)
    })

    it('leaves alone what has taken the name of its root', async () => {
      const parent = freshRoot()
      mkdirSync(parent, 0o700)
      const root = join(parent, 'root')
      const mount = open(root)
      renameSync(root, join(parent, 'moved'))
      mkdirSync(root)
      await mount.remove()
      expect(readdirSync(parent).sort()).toEqual(['moved', 'root'])
    })

    it('does not work once it is disposed', async () => {
      const mount = open(freshRoot())
      mount[Symbol.dispose]()
      mount[Symbol.dispose]()
      await expect(mount.list()).rejects.toThrow(TypeError)
      await expect(mount.place('t1', OWN, [], { signal })).rejects.toThrow(TypeError)
      await expect(mount.withdraw('t1')).rejects.toThrow(TypeError)
    })
  })

  describe('placing and withdrawing', () => {
    it('never shows a part of the files', async () => {
      const root = freshRoot()
      const mount = open(root)
      const files = Array.from({ length: 200 }, (_, at) => file(`f${at}`, 'x'))
      const seen = new Set<number>()
      const placing = mount.place('t1', OWN, files, { signal }).then(() => seen.add(lookAt(root, 't1')?.size ?? -1))
      // The files are written in more than one turn; each turn in between sees none of them.
      while (seen.size === 0) {
        expect(existsSync(join(root, 't1'))).toBe(false)
        const settled = await Promise.race([placing, new Promise<null>((resolve) => setImmediate(resolve, null))])
        if (settled !== null) break
      }
      await placing
      expect([...seen]).toEqual([200])
    })

    it('stops half-way when the signal is aborted, and leaves nothing', async () => {
      const root = freshRoot()
      const controller = new AbortController()
      const placing = open(root).place(
        't1',
        OWN,
        Array.from({ length: 200 }, (_, at) => file(`f${at}`, 'x')),
        { signal: controller.signal },
      )
      const reason = new Error('enough')
      controller.abort(reason)
      await expect(placing).rejects.toBe(reason)
      expect(readdirSync(root)).toEqual([])
    })

    it('sets the mode whatever the umask would leave of it', async () => {
      const root = freshRoot()
      await open(root).place('t1', { ...OWN, mode: 0o755 }, [file('a', 'x', { mode: 0o777 })], { signal })
      expect([statSync(join(root, 't1')).mode & 0o7777, lookAt(root, 't1')?.get('a')?.mode]).toEqual([0o755, 0o777])
    })

    it('shows zeros to whoever still has the file open', async () => {
      const root = freshRoot()
      const mount = open(root)
      await mount.place('t1', OWN, [file('a', 'x'.repeat(200_000))], { signal })
      const reading = openSync(join(root, 't1', 'a'), 'r')
      await mount.withdraw('t1')
      const bytes = new Uint8Array(200_000)
      expect(readSync(reading, bytes)).toBe(200_000)
      expect([bytes.every((byte) => byte === 0), fstatSync(reading).nlink]).toEqual([true, 0])
      closeSync(reading)
    })

    it('removes what a task left in its directory, and follows no link out of it', async () => {
      const root = freshRoot()
      const outside = join(tempDir(), 'outside')
      writeFileSync(outside, 'precious')
      const mount = open(root)
      await mount.place('t1', OWN, [file('a', 'x')], { signal })
      const directory = join(root, 't1')
      chmodSync(directory, 0o700)
      symlinkSync(outside, join(directory, 'link'))
      mkdirSync(join(directory, 'deep', 'deeper'), { recursive: true })
      writeFileSync(join(directory, 'deep', 'deeper', 'f'), 'x')
      symlinkSync('/dev/shm', join(directory, 'deep', 'up'))
      linkSync(join(directory, 'a'), join(directory, 'again'))
      expect(spawnSync('mkfifo', [join(directory, 'pipe')]).status).toBe(0)
      chmodSync(join(directory, 'deep'), 0o000)
      expect(await mount.withdraw('t1')).toBe(true)
      expect(readdirSync(root)).toEqual([])
      expect(readFileSync(outside, 'utf8')).toBe('precious')
    })

    it('stays with the directory that was proven when its name is taken', async () => {
      const parent = freshRoot()
      mkdirSync(parent, 0o700)
      const root = join(parent, 'root')
      const mount = open(root)
      renameSync(root, join(parent, 'moved'))
      mkdirSync(root)
      await mount.place('t1', OWN, [file('a', 'x')], { signal })
      expect([readdirSync(root), readdirSync(join(parent, 'moved'))]).toEqual([[], ['t1']])
    })

    it.runIf(isRoot)('gives files and directory to the users that it is told', async () => {
      const root = freshRoot()
      await open(root).place(
        't1',
        { uid: null, gid: 1234, mode: 0o550 },
        [file('a', 'x', { uid: 1000 }), file('b', 'x', { uid: 7, gid: 8 })],
        { signal },
      )
      const ownerOf = (...path: readonly string[]) => {
        const { uid, gid } = lstatSync(join(root, ...path))
        return [uid, gid]
      }
      expect([ownerOf('t1'), ownerOf('t1', 'a'), ownerOf('t1', 'b')]).toEqual([
        [0, 1234],
        [1000, 0],
        [7, 8],
      ])
    })

    it.skipIf(isRoot)('refuses to give files away without the right to, and leaves nothing', async () => {
      const root = freshRoot()
      await expect(open(root).place('t1', OWN, [file('a', 'x', { uid: 0 })], { signal })).rejects.toThrowCode(
        'OWNER_REFUSED',
      )
      expect(readdirSync(root)).toEqual([])
    })

    it('tells no value in an error', async () => {
      const root = freshRoot()
      const mount = open(root)
      const marked = [file('a', 'hunter2-marked'), file('a', 'hunter2-marked')]
      const error: unknown = await mount.place('t1', OWN, marked, { signal }).catch((reason: unknown) => reason)
      expect(error).toBeInstanceOf(SecretsError)
      expect(inspect([error, marked, mount], { depth: 20, showHidden: true })).not.toContain('hunter2')
    })
  })

  describe('choosing', () => {
    it('opens a root of its own for the user and the name', async () => {
      const name = `test-${process.pid}-choose`
      const path = `/dev/shm/leastwise-${process.geteuid?.() ?? 0}-${name}`
      const mount = chooseTmpfs({ name })
      expect(mount.root).toBe(path)
      await mount.remove()
      expect(existsSync(path)).toBe(false)
    })

    it('goes on to the next when the first is not safe, and says why none is', () => {
      const name = `test-${process.pid}-unsafe`
      const path = `/dev/shm/leastwise-${process.geteuid?.() ?? 0}-${name}`
      symlinkSync('/dev/shm', path)
      onTestFinished(() => {
        spawnSync('rm', [path])
      })
      if (existsSync(`/run/user/${process.geteuid?.() ?? 0}`)) {
        const mount = chooseTmpfs({ name })
        expect(mount.root).not.toBe(path)
        void mount.remove()
      } else {
        expect(() => chooseTmpfs({ name })).toThrowCode('MOUNT_FAILED')
      }
    })

    it.runIf(onDisk)('takes the directory of the operator and no other', () => {
      expect(() => chooseTmpfs({ name: 'n', directory: join(tempDir(), 'x') })).toThrowCode('NOT_TMPFS')
    })

    it('names candidates', () => {
      expect(tmpfsCandidates({ name: 'n1' }, 1000)).toEqual([
        '/dev/shm/leastwise-1000-n1',
        '/run/user/1000/leastwise-n1',
      ])
      expect(tmpfsCandidates({ name: 'n1', directory: '/x' }, 0)).toEqual(['/x'])
      expect(() => tmpfsCandidates({ name: '../n' }, 0)).toThrowCode('ID_INVALID')
    })
  })
})

const mounted = (options: string, kind = 'tmpfs'): string => {
  const dir = tempDir()
  const run = spawnSync('mount', ['-t', kind, '-o', options, kind, dir])
  expect(run.status).toBe(0)
  onTestFinished(() => {
    spawnSync('umount', [dir])
  })
  return join(dir, 'root')
}
const mayMount = isRoot && spawnSync('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt']).status === 0

describe.runIf(mayMount)('on file systems mounted for the test', () => {
  fullMountContract('openTmpfsMount', () => underTest(mounted('mode=0755,size=64k')))

  it('is full as well when there are too many files', async () => {
    const root = mounted('mode=0755,size=1m,nr_inodes=8')
    const mount = open(root)
    const many = Array.from({ length: 20 }, (_, at) => file(`f${at}`, 'x'))
    await expect(mount.place('t1', OWN, many, { signal })).rejects.toThrowCode('MOUNT_FULL')
    expect(readdirSync(root)).toEqual([])
    await mount.place('t1', OWN, many.slice(0, 3), { signal })
  })

  it('never swaps on ramfs', () => {
    const mount = open(mounted('mode=0755', 'ramfs'))
    expect([mount.kind, mount.swappable]).toEqual(['ramfs', false])
  })

  it('says so when the root cannot be written to', () => {
    expect(() => open(mounted('mode=0755,size=64k,ro'))).toThrowCode('MOUNT_FAILED')
  })
})

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { run } from '../../examples/orchestrator/command-line.ts'
import { tempDir } from '../support/temp-dir.ts'
import { type Outcome, refusalCode } from './cluster-processes.ts'

const MARK = 'MARKED-VALUE-OF-THE-OPERATOR'
let stdout = ''
let stderr = ''

beforeEach(() => {
  stdout = ''
  stderr = ''
  vi.spyOn(process.stdout, 'write').mockImplementation((chunk, ...rest) => {
    stdout += String(chunk)
    for (const done of rest) if (typeof done === 'function') done()
    return true
  })
  vi.spyOn(process.stderr, 'write').mockImplementation((chunk) => {
    stderr += String(chunk)
    return true
  })
  vi.stubEnv('LEASTWISE_DATA', undefined)
})
afterEach(() => {
  vi.restoreAllMocks()
  vi.unstubAllEnvs()
})

async function ask(...args: readonly string[]): Promise<Outcome> {
  const code = await run(args)
  return { code, signal: null, stdout, stderr }
}

/** Each operator command with the words that it needs, in the order of its usage. */
const COMMANDS: readonly (readonly [name: string, words: readonly string[]])[] = [
  ['status', []],
  ['ca info', []],
  ['autolock', ['on']],
  ['node ls', []],
  ['node renew', ['someone']],
  ['node rm', ['someone']],
  ['node promote', ['someone']],
  ['node demote', ['someone']],
  ['node evictions', []],
  ['cluster crl', []],
  ['operator ls', []],
  ['operator rm', ['someone']],
  ['secret ls', []],
  ['secret inspect', ['db']],
  ['secret rm', ['db']],
  ['task ls', []],
  ['task rm', ['t1']],
  ['token create', ['worker']],
  ['token ls', []],
  ['token rotate', ['manager']],
  ['token revoke', ['id']],
]
/** Those that read standard input first, so that only their refusals can be looked at in here. */
const READERS: readonly (readonly [name: string, words: readonly string[]])[] = [
  ['secret create', ['db']],
  ['unlock', []],
]

describe('the command line', () => {
  it.each(COMMANDS)('understands "%s" and then misses the manager', async (name, words) => {
    const outcome = await ask(...name.split(' '), ...words, '--data', tempDir(), '--json')
    expect(refusalCode(outcome)).toBe('MANAGER_NOT_RUNNING')
  })

  it.each(COMMANDS)('takes the options of "%s" before its words too', async (name, words) => {
    expect(refusalCode(await ask(...name.split(' '), '--json', '--data', tempDir(), ...words))).toBe(
      'MANAGER_NOT_RUNNING',
    )
  })

  it.each([...COMMANDS, ...READERS])('refuses one word more for "%s"', async (name, words) => {
    const outcome = await ask(...name.split(' '), ...words, MARK, '--data', tempDir(), '--json')
    expect(refusalCode(outcome)).toBe('USAGE')
    expect(outcome.stderr).toContain(`usage: leastwise-orchestrator ${name}`)
    expect(outcome.stdout + outcome.stderr).not.toContain(MARK)
  })

  it.each([...COMMANDS, ...READERS].filter(([, words]) => words.length > 0))(
    'refuses one word less for "%s"',
    async (name, words) => {
      const outcome = await ask(...name.split(' '), ...words.slice(1), '--data', tempDir(), '--json')
      expect(refusalCode(outcome)).toBe('USAGE')
    },
  )

  it.each([...COMMANDS, ...READERS])('refuses words after -- for "%s"', async (name, words) => {
    expect(refusalCode(await ask(...name.split(' '), ...words, '--data', tempDir(), '--json', '--', MARK))).toBe(
      'USAGE',
    )
    expect(stdout + stderr).not.toContain(MARK)
  })

  it.each([...COMMANDS, ...READERS])('wants to know the directory for "%s"', async (name, words) => {
    const outcome = await ask(...name.split(' '), ...words, '--json')
    expect(refusalCode(outcome)).toBe('USAGE')
    expect(outcome.stderr).toContain('--data DIR or in LEASTWISE_DATA')
  })

  it('takes the directory from the environment, and an empty one for none', async () => {
    vi.stubEnv('LEASTWISE_DATA', tempDir())
    expect(refusalCode(await ask('status', '--json'))).toBe('MANAGER_NOT_RUNNING')
    stdout = ''
    vi.stubEnv('LEASTWISE_DATA', '')
    expect(refusalCode(await ask('status', '--json'))).toBe('USAGE')
  })

  it('refuses a data directory whose socket would have too long a path', async () => {
    expect(refusalCode(await ask('status', '--json', '--data', `/tmp/${'x'.repeat(120)}`))).toBe('SOCKET_PATH_TOO_LONG')
  })

  it.each([
    [[]],
    [['bogus']],
    [['secret']],
    [['secret', 'bogus']],
    [['--json', 'status']],
    [['Status']],
    [['token', 'create ']],
  ])('knows no command %j', async (words) => {
    expect((await ask(...words)).code).toBe(2)
    expect(stderr).toContain('USAGE: no such command; see leastwise-orchestrator help')
  })
})

describe('an option that the command does not have', () => {
  const EVERY: readonly (readonly string[])[] = [
    ...[...COMMANDS, ...READERS].map(([name, words]) => [...name.split(' '), ...words]),
    ['task', 'run', '--node', 'x', '--', 'true'],
    ['manager', '--data', 'x', '--listen', '127.0.0.1:0'],
    ['worker', '--data', 'x', '--join', '127.0.0.1:1'],
  ]
  it.each(EVERY.map((words) => [words.slice(0, 2).join(' '), words] as const))(
    'is refused by "%s", without its value',
    async (_name, words) => {
      for (const wrong of [
        [`--bogus=${MARK}`],
        ['--bogus', MARK],
        [`-x${MARK}`],
        [`-${MARK}`],
        [`--json=${MARK}`],
        [`--no-json`],
      ]) {
        stdout = ''
        stderr = ''
        const end = words.indexOf('--')
        const full = end < 0 ? [...words, ...wrong] : [...words.slice(0, end), ...wrong, ...words.slice(end)]
        expect((await ask(...full)).code, wrong[0]).toBe(2)
        expect(stderr).toContain('leastwise-orchestrator: USAGE: ')
        expect(stdout + stderr, wrong[0]).not.toContain(MARK)
      }
      expect(existsSync('x')).toBe(false)
    },
  )

  it('is named, so that a slip of the pen is found', async () => {
    await ask('token', 'create', 'worker', '--tll', '1h')
    expect(stderr).toContain('the option --tll is unknown here or lacks its value')
  })

  it.each([
    ['status', '--data'],
    ['token', 'create', 'worker', '--ttl'],
    ['worker', '--token'],
    ['worker', '--token', '--data', 'x'],
    ['manager', '--listen'],
  ])('lacks its value: %s %s', async (...words) => {
    expect((await ask(...words)).code).toBe(2)
    expect(stderr).toContain('lacks its value')
  })
})

describe('an option that is given twice', () => {
  it.each([
    ['token', 'create', 'worker', '--uses', '1', '--uses', MARK],
    ['token', 'create', 'worker', '--ttl=1h', `--ttl=${MARK}`],
    ['status', '--data', 'a', '--data', MARK],
    ['status', '--json', '--json'],
    ['worker', '--data', 'x', '--join', '127.0.0.1:1', '--token', MARK, '--token', 'b'],
  ])('is refused, for nobody knows which one was meant: %s %s', async (...words) => {
    expect((await ask(...words)).code).toBe(2)
    expect(stderr).toMatch(/USAGE: the option --[a-z]+ is given twice; give it once/)
    expect(stdout + stderr).not.toContain(MARK)
  })

  it('is taken where a list is meant, of labels that differ', async () => {
    const words = ['secret', 'create', 'db', '--data', tempDir(), '--label', 'a=1', '--label']
    expect((await ask(...words, 'a=2')).code).toBe(2)
    expect(stderr).toContain('two labels have the same key')
  })

  it('as a token and as a file of it is refused as well', async () => {
    const directory = join(tempDir(), 'data')
    const words = ['--data', directory, '--join', '127.0.0.1:1', '--token', MARK, '--token-file', 'x']
    expect((await ask('worker', ...words)).code).toBe(2)
    expect(stderr).toContain('not with both')
    expect(existsSync(directory)).toBe(false)
  })
})

describe('a word that is empty', () => {
  it.each([
    ['node', 'rm', ''],
    ['token', 'revoke', ''],
    ['backup', ''],
    ['secret', 'rm', ''],
  ])('is refused before anyone is asked: %s %s', async (...words) => {
    expect((await ask(...words, '--data', tempDir())).code).toBe(2)
    expect(stderr).toContain('a word of the command is empty; is a variable not set?')
  })
})

describe('the value of an option', () => {
  it.each([
    ['token create', ['token', 'create', MARK]],
    ['token create --ttl', ['token', 'create', 'worker', '--ttl', MARK]],
    ['token create --ttl 0s', ['token', 'create', 'worker', '--ttl', '0s']],
    ['token create --uses', ['token', 'create', 'worker', '--uses', MARK]],
    ['token create --uses 0', ['token', 'create', 'worker', '--uses', '0']],
    ['token create --uses 1.5', ['token', 'create', 'worker', '--uses', '1.5']],
    ['token create --uses -1', ['token', 'create', 'worker', '--uses=-1']],
    ['token rotate --overlap', ['token', 'rotate', 'worker', '--overlap', MARK]],
    ['autolock', ['autolock', MARK]],
    ['secret create --label', ['secret', 'create', 'db', '--label', MARK]],
    ['secret create --label =x', ['secret', 'create', 'db', '--label', `=${MARK}`]],
    ['task run without --', ['task', 'run', '--node', 'abcd']],
    ['task run with nothing after --', ['task', 'run', '--node', 'abcd', '--']],
    ['task run without a node', ['task', 'run', '--', 'true']],
  ])('is refused before anyone is asked: %s', async (_what, words) => {
    const end = words.indexOf('--')
    const rest = end < 0 ? [] : words.slice(end)
    const outcome = await ask(...(end < 0 ? words : words.slice(0, end)), '--data', tempDir(), '--json', ...rest)
    expect(refusalCode(outcome)).toBe('USAGE')
    expect(outcome.stdout + outcome.stderr).not.toContain(MARK)
  })
})

describe('the processes', () => {
  it.each([
    ['manager', []],
    ['manager', ['--data', 'DIR']],
    ['manager', ['--listen', '127.0.0.1:0']],
    ['manager', ['--data', 'DIR', '--listen', '127.0.0.1:0', MARK]],
    ['worker', []],
    ['worker', ['--data', 'DIR']],
    ['worker', ['--join', '127.0.0.1:1']],
    ['worker', ['--data', 'DIR', '--join', '127.0.0.1:1', MARK]],
  ])('%s %j shows its usage and makes nothing', async (name, words) => {
    const directory = join(tempDir(), 'data')
    const outcome = await ask(name, ...words.map((word) => (word === 'DIR' ? directory : word)), '--json')
    expect(refusalCode(outcome)).toBe('USAGE')
    expect(outcome.stderr).toContain(`usage: leastwise-orchestrator ${name}`)
    expect(outcome.stdout + outcome.stderr).not.toContain(MARK)
    expect(existsSync(directory)).toBe(false)
  })

  it.each([
    ['manager', ['--listen', 'nonsense']],
    ['manager', ['--listen', '127.0.0.1:0', '--advertise', 'nonsense']],
    ['worker', ['--join', 'nonsense']],
    ['worker', ['--join', '127.0.0.1']],
  ])('%s %j refuses the address and makes nothing', async (name, words) => {
    const directory = join(tempDir(), 'data')
    expect(refusalCode(await ask(name, '--data', directory, ...words, '--json'))).toBe('ADDRESS_INVALID')
    expect(existsSync(directory)).toBe(false)
  })
})

describe('what is printed', () => {
  it('goes to people alone without --json', async () => {
    expect((await ask('status', '--data', tempDir())).code).toBe(1)
    expect(stdout).toBe('')
    expect(stderr).toMatch(/^leastwise-orchestrator: MANAGER_NOT_RUNNING: no manager answers in .*\n$/)
  })

  it("is not changed by a task's own --json", async () => {
    await ask('task', 'run', '--node', 'abcd', '--data', tempDir(), '--', 'tool', '--json')
    expect(stdout).toBe('')
  })

  it('is the usage of one command where its help is asked for, but not a task’s', async () => {
    for (const flag of ['--help', '-h']) {
      stdout = ''
      expect((await ask('token', 'create', flag)).code).toBe(0)
      expect(stdout).toMatch(/^usage: leastwise-orchestrator token create worker\|manager .*\n\nmake a join token/)
    }
    expect((await ask('task', 'run', '--data', tempDir(), '--node', 'abcd', '--', 'tool', '--help')).code).toBe(1)
  })

  it.each(['help', '--help', '-h'])('is the whole list of commands for %s', async (word) => {
    expect((await ask(word)).code).toBe(0)
    for (const [name] of [...COMMANDS, ...READERS, ['task run', []] as const]) expect(stdout).toContain(`\n  ${name}`)
    for (const line of stdout.split('\n')) expect(line.length).toBeLessThan(130)
  })
})

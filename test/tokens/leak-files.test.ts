import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, readlinkSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { findLeaks } from '@leastwise/tokens'
import { type FileFinding, MAX_SCANNED_FILE_BYTES, type ScanFilesOptions, scanFiles } from '@leastwise/tokens/node'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { byteReader } from '../../packages/tokens/src/node/leak-byte-reader.ts'
import { createByteScanner } from '../../packages/tokens/src/node/leak-bytes.ts'
import { tempDir } from '../support/temp-dir.ts'
import { DIGEST, KEYS, MARKED_KEY, MARKED_TOKEN, MARKS, TOKENS } from './leak-support.ts'

const onLinux = process.platform === 'linux'
const TOKEN = TOKENS[0]!
const KEY = KEYS[0]!

async function scan(
  paths: readonly string[],
  options: Partial<ScanFilesOptions> = {},
): Promise<readonly FileFinding[]> {
  const findings: FileFinding[] = []
  const all = { signal: new AbortController().signal, ...options }
  for await (const finding of scanFiles(paths, all)) findings.push(finding)
  return findings
}

const brief = (findings: readonly FileFinding[], dir: string) =>
  findings.map((finding) => {
    const path = finding.path.replace(`${dir}/`, '')
    if (finding.type === 'scanned') return `${path} ${finding.bytes}`
    if (finding.type === 'unread') return `${path} ${finding.reason}`
    const { line, column, kind } = finding.leak
    return `${path} ${finding.place} ${line}:${column} ${kind}`
  })

describe('scanFiles', () => {
  it('walks directories in the order of names, hidden ones too, and tells each leak before the end of its file', async () => {
    const dir = tempDir()
    mkdirSync(join(dir, 'b/.deep/er'), { recursive: true })
    mkdirSync(join(dir, 'empty'))
    writeFileSync(join(dir, 'c.txt'), 'nothing\n')
    writeFileSync(join(dir, 'a.txt'), `x\n  ${TOKEN} ${KEY}\n`)
    writeFileSync(join(dir, 'b/.deep/er/.env'), `KEY=${KEY}`)
    writeFileSync(join(dir, 'b/none'), '')
    expect(brief(await scan([dir]), dir)).toEqual([
      'a.txt content 2:3 join-token',
      'a.txt content 2:89 unlock-key',
      'a.txt 143',
      'b/.deep/er/.env content 1:5 unlock-key',
      'b/.deep/er/.env 56',
      'b/none 0',
      'c.txt 8',
    ])
    expect(await scan([`${dir}/`])).toEqual(await scan([dir]))
  })

  it('finds tokens in binary files, and every vector', async () => {
    const dir = tempDir()
    const all = [...TOKENS, ...KEYS]
    const parts = all.flatMap((text, at) => [Buffer.from([0, 0xff, 0x0a, 0xc3, at & 0xff, 0x80]), Buffer.from(text)])
    const content = Buffer.concat(parts)
    writeFileSync(join(dir, 'file'), content)
    const found = await scan([join(dir, 'file')])
    expect(found).toHaveLength(all.length + 1)
    expect(found.slice(0, -1).map((finding) => (finding.type === 'leak' ? finding.leak : null))).toEqual(
      findLeaks(content.toString('latin1')),
    )
  })

  it('finds a token across any two reads', async () => {
    const dir = tempDir()
    const paths: string[] = []
    for (let shift = 0; shift <= TOKEN.length; shift += 1) {
      const before = (1 << 18) - shift
      paths.push(join(dir, String(shift)))
      writeFileSync(paths.at(-1)!, 'x'.repeat(before) + TOKEN)
    }
    const found = (await scan(paths)).flatMap((finding) => (finding.type === 'leak' ? [finding.leak.offset] : []))
    expect(found).toEqual(paths.map((_path, shift) => (1 << 18) - shift))
  })

  const wider = (text: string, stride: number, at: number): Buffer => {
    const bytes = Buffer.alloc(text.length * stride)
    for (let index = 0; index < text.length; index += 1) bytes[index * stride + at] = text.charCodeAt(index)
    return bytes
  }
  const LITTLE = Buffer.from([0xff, 0xfe])
  const BIG = Buffer.from([0xfe, 0xff])
  const TEXT = `x\n  ${TOKEN}`
  const ZEROS = Buffer.alloc(2)

  it.each([
    ['UTF-16 with the little-endian mark', Buffer.from(`\ufeffä\r\n  ${TOKEN}\r\n`, 'utf16le')],
    ['UTF-16 with the big-endian mark', Buffer.from(`\ufeffä\r\n  ${TOKEN}\r\n`, 'utf16le').swap16()],
    ['UTF-16 without a mark, little-endian', wider(TEXT, 2, 0)],
    ['UTF-16 without a mark, big-endian', wider(TEXT, 2, 1)],
    ['UTF-32, little-endian', Buffer.concat([LITTLE, ZEROS, wider(TEXT, 4, 0)])],
    ['UTF-32, big-endian', Buffer.concat([ZEROS, BIG, wider(TEXT, 4, 3)])],
    ['other letters of UTF-16 with the byte of a line feed', Buffer.from(`\ufeffਅĊ\n  ${TOKEN}`, 'utf16le')],
  ])('reads %s, in its own columns', async (_form, bytes) => {
    const dir = tempDir()
    writeFileSync(join(dir, 'wide'), bytes)
    expect(brief(await scan([dir]), dir)).toEqual(['wide content 2:3 join-token', `wide ${bytes.length}`])
    // The mark is no letter.
    const first = bytes.subarray(0, 2).equals(LITTLE) || bytes.subarray(0, 2).equals(BIG) ? bytes.subarray(0, 2) : ZEROS
    writeFileSync(join(dir, 'wide'), Buffer.concat([first, Buffer.from(KEY, 'utf16le')]))
    const [found] = await scan([dir])
    expect(found).toMatchObject({ leak: { line: 1, length: KEY.length, kind: 'unlock-key' } })
    expect(found).toMatchObject({ leak: { column: first === ZEROS ? 2 : 1 } })
  })

  it('finds letters of two and four bytes in the middle of a binary file, at odd places too, and everything only once', async () => {
    const dir = tempDir()
    const parts = [Buffer.alloc(7, 1), wider(KEY, 2, 0), Buffer.from('\x01\x02'), wider(TOKEN, 4, 0), Buffer.from(KEY)]
    writeFileSync(join(dir, 'file'), Buffer.concat(parts))
    writeFileSync(join(dir, 'gaps'), wider(KEY, 3, 0))
    writeFileSync(join(dir, 'marks'), Buffer.concat([LITTLE, Buffer.from(KEY)]))
    writeFileSync(join(dir, 'mixed'), Buffer.from(Array.from(KEY).join('-')))
    expect(brief(await scan([dir]), dir)).toEqual([
      'file content 1:454 unlock-key',
      'file content 1:4 unlock-key',
      'file content 1:29 join-token',
      `file ${7 + 104 + 2 + 340 + 52}`,
      'gaps 156',
      'marks content 1:3 unlock-key',
      'marks 54',
      'mixed 103',
    ])
  })

  it('finds letters of two bytes across any two reads', async () => {
    const dir = tempDir()
    const paths: string[] = []
    for (let shift = 0; shift <= 2 * KEY.length; shift += 7) {
      paths.push(join(dir, String(shift)))
      writeFileSync(paths.at(-1)!, Buffer.concat([Buffer.alloc((1 << 18) - shift, 'x'), wider(KEY, 2, 0)]))
    }
    const found = (await scan(paths)).flatMap((finding) => (finding.type === 'leak' ? [finding.leak.offset] : []))
    expect(found).toEqual(paths.map((_path, at) => Math.floor(((1 << 18) - 7 * at) / 2)))
  })

  it.skipIf(!onLinux)('reads files whose names are no UTF-8, and what is below such directories', async () => {
    const dir = tempDir()
    const named = (...parts: readonly (string | number)[]): Buffer =>
      Buffer.concat([dir, ...parts].map((part) => (typeof part === 'number' ? Buffer.of(part) : Buffer.from(part))))
    writeFileSync(named('/caf', 0xe9), KEY)
    mkdirSync(named('/d', 0xff))
    writeFileSync(named('/d', 0xff, '/x'), TOKEN)
    expect(brief(await scan([dir]), dir)).toEqual([
      'caf\ufffd content 1:1 unlock-key',
      'caf\ufffd 52',
      'd\ufffd/x content 1:1 join-token',
      'd\ufffd/x 85',
    ])
  })

  it('passes over links and pipes on its way, and tells of those that were named', async () => {
    const dir = tempDir()
    const outside = tempDir()
    writeFileSync(join(outside, 'file'), TOKEN)
    symlinkSync(join(outside, 'file'), join(dir, 'link'))
    symlinkSync(outside, join(dir, 'linked-directory'))
    symlinkSync('nowhere', join(dir, 'broken'))
    symlinkSync('.', join(dir, 'loop'))
    execFileSync('mkfifo', [join(dir, 'pipe')])
    expect(await scan([dir])).toEqual([])
    expect(brief(await scan(readdirSync(dir).map((name) => join(dir, name))), dir)).toEqual([
      'broken symbolic-link',
      'link symbolic-link',
      'linked-directory symbolic-link',
      'loop symbolic-link',
      'pipe special-file',
    ])
  })

  it('goes on after what it cannot read', async () => {
    const dir = tempDir()
    writeFileSync(join(dir, 'file'), KEY)
    const paths = [join(dir, 'absent'), join(dir, 'file/below'), `${dir}/zero\0byte`, '', join(dir, 'file')]
    expect(brief(await scan(paths), dir)).toEqual([
      'absent absent',
      'file/below absent',
      'zero\0byte failed',
      ' absent',
      'file content 1:1 unlock-key',
      'file 52',
    ])
  })

  it.skipIf(!onLinux)('tells of a file that fails while it is read', async () => {
    expect(await scan(['/proc/self/mem'])).toEqual([{ type: 'unread', path: '/proc/self/mem', reason: 'failed' }])
  })

  it('reads no further than its limit', async () => {
    const dir = tempDir()
    const file = join(dir, 'file')
    writeFileSync(file, KEY)
    expect(MAX_SCANNED_FILE_BYTES).toBe(17_179_869_184)
    expect(brief(await scan([file], { maxFileBytes: KEY.length - 1 }), dir)).toEqual(['file too-large'])
    expect(brief(await scan([file], { maxFileBytes: KEY.length }), dir)).toEqual([
      'file content 1:1 unlock-key',
      'file 52',
    ])
    for (const maxFileBytes of [-1, 1.5, Number.NaN, Infinity]) {
      await expect(scan([file], { maxFileBytes })).rejects.toThrow(RangeError)
    }
  })

  it.skipIf(!onLinux)('keeps the limit for a file that does not say its size', async () => {
    expect(await scan(['/proc/self/maps'], { maxFileBytes: 100 })).toEqual([
      { type: 'unread', path: '/proc/self/maps', reason: 'too-large' },
    ])
  })

  it('finds secrets in names, once each, and never gives such a path back', async () => {
    const dir = tempDir()
    mkdirSync(join(dir, MARKED_TOKEN))
    writeFileSync(join(dir, MARKED_TOKEN, 'a'), '')
    writeFileSync(join(dir, MARKED_TOKEN, `b ${MARKED_TOKEN}`), MARKED_KEY)
    // A key with a slash becomes a directory and a file.
    const key = KEYS.find((text) => text.indexOf('/') > 12 && text.indexOf('/') === text.lastIndexOf('/'))!
    const [directory = '', file = ''] = key.split('/')
    mkdirSync(join(dir, 'x', directory), { recursive: true })
    writeFileSync(join(dir, 'x', directory, file), '')
    const absent = join(dir, 'y', MARKED_TOKEN)
    const found = await scan([dir, absent])
    const clean = `SWMTKN-1-${DIGEST}-[redacted]`
    const base = dir.length + 2
    expect(brief(found, dir)).toEqual([
      `${clean} name 1:${base} join-token`,
      `${clean}/a 0`,
      `${clean}/b ${clean} name 1:${base + 88} join-token`,
      `${clean}/b ${clean} content 1:1 unlock-key`,
      `${clean}/b ${clean} 52`,
      `x/SWMKEY-1-[redacted] name 1:${base + 2} unlock-key`,
      'x/SWMKEY-1-[redacted] 0',
      `y/${clean} name 1:${base + 2} join-token`,
      `y/${clean} absent`,
    ])
    const printed = inspect(found, { depth: null, showHidden: true }) + JSON.stringify(found)
    expect(MARKS.filter((mark) => printed.includes(mark))).toEqual([])
  })

  it('stops with the reason of its signal, before the first file or between two', async () => {
    const dir = tempDir()
    for (const name of ['a', 'b']) writeFileSync(join(dir, name), KEY)
    const reason = new Error('enough')
    await expect(scan([dir], { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    const controller = new AbortController()
    const findings = scanFiles([dir], { signal: controller.signal })
    expect((await findings.next()).value).toMatchObject({ type: 'leak' })
    controller.abort(reason)
    // What was read already may still be told.
    await expect(
      (async () => {
        for await (const finding of findings) expect(finding.path).toBe(`${dir}/a`)
      })(),
    ).rejects.toBe(reason)
  })

  it.skipIf(!onLinux)('closes the file when the caller has seen enough', async () => {
    const file = join(tempDir(), 'file')
    writeFileSync(file, KEY)
    const isOpen = () =>
      readdirSync('/proc/self/fd').some((fd) => {
        try {
          return readlinkSync(`/proc/self/fd/${fd}`) === file
        } catch {
          return false // it was the one through which the directory was listed
        }
      })
    for await (const finding of scanFiles([file], { signal: new AbortController().signal })) {
      expect(finding.type).toBe('leak')
      expect(isOpen()).toBe(true)
      break
    }
    expect(isOpen()).toBe(false)
  })
})

describe('the byte scanner', () => {
  const content = fc
    .array(
      fc.oneof(fc.constantFrom(...TOKENS, ...KEYS, '\n', '\ufeff'), fc.string({ unit: 'binary', maxLength: 20 })),
      {
        maxLength: 6,
      },
    )
    .chain((parts) =>
      fc.constantFrom(
        Buffer.from(parts.join('')),
        Buffer.from(`\ufeff${parts.join('')}`, 'utf16le'),
        Buffer.from(parts.join(''), 'utf16le').swap16(),
      ),
    )

  it('finds the same however the bytes are cut', () => {
    fc.assert(
      fc.property(content, fc.integer({ min: 1, max: 120 }), (bytes, step) => {
        const cut = createByteScanner()
        const found = []
        for (let at = 0; at < bytes.length; at += step) found.push(...cut.push(bytes.subarray(at, at + step)))
        expect(found).toEqual(createByteScanner().push(bytes))
      }),
      { numRuns: 500 },
    )
  })
})

describe('the byte reader', () => {
  async function* cut(bytes: Buffer, step: number): AsyncGenerator<Buffer> {
    for (let at = 0; at < bytes.length; at += step) yield bytes.subarray(at, at + step)
  }

  it('takes lines and stretches apart however they come', async () => {
    const bytes = Buffer.from('id blob 5\nab\ncd\n\nlast')
    for (let step = 1; step <= bytes.length; step += 1) {
      const reader = byteReader(cut(bytes, step))
      expect(await reader.line()).toBe('id blob 5')
      let text = ''
      while (text.length < 5) text += String(await reader.some(5 - text.length))
      expect(text).toBe('ab\ncd')
      expect([await reader.line(), await reader.line()]).toEqual(['', ''])
      expect(await reader.line()).toBeNull()
      expect(await reader.some(1)).toBeNull()
    }
  })

  it('gives up on a line without end', async () => {
    const reader = byteReader(cut(Buffer.alloc(1 << 16, 'x'), 1000))
    expect(await reader.line()).toBeNull()
  })
})

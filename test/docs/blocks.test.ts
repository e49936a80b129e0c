import { describe, expect, it } from 'vitest'
import { blocks } from './blocks.ts'

describe('the blocks of a page', () => {
  it('come in order, with their language, flags and line', () => {
    const page = [
      '# title',
      '```ts no-run',
      'const a = 1',
      '```',
      'text',
      '````sh',
      'echo ```',
      '```',
      '````',
      '',
    ].join('\n')
    expect(blocks(page)).toEqual([
      { language: 'ts', flags: ['no-run'], text: 'const a = 1', line: 3 },
      { language: 'sh', flags: [], text: 'echo ```\n```', line: 7 },
    ])
  })

  it('must be closed', () => {
    expect(() => blocks('```ts\nconst a = 1\n')).toThrow('line 1 is never closed')
  })
})

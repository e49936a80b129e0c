import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'

const page = readFileSync(new URL('../../docs/threat-model.md', import.meta.url), 'utf8')
const references = [...page.matchAll(/`(test\/[^`]+)` › "([^"]+)"/g)].map(([, file, title]) => ({
  file: file ?? '',
  title: title ?? '',
}))

describe('the threat model', () => {
  it('names a test for its defences', () => {
    expect(references.length).toBeGreaterThan(50)
  })

  it.each(references)('$file › "$title" exists', ({ file, title }) => {
    const path = new URL(`../../${file}`, import.meta.url)
    expect(existsSync(path)).toBe(true)
    expect(readFileSync(path, 'utf8')).toContain(title)
  })

  it('names one for every defence', () => {
    const defences = page.split(/^## /m).find((section) => section.startsWith('Defences')) ?? ''
    const unproven = defences
      .split(/^- /m)
      .slice(1)
      .filter((defence) => !defence.includes('`test/'))
      .map((defence) => defence.split('\n')[0])
    expect(unproven).toEqual([])
  })
})

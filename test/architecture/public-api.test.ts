import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'
import { ENTRY_POINTS, has, ROOT, readText } from './repository.ts'

interface Surface {
  readonly values: readonly string[]
  readonly types: readonly string[]
}

const PIN = 'test/architecture/public-api.json'

/** What the entry point exports, read from its source: it holds nothing but lists of names. */
function surface(source: string): Surface {
  const values: string[] = []
  const types: string[] = []
  for (const statement of ts.createSourceFile(source, readText(source), ts.ScriptTarget.ES2023).statements) {
    if (
      !ts.isExportDeclaration(statement) ||
      statement.exportClause === undefined ||
      !ts.isNamedExports(statement.exportClause)
    ) {
      throw new Error(`${source} holds something other than \`export { … } from\``)
    }
    for (const { name, isTypeOnly } of statement.exportClause.elements) {
      ;(statement.isTypeOnly || isTypeOnly ? types : values).push(name.text)
    }
  }
  return { values: values.toSorted(), types: types.toSorted() }
}

const surfaces = (): Readonly<Record<string, Surface>> =>
  Object.fromEntries(ENTRY_POINTS.map(({ specifier, source }) => [specifier, surface(source)]))

describe('the public surface', () => {
  it(`is what ${PIN} says (UPDATE_API=1 writes it anew, for review)`, () => {
    const now = surfaces()
    if (process.env['UPDATE_API'] === '1') writeFileSync(join(ROOT, PIN), `${JSON.stringify(now, null, 2)}\n`)
    expect(has(PIN)).toBe(true)
    expect(now).toEqual(JSON.parse(readText(PIN)))
  })

  it.each(ENTRY_POINTS)('of $specifier is there when it is imported', async ({ specifier, source }) => {
    const loaded = (await import(specifier)) as Readonly<Record<string, unknown>>
    expect(Object.keys(loaded).toSorted()).toEqual(surface(source).values)
  })
})

import ts from 'typescript'
import { describe, expect, it } from 'vitest'
import { ENTRY_POINTS, has, PACKAGES, readText } from './repository.ts'

const PAGE = 'docs/errors.md'
const ORCHESTRATOR = 'examples/orchestrator/errors.ts'

/** The codes that the packages export as lists, by package. */
async function exportedCodes(): Promise<ReadonlyMap<string, readonly string[]>> {
  const lists = new Map<string, readonly string[]>()
  for (const { specifier } of ENTRY_POINTS) {
    const loaded = (await import(specifier)) as Readonly<Record<string, unknown>>
    for (const [name, value] of Object.entries(loaded)) {
      if (name.endsWith('_ERROR_CODES')) lists.set(specifier.split('/')[1]!, value as readonly string[])
    }
  }
  return lists
}

/** The members of a union of texts, read from its declaration. */
function unionMembers(source: string, name: string): readonly string[] {
  const file = ts.createSourceFile(source, readText(source), ts.ScriptTarget.ES2023)
  const alias = file.statements.filter(ts.isTypeAliasDeclaration).find((type) => type.name.text === name)
  if (alias === undefined || !ts.isUnionTypeNode(alias.type)) throw new Error(`${source} declares no union ${name}`)
  return alias.type.types
    .filter(ts.isLiteralTypeNode)
    .flatMap(({ literal }) => (ts.isStringLiteral(literal) ? [literal.text] : []))
}

/** The codes in the first column of each section's tables, by the section's heading. */
function documentedCodes(page: string): ReadonlyMap<string, readonly string[]> {
  const sections = page.split(/^## /m).slice(1)
  return new Map(
    sections
      .map(
        (section) =>
          [
            section.split('\n')[0]!.trim(),
            [...section.matchAll(/^\|\s*`([A-Z][A-Z0-9_]+)`/gm)].map((match) => match[1]!).toSorted(),
          ] as const,
      )
      .filter(([, codes]) => codes.length > 0),
  )
}

describe('the error codes', () => {
  it('are exported by every package as one list, each once', async () => {
    const lists = await exportedCodes()
    expect([...lists.keys()].toSorted()).toEqual(PACKAGES)
    for (const [name, codes] of lists) {
      expect(new Set(codes).size, name).toBe(codes.length)
      for (const code of codes) expect(code, name).toMatch(/^[A-Z][A-Z0-9]*(_[A-Z0-9]+)+$/)
    }
  })

  it.each(PACKAGES)('of %s are exactly the members of its union', async (name) => {
    const source = readText('packages', name, 'src/errors.ts')
    const [, union = '', list] = /export type (\w+ErrorCode) =\s*(?:\(typeof (\w+)\)\[number\])?/.exec(source) ?? []
    // A union that is taken from the list cannot differ from it.
    const members = list === undefined ? unionMembers(`packages/${name}/src/errors.ts`, union) : null
    const codes = (await exportedCodes()).get(name)
    expect(codes?.length).toBeGreaterThan(0)
    if (members === null) expect(list).toMatch(/_ERROR_CODES$/)
    else expect(codes?.toSorted()).toEqual(members.toSorted())
  })

  it.skipIf(!has(PAGE))(`each have one row in their section of ${PAGE}, and nothing else has`, async () => {
    const wanted = new Map(await exportedCodes())
    if (has(ORCHESTRATOR)) wanted.set('orchestrator', unionMembers(ORCHESTRATOR, 'OrchestratorErrorCode'))
    const documented = documentedCodes(readText(PAGE))
    expect([...documented.keys()].toSorted()).toEqual([...wanted.keys()].toSorted())
    for (const [section, codes] of wanted) expect(documented.get(section), section).toEqual(codes.toSorted())
  })
})

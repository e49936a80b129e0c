import ts from 'typescript'
import { describe, expect, it } from 'vitest'
import { has, PACKAGES, readText } from './repository.ts'

/** The interfaces of a package's ports, each as its text without comments, spaces and line breaks. */
function ports(name: string): ReadonlyMap<string, string> {
  const path = `packages/${name}/src/ports.ts`
  if (!has(path)) return new Map()
  const source = ts.createSourceFile(path, readText(path), ts.ScriptTarget.ES2023)
  const printer = ts.createPrinter({ removeComments: true })
  return new Map(
    source.statements.filter(ts.isInterfaceDeclaration).map((port) => [
      port.name.text,
      printer
        .printNode(ts.EmitHint.Unspecified, port, source)
        .replaceAll(/[\s;]+/g, '')
        .replaceAll(',)', ')'),
    ]),
  )
}

const declared = PACKAGES.flatMap((name) => [...ports(name)].map(([port, text]) => ({ name, port, text })))
const shared = [...new Set(declared.map(({ port }) => port))]
  .map((port) => ({ port, all: declared.filter((one) => one.port === port) }))
  .filter(({ all }) => all.length > 1)

describe('the ports', () => {
  it('are declared by the packages that use them', () => {
    expect(declared.map(({ port }) => port)).toEqual(
      expect.arrayContaining(['Clock', 'RandomSource', 'Digest', 'KeyWrapper', 'Decider']),
    )
  })

  it.each(shared)('of the name $port are spelled alike everywhere', ({ all }) => {
    for (const { name, text } of all) expect(text, `packages/${name}`).toBe(all[0]!.text)
  })
})

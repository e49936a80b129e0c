import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import ts from 'typescript'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Block, blocks } from './blocks.ts'

const ROOT = resolve(import.meta.dirname, '../..')
// Below `dist`, which every other tool already leaves alone, and inside the repository, so that imports resolve.
const DIR = join(ROOT, `test/dist/readme-blocks-${process.pid}`)

interface Example extends Block {
  readonly page: string
  readonly title: string
  readonly file: string
}

const packages = readdirSync(join(ROOT, 'packages')).map((name) => `packages/${name}/README.md`)
const pages = ['README.md', ...packages].filter((page) => existsSync(join(ROOT, page)))

const examples: readonly Example[] = pages.flatMap((page) =>
  blocks(readFileSync(join(ROOT, page), 'utf8'))
    .filter(({ language }) => language === 'ts')
    .map((block) => ({
      ...block,
      page,
      title: `${page}:${block.line}`,
      file: join(DIR, `${page.replaceAll(/[^a-z]+/gi, '-')}-${block.line}.ts`),
    })),
)
const executed = examples.filter(({ flags }) => !flags.includes('no-run'))

beforeAll(() => {
  rmSync(DIR, { recursive: true, force: true })
  mkdirSync(DIR, { recursive: true })
  // `export {}` makes each block a module, also one that imports nothing.
  for (const { file, text } of examples) writeFileSync(file, `${text}\nexport {}\n`)
})

afterAll(() => {
  rmSync(DIR, { recursive: true, force: true })
})

describe('the examples in the READMEs', () => {
  it.each(packages)('%s has at least one that is executed', (page) => {
    expect(executed.map((example) => example.page)).toContain(page)
  })

  it.each(executed)('$title runs', async ({ file }) => {
    await import(/* @vite-ignore */ pathToFileURL(file).href)
  })

  it('all compile', { timeout: 60_000 }, () => {
    const config = ts.getParsedCommandLineOfConfigFile(
      join(ROOT, 'tsconfig.base.json'),
      {
        noEmit: true,
        composite: false,
        isolatedDeclarations: false,
        declaration: false,
        declarationMap: false,
        allowImportingTsExtensions: true,
        noUnusedLocals: false,
        types: ['node'],
        lib: ['lib.es2023.d.ts', 'lib.esnext.disposable.d.ts', 'lib.dom.d.ts'],
        skipLibCheck: true,
      },
      { ...ts.sys, onUnRecoverableConfigFileDiagnostic: () => undefined },
    )!
    const program = ts.createProgram(
      examples.map(({ file }) => file),
      config.options,
    )
    // Only the blocks themselves: the packages have their own check.
    const faults = examples.flatMap(({ file, title }) => {
      const source = program.getSourceFile(file)!
      return [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)].map(
        ({ messageText }) => `${title}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`,
      )
    })
    expect(faults).toEqual([])
  })
})

import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const root = fileURLToPath(new URL('../../', import.meta.url))
const hasBuf = existsSync(`${root}/node_modules/@bufbuild/buf/bin/buf`)

describe('generated code', () => {
  it.skipIf(!hasBuf)('is what the descriptions give', () => {
    const run = spawnSync(process.execPath, ['tools/generate-proto.mjs', '--check'], { cwd: root, encoding: 'utf8' })
    expect(run.stderr).toBe('')
    expect(run.status).toBe(0)
  })
})

#!/usr/bin/env node
// The command's doorstep: plain JavaScript, so that npm can link it before anything is built.
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const built = new URL('../dist/node/tools/log-command.js', import.meta.url)
// No secret is longer, and neither is what is kept in memory.
const MAX_INPUT_BYTES = 64 * 1024

async function input() {
  const parts = []
  let size = 0
  for await (const part of process.stdin) {
    size += part.length
    parts.push(part)
    if (size > MAX_INPUT_BYTES) break
  }
  return Buffer.concat(parts)
}

if (existsSync(fileURLToPath(built))) {
  const { runLogCommand } = await import(built.href)
  // Whoever reads the report may have seen enough and gone: no reason for a stack trace, and none for success.
  process.stdout.on('error', () => process.exit(2))
  const world = {
    out: (text) => process.stdout.write(text),
    err: (text) => process.stderr.write(text),
    input,
  }
  process.exitCode = await runLogCommand(process.argv.slice(2), world, { signal: new AbortController().signal })
} else {
  process.stderr.write('leastwise-log is not built yet; run: npm run build\n')
  process.exitCode = 2
}

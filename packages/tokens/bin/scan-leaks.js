#!/usr/bin/env node
// The command's doorstep: plain JavaScript, so that npm can link it before anything is built.
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const built = new URL('../dist/node/leak-command.js', import.meta.url)
if (existsSync(fileURLToPath(built))) {
  const { runLeakCommand } = await import(built.href)
  // Whoever reads the report may have seen enough and gone: no reason for a stack trace, and none for success.
  process.stdout.on('error', () => process.exit(2))
  const output = {
    out: (text) => process.stdout.write(text),
    err: (text) => process.stderr.write(text),
  }
  process.exitCode = await runLeakCommand(process.argv.slice(2), output, { signal: new AbortController().signal })
} else {
  process.stderr.write('leastwise-scan-leaks is not built yet; run: npm run build\n')
  process.exitCode = 2
}

#!/usr/bin/env node
// The command's doorstep: plain JavaScript, so that npm can link it before anything is built.
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const built = new URL('../dist/orchestrator/main.js', import.meta.url)
if (existsSync(fileURLToPath(built))) {
  await import(built.href)
} else {
  process.stderr.write('leastwise-orchestrator is not built yet; run: npm run build\n')
  process.exitCode = 2
}

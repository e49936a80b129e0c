import { run } from './command-line.ts'

// Whoever waits for a write is told of its failure; a process goes on although nobody reads what it announces.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined)

process.exitCode = await run(process.argv.slice(2))

import { resolve } from 'node:path'
import type { BackupAnswer } from './answers.ts'
import { command, type OperatorCommand } from './command.ts'

export const backupCommands: readonly OperatorCommand[] = [
  command<BackupAnswer>({
    name: 'backup',
    usage: 'backup FILE',
    summary: 'write log and identity of the manager into one file under its unlock key; autolock has to be on',
    positionals: 1,
    ask: (given) => ({ path: 'backup/create', body: { file: resolve(given.positionals[0] ?? '') } }),
    show: ({ file, entries, digest }) =>
      `${file}  up to entry ${entries}\n${digest}\n\nNote the digest elsewhere: with it the file can be verified without its key.`,
  }),
]

import { parseArgs } from 'node:util'
import { scanFiles } from './leak-files.ts'
import type { FileFinding } from './leak-finding.ts'
import { formatFinding } from './leak-report.ts'
import { listStaged, scanStaged } from './leak-staged.ts'

const NAME = 'leastwise-scan-leaks'
const USAGE = [
  `usage: ${NAME} [--json] PATH...`,
  `       ${NAME} [--json] --staged [PATH...]`,
  '',
  'Finds join tokens, unlock keys and shares of them in files and directories and says where they are. It never prints them.',
  '',
  '  --staged   look at what the next commit would hold (all of it, or what is below PATH)',
  '  --json     print one JSON object a line',
  '  --help     print this',
  '',
  'Exit code: 0 none found, 1 found, 2 wrong usage, or none found and something could not be read.',
].join('\n')

/** Where the command writes: whole texts with their line ends. */
export interface LeakCommandOutput {
  readonly out: (text: string) => void
  readonly err: (text: string) => void
}

interface Asked {
  readonly staged: boolean
  readonly json: boolean
  readonly help: boolean
  readonly paths: readonly string[]
}

/** The exit code: 0 none found, 1 found, 2 wrong usage or unreadable. */
export type LeakExitCode = 0 | 1 | 2

/** The command `leastwise-scan-leaks`. */
export async function runLeakCommand(
  args: readonly string[],
  output: LeakCommandOutput,
  options: { readonly signal: AbortSignal },
): Promise<LeakExitCode> {
  const complain = (text: string): void => {
    output.err(`${NAME}: ${text}\n`)
  }
  const asked = readArguments(args)
  if (asked?.help === true) {
    output.out(`${USAGE}\n`)
    return 0
  }
  if (asked === null || (asked.paths.length === 0 && !asked.staged)) {
    // Nothing of the arguments is repeated: one of them may be a token that was pasted into the wrong place.
    complain(asked === null ? 'an option is unknown; see --help' : 'name a file or directory, or --staged; see --help')
    return 2
  }
  const findings = await findingsOf(asked, options.signal)
  if (findings === null) {
    complain('git cannot say what is staged; run it in a work tree, with git installed, and name paths inside of it')
    return 2
  }
  let leaks = 0
  let unread = 0
  for await (const finding of findings) {
    if (finding.type === 'leak') leaks += 1
    if (finding.type === 'unread') unread += 1
    const line = formatFinding(finding, asked.json ? 'json' : 'text')
    if (line === null) continue
    if (asked.json || finding.type === 'leak') output.out(`${line}\n`)
    else complain(line)
  }
  if (leaks > 0) complain(`${leaks} found; take them out, and rotate each that anybody else may have seen`)
  return leaks > 0 ? 1 : unread > 0 ? 2 : 0
}

function readArguments(args: readonly string[]): Asked | null {
  const flag = { type: 'boolean', default: false } as const
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      options: { staged: flag, json: flag, help: flag },
      allowPositionals: true,
    })
    return { staged: values.staged, json: values.json, help: values.help, paths: positionals }
  } catch {
    return null
  }
}

async function findingsOf(asked: Asked, signal: AbortSignal): Promise<AsyncGenerator<FileFinding, void, void> | null> {
  if (!asked.staged) return scanFiles(asked.paths, { signal })
  const staged = await listStaged(asked.paths, { signal })
  return staged === null ? null : scanStaged(staged, { signal })
}

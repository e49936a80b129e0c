import { formatDuration, parseDuration } from '../duration.ts'
import { ownCaOf, ownCaOptions } from '../own-ca.ts'
import type { RootAnswer } from './answers.ts'
import { command, type Given, type OperatorCommand, textOf } from './command.ts'
import { table } from './table.ts'

const durationOf = (given: Given, option: string): number | null => {
  const text = textOf(given, option)
  return text === undefined ? null : parseDuration(text)
}

const show = (root: RootAnswer): string =>
  [
    `phase      ${root.phase}`,
    `nodes      ${root.converged} of ${root.affected} have come over, ${root.remaining} have not`,
    `pace       ${root.pacePerSecond.toFixed(1)} a second`,
    `ends in    ${root.etaMs === null ? 'unknown: it waits for nodes that are not there' : formatDuration(root.etaMs)}`,
    `abort      ${root.abort}`,
    ...root.blockers.map(
      ({ code, fatal, nodes }) => `${fatal ? 'blocked by' : 'beware of '} ${code} ${nodes.join(' ')}`,
    ),
    ...(root.stragglers.length === 0
      ? []
      : [
          '',
          table(
            ['BEHIND', 'REASON', 'ASKED'],
            root.stragglers.map(({ nodeId, reason, asks }) => [nodeId, reason, String(asks)]),
          ),
        ]),
  ].join('\n')

export const rootCommands: readonly OperatorCommand[] = [
  command<RootAnswer>({
    name: 'root rotate',
    usage: 'root rotate [--evict-after 7d] [--token-overlap 1d] [--ca-cert FILE [--ca-key FILE]]',
    summary: 'bring in a new root; nodes come over by themselves, and those that do not are waited for, or thrown out',
    options: {
      'evict-after': { type: 'string' },
      'token-overlap': { type: 'string' },
      ...Object.fromEntries(ownCaOptions.map((option) => [option, { type: 'string' }] as const)),
    },
    positionals: 0,
    ask: (given) => {
      const own = ownCaOf(given)
      return {
        path: 'root/rotate',
        body: {
          evictAfterMs: durationOf(given, 'evict-after'),
          tokenOverlapMs: durationOf(given, 'token-overlap'),
          certificates: own?.certificates ?? null,
          privateKey: own?.privateKey ? Buffer.from(own.privateKey).toString('base64') : null,
        },
      }
    },
    show,
  }),
  command<RootAnswer>({
    name: 'root status',
    usage: 'root status',
    summary: 'say how far the change of the root is, how long it takes and what stands in its way',
    positionals: 0,
    ask: () => ({ path: 'root/status' }),
    show,
  }),
  command<RootAnswer>({
    name: 'root abort',
    usage: 'root abort',
    summary: 'give the new root up; nodes that have come over are called back',
    positionals: 0,
    ask: () => ({ path: 'root/abort', body: {} }),
    show,
  }),
]

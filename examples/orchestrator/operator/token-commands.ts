import { parseDuration } from '../duration.ts'
import { OrchestratorError } from '../errors.ts'
import type { NewTokenAnswer, TokenAnswer } from './answers.ts'
import { command, type Given, type OperatorCommand, textOf } from './command.ts'
import { instant, table } from './table.ts'

const durationOf = (given: Given, option: string): number | null => {
  const text = textOf(given, option)
  return text === undefined ? null : parseDuration(text)
}

function usesOf(given: Given): number | null {
  const text = textOf(given, 'uses')
  if (text === undefined) return null
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new OrchestratorError('USAGE', '--uses is a whole number from 1 up')
  return Number(text)
}

function roleOf(given: Given): 'manager' | 'worker' {
  const role = given.positionals[0]
  if (role !== 'manager' && role !== 'worker') throw new OrchestratorError('USAGE', 'the role is worker or manager')
  return role
}

const showNew = (made: NewTokenAnswer): string =>
  `${made.token}\n\nid ${made.id}, role ${made.role}, valid until ${made.expiresAt === null ? 'revoked or rotated' : instant(made.expiresAt)}, uses ${made.maxUses ?? 'unlimited'}\nThis is the only time that the token is shown.`

export const tokenCommands: readonly OperatorCommand[] = [
  command<NewTokenAnswer>({
    name: 'token create',
    usage: 'token create worker|manager [--ttl 1h] [--uses N]',
    summary: 'make a join token; it is shown this once',
    options: { ttl: { type: 'string' }, uses: { type: 'string' } },
    positionals: 1,
    ask: (given) => ({
      path: 'token/create',
      body: { role: roleOf(given), ttlMs: durationOf(given, 'ttl'), maxUses: usesOf(given) },
    }),
    show: showNew,
  }),
  command<readonly TokenAnswer[]>({
    name: 'token ls',
    usage: 'token ls',
    summary: 'list join tokens by id; the tokens themselves are not kept',
    positionals: 0,
    ask: () => ({ path: 'token/ls' }),
    show: (tokens) =>
      table(
        ['ID', 'ROLE', 'STATE', 'USES', 'CREATED', 'EXPIRES'],
        tokens.map((token) => [
          token.id,
          token.role,
          token.state,
          `${token.uses}/${token.maxUses ?? '∞'}`,
          instant(token.createdAt),
          instant(token.expiresAt),
        ]),
      ),
  }),
  command<NewTokenAnswer>({
    name: 'token rotate',
    usage: 'token rotate worker|manager [--overlap 10m] [--ttl 1h] [--uses N]',
    summary: 'make a new token for a role; the older ones end now, or after the overlap',
    options: { overlap: { type: 'string' }, ttl: { type: 'string' }, uses: { type: 'string' } },
    positionals: 1,
    ask: (given) => ({
      path: 'token/rotate',
      body: {
        role: roleOf(given),
        overlapMs: durationOf(given, 'overlap') ?? 0,
        ttlMs: durationOf(given, 'ttl'),
        maxUses: usesOf(given),
      },
    }),
    show: showNew,
  }),
  command<{ readonly id: string }>({
    name: 'token revoke',
    usage: 'token revoke ID',
    summary: 'end a join token now',
    positionals: 1,
    ask: (given) => ({ path: 'token/revoke', body: { token: given.positionals[0] } }),
    show: (revoked) => revoked.id,
  }),
]

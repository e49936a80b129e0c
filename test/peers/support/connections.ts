import { readFileSync } from 'node:fs'

const ESTABLISHED = '01'

/**
 * The far ends of the connections that are open to a port, as the kernel of the process's network namespace lists them: one
 * text for each, good for comparing.
 */
export const connectionsTo = (pid: number, port: number): readonly string[] =>
  readFileSync(`/proc/${pid}/net/tcp`, 'utf8')
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter(
      ([, local = '', , state]) => state === ESTABLISHED && Number.parseInt(local.split(':')[1] ?? '', 16) === port,
    )
    .map(([, , remote = '']) => remote)

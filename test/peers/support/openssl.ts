import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { program } from './needs.ts'

const RUN_MS = 20_000

/** Runs openssl; its input is closed at once, so a connection that it opened ends after the handshake. */
export async function openssl(
  ...args: readonly string[]
): Promise<{ readonly code: number | null; readonly output: string }> {
  const child = spawn(program('openssl'), args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: RUN_MS })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, output: output.trim() }
}

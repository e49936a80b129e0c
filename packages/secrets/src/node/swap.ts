import { readFileSync } from 'node:fs'
import { parseSwaps } from '../proc-text.ts'

/**
 * Whether this machine may write memory out to swap now. The pages of a tmpfs are memory and may be written out as well, so that a
 * host that promises "never on disk" can refuse to start, or use a ramfs or a tmpfs mounted with `noswap`.
 *
 * @returns `false` also on a kernel without swap support, which has no list of areas.
 * @throws {@link SecretsError} `PROC_TEXT_INVALID` when the kernel's list has an unknown form.
 */
export function swapActive(): boolean {
  let text: string
  try {
    text = readFileSync('/proc/swaps', 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
  return parseSwaps(text).length > 0
}

import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import type { MonotonicCounter } from '../../anchor/counter-anchor.ts'
import type { AnchorOptions } from '../../anchor/rollback-anchor.ts'
import { RaftLogError } from '../../errors.ts'

/** Which counter, and how to reach it. */
export interface TpmCounterOptions {
  /** Handle of the counter in the TPM's non-volatile memory, such as 0x1500020. */
  readonly handle: number
  /** Value of `TPM2TOOLS_TCTI`; the machine's own TPM unless given. */
  readonly tcti?: string
  /** Directory of the programs of tpm2-tools; `/usr/bin` unless given. */
  readonly programs?: string
}

const COUNTER_BYTES = 8
// A chip takes some tens of milliseconds; one that is asked by many at once some seconds.
const TIMEOUT_MS = 10_000
// NV indices that their owner may define (TCG registry of reserved handles).
const FIRST_HANDLE = 0x01000000
const LAST_HANDLE = 0x01ffffff

const run = promisify(execFile)

/**
 * A counter in a TPM 2.0, through the programs of tpm2-tools. It is defined and first counted once, by hand:
 *
 * ```sh
 * tpm2_nvdefine 0x1500020 -C o -s 8 -a "ownerread|ownerwrite|authread|authwrite|nt=counter"
 * tpm2_nvincrement 0x1500020
 * ```
 *
 * Whoever may use the TPM may count; that makes a good log look rolled back, and never an old one good. A counter that is
 * removed and defined anew goes on above the highest value that any counter of the chip ever had.
 *
 * @returns The counter; refuses with `ANCHOR_UNREACHABLE` if it cannot be read or counted.
 * @throws RangeError if the handle is not one of the TPM's non-volatile memory.
 */
export function tpmCounter({ handle, tcti, programs = '/usr/bin' }: TpmCounterOptions): MonotonicCounter {
  if (!Number.isInteger(handle) || handle < FIRST_HANDLE || handle > LAST_HANDLE) {
    throw new RangeError('handle must lie between 0x01000000 and 0x01ffffff')
  }
  const index = `0x${handle.toString(16)}`
  const call = async (program: string, args: readonly string[], options: AnchorOptions = {}): Promise<Uint8Array> => {
    const { signal } = options
    signal?.throwIfAborted()
    try {
      const { stdout } = await run(`${programs}/${program}`, [...args], {
        encoding: 'buffer',
        timeout: TIMEOUT_MS,
        env: tcti === undefined ? {} : { TPM2TOOLS_TCTI: tcti },
        ...(signal === undefined ? {} : { signal }),
      })
      return stdout
    } catch (error) {
      signal?.throwIfAborted()
      throw new RaftLogError('ANCHOR_UNREACHABLE', 'counter of the TPM cannot be used; define it, and count it once', {
        cause: error,
      })
    }
  }
  return {
    read: async (options) => {
      const bytes = await call('tpm2_nvread', [index, '-s', `${COUNTER_BYTES}`], options)
      if (bytes.length !== COUNTER_BYTES) {
        throw new RaftLogError('ANCHOR_UNREACHABLE', 'TPM gives no counter at this handle; give the handle of one')
      }
      return new DataView(bytes.buffer, bytes.byteOffset, COUNTER_BYTES).getBigUint64(0)
    },
    increment: async (options) => {
      await call('tpm2_nvincrement', [index], options)
    },
  }
}

import { OrchestratorError } from '../../../errors.ts'
import { namedFile } from '../../../named-file.ts'
import { type Given, textOf } from '../../../operator/command.ts'

/** Which key of which token, as the command line says it at each start. Nothing of it is kept: the log says only that the key is elsewhere. */
export interface HsmSettings {
  /** Path of the PKCS #11 library. */
  readonly library: string
  readonly token: string
  /** Label of the first root's key; those of later roots are called after it. */
  readonly key: string
  readonly pin: string
}

/** The options of `manager` that are about an HSM. */
export const hsmOptions = ['hsm-library', 'hsm-token', 'hsm-key', 'hsm-pin-file'] as const

/**
 * Reads them; null when none is given.
 *
 * @throws OrchestratorError `USAGE`.
 */
export function hsmSettings(given: Given): HsmSettings | null {
  if (hsmOptions.every((option) => textOf(given, option) === undefined)) return null
  const need = (option: (typeof hsmOptions)[number]): string => {
    const value = textOf(given, option)
    if (value === undefined || value === '')
      throw new OrchestratorError('USAGE', `a key in an hsm needs all of ${hsmOptions.map((o) => `--${o}`).join(', ')}`)
    return value
  }
  const [library, token, key] = [need('hsm-library'), need('hsm-token'), need('hsm-key')]
  need('hsm-pin-file')
  const pin = namedFile(given, 'hsm-pin-file')?.trimEnd() ?? ''
  if (pin === '') throw new OrchestratorError('USAGE', 'the file that --hsm-pin-file names holds no pin')
  return { library, token, key, pin }
}

import { codeOf, OrchestratorError } from './errors.ts'

/**
 * Writes a command's answer and waits until it is out: what is shown once only may not get lost unnoticed.
 *
 * @throws OrchestratorError `ANSWER_LOST` if nobody reads any more, or the file that takes it is on a full disk.
 */
export async function print(text: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    process.stdout.write(`${text}\n`, (error) => {
      if (!error) resolve()
      else
        reject(
          new OrchestratorError(
            'ANSWER_LOST',
            `standard output cannot be written (${codeOf(error) ?? 'unknown'}); the command was carried out and its answer is lost`,
            { cause: error },
          ),
        )
    })
  })
}

import { RaftLogError } from '../errors.ts'
import type { LogFiles } from '../ports.ts'

/** Name of the file that says, as long as it is there, that what lies beside it is half of a restored log. */
export const RESTORE_MARK_NAME = 'RESTORING'

/**
 * Refuses a directory in which a restore was cut short.
 *
 * @throws {@link RaftLogError} `RESTORE_UNFINISHED` if it was.
 */
export function checkRestored(names: readonly string[]): void {
  if (names.includes(RESTORE_MARK_NAME)) {
    throw new RaftLogError('RESTORE_UNFINISHED', 'directory holds half of a restored log; restore the backup again')
  }
}

/** Puts up the mark; durable before it resolves. */
export async function putMark(files: LogFiles, text: string): Promise<void> {
  const handle = await files.create(RESTORE_MARK_NAME)
  try {
    await handle.append([new TextEncoder().encode(text)])
    await handle.sync()
  } finally {
    await handle.close()
  }
  await files.syncDirectory()
}

/** Takes the mark down; durable before it resolves. */
export async function takeMark(files: LogFiles): Promise<void> {
  await files.remove(RESTORE_MARK_NAME)
  await files.syncDirectory()
}

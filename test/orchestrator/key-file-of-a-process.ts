import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { clearWrapper, type KeyFileContent, openKeyFile } from '@leastwise/identity/node'

/** What lies in the key file of a node that may be running: read from a copy, because opening the file removes what its owner is just writing. */
export async function contentOfKeyFile(path: string): Promise<KeyFileContent> {
  const directory = mkdtempSync(join(tmpdir(), 'leastwise-key-'))
  try {
    const copy = join(directory, 'node.key')
    copyFileSync(path, copy)
    const content = await (await openKeyFile(copy)).load(clearWrapper)
    if (content === null) throw new Error('there is no key file')
    return content
  } finally {
    rmSync(directory, { recursive: true })
  }
}

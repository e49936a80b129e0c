import { execFileSync } from 'node:child_process'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { systemFiles } from '@leastwise/identity/node'
import { expect, it } from 'vitest'
import { filesContract } from '../contract/files.ts'
import { tempDir } from '../support/temp-dir.ts'
import { memoryDisk } from './memory-disk.ts'

filesContract('system', () => ({ files: systemFiles, directory: tempDir() }))
filesContract('memory disk of the crash tests', () => ({ files: memoryDisk().files(), directory: '/disk' }))

it('reads no link, and neither a directory nor a pipe as a file', async () => {
  const directory = tempDir()
  writeFileSync(join(directory, 'file'), 'x')
  symlinkSync('file', join(directory, 'link'))
  await expect(systemFiles.read(join(directory, 'link'), 10)).rejects.toThrowCode('ELOOP')
  mkdirSync(join(directory, 'sub'))
  expect(await systemFiles.read(join(directory, 'sub'), 10)).toMatchObject({ kind: 'directory', bytes: null })
  execFileSync('mkfifo', [join(directory, 'pipe')])
  expect(await systemFiles.read(join(directory, 'pipe'), 10)).toMatchObject({ kind: 'other', bytes: null })
})

import { join } from 'node:path'
import type { Files } from '@leastwise/identity/node'
import { describe, expect, it } from 'vitest'

/** What a {@link Files} must do, whatever is behind it. */
export function filesContract(name: string, setUp: () => { readonly files: Files; readonly directory: string }): void {
  const bytes = Uint8Array.of(1, 2, 3)

  const create = async (files: Files, path: string): Promise<void> => {
    const file = await files.create(path)
    await file.write(bytes)
    await file.sync()
    await file.close()
  }

  describe(`files: ${name}`, () => {
    it('creates a file for its owner alone, which reads back', async () => {
      const { files, directory } = setUp()
      const path = join(directory, 'a')
      await create(files, path)
      expect(await files.read(path, 3)).toEqual({ mode: 0o600, owner: files.user(), kind: 'file', bytes })
      expect((await files.facts(directory))?.kind).toBe('directory')
    })

    it('never creates over a file that is there', async () => {
      const { files, directory } = setUp()
      await create(files, join(directory, 'a'))
      await expect(files.create(join(directory, 'a'))).rejects.toThrowCode('EEXIST')
    })

    it('creates nothing in a directory that is not there', async () => {
      const { files, directory } = setUp()
      await expect(files.create(join(directory, 'no', 'a'))).rejects.toThrowCode('ENOENT')
    })

    it('gives no bytes of a file that is larger than asked for', async () => {
      const { files, directory } = setUp()
      await create(files, join(directory, 'a'))
      expect((await files.read(join(directory, 'a'), 2))?.bytes).toBeNull()
    })

    it('says null for what is not there', async () => {
      const { files, directory } = setUp()
      expect(await files.read(join(directory, 'a'), 10)).toBeNull()
      expect(await files.facts(join(directory, 'a'))).toBeNull()
    })

    it('renames over what is there, lists and removes, also what is gone', async () => {
      const { files, directory } = setUp()
      await create(files, join(directory, 'a'))
      await create(files, join(directory, 'b'))
      await files.rename(join(directory, 'a'), join(directory, 'b'))
      await files.syncDirectory(directory)
      expect(await files.list(directory)).toEqual(['b'])
      await files.remove(join(directory, 'b'))
      await files.remove(join(directory, 'b'))
      expect(await files.list(directory)).toEqual([])
      await expect(files.rename(join(directory, 'b'), join(directory, 'c'))).rejects.toThrowCode('ENOENT')
    })
  })
}

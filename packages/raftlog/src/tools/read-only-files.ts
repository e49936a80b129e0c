import type { LogFiles } from '../ports.ts'

const nothing = (): Promise<void> => Promise.resolve()

/** The same directory for a log that only looks: cuts and removals are not done, and are told to `onChange`. */
export const readOnlyFiles = (
  files: LogFiles,
  onChange: (change: { readonly kind: 'remove' | 'truncate'; readonly file: string }) => void,
): LogFiles => ({
  enter: async () => await files.enter({ create: false }),
  lock: files.lock,
  list: files.list,
  open: files.open,
  create: () => Promise.reject(new TypeError('a tool creates no file here')),
  rename: () => Promise.reject(new TypeError('a tool renames no file here')),
  truncate: (file) => {
    onChange({ kind: 'truncate', file })
    return nothing()
  },
  remove: (file) => {
    onChange({ kind: 'remove', file })
    return nothing()
  },
  syncDirectory: nothing,
})

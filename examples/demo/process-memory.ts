import { closeSync, openSync, readFileSync, readSync } from 'node:fs'

const CHUNK_BYTES = 4 * 1024 * 1024

/**
 * Whether the memory of a process holds `needle`; null where the system does not let us look.
 */
export function memoryHolds(pid: number, needle: Buffer): boolean | null {
  let handle: number
  let maps: string
  try {
    maps = readFileSync(`/proc/${pid}/maps`, 'utf8')
    handle = openSync(`/proc/${pid}/mem`, 'r')
  } catch {
    return null
  }
  try {
    const chunk = Buffer.alloc(CHUNK_BYTES + needle.length)
    for (const line of maps.split('\n')) {
      const [, from, to] = /^([0-9a-f]+)-([0-9a-f]+) rw/.exec(line) ?? []
      if (from === undefined || to === undefined) continue
      const end = Number.parseInt(to, 16)
      for (let at = Number.parseInt(from, 16); at < end; at += CHUNK_BYTES) {
        try {
          const read = readSync(handle, chunk, 0, Math.min(chunk.length, end - at), at)
          if (chunk.subarray(0, read).includes(needle)) return true
        } catch {
          // A page that went away, or that cannot be read by anyone.
        }
      }
    }
    return false
  } finally {
    closeSync(handle)
  }
}

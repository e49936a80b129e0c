import { lstatSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Something that must be found nowhere. */
export interface Needle {
  readonly name: string
  readonly bytes: Uint8Array
}

/** Shorter forms would be found by chance. */
const MIN_FORM_BYTES = 12

/** A needle and the forms in which software likes to write it down. */
function formsOf({ name, bytes }: Needle): readonly { readonly name: string; readonly form: Buffer }[] {
  const raw = Buffer.from(bytes)
  // Base64 depends on where the value starts in what was encoded; each of the three alignments has a core that does not.
  const cores = [0, 1, 2].map((shift) => {
    const text = Buffer.concat([Buffer.alloc(shift), raw])
      .toString('base64')
      .replaceAll('=', '')
    return text.slice(shift === 0 ? 0 : 4, -4)
  })
  const hex = raw.toString('hex')
  const texts = (words: readonly string[], kind: string) =>
    [...new Set(words)].map((word) => ({ name: `${name} in ${kind}`, form: Buffer.from(word) }))
  return [
    { name, form: raw },
    ...texts([hex, hex.toUpperCase()], 'hex'),
    ...texts([...cores, ...cores.map((core) => core.replaceAll('+', '-').replaceAll('/', '_'))], 'base64'),
  ].filter(({ form }) => form.length >= MIN_FORM_BYTES)
}

/** What a scan of directory trees looked at and found. */
export interface ScanResult {
  readonly files: number
  readonly bytes: number
  readonly findings: readonly string[]
}

/** Reads every file under the directories byte by byte. */
export function scanDirectories(directories: readonly string[], needles: readonly Needle[]): ScanResult {
  const forms = needles.flatMap(formsOf)
  let files = 0
  let bytes = 0
  const findings: string[] = []
  const visit = (path: string): void => {
    const stat = lstatSync(path)
    if (stat.isDirectory()) {
      for (const name of readdirSync(path)) visit(join(path, name))
      return
    }
    if (!stat.isFile()) return
    const content = readFileSync(path)
    files += 1
    bytes += content.length
    for (const { name, form } of forms) if (content.includes(form)) findings.push(`${name} in ${path}`)
  }
  for (const directory of directories) visit(directory)
  return { files, bytes, findings }
}

/** What the demo's tasks run: plain JavaScript for `node -e`, which reports facts of what it finds and never a value. */

const PRELUDE = `
const fs = require('node:fs')
const { createHash } = require('node:crypto')
const [out, ...paths] = process.argv.slice(1)
const look = (path) => {
  try {
    const bytes = fs.readFileSync(path)
    const stat = fs.statSync(path)
    const type = fs.statfsSync(path).type
    return { path, readable: true, sha256: createHash('sha256').update(bytes).digest('hex'), mode: (stat.mode & 0o777).toString(8).padStart(4, '0'), own: stat.uid === process.getuid(), tmpfs: type === 0x01021994 || type === 0x858458f6 }
  } catch (error) {
    return { path, readable: false, code: error.code }
  }
}
`

/** Looks at its own secret (the first path, relative to its secrets directory) and at paths which it must not reach. */
export const LOOK_AND_STAY = `${PRELUDE}
const dir = process.env.LEASTWISE_SECRETS_DIR
const report = { uid: process.getuid(), dir, files: fs.readdirSync(dir), looks: paths.map((path) => look(path.startsWith('/') ? path : dir + '/' + path)) }
fs.writeFileSync(out + '.part', JSON.stringify(report))
fs.renameSync(out + '.part', out)
setInterval(() => {}, 1000)
`

/** One look at one path. */
export interface Look {
  readonly path: string
  readonly readable: boolean
  readonly sha256?: string
  readonly mode?: string
  readonly own?: boolean
  readonly tmpfs?: boolean
  readonly code?: string
}

export interface TaskReport {
  readonly uid: number
  readonly dir: string
  readonly files: readonly string[]
  readonly looks: readonly Look[]
}

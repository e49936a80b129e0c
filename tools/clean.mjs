// Removes everything a build wrote. `tsc -b` never deletes stale outputs, so a packed tarball starts from here.
import { readdirSync, rmSync } from 'node:fs'

const roots = ['examples', 'bench', 'test', ...readdirSync('packages').map((name) => `packages/${name}`)]
for (const root of roots) rmSync(`${root}/dist`, { recursive: true, force: true })

import { chmodSync, linkSync, lstatSync, renameSync, rmSync } from 'node:fs'
import { connect, type Server } from 'node:net'
import { dirname, join } from 'node:path'
import { codeOf } from './errors.ts'

/** True when another process answers on the socket. */
async function isAnswered(path: string): Promise<boolean> {
  return await new Promise((resolve) => {
    const probe = connect(path)
    probe.on('connect', () => {
      probe.destroy()
      resolve(true)
    })
    probe.on('error', () => {
      resolve(false)
    })
  })
}

/** Gives a socket that listens already its name; false if that is taken. */
function publish(own: string, path: string): boolean {
  try {
    linkSync(own, path)
    return true
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    throw error
  }
}

/** Takes the socket of a manager that is gone out of the way, and puts back what turns out to be another one's by now. */
function clearAway(path: string, dead: number | undefined, aside: string): void {
  try {
    renameSync(path, aside)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return
    throw error
  }
  if (lstatSync(aside).ino !== dead) publish(aside, path)
  rmSync(aside)
}

/**
 * Listens on a socket of which there is one: of several processes that start at once, one gets it.
 *
 * The socket gets its name only when it listens, so that one which does not answer is certainly a dead process's.
 *
 * @returns false, and the server is closed, when a living process has it.
 */
export async function listenAlone(server: Server, path: string): Promise<boolean> {
  // No longer than the final name, whose length was checked.
  const own = join(dirname(path), `.${process.pid}.sock`)
  rmSync(own, { force: true })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(own, resolve)
  })
  try {
    chmodSync(own, 0o600)
    if (publish(own, path)) return true
    const found = lstatSync(path, { throwIfNoEntry: false })?.ino
    if (!(await isAnswered(path))) {
      clearAway(path, found, `${own}.dead`)
      if (publish(own, path)) return true
    }
    server.close()
    return false
  } catch (error) {
    server.close()
    throw error
  } finally {
    rmSync(own, { force: true })
  }
}

import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join, resolve } from 'node:path'
import { openKeyFile, systemClock, systemRandom } from '@leastwise/identity/node'
import { type NodeCredentials, type NodeDescription, SwarmError } from '@leastwise/swarm'
import { joinCluster, runAgent } from '@leastwise/swarm/node'
import { formatAddress, parseAddress } from '../address.ts'
import { type Announce, announcer } from '../announce.ts'
import { describeSystemError, prepareDataDirectory } from '../data-directory.ts'
import { OrchestratorError } from '../errors.ts'
import { type Given, textOf } from '../operator/command.ts'
import { tokenFrom } from '../token-given.ts'
import { loadCredentials, loadRecoveryKey, saveCredentials, saveRecoveryKey, serialOf } from './credentials.ts'
import { forgetEvictions, openEvictions } from './evictions.ts'
import { createExecutor } from './executor.ts'
import { openDeliveryPlace, openMount } from './mount.ts'
import { type NodeService, serveNodes } from './service.ts'
import { takeDirectory } from './take-directory.ts'

const description = (): NodeDescription => ({
  hostname: hostname(),
  architecture: process.arch,
  os: process.platform,
  nanoCpus: 0,
  memoryBytes: 0,
  engineVersion: 'leastwise',
  labels: {},
  plugins: [],
  tls: null,
})

/** Managers that the node was told of earlier; the file only saves a detour, so anything odd in it is ignored. */
function knownManagers(path: string, first: string): readonly [string, ...string[]] {
  try {
    const kept: unknown = JSON.parse(readFileSync(path, 'utf8'))
    if (Array.isArray(kept))
      return [first, ...kept.filter((address): address is string => typeof address === 'string' && address !== first)]
  } catch {
    // Not written yet, or damaged.
  }
  return [first]
}

async function identityOf(
  given: Given,
  dataDirectory: string,
  announce: Announce,
  signal: AbortSignal,
): Promise<{
  credentials: NodeCredentials
  save: (credentials: NodeCredentials) => Promise<void>
  forget: () => void
}> {
  const path = join(dataDirectory, 'node.key')
  const file = await openKeyFile(path)
  const save = async (credentials: NodeCredentials): Promise<void> => {
    await saveCredentials(file, credentials)
  }
  const forget = (): void => {
    rmSync(path, { force: true })
  }
  const kept = await loadCredentials(file)
  if (kept !== null) return { credentials: kept, save, forget }
  const address = formatAddress(parseAddress(textOf(given, 'join') ?? ''))
  const credentials = await joinCluster({
    addresses: [address],
    token: tokenFrom(given),
    clock: systemClock,
    random: systemRandom,
    signal,
  })
  await save(credentials)
  const { nodeId, clusterId, role, notBefore, notAfter } = credentials
  announce({ event: 'joined', nodeId, clusterId, role, serial: serialOf(credentials), notBefore, notAfter })
  return { credentials, save, forget }
}

/** Runs a worker until it is told to stop or is thrown out. */
export async function runWorker(given: Given): Promise<number> {
  const data = textOf(given, 'data')
  const address = textOf(given, 'join')
  if (data === undefined || address === undefined || given.positionals.length > 0) {
    throw new OrchestratorError(
      'USAGE',
      'usage: leastwise-orchestrator worker --data DIR --join HOST:PORT [--token TOKEN | --token-file FILE] [--secrets DIR] [--serve HOST:PORT]',
    )
  }
  const serveText = textOf(given, 'serve')
  const serveAt = serveText === undefined ? null : parseAddress(serveText)
  const announce = announcer(given.options['json'] === true)
  const stop = new AbortController()
  const halt = (): void => {
    stop.abort(new OrchestratorError('INTERNAL', 'stopping'))
  }
  // Any number of times: whoever stops a group of processes may well stop each of them, too, and what was delivered has to go first.
  process.on('SIGTERM', halt)
  process.on('SIGINT', halt)
  let takeBack = (): void => undefined
  let leave = takeBack
  try {
    const unmake = prepareDataDirectory(data)
    takeBack = unmake
    leave = await takeDirectory(data)
    takeBack = () => {
      leave()
      unmake()
    }
    const chosen = textOf(given, 'secrets')
    // A directory that is not memory is refused before a join token is spent.
    const early = chosen === undefined ? null : openMount('chosen', resolve(chosen))
    const { credentials, save, forget } = await identityOf(given, data, announce, stop.signal).catch(
      async (error: unknown) => {
        await early?.remove()
        throw error
      },
    )
    // From here on the directory is in use, and stays whatever happens.
    takeBack = () => undefined
    const { nodeId } = credentials
    const place = await openDeliveryPlace(early ?? openMount(nodeId), { signal: stop.signal })
    announce({
      event: 'delivery',
      root: place.mount.root,
      kind: place.mount.kind,
      swappable: place.mount.swappable,
      isolation: place.capabilities.levels[0] ?? 'directory',
    })
    const executor = createExecutor({
      ...place,
      dataDirectory: resolve(data),
      nodeId,
      announce,
      now: () => systemClock.now(),
    })
    const managersFile = join(data, 'managers.json')
    const recoveryPath = join(data, 'recovery.key')
    const kept = async () => {
      const recoveryFile = await openKeyFile(recoveryPath)
      const recoveryKey = await loadRecoveryKey(recoveryFile)
      return { recoveryFile, recoveryKey, evictions: await openEvictions(data, credentials, announce) }
    }
    const { recoveryFile, recoveryKey, evictions } = await kept().catch(async (error: unknown) => {
      await place.mount.remove()
      throw error
    })
    let evicted = false
    let ownKey = credentials.privateKey
    let service: NodeService | null = null
    try {
      if (serveAt !== null) service = await serveNodes(serveAt, { credentials, evictions, announce })
      const agent = runAgent({
        credentials,
        managers: knownManagers(managersFile, formatAddress(parseAddress(address))),
        description: description(),
        worker: executor.worker,
        evictions,
        ...(recoveryKey === null ? {} : { recoveryKey }),
        saveRecoveryKey: async (key) => {
          await saveRecoveryKey(recoveryFile, key)
        },
        saveCredentials: async (next) => {
          await save(next)
          // A new bundle alone leaves a request that is under way what it is.
          if (!Buffer.from(next.privateKey).equals(ownKey)) rmSync(recoveryPath, { force: true })
          ownKey = next.privateKey
        },
        saveManagers: async (managers) => {
          writeFileSync(managersFile, JSON.stringify(managers.map((manager) => manager.address)), { mode: 0o600 })
          await Promise.resolve()
        },
        clock: systemClock,
        random: systemRandom,
        signal: stop.signal,
      })
      for await (const event of agent) {
        const { type, ...facts } = event
        if (event.type === 'renewed' || event.type === 'trust-bundle') {
          const { credentials: now } = event
          service?.adopt(now)
          announce({
            event: type,
            serial: serialOf(now),
            notAfter: now.notAfter,
            ...('reason' in event ? { reason: event.reason } : {}),
          })
        } else if (event.type === 'renewal-scheduled') announce({ event: type, when: event.at })
        else if (event.type !== 'managers') announce({ ...facts, event: type })
        evicted ||= event.type === 'evicted'
      }
    } catch (error) {
      if (!stop.signal.aborted) throw error
    } finally {
      service?.close()
      const left = await executor.wipe()
      if (evicted) {
        forget()
        forgetEvictions(data)
        rmSync(recoveryPath, { force: true })
      }
      await place.mount.remove()
      announce({ event: 'wiped', ...left })
    }
    if (evicted)
      throw new SwarmError(
        'NODE_EVICTED',
        'this node was removed from the cluster; to join again, start it with a new token',
      )
  } catch (error) {
    takeBack()
    if (stop.signal.aborted && error === stop.signal.reason) return 0
    throw describeSystemError(error, data)
  } finally {
    leave()
  }
  announce({ event: 'stopped' })
  return 0
}

import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { dangerouslyExposeManagerToTheInternet } from '@leastwise/identity/node'
import { type Address, parseAddress } from '../address.ts'
import { announcer } from '../announce.ts'
import { describeSystemError, prepareDataDirectory } from '../data-directory.ts'
import { asError, OrchestratorError } from '../errors.ts'
import type { StatusAnswer } from '../operator/answers.ts'
import { type Given, textOf } from '../operator/command.ts'
import { operatorSocket } from '../operator/socket.ts'
import { ownCaOf } from '../own-ca.ts'
import { anchorSettings } from './anchor-settings.ts'
import { etcdSettings } from './etcd/settings.ts'
import { firstStart } from './founding/first-start.ts'
import { isFounded } from './founding/found.ts'
import { issueFromIn } from './issuing/issue-from.ts'
import { proveAddresses } from './listen.ts'
import { type Operation, serveOperator } from './operator-server.ts'
import { externalCaSettings } from './root/external-ca/settings.ts'
import { openHsm } from './root/hsm/hsm-keeper.ts'
import { hsmSettings } from './root/hsm/settings.ts'
import { openRootKeyFile, ROOT_KEY_FILE } from './root/key-file/root-key-file.ts'
import type { SigningKeeper } from './root/root-keeper.ts'
import { type Serving, serveCluster } from './serve.ts'
import { trustDomainIn } from './spiffe/trust-domain.ts'
import { isLocked, openManager, wrapperOf } from './unlocking.ts'

interface Live {
  serving: Serving | null
  starting: boolean
  failure: Error | null
  names: { readonly clusterId: string; readonly nodeId: string }
}

const EXPOSE = 'dangerously-expose-manager-to-the-internet'

const exposed = (address: Address, expose: boolean): Address =>
  expose ? { ...address, [dangerouslyExposeManagerToTheInternet]: true } : address

/** Runs a manager until it is told to stop. */
export async function runManager(given: Given): Promise<number> {
  const data = textOf(given, 'data')
  const listenText = textOf(given, 'listen')
  if (data === undefined || listenText === undefined || given.positionals.length > 0) {
    throw new OrchestratorError(
      'USAGE',
      'usage: leastwise-orchestrator manager --data DIR --listen HOST:PORT [--advertise HOST:PORT] [--engine etcd ...]; see leastwise-orchestrator help',
    )
  }
  const listen = exposed(parseAddress(listenText), given.options[EXPOSE] === true)
  const operatorsText = textOf(given, 'operator-listen')
  const operators =
    operatorsText === undefined ? null : exposed(parseAddress(operatorsText), given.options[EXPOSE] === true)
  const etcd = etcdSettings(given)
  const anchoring = anchorSettings(given)
  const externalCa = externalCaSettings(given)
  const issueFrom = issueFromIn(given)
  const trustDomain = trustDomainIn(given)
  const hsmGiven = hsmSettings(given)
  const rootKeyFile = textOf(given, ROOT_KEY_FILE) ?? null
  if ([hsmGiven, externalCa, rootKeyFile].filter((place) => place !== null).length > 1)
    throw new OrchestratorError(
      'USAGE',
      'the key of the root is in an hsm, in a file, or with an external ca; name one of them',
    )
  if (issueFrom === 'intermediate' && externalCa !== null)
    throw new OrchestratorError(
      'USAGE',
      'an external ca makes no intermediates that are bound to a cluster; leave --issue-from out, or keep the key of the root in an hsm or a file',
    )
  // What the next root's key is to move to founds nothing.
  const foundingCa = externalCa?.forNextRoot === true ? null : externalCa
  const ownCa = ownCaOf(given)
  if (
    ownCa !== null &&
    (foundingCa !== null ||
      hsmGiven !== null ||
      rootKeyFile !== null ||
      isFounded(data) ||
      textOf(given, 'join') !== undefined)
  )
    throw new OrchestratorError(
      'USAGE',
      '--ca-cert and --ca-key found a cluster, with its key in the log; root rotate brings a ca of your own into one that is there',
    )
  const advertise = textOf(given, 'advertise') ?? null
  if (advertise !== null) parseAddress(advertise)
  const announce = announcer(given.options['json'] === true)

  // Before anything is made: a socket that cannot be made later.
  operatorSocket(data)
  const takeBack = prepareDataDirectory(data)
  const live: Live = { serving: null, starting: true, failure: null, names: { clusterId: '', nodeId: '' } }
  const stopped = new AbortController()
  const fail = (error: unknown): void => {
    live.failure ??= asError(error)
    stopped.abort()
  }

  const stateOf = ({ serving, starting }: Live): StatusAnswer['state'] => {
    if (serving !== null) return serving.isReadOnly() ? 'read-only' : 'ready'
    return starting ? 'starting' : 'locked'
  }
  const status = (): StatusAnswer => ({
    state: stateOf(live),
    ...live.names,
    address: live.serving?.address ?? '',
    pid: process.pid,
  })
  let keeper: SigningKeeper | null = null
  const open = async (unlockKey: Uint8Array | null): Promise<void> => {
    const wrapper = unlockKey === null ? null : wrapperOf(unlockKey)
    const opened = await openManager(data, { wrapper, etcd, anchoring, now: Date.now, signal: stopped.signal })
    let serving: Serving
    try {
      serving = await serveCluster(opened, {
        listen,
        advertise,
        externalCa,
        keeper,
        issueFrom,
        trustDomain,
        announce,
        fail,
      })
    } catch (error) {
      await opened.engine.close()
      throw error
    }
    let operatorAddress: string | null = null
    try {
      if (operators !== null) operatorAddress = await serving.serveOperators(operators, find)
    } catch (error) {
      await serving.close()
      throw error
    }
    live.serving = serving
    live.names = { clusterId: opened.clusterId, nodeId: opened.nodeId }
    announce({
      event: 'ready',
      ...live.names,
      address: serving.address,
      ...(operatorAddress === null ? {} : { operatorAddress }),
      autolock: opened.keys.locked(),
      ...(opened.engine.repairedBytes === null ? {} : { repaired: opened.engine.repairedBytes }),
    })
  }

  let unlocking: Promise<void> | null = null
  const always: Readonly<Record<string, Operation>> = {
    status,
    unlock: async ({ bytes }) => {
      if (live.serving !== null) throw new OrchestratorError('NOT_LOCKED', 'the manager is not locked')
      // One attempt at a time: the log can be opened only once.
      const before = unlocking
      const attempt = (async () => {
        await before?.catch(() => undefined)
        if (live.serving === null) await open(bytes)
      })()
      unlocking = attempt
      await attempt
      return status()
    },
  }
  const find = (path: string): Operation | undefined => {
    if (Object.hasOwn(always, path)) return always[path]
    if (live.serving !== null) return live.serving.find(path)
    return () => {
      if (live.starting) throw new OrchestratorError('STARTING', 'the manager is starting; try again in a moment')
      throw new OrchestratorError(
        'LOCKED',
        'the manager is locked; give it its unlock key with leastwise-orchestrator unlock',
      )
    }
  }

  try {
    // The operator's socket first: it keeps a second manager out of this directory from the first moment on.
    const operator = await serveOperator(data, find)
    try {
      const halt = (): void => {
        stopped.abort()
      }
      process.on('SIGTERM', halt)
      process.on('SIGINT', halt)
      if (hsmGiven !== null) keeper = await openHsm(hsmGiven)
      else if (rootKeyFile !== null) keeper = openRootKeyFile(rootKeyFile)
      if (!isFounded(data)) {
        await proveAddresses(operators === null ? [listen] : [listen, operators])
        const tokens = await firstStart(data, given, {
          etcd,
          externalCa: foundingCa,
          keeper,
          ownCa,
          anchoring,
          signal: stopped.signal,
        })
        for (const { role, token } of tokens) announce({ event: 'join-token', role, token })
      }
      if (await isLocked(data)) announce({ event: 'locked', data })
      else await open(null)
      live.starting = false
      if (!stopped.signal.aborted) await once(stopped.signal, 'abort')
    } finally {
      operator.close()
      operator.closeAllConnections()
      rmSync(operatorSocket(data), { force: true })
      await live.serving?.close()
      await keeper?.[Symbol.asyncDispose]()
    }
  } catch (error) {
    takeBack()
    throw describeSystemError(error, data)
  }
  if (live.failure !== null) throw live.failure
  announce({ event: 'stopped' })
  return 0
}

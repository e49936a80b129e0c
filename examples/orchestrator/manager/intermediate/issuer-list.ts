import { OrchestratorError } from '../../errors.ts'
import type { Signed } from '../signed-by-manager.ts'

/** An intermediate that was made for a manager and has not ended. */
export interface IssuedIntermediate {
  /** PEM of the request that it answers. */
  readonly csr: string
  readonly certificate: string
  /** Lower-case hexadecimal. */
  readonly serial: string
  readonly notAfter: number
}

/** What a manager has asked for, with its own proof that it was it who asked. */
export interface PendingIntermediate {
  readonly csr: string
  readonly proof: Signed
  /** Epoch milliseconds. */
  readonly at: number
}

/** A manager as an issuer. All of it is public: the key is with that manager alone. */
export interface IssuerRecord {
  readonly managerId: string
  readonly pending: PendingIntermediate | null
  /** The newest last. */
  readonly issued: readonly IssuedIntermediate[]
}

export type IssuerList = ReadonlyMap<string, IssuerRecord>

export type IssuerCommand =
  | {
      readonly type: 'request'
      readonly managerId: string
      readonly csr: string
      readonly proof: Signed
      readonly now: number
    }
  /** Answers the pending request, and nothing else. */
  | ({ readonly type: 'record'; readonly managerId: string } & IssuedIntermediate)
  /** The manager is one no more. */
  | { readonly type: 'forget'; readonly managerId: string }
  | { readonly type: 'forget-ended'; readonly now: number }

export type IssuerEvent =
  | {
      readonly type: 'intermediate-requested'
      readonly managerId: string
      readonly csr: string
      readonly proof: Signed
      readonly at: number
    }
  | ({ readonly type: 'intermediate-recorded'; readonly managerId: string } & IssuedIntermediate)
  | { readonly type: 'issuer-forgotten'; readonly managerId: string }
  | { readonly type: 'intermediates-ended'; readonly now: number }

/** One in three days is the rule, and each change of an unlock key makes one more. Their numbers are needed until they end. */
export const MAX_LIVE_INTERMEDIATES = 64

const NOBODY: Omit<IssuerRecord, 'managerId'> = { pending: null, issued: [] }

const withRecord = (list: IssuerList, managerId: string, change: (record: IssuerRecord) => IssuerRecord): IssuerList =>
  new Map(list).set(managerId, change(list.get(managerId) ?? { managerId, ...NOBODY }))

/** The managers that issue from an intermediate of their own, and what was made for them. */
export const issuerList = {
  initial: new Map<string, IssuerRecord>() as IssuerList,

  decide(list: IssuerList, command: IssuerCommand): readonly IssuerEvent[] {
    switch (command.type) {
      case 'request': {
        const { managerId, csr, proof, now } = command
        const { issued } = list.get(managerId) ?? NOBODY
        if (issued.some((each) => each.csr === csr)) return []
        if (issued.length >= MAX_LIVE_INTERMEDIATES)
          throw new OrchestratorError(
            'TOO_MANY_INTERMEDIATES',
            `this manager has ${MAX_LIVE_INTERMEDIATES} intermediates that have not ended; wait until one has`,
          )
        return [{ type: 'intermediate-requested', managerId, csr, proof, at: now }]
      }
      case 'record': {
        const { managerId, csr, certificate, serial, notAfter } = command
        // Another one was asked for meanwhile, it was signed already, or the manager has gone: this one is never handed out.
        if (list.get(managerId)?.pending?.csr !== csr) return []
        return [{ type: 'intermediate-recorded', managerId, csr, certificate, serial, notAfter }]
      }
      case 'forget':
        return list.has(command.managerId) ? [{ type: 'issuer-forgotten', managerId: command.managerId }] : []
      case 'forget-ended':
        return [...list.values()].some(({ issued }) => issued.some(({ notAfter }) => notAfter < command.now))
          ? [{ type: 'intermediates-ended', now: command.now }]
          : []
    }
  },

  evolve(list: IssuerList, event: IssuerEvent): IssuerList {
    switch (event.type) {
      case 'intermediate-requested': {
        const { managerId, csr, proof, at } = event
        return withRecord(list, managerId, (record) => ({ ...record, pending: { csr, proof, at } }))
      }
      case 'intermediate-recorded': {
        const { managerId, csr, certificate, serial, notAfter } = event
        return withRecord(list, managerId, ({ issued, pending }) => ({
          managerId,
          pending: pending?.csr === csr ? null : pending,
          issued: [...issued, { csr, certificate, serial, notAfter }],
        }))
      }
      case 'issuer-forgotten': {
        const next = new Map(list)
        next.delete(event.managerId)
        return next
      }
      case 'intermediates-ended':
        return new Map(
          [...list].flatMap(([managerId, record]) => {
            const issued = record.issued.filter(({ notAfter }) => notAfter >= event.now)
            return issued.length === 0 && record.pending === null ? [] : [[managerId, { ...record, issued }] as const]
          }),
        )
    }
  },
}

/** The fewest events that lead to `list`, for a snapshot. */
export function* issuerEvents(list: IssuerList): Generator<IssuerEvent, void, void> {
  for (const { managerId, pending, issued } of list.values()) {
    for (const each of issued) yield { type: 'intermediate-recorded', managerId, ...each }
    if (pending !== null) yield { type: 'intermediate-requested', managerId, ...pending }
  }
}

/** How a granted task gets one secret: by id, because a name may later belong to another secret. */
export interface GrantReference {
  readonly secretId: string
  /** Name of the file, one path component. */
  readonly target: string
  /** `null` is the user that the task runs as. */
  readonly uid: number | null
  /** `null` is the group that the task runs as. */
  readonly gid: number | null
  /** Permission bits, 0 to 0o777. */
  readonly mode: number
}

/** What a host may ask of the catalogue. Ids are fresh and instants are epoch milliseconds; both come from the host. */
export type SecretCatalogueCommand =
  | {
      readonly type: 'create'
      readonly id: string
      readonly name: string
      /** 1 to 511,999 bytes; copied. */
      readonly value: Uint8Array
      readonly labels: Readonly<Record<string, string>>
      readonly now: number
    }
  | {
      readonly type: 'update-labels'
      readonly id: string
      /** Takes the place of all labels. */
      readonly labels: Readonly<Record<string, string>>
      /** The version that the caller saw; an update in between is refused instead of lost. */
      readonly version: number
      readonly now: number
    }
  | { readonly type: 'remove'; readonly id: string }
  | {
      readonly type: 'grant'
      readonly taskId: string
      readonly nodeId: string
      readonly references: readonly GrantReference[]
    }
  | { readonly type: 'release'; readonly taskId: string }
  | { readonly type: 'release-node'; readonly nodeId: string }

/**
 * What happened, as plain data for the host's log. `secret-created` holds the value in the clear: the host seals it.
 */
export type SecretCatalogueEvent =
  | {
      readonly type: 'secret-created'
      readonly id: string
      readonly name: string
      readonly value: Uint8Array<ArrayBuffer>
      readonly labels: Readonly<Record<string, string>>
      readonly at: number
    }
  | {
      readonly type: 'secret-labelled'
      readonly id: string
      readonly labels: Readonly<Record<string, string>>
      readonly version: number
      readonly at: number
    }
  | { readonly type: 'secret-removed'; readonly id: string }
  | {
      readonly type: 'task-granted'
      readonly taskId: string
      readonly nodeId: string
      readonly references: readonly GrantReference[]
    }
  | { readonly type: 'task-released'; readonly taskId: string }

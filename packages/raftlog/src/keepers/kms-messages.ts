import { decodeFields, decodeText, encodeFields, type Field } from './protobuf.ts'

// The messages of the Kubernetes KMS v2 API (package v2, service KeyManagementService), and the bounds that Kubernetes
// itself sets for what a plug-in may answer. Annotations must fit into a wrapped key here, so they are bounded there.

/** What a plug-in gives back beside the ciphertext, to be shown to it again. */
export interface KmsCiphertext {
  readonly ciphertext: Uint8Array<ArrayBuffer>
  readonly keyId: string
  /** By key, in ascending order of the keys; each key once. */
  readonly annotations: readonly KmsAnnotation[]
}

/** One annotation. */
export interface KmsAnnotation {
  readonly key: string
  readonly value: Uint8Array<ArrayBuffer>
}

/** The health of a plug-in. */
export interface KmsStatus {
  readonly version: string
  readonly healthz: string
}

/** Most bytes of a ciphertext and of a key id. */
export const MAX_KMS_FIELD_BYTES = 1024
/** Most annotations; a plug-in needs one or two. */
export const MAX_KMS_ANNOTATIONS = 16

// RFC 1123 names with at least one dot, as Kubernetes asks for.
const LABEL = '[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?'
const DOMAIN = new RegExp(`^(?=.{1,253}$)${LABEL}(\\.${LABEL})+$`)

/** Whether the parts may be stored and shown to a plug-in again. */
export function isKmsCiphertext({ ciphertext, keyId, annotations }: KmsCiphertext): boolean {
  const idBytes = new TextEncoder().encode(keyId).length
  return (
    ciphertext.length > 0 &&
    ciphertext.length <= MAX_KMS_FIELD_BYTES &&
    idBytes > 0 &&
    idBytes <= MAX_KMS_FIELD_BYTES &&
    annotations.length <= MAX_KMS_ANNOTATIONS &&
    annotations.every(({ key }, at) => DOMAIN.test(key) && (at === 0 || (annotations[at - 1]?.key ?? '') < key))
  )
}

/** `StatusRequest`. */
export const encodeStatusRequest = (): Uint8Array<ArrayBuffer> => encodeFields([])

/** `EncryptRequest`. */
export const encodeEncryptRequest = (plaintext: Uint8Array, uid: string): Uint8Array<ArrayBuffer> =>
  encodeFields([
    [1, plaintext],
    [2, uid],
  ])

/** `DecryptRequest`. */
export const encodeDecryptRequest = (sealed: KmsCiphertext, uid: string): Uint8Array<ArrayBuffer> =>
  encodeFields([
    [1, sealed.ciphertext],
    [2, uid],
    [3, sealed.keyId],
    ...sealed.annotations.map(
      ({ key, value }) =>
        [
          4,
          encodeFields([
            [1, key],
            [2, value],
          ]),
        ] as const,
    ),
  ])

/** The last field of a number, which is the one that counts; empty if there is none. */
const last = (fields: readonly Field[], number: number): Uint8Array<ArrayBuffer> =>
  new Uint8Array(fields.findLast((field) => field.number === number)?.value ?? [])

/** `StatusResponse`, or null. */
export function decodeStatusResponse(message: Uint8Array): KmsStatus | null {
  const fields = decodeFields(message)
  if (fields === null) return null
  const version = decodeText(last(fields, 1))
  const healthz = decodeText(last(fields, 2))
  return version === null || healthz === null ? null : { version, healthz }
}

/** `EncryptResponse`, or null if it is malformed or out of bounds. */
export function decodeEncryptResponse(message: Uint8Array): KmsCiphertext | null {
  const fields = decodeFields(message)
  if (fields === null) return null
  const keyId = decodeText(last(fields, 2))
  const entries = fields.filter(({ number }) => number === 3).map(({ value }) => decodeAnnotation(value))
  if (keyId === null || entries.includes(null)) return null
  // Of two entries with one key the last one counts, as in every protobuf map.
  const byKey = new Map(entries.flatMap((entry) => (entry === null ? [] : [[entry.key, entry]])))
  const annotations = [...byKey.values()].sort((a, b) => (a.key < b.key ? -1 : 1))
  const answer = { ciphertext: last(fields, 1), keyId, annotations }
  return isKmsCiphertext(answer) ? answer : null
}

/** `DecryptResponse`: the plaintext, or null. */
export function decodeDecryptResponse(message: Uint8Array): Uint8Array<ArrayBuffer> | null {
  const fields = decodeFields(message)
  return fields === null ? null : last(fields, 1)
}

function decodeAnnotation(entry: Uint8Array): KmsAnnotation | null {
  const fields = decodeFields(entry)
  const key = fields === null ? null : decodeText(last(fields, 1))
  return fields === null || key === null ? null : { key, value: last(fields, 2) }
}

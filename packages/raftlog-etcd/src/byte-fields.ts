/** Writes big-endian fields one after the other into an array of exactly the length given. */
export interface ByteWriter {
  readonly u8: (value: number) => ByteWriter
  readonly u16: (value: number) => ByteWriter
  readonly u32: (value: number) => ByteWriter
  readonly u64: (value: bigint) => ByteWriter
  readonly bytes: (value: Uint8Array) => ByteWriter
  /** Text of at most 255 ASCII characters, its length before it. */
  readonly text: (value: string) => ByteWriter
  readonly written: () => Uint8Array<ArrayBuffer>
}

export function byteWriter(length: number): ByteWriter {
  const out = new Uint8Array(length)
  const view = new DataView(out.buffer)
  let at = 0
  const step = (size: number): number => {
    at += size
    return at - size
  }
  const writer: ByteWriter = {
    u8: (value) => {
      view.setUint8(step(1), value)
      return writer
    },
    u16: (value) => {
      view.setUint16(step(2), value)
      return writer
    },
    u32: (value) => {
      view.setUint32(step(4), value)
      return writer
    },
    u64: (value) => {
      view.setBigUint64(step(8), value)
      return writer
    },
    bytes: (value) => {
      out.set(value, step(value.length))
      return writer
    },
    text: (value) => writer.u8(value.length).bytes(new TextEncoder().encode(value)),
    written: () => {
      if (at !== length) throw new RangeError(`wrote ${at} bytes where ${length} were planned`)
      return out
    },
  }
  return writer
}

/** Reads big-endian fields one after the other; asks `short` for the error to throw when the bytes run out. */
export interface ByteCursor {
  readonly offset: () => number
  readonly remaining: () => number
  readonly u8: () => number
  readonly u16: () => number
  readonly u32: () => number
  readonly u64: () => bigint
  /** A copy of the next `length` bytes. */
  readonly bytes: (length: number) => Uint8Array<ArrayBuffer>
  readonly text: () => string
}

export function byteCursor(data: Uint8Array, short: () => Error): ByteCursor {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength)
  let at = 0
  const take = (length: number): number => {
    if (data.length - at < length) throw short()
    at += length
    return at - length
  }
  const bytes = (length: number): Uint8Array<ArrayBuffer> => {
    const from = take(length)
    return new Uint8Array(data.subarray(from, from + length))
  }
  const u8 = (): number => view.getUint8(take(1))
  return {
    offset: () => at,
    remaining: () => data.length - at,
    u8,
    u16: () => view.getUint16(take(2)),
    u32: () => view.getUint32(take(4)),
    u64: () => view.getBigUint64(take(8)),
    bytes,
    text: () => Array.from(bytes(u8()), (byte) => String.fromCharCode(byte)).join(''),
  }
}

/** Lower-case hexadecimal text. */
export const formatHex = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')

/** Whether both hold the same bytes. For what is public: it stops at the first difference. */
export const sameBytes = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && a.every((byte, at) => byte === b[at])

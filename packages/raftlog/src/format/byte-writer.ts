/** Writes big-endian fields one after the other into an array of exactly the length given. */
export interface ByteWriter {
  readonly u8: (value: number) => ByteWriter
  readonly u16: (value: number) => ByteWriter
  readonly u32: (value: number) => ByteWriter
  readonly u64: (value: bigint) => ByteWriter
  readonly bytes: (value: Uint8Array) => ByteWriter
  /** Bytes written so far, as a view. */
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
    written: () => out.subarray(0, at),
  }
  return writer
}

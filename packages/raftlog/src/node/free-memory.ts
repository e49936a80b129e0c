import { MessageChannel, type MessagePort } from 'node:worker_threads'

// Giving memory back takes about 6 µs, which less memory than this does not gain.
const LEAST_BYTES = 64 * 1024

let nowhere: MessagePort | null = null

const closedPort = (): MessagePort => {
  const { port1, port2 } = new MessageChannel()
  port2.close()
  port1.close()
  return port1
}

/**
 * Gives the memory of a large array back at once, rather than when the garbage collector comes by; the array is empty
 * afterwards. The cipher allocates its output, and memory that comes fresh from the system has to be mapped, zeroed and
 * brought into the cache first: for a frame of 256 KiB that takes longer than sealing it. Memory that was just given back is
 * what the next output lies in.
 *
 * What is transferred to a closed port leaves its sender and reaches nobody, so it is freed. An array that shares its memory
 * with others is left alone.
 */
export function freeMemory(bytes: Uint8Array): void {
  const { buffer } = bytes
  if (!(buffer instanceof ArrayBuffer) || bytes.byteLength < LEAST_BYTES || bytes.byteLength !== buffer.byteLength)
    return
  nowhere ??= closedPort()
  nowhere.postMessage(null, [buffer])
}

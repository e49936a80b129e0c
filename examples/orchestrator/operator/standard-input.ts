import { OrchestratorError } from '../errors.ts'

/** Everything on standard input, byte for byte: nothing added, nothing trimmed. */
export async function readStandardInput(maxBytes: number): Promise<Uint8Array> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > maxBytes)
      throw new OrchestratorError('INPUT_TOO_LARGE', `standard input has more than ${maxBytes} bytes; send less`)
    chunks.push(chunk)
  }
  return new Uint8Array(Buffer.concat(chunks))
}

import { connect, type Socket } from 'node:net'

/** One connection of HTTP/1.1 that is kept open: request after request, with no more work than a load needs. */
export interface HttpConnection {
  /** Sends a request and gives status and body of the answer. */
  readonly ask: (request: Buffer) => Promise<{ readonly status: number; readonly body: string }>
  readonly close: () => void
}

export const postOf = (path: string, body: string): Buffer =>
  Buffer.from(
    `POST ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  )

const HEAD_END = '\r\n\r\n'

/** The end of an answer in `text`, or null when there is more to come; both of the usual ways to say so. */
function answerIn(text: string): { readonly status: number; readonly body: string } | null {
  const at = text.indexOf(HEAD_END)
  if (at < 0) return null
  const head = text.slice(0, at)
  const rest = text.slice(at + HEAD_END.length)
  const status = Number(head.slice(9, 12))
  const length = /\r\ncontent-length: (\d+)/iu.exec(head)?.[1]
  if (length !== undefined) return rest.length >= Number(length) ? { status, body: rest } : null
  return rest.endsWith(`0${HEAD_END}`) ? { status, body: rest } : null
}

export async function openConnection(port: number): Promise<HttpConnection> {
  const socket: Socket = connect({ host: '127.0.0.1', port, noDelay: true })
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve)
    socket.once('error', reject)
  })
  let text = ''
  let settle: {
    readonly done: (answer: { status: number; body: string }) => void
    readonly fail: (error: Error) => void
  } | null = null
  socket.setEncoding('latin1')
  socket.on('data', (part: string) => {
    text += part
    const answer = answerIn(text)
    if (answer === null) return
    text = ''
    settle?.done(answer)
  })
  const fail = (): void => {
    settle?.fail(new Error('the server closed the connection'))
  }
  socket.on('close', fail)
  socket.on('error', fail)
  return {
    ask: async (request) =>
      await new Promise((done, reject) => {
        settle = { done, fail: reject }
        socket.write(request)
      }),
    close: () => socket.destroy(),
  }
}

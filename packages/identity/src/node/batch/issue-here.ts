import { setImmediate as turn } from 'node:timers/promises'
import type { Authority } from '../../issuing/authority.ts'
import { type BatchRequest, type BatchResult, type Share, serialsOf, settle } from './batch.ts'
import { issueRequest } from './issue-chunk.ts'
import { errorOf } from './issue-message.ts'
import type { IssueQueue } from './issue-queue.ts'

// One after the other they find their code in the processor's caches, and their answers leave together, which wakes whoever waits for them once. With
// more, others wait longer for this thread, and it has nothing to do while those who were answered ask again.
const MOST_IN_TURN = 8
// A key that takes long to sign, or is far away, keeps nobody else waiting.
const TURN_MS = 2

async function resultOf(authority: Authority, request: BatchRequest, share: Share): Promise<BatchResult> {
  try {
    return { certificate: await issueRequest(authority, request, serialsOf(share), share.batch.now) }
  } catch (error) {
    return { error: errorOf(error) }
  }
}

/** Issues on this thread until the queue is empty: some requests in a turn of the event loop, whose results come together. */
export async function issueHere(authority: Authority, queue: IssueQueue): Promise<void> {
  for (;;) {
    const end = performance.now() + TURN_MS
    const settled: (readonly [Share, BatchResult])[] = []
    do {
      const [share] = queue.take(1)
      const request = share?.batch.requests[share.from]
      if (share === undefined || request === undefined) break
      settled.push([share, await resultOf(authority, request, share)])
    } while (settled.length < MOST_IN_TURN && performance.now() < end)
    for (const [share, result] of settled) settle(share, [result])
    if (queue.size === 0) return
    // Others want this thread too.
    await turn()
  }
}

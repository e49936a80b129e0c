/**
 * Gives the items of batches one by one. An async generator would take several turns of the microtask queue for each
 * item; here only a new batch is waited for.
 */
export function flatten<T>(batches: AsyncGenerator<readonly T[], void, void>): AsyncIterableIterator<T, void, void> {
  let batch: readonly T[] = []
  let at = 0
  let pulling: Promise<unknown> | null = null

  const pull = async (): Promise<IteratorResult<T, void>> => {
    while (at >= batch.length) {
      const next = await batches.next()
      if (next.done === true) return { done: true, value: undefined }
      batch = next.value
      at = 0
    }
    return { done: false, value: batch[at++] as T }
  }

  // Calls that do not wait for each other are served in their order.
  const queued = async (): Promise<IteratorResult<T, void>> => {
    const mine: Promise<IteratorResult<T, void>> = (pulling ?? Promise.resolve()).then(pull)
    const settled = mine.catch(() => undefined)
    pulling = settled
    try {
      return await mine
    } finally {
      if (pulling === settled) pulling = null
    }
  }

  return {
    // Not an async function: for most items that would cost more than the rest of their way.
    next: () =>
      pulling === null && at < batch.length ? Promise.resolve({ done: false, value: batch[at++] as T }) : queued(),
    return: async () => {
      batch = []
      await batches.return()
      return { done: true, value: undefined }
    },
    [Symbol.asyncIterator]() {
      return this
    },
  }
}

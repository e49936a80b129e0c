/** A turn of the event loop: resolves after everything that was ready has run. */
export const loopTurn = async (): Promise<void> => {
  await new Promise<void>((resolve) => {
    setImmediate(resolve)
  })
}

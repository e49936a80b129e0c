/** The code that the other side sent, or our own; for a call that should have been refused. */
export async function refusalOf(act: () => Promise<unknown>): Promise<string> {
  try {
    await act()
  } catch (error) {
    if (!(error instanceof Error)) return 'no code'
    const header =
      'metadata' in error && error.metadata instanceof Headers ? error.metadata.get('leastwise-code') : null
    return header ?? ('code' in error ? String(error.code) : error.name)
  }
  return 'nothing was refused'
}

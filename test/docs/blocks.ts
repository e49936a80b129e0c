/** A fenced code block of a Markdown page. */
export interface Block {
  /** The word after the fence: `ts`, `sh`. */
  readonly language: string
  /** What else stands on the fence's line. */
  readonly flags: readonly string[]
  readonly text: string
  /** The line of the page on which the text begins, counted from 1. */
  readonly line: number
}

/** The fenced blocks of a page, in their order. A fence that is never closed is an error: half of the page would be code. */
export function blocks(page: string): readonly Block[] {
  const found: Block[] = []
  let open: { readonly fence: string; readonly info: string; readonly from: number } | null = null
  const lines = page.split('\n')
  for (const [at, line] of lines.entries()) {
    const fence = /^(`{3,})(.*)$/.exec(line)
    if (open === null) {
      if (fence !== null) open = { fence: fence[1]!, info: fence[2]!.trim(), from: at + 1 }
    } else if (line.trimEnd() === open.fence) {
      const [language = '', ...flags] = open.info.split(/\s+/)
      found.push({ language, flags, text: lines.slice(open.from, at).join('\n'), line: open.from + 1 })
      open = null
    }
  }
  if (open !== null) throw new Error(`the code block that begins in line ${open.from} is never closed`)
  return found
}

/** One step of the demo: a title, what it found, and what had to hold. */
export interface Step {
  readonly number: number
  readonly title: string
}

/** A fact for people and machines alike. */
export type Fact = boolean | number | string | null | readonly Fact[] | { readonly [name: string]: Fact }

/** Where the demo reports to; a failed check ends the demo. */
export interface Stage {
  readonly step: <T>(step: Step, act: () => Promise<T>) => Promise<T>
  /** Shows `name: value`. */
  readonly fact: (name: string, value: Fact) => void
  /** Something that must hold. */
  readonly check: (claim: string, holds: boolean) => void
  /** Something that must be refused; `code` is why it was. */
  readonly refused: (what: string, code: string, expected: readonly string[]) => void
  readonly close: (outcome: { readonly ok: boolean; readonly reason?: string }) => void
}

export class CheckFailed extends Error {
  override readonly name = 'CheckFailed'
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(2)} s`

/** Prints as it goes: lines for people, or one JSON object a line. */
export function openStage(options: {
  readonly json: boolean
  readonly write: (text: string) => void
  readonly now: () => number
}): Stage {
  const started = options.now()
  let current = 0
  let checks = 0
  const people = (text: string): void => {
    if (!options.json) options.write(`${text}\n`)
  }
  const machines = (record: Record<string, unknown>): void => {
    if (options.json) options.write(`${JSON.stringify({ step: current, ...record })}\n`)
  }
  const demand = (claim: string, holds: boolean): void => {
    checks += 1
    machines({ check: claim, ok: holds })
    people(`   ${holds ? '✓' : '✗'} ${claim}`)
    if (!holds) throw new CheckFailed(`step ${current}: ${claim}`)
  }
  return {
    step: async ({ number, title }, act) => {
      current = number
      const begun = options.now()
      people(`\n${number}. ${title}`)
      machines({ title })
      const result = await act()
      const ms = options.now() - begun
      machines({ ms })
      people(`   ${' '.repeat(2)}took ${seconds(ms)}`)
      return result
    },
    fact: (name, value) => {
      machines({ fact: name, value })
      people(`     ${name.padEnd(18)} ${typeof value === 'string' ? value : JSON.stringify(value)}`)
    },
    check: demand,
    refused: (what, code, expected) => {
      machines({ refused: what, code })
      demand(`refused: ${what}  (${code})`, expected.includes(code))
    },
    close: ({ ok, reason }) => {
      const ms = options.now() - started
      machines({ done: true, ok, checks, ms, ...(reason === undefined ? {} : { reason }) })
      people(
        ok ? `\n${checks} checks passed in ${seconds(ms)}.` : `\nFAILED after ${seconds(ms)}: ${reason ?? 'unknown'}`,
      )
    },
  }
}

import { OrchestratorError } from './errors.ts'

const UNIT_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** `90d`, `12h`, `30m`, `45s`: a whole number and one unit. */
export function parseDuration(text: string): number {
  const [, digits, unit] = /^([1-9]\d{0,6})([smhd])$/.exec(text) ?? []
  const unitMs = unit === undefined ? undefined : UNIT_MS[unit]
  if (digits === undefined || unitMs === undefined) {
    throw new OrchestratorError('USAGE', 'a duration is a whole number and a unit, for instance 90d, 12h, 30m or 45s')
  }
  return Number(digits) * unitMs
}

/** The two largest units, as a person would say it. */
export function formatDuration(ms: number): string {
  const sign = ms < 0 ? '-' : ''
  let rest = Math.floor(Math.abs(ms) / 1000)
  const parts: string[] = []
  for (const [unit, seconds] of [
    ['d', 86_400],
    ['h', 3_600],
    ['m', 60],
    ['s', 1],
  ] as const) {
    const count = Math.floor(rest / seconds)
    rest -= count * seconds
    if (count > 0 && parts.length < 2) parts.push(`${count}${unit}`)
  }
  return parts.length === 0 ? '0s' : sign + parts.join(' ')
}

import { CAUSES, type Cause, type LoadCurve, sum } from './load-curve.ts'
import { DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, type Sim } from './sim.ts'

const WIDTH = 980
const LEFT = 56
const RIGHT = 16
const PLOT = WIDTH - LEFT - RIGHT
const COLOURS: Readonly<Record<Cause, string>> = { join: '#59a14f', scheduled: '#4e79a7', asked: '#e15759' }
const NAMES: Readonly<Record<Cause, string>> = {
  join: 'nodes that join',
  scheduled: 'renewals when due',
  asked: 'renewals that a manager asked for',
}

/** Two digits at most, and the same text on every machine. */
const number = (value: number): string => String(Math.round(value * 100) / 100)

const text = (x: number, y: number, words: string, more = ''): string =>
  `<text x="${number(x)}" y="${number(y)}"${more}>${words}</text>`

const thousands = (count: number): string => String(count).replace(/\B(?=(\d{3})+$)/g, ' ')

interface Panel {
  readonly title: string
  readonly top: number
  readonly height: number
  readonly from: number
  readonly to: number
  readonly stepMs: number
  /** Where the scale ends. Higher bars are cut, and say how high they are. */
  readonly most: number
  readonly ticks: readonly { readonly at: number; readonly label: string }[]
  readonly marks: readonly { readonly at: number; readonly label: string }[]
}

function panel(
  curve: LoadCurve,
  { title, top, height, from, to, stepMs, most, ticks, marks }: Panel,
): readonly string[] {
  const base = top + height
  const xOf = (at: number): number => LEFT + ((at - from) / (to - from)) * PLOT
  const yOf = (count: number): number => base - (Math.min(count, most) / most) * height
  const out = [text(LEFT, top - 12, title, ' font-weight="bold"')]
  for (let line = 0; line <= 4; line += 1) {
    const y = yOf((most * line) / 4)
    out.push(`<path d="M${LEFT} ${number(y)}H${WIDTH - RIGHT}" stroke="#ddd"/>`)
    out.push(text(LEFT - 6, y + 4, thousands((most * line) / 4), ' text-anchor="end"'))
  }
  for (const { at, label } of ticks) out.push(text(xOf(at), base + 16, label, ' text-anchor="middle"'))
  const below = curve.between(from, to, stepMs, []).map(() => 0)
  const width = (PLOT * stepMs) / (to - from)
  for (const cause of CAUSES) {
    let bars = ''
    for (const [index, count] of curve.between(from, to, stepMs, [cause]).entries()) {
      const low = below[index]!
      below[index] = low + count
      const y = yOf(low + count)
      const tall = yOf(low) - y
      if (tall > 0)
        bars += `M${number(LEFT + index * width)} ${number(y)}h${number(width * 0.9)}v${number(tall)}h-${number(width * 0.9)}z`
    }
    if (bars !== '') out.push(`<path d="${bars}" fill="${COLOURS[cause]}"/>`)
  }
  for (const [index, count] of below.entries())
    if (count > most) out.push(text(LEFT + (index + 1) * width + 3, top + 10, `↑ ${thousands(count)}`))
  for (const { at, label } of marks) {
    const x = number(xOf(at))
    out.push(
      `<path d="M${x} ${top}V${base}" stroke="#333" stroke-dasharray="4 3"/>`,
      text(xOf(at) + 3, top + 24, label),
    )
  }
  return out
}

/** The load of the year as an SVG: certificates a day, and each rotation from near. */
export function loadPicture({ curve, facts }: Sim, start: number, end: number): string {
  const months = Array.from({ length: 12 }, (_, month) => {
    const at = Date.UTC(new Date(start).getUTCFullYear(), month, 1)
    return { at, label: `day ${Math.round((at - start) / DAY_MS)}` }
  })
  const year: Panel = {
    title: 'Certificates a day',
    top: 64,
    height: 200,
    from: start,
    to: end,
    stepMs: DAY_MS,
    most: 600,
    ticks: months,
    marks: facts.rotations.map(({ startedAt }, index) => ({ at: startedAt, label: `rotation ${index + 1}` })),
  }
  const near = facts.rotations.map(({ reissueAt }, index): Panel => {
    const from = reissueAt
    const to = from + 5 * MINUTE_MS
    return {
      title: `Rotation ${index + 1}: certificates in 5 s, from the beginning of re-issuing`,
      top: 340 + index * 210,
      height: 120,
      from,
      to,
      stepMs: 5 * SECOND_MS,
      most: 800,
      ticks: Array.from({ length: 6 }, (_, minute) => ({ at: from + minute * MINUTE_MS, label: `${minute} min` })),
      marks: facts.crashes
        .filter(({ at }) => at >= from && at < to)
        .map(({ at }) => ({ at, label: 'the manager dies' })),
    }
  })
  const legend = CAUSES.flatMap((cause, index) => [
    `<rect x="${LEFT + index * 220}" y="12" width="12" height="12" fill="${COLOURS[cause]}"/>`,
    text(
      LEFT + index * 220 + 18,
      22,
      `${NAMES[cause]}: ${thousands(sum(curve.between(start, end, HOUR_MS, [cause])))}`,
    ),
  ])
  const height = 340 + near.length * 210 - 40
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="12" fill="#222">`,
    `<rect width="${WIDTH}" height="${height}" fill="#fff"/>`,
    ...legend,
    ...[year, ...near].flatMap((each) => panel(curve, each)),
    '</svg>',
    '',
  ].join('\n')
}

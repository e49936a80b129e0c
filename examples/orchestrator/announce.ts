/** What a process tells about itself: a line for people, or the same facts as one JSON object a line. */
export interface Announcement {
  readonly event: string
  readonly [fact: string]: unknown
}

export type Announce = (announcement: Announcement) => void

const shown = (value: unknown): string => {
  if (typeof value === 'number') return String(Math.round(value * 1000) / 1000)
  return typeof value === 'string' ? value : JSON.stringify(value)
}

export function announcer(json: boolean): Announce {
  return (announcement) => {
    if (json) {
      process.stdout.write(`${JSON.stringify({ at: Date.now(), ...announcement })}\n`)
      return
    }
    const { event, ...facts } = announcement
    const rest = Object.entries(facts).map(([name, value]) => `${name}=${shown(value)}`)
    process.stdout.write(`${new Date().toISOString()} ${event.padEnd(20)} ${rest.join(' ')}\n`)
  }
}

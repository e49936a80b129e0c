import type { FileFinding, UnreadReason } from './leak-finding.ts'

/** A finding in words, or as one line of JSON. */
export type ReportFormat = 'text' | 'json'

const UNREAD: Readonly<Record<UnreadReason, string>> = {
  absent: 'is not there',
  denied: 'cannot be read: give this user access',
  'too-large': 'is larger than the limit and was not read to its end',
  'symbolic-link': 'is a symbolic link: name what it points to',
  'special-file': 'is not a file',
  failed: 'could not be read',
}

/** The line for a finding; `null` for one that needs none. */
export function formatFinding(finding: FileFinding, format: ReportFormat): string | null {
  if (finding.type === 'scanned') return null
  if (format === 'json') {
    if (finding.type === 'unread') return JSON.stringify(finding)
    const { type, path, place, leak } = finding
    return JSON.stringify({ type, path, place, ...leak })
  }
  const path = harmless(finding.path)
  if (finding.type === 'unread') return `${path}: ${UNREAD[finding.reason]}`
  const { kind, line, column, digestPrefix } = finding.leak
  const hint = digestPrefix === null ? '' : ` (trust digest ${digestPrefix}…)`
  return finding.place === 'name' ? `${path}: ${kind} in the name${hint}` : `${path}:${line}:${column}: ${kind}${hint}`
}

/** A file may have a name that forges a line of this report or commands the terminal. */
const harmless = (path: string): string =>
  path.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (sign) => `\\u{${(sign.codePointAt(0) ?? 0).toString(16)}}`)

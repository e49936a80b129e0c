import type { Inspected } from '../../tools/inspect-log.ts'
import type { RepairReport } from '../../tools/repair-log.ts'
import type { Finding, Verification } from '../../tools/verify-log.ts'

/** One line of JSON: indices and terms are decimal texts, since they can be larger than a number holds. */
export const formatJson = (value: unknown): string =>
  JSON.stringify(value, (_, field: unknown) => {
    if (typeof field === 'bigint') return field.toString()
    return field instanceof Uint8Array ? Buffer.from(field).toString('base64') : field
  })

/** A file may have a name that forges a line of a report or commands the terminal. */
const harmless = (name: string): string =>
  name.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (sign) => `\\u{${(sign.codePointAt(0) ?? 0).toString(16)}}`)

/** Text as a JSON string, which hides no control character; anything else in base64. */
function shown(bytes: Uint8Array): string {
  try {
    return harmless(JSON.stringify(new TextDecoder('utf-8', { fatal: true }).decode(bytes)))
  } catch {
    return `base64:${Buffer.from(bytes).toString('base64')}`
  }
}

/** What was seen, in words. */
export function formatInspected(seen: Inspected): string {
  switch (seen.type) {
    case 'keyring': {
      const keys = seen.keys.map(({ id, role, wrappedBytes }) => `${role} ${id} (${wrappedBytes} bytes wrapped)`)
      return `key ring: wrapped by ${seen.wrapperId}: ${keys.join(', ')}`
    }
    case 'file': {
      const head = `${harmless(seen.file)}: ${seen.kind}, ${seen.sizeBytes} bytes`
      if (seen.header === null) return head
      const { version, sequence, index, term, keyId, clusterId, logId } = seen.header
      const proof = seen.isProven ? 'proven' : 'as claimed'
      return `${head}, version ${version}, sequence ${sequence}, index ${index}, term ${term}, key ${keyId}, cluster ${clusterId}, log ${logId}, ${proof}`
    }
    case 'frame':
      return `  ${seen.offset}: ${seen.holds}, ${seen.sizeBytes} bytes, count ${seen.count}, index ${seen.index}, term ${seen.term}`
    case 'entry': {
      const content = seen.content === null ? '' : `: ${shown(seen.content)}`
      return `    entry ${seen.index}, term ${seen.term}, ${seen.sizeBytes} bytes${content}`
    }
    case 'state':
      return `    hard state: term ${seen.term}, vote ${seen.vote ?? 'none'}, commit ${seen.commit}`
    case 'tail':
      return `  ${seen.offset}: ${seen.sizeBytes} bytes ${TAILS[seen.holds]}`
    case 'damage':
      return `  ${seen.offset}: DAMAGED, ${seen.sizeBytes} bytes, ${seen.code}`
  }
}

const TAILS: Readonly<Record<Extract<Inspected, { readonly type: 'tail' }>['holds'], string>> = {
  zeros: 'written ahead',
  earlier: 'of an earlier segment',
  torn: 'of an unfinished frame',
}

const KIND: Readonly<Record<Finding['kind'], string>> = {
  damage: 'damaged',
  torn: 'unfinished frame at the end; opening the log cuts it off',
  leftover: 'does not count any more; opening the log removes it',
  foreign: 'is not a file of the log',
}

const formatFinding = ({ kind, file, offset, sizeBytes, code }: Finding): string => {
  const place = `${harmless(file ?? 'log')}${offset === null ? '' : `:${offset}`}`
  const size = sizeBytes === null || sizeBytes === 0 ? '' : `, ${sizeBytes} bytes`
  return `${place}: ${KIND[kind]}${code === null ? '' : `, ${code}`}${size}`
}

const further = (unlisted: number): readonly string[] => (unlisted === 0 ? [] : [`and ${unlisted} further places`])

/** The report of a verification, in words. */
export function formatVerification(report: Verification): readonly string[] {
  const { verdict, clusterId, logId, files, frames, entries, firstIndex, lastIndex, snapshotAt, findings } = report
  const range = firstIndex === null || lastIndex === null ? '' : `, indices ${firstIndex} to ${lastIndex}`
  const snapshot = snapshotAt === null ? '' : `, snapshot at ${snapshotAt.index}`
  return [
    ...findings.map(formatFinding),
    ...further(report.unlisted),
    `${verdict}: cluster ${clusterId}, log ${logId}, ${files} files, ${frames} frames, ${entries} entries${range}${snapshot}`,
  ]
}

/** The report of a repair, in words. */
export function formatRepair(report: RepairReport): readonly string[] {
  const { log, salvaged, lost, possiblyReplacedFrom, dropped } = report
  return [
    ...dropped.map(formatFinding),
    ...further(report.unlisted),
    log === null
      ? 'no log: nothing stands on a beginning'
      : `log: indices ${log.firstIndex} to ${log.lastIndex}${log.snapshotAt === null ? '' : `, snapshot at ${log.snapshotAt.index}`}`,
    ...salvaged.map(({ file, firstIndex, lastIndex }) => `salvaged: indices ${firstIndex} to ${lastIndex} in ${file}`),
    ...lost.map(({ from, to }) => `lost: indices from ${from} ${to === null ? 'on, if there were any' : `to ${to}`}`),
    ...(possiblyReplacedFrom === null
      ? []
      : [`from index ${possiblyReplacedFrom} on, a segment that is lost may have replaced entries of this log`]),
  ]
}

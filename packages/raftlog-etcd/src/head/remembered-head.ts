import { sameBytes } from '../byte-fields.ts'
import { EtcdLogError } from '../errors.ts'
import { openFrameAt } from '../frames/frame-reader.ts'
import type { LogView } from '../log-view.ts'
import type { LogHead } from '../shared-log.ts'

const rolledBack = (): EtcdLogError =>
  new EtcdLogError(
    'LOG_ROLLED_BACK',
    'log does not hold the head that was remembered; etcd was set back, restore its newest state',
  )

/**
 * Refuses a log that does not hold a head which was seen before.
 *
 * @throws {@link EtcdLogError} `LOG_ROLLED_BACK`
 */
export async function checkRemembered(view: LogView, remembered: LogHead, signal: AbortSignal): Promise<void> {
  const { last, base } = view.head().record
  if (last.frames < remembered.frames || last.index < remembered.index) throw rolledBack()
  for (const end of [last, base]) {
    if (end.frames !== remembered.frames) continue
    if (!sameBytes(end.tag, remembered.tag)) throw rolledBack()
    return
  }
  if (base.frames > remembered.frames) return
  const { etcd, places } = view.parts
  const { kvs } = await etcd.range({ key: places.frame(remembered.index) }, { signal })
  const found = kvs[0] === undefined ? null : (await openFrameAt(view, kvs[0], signal)).end
  if (found === null && (await view.refresh(signal)).record.base.frames >= remembered.frames) return
  if (found?.frames !== remembered.frames || !sameBytes(found.tag, remembered.tag)) throw rolledBack()
}

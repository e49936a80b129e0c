import { skipText } from '../certificate/name.ts'
import type { DerReader } from '../der/reader.ts'
import { ascend, descend, fault, peekTag, skipAny, skipContent } from '../der/reader.ts'
import { explicit, IA5_STRING, PRINTABLE_STRING, SEQUENCE, SET, UTF8_STRING } from '../der/tags.ts'
import { skipOid } from '../der/values.ts'

// Numeric, teletex, universal and BMP strings: older than UTF-8 in names, and still written.
const OTHER_STRINGS: readonly number[] = [0x12, 0x14, 0x1c, 0x1e]

/** The elements of a set or sequence, of which there must be one at least. */
function skipSome(reader: DerReader, tag: number, skipOne: () => void): void {
  const outer = descend(reader, tag)
  do skipOne()
  while (reader.at < reader.end)
  ascend(reader, outer)
}

/**
 * Steps over the Name that a request wishes for (RFC 2986 section 4.1): any attributes, several in a set as well, each with
 * text in it. It is wider than the names that this package takes in certificates, since nothing comes of it.
 */
export function skipWishedName(reader: DerReader): void {
  const afterName = descend(reader, SEQUENCE)
  while (reader.at < reader.end) {
    skipSome(reader, SET, () => {
      const afterAttribute = descend(reader, SEQUENCE)
      skipOid(reader)
      skipString(reader)
      ascend(reader, afterAttribute)
    })
  }
  ascend(reader, afterName)
}

function skipString(reader: DerReader): void {
  const tag = peekTag(reader)
  if (tag === UTF8_STRING || tag === PRINTABLE_STRING || tag === IA5_STRING) skipText(reader, tag)
  else if (OTHER_STRINGS.includes(tag)) skipContent(reader, tag)
  else throw fault(reader, 'has a name that is no text')
}

/** Steps over the attributes of a request: types, each with a set of one value at least, of any form. */
export function skipAttributes(reader: DerReader): void {
  const afterAll = descend(reader, explicit(0))
  while (reader.at < reader.end) {
    const afterAttribute = descend(reader, SEQUENCE)
    skipOid(reader)
    skipSome(reader, SET, () => {
      skipAny(reader)
    })
    ascend(reader, afterAttribute)
  }
  ascend(reader, afterAll)
}

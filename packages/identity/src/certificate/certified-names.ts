import type { AltName } from './alt-names.ts'

const MAX_DNS_NAME = 253
const MAX_DNS_LABEL = 63
const DOT = 0x2e
const HYPHEN = 0x2d

const isDigit = (letter: number): boolean => letter >= 0x30 && letter <= 0x39
const isLetter = (letter: number): boolean => (letter | 0x20) >= 0x61 && (letter | 0x20) <= 0x7a

/**
 * A host name: labels of letters, digits and hyphens, no hyphen at an end of one, the last one not of digits alone (RFC 1034 section 3.5 as RFC 1123 section 2.1
 * widens it). No address, and no pattern: a certificate of a node names one node.
 */
export function isDnsName(text: string): boolean {
  if (text.length > MAX_DNS_NAME) return false
  let start = 0
  let digits = true
  let before = HYPHEN
  for (let at = 0; at <= text.length; at += 1) {
    // The end closes the last label as a dot closes the others.
    const letter = at === text.length ? DOT : text.charCodeAt(at)
    if (letter === DOT) {
      if (at === start || at - start > MAX_DNS_LABEL || before === HYPHEN) return false
      if (at === text.length) return !digits
      start = at + 1
      digits = true
    } else if (letter === HYPHEN) {
      if (at === start) return false
      digits = false
    } else if (isLetter(letter)) digits = false
    else if (!isDigit(letter)) return false
    before = letter
  }
  return false
}

// The dot-atom of RFC 5322 section 3.2.3: quoted forms have more than one spelling.
const LOCAL_PART = /^[0-9a-z!#$%&'*+/=?^_`{|}~-]+(?:\.[0-9a-z!#$%&'*+/=?^_`{|}~-]+)*$/iu

/** One mailbox: a plain local part at a host. */
export function isMailbox(text: string): boolean {
  const at = text.indexOf('@')
  return at > 0 && LOCAL_PART.test(text.slice(0, at)) && isDnsName(text.slice(at + 1))
}

// Scheme, authority with neither user nor brackets, then path, query or fragment (RFC 3986 section 3).
const URI = /^[a-z][a-z0-9+.-]*:\/\/([^/?#@[\]:]+)(?::[0-9]*)?(?:[/?#]|$)/iu

/** The host of a URI; `null` when it has none that is a name. */
export function uriHost(text: string): string | null {
  const host = URI.exec(text)?.[1]
  return host !== undefined && isDnsName(host) ? host : null
}

/** True when the name has the form of its kind. Names of kinds that are not interpreted, and directory names, are let pass here. */
export function isWellFormed(name: AltName): boolean {
  switch (name.kind) {
    case 'dns':
      return isDnsName(name.value)
    case 'email':
      return isMailbox(name.value)
    case 'uri':
      return /^[a-z][a-z0-9+.-]*:./iu.test(name.value)
    case 'ip':
    case 'directory':
    case 'other':
      return true
  }
}

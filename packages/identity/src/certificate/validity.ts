/** A period of validity in epoch milliseconds. */
export interface Validity {
  readonly notBefore: number
  readonly notAfter: number
}

/** RFC 5280 section 4.1.2.5: both ends belong to the period. */
export const isWithin = (validity: Validity, now: number): boolean =>
  validity.notBefore <= now && now <= validity.notAfter

// GF(2^8) with the polynomial x^8 + x^4 + x^3 + x + 1 (FIPS 197 section 4.2). Products are computed with shifts and masks:
// a table would be looked up at secret places, which shows in the caches of the processor.

const POLYNOMIAL = 0x11b

/** The product of two field elements, without a branch or an index that depends on either. */
export function multiply(a: number, b: number): number {
  let product = 0
  let factor = a
  for (let bit = 0; bit < 8; bit += 1) {
    product ^= factor & -((b >> bit) & 1)
    factor <<= 1
    factor ^= POLYNOMIAL & -(factor >> 8)
  }
  return product
}

/** The multiplicative inverse, a^254; 0 for 0, which has none. */
export function invert(a: number): number {
  let power = a
  let result = 1
  for (let bit = 0; bit < 7; bit += 1) {
    power = multiply(power, power)
    result = multiply(result, power)
  }
  return result
}

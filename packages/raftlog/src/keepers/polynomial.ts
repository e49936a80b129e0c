import type { RandomSource } from '../ports.ts'
import { invert, multiply } from './gf256.ts'

/** One point of a polynomial for each byte: all of them at the same `x`, which is never 0. */
export interface Point {
  readonly x: number
  readonly y: Uint8Array<ArrayBuffer>
}

/**
 * Points of polynomials of degree `k - 1` whose values at 0 are the bytes of `secret` (Shamir, "How to share a secret",
 * 1979), at `x` from 1 to `n`. Every other coefficient is drawn, zero included, so that `k - 1` points fit every secret
 * equally well.
 */
export function splitBytes(
  secret: Uint8Array,
  { k, n, random }: { readonly k: number; readonly n: number; readonly random: RandomSource },
): readonly Point[] {
  const drawn = random.bytes((k - 1) * secret.length)
  if (drawn.length !== (k - 1) * secret.length) throw new RangeError('random source gave another number of bytes')
  const points = Array.from({ length: n }, (_, at): Point => {
    const x = at + 1
    const y = new Uint8Array(secret.length)
    // Horner's rule, from the highest coefficient down.
    for (let degree = k - 1; degree >= 0; degree -= 1) {
      for (let byte = 0; byte < y.length; byte += 1) {
        const coefficient = degree === 0 ? secret[byte] : drawn[(degree - 1) * secret.length + byte]
        y[byte] = multiply(y[byte] ?? 0, x) ^ (coefficient ?? 0)
      }
    }
    return { x, y }
  })
  drawn.fill(0)
  return points
}

/**
 * The polynomials of lowest degree through all `points`, whose own `x` differ: gives their values at any `x`.
 *
 * Lagrange's formula; what does not depend on `x` is computed once.
 */
export function polynomialThrough(points: readonly Point[]): (x: number) => Uint8Array<ArrayBuffer> {
  const spreads = points.map((point) =>
    points.reduce((product, other) => (other === point ? product : multiply(product, other.x ^ point.x)), 1),
  )
  return (x) => {
    const given = points.find((point) => point.x === x)
    if (given !== undefined) return given.y.slice()
    const all = points.reduce((product, point) => multiply(product, point.x ^ x), 1)
    const result = new Uint8Array(points[0]?.y.length ?? 0)
    points.forEach((point, at) => {
      const weight = multiply(all, invert(multiply(point.x ^ x, spreads[at] ?? 0)))
      for (let byte = 0; byte < result.length; byte += 1) {
        result[byte] = (result[byte] ?? 0) ^ multiply(point.y[byte] ?? 0, weight)
      }
    })
    return result
  }
}

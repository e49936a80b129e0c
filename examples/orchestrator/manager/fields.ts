import { OrchestratorError } from '../errors.ts'

/** Reads one field of an operator's request; the operator's own client always sends them, others may not. */

type Body = Readonly<Record<string, unknown>>

export function text(body: Body, name: string): string {
  const value = body[name]
  if (typeof value !== 'string' || value === '') throw new OrchestratorError('USAGE', `the request lacks ${name}`)
  return value
}

export function texts(body: Body, name: string): readonly string[] {
  const value = body[name]
  if (!Array.isArray(value) || !value.every((item) => typeof item === 'string')) {
    throw new OrchestratorError('USAGE', `the request's ${name} is not a list of texts`)
  }
  return value
}

export function wholeNumberOrNull(body: Body, name: string): number | null {
  const value = body[name] ?? null
  if (value !== null && (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0)) {
    throw new OrchestratorError('USAGE', `the request's ${name} is not a whole number`)
  }
  return value
}

import { type Effort, ratio, type Standing, summarize } from './harness.ts'

/** A line of the result: how a job compares with another way of doing it. */
export interface RatioRow {
  readonly job: string
  readonly versus: string
  readonly ratio: number
  readonly atLeast: number
  /** What our side reached, in units per second. */
  readonly median: number
  readonly unit: string
  /** Interquartile range of the ratios of the rounds, as a share of their median. */
  readonly spread: number
}

/** A line of the result: a figure with an upper bound. */
export interface ValueRow {
  readonly job: string
  readonly versus: string
  readonly value: number
  readonly unit: string
  readonly atMost: number
  readonly median: number
  /** Interquartile range of the figures of the rounds, as a share of their median. */
  readonly spread: number
}

/** A line of the result: a comparison that could not be made here. */
export interface AbsentRow {
  readonly job: string
  readonly versus: string
  /** What is missing, and how to get it. */
  readonly absent: string
}

export type Row = RatioRow | ValueRow | AbsentRow

/** A part of the bench that can be asked for by name. */
export type Area = (effort: Effort) => AsyncGenerator<Row, void, void>

export function ratioRow(
  job: { readonly job: string; readonly unit: string; readonly atLeast: number },
  ours: Standing,
  versus: Standing,
): RatioRow {
  const { median, spread } = ratio(ours, versus)
  return { ...job, versus: versus.name, ratio: median, median: summarize(ours.rates).median, spread }
}

/** Whether a goal was missed; one that could not be measured was not. */
export const isMissed = (row: Row): boolean => {
  if ('absent' in row) return false
  return 'ratio' in row ? row.ratio < row.atLeast : row.value > row.atMost
}

import { isMissed, type Row } from './row.ts'

const significant = (value: number): string => {
  if (value >= 1000) return Math.round(value).toLocaleString('en-US')
  return value.toPrecision(3)
}

const cells = (row: Row): readonly string[] => {
  if ('absent' in row) return [row.job, row.versus, 'not run', '', '', '', '']
  return [
    row.job,
    row.versus,
    'ratio' in row ? `${row.ratio.toFixed(2)}x` : `${significant(row.value)} ${row.unit}`,
    'ratio' in row ? `>= ${row.atLeast}x` : `<= ${row.atMost} ${row.unit}`,
    isMissed(row) ? 'MISSED' : 'met',
    'ratio' in row ? `${significant(row.median)} ${row.unit}` : '',
    `±${Math.round(row.spread * 50)} %`,
  ]
}

const HEAD = ['job', 'against', 'result', 'goal', '', 'our rate', 'spread']

/** The rows as a plain table; the spread is half the interquartile range. */
export function table(rows: readonly Row[]): string {
  const lines = [HEAD, ...rows.map(cells)]
  const widths = HEAD.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)))
  // In words of their own, for they would stretch a column.
  const notes = rows.flatMap((row) => ('absent' in row ? [row.absent] : []))
  return lines
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join('  ')
        .trimEnd(),
    )
    .concat(notes.length === 0 ? [] : ['', ...notes])
    .join('\n')
}

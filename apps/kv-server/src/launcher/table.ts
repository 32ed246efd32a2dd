/** The cluster at a glance. */
import { colors } from '../colors.ts'

export interface Row {
  readonly name: string
  readonly pid: number | null
  /** `leader`, `follower`, or why it is neither. */
  readonly role: string
  readonly term: number | null
  readonly revision: number | null
  readonly url: string
}

const TITLES = ['MEMBER', 'ROLE', 'TERM', 'REVISION', 'CLIENT URL', 'PID']

export function renderTable(rows: readonly Row[]): readonly string[] {
  const cells = rows.map(({ name, role, term, revision, url, pid }) =>
    [name, role, term, revision, url, pid].map((cell) => (cell === null ? '-' : String(cell))),
  )
  const widths = TITLES.map((title, i) =>
    Math.max(title.length, ...cells.map((row) => row[i]?.length ?? 0)),
  )
  const line = (row: readonly string[]): string =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd()
  const isRunning = (row: Row): boolean => row.term !== null
  return [
    `  ${colors.dim(line(TITLES))}`,
    ...rows.map((row, i) => `  ${paint(line(cells[i] ?? []), row.role, isRunning(row))}`),
  ]
}

function paint(line: string, role: string, isRunning: boolean): string {
  if (!isRunning) return colors.red(line)
  return role === 'leader' ? colors.green(line) : line
}

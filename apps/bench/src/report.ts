import { cpus, totalmem } from 'node:os'

/** One measured line. */
export interface Row {
  readonly what: string
  readonly value: number
  /** Of `value`: `/s`, `ns`, `MiB`. */
  readonly unit: string
  readonly note?: string
}

/** What a figure is worth nothing without. */
export function machine(): string {
  const [cpu] = cpus()
  const memory = Math.round(totalmem() / 2 ** 30)
  return `${cpus().length} x ${cpu?.model ?? 'unknown processor'}, ${memory} GiB, Node ${process.versions.node}`
}

/** A Markdown table, so that it can go where it is to be read. */
export function table(rows: readonly Row[]): string {
  const lines = rows.map(
    ({ what, value, unit, note }) => `| ${what} | ${figure(value)} ${unit} | ${note ?? ''} |`,
  )
  return ['| what | figure | |', '|---|--:|---|', ...lines].join('\n')
}

/** Three digits say all that a measurement knows. */
export function figure(value: number): string {
  if (value >= 100) return Math.round(value).toLocaleString('en')
  return value.toPrecision(3)
}

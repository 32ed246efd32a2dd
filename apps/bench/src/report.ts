import { cpus, totalmem } from 'node:os'

/** One measured line. */
export interface Row {
  readonly what: string
  readonly perSecond: number
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
    ({ what, perSecond, note }) =>
      `| ${what} | ${Math.round(perSecond).toLocaleString('en')} | ${note ?? ''} |`,
  )
  return ['| what | per second | |', '|---|--:|---|', ...lines].join('\n')
}

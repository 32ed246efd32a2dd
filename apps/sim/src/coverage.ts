import { FAULTS, type Report } from '@coracle/simulator'

/** What was done to the clusters and what happened in them: how often, and in how many seeds. */
export class CoverageTable {
  readonly #rows = new Map<string, { times: number; seeds: number }>()

  constructor() {
    for (const fault of FAULTS) this.#rows.set(`fault: ${fault}`, { times: 0, seeds: 0 })
  }

  add({ coverage }: Report): void {
    for (const [name, times] of Object.entries(coverage)) {
      const row = this.#rows.get(name) ?? { times: 0, seeds: 0 }
      this.#rows.set(name, { times: row.times + times, seeds: row.seeds + 1 })
    }
  }

  /** What could have been done to a cluster, and never was. */
  get missing(): readonly string[] {
    return FAULTS.filter((fault) => this.#rows.get(`fault: ${fault}`)?.times === 0)
  }

  toString(): string {
    const rows = [...this.#rows].toSorted(([a], [b]) => (a < b ? -1 : 1))
    const lines = rows.map(
      ([name, { times, seeds }]) => `${`${times}`.padStart(10)}${`${seeds}`.padStart(7)}  ${name}`,
    )
    return ['     times  seeds', ...lines].join('\n')
  }
}

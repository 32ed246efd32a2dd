import type { Report } from '@coracle/simulator'

/** How often a line is added where none can be overwritten, in milliseconds. */
const LINE_EVERY_MS = 30_000

/** What was done so far, and how fast, in one line that grows. */
export class Progress {
  readonly #count: number
  readonly #startedAt = performance.now()
  readonly #sum = { virtualMs: 0, messages: 0, lives: 0, acknowledged: 0, reads: 0 }
  #seeds = 0
  #toldAt = 0

  constructor(count: number) {
    this.#count = count
  }

  add({ tally }: Report): void {
    const sum = this.#sum
    this.#seeds += 1
    for (const name of Object.keys(sum) as (keyof typeof sum)[]) sum[name] += tally[name]
    const { stdout } = process
    const elapsedMs = performance.now() - this.#startedAt
    const isDue = elapsedMs - this.#toldAt >= (stdout.isTTY ? 100 : LINE_EVERY_MS)
    if (!isDue || this.#seeds === this.#count) return
    this.#toldAt = elapsedMs
    stdout.write(stdout.isTTY ? `\r\u001B[K${this.#line()}` : `${this.#line()}\n`)
  }

  end(): void {
    process.stdout.write(process.stdout.isTTY ? `\r\u001B[K${this.#line()}\n` : `${this.#line()}\n`)
  }

  #line(): string {
    const { virtualMs, messages, lives, acknowledged, reads } = this.#sum
    const seconds = (performance.now() - this.#startedAt) / 1000
    const of = Number.isFinite(this.#count) ? ` of ${this.#count}` : ''
    return [
      `${this.#seeds}${of} seeds`,
      `${(virtualMs / 3_600_000).toFixed(2)} virtual hours`,
      `${messages} messages`,
      `${lives} starts`,
      `${acknowledged} writes`,
      `${reads} reads`,
      `${(this.#seeds / Math.max(seconds, 0.001)).toFixed(1)} seeds/s`,
    ].join(', ')
  }
}

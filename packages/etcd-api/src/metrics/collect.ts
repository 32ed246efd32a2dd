/** Metrics whose values live elsewhere, as plain numbers, and are looked at when somebody scrapes. */
import { Counter, Gauge, type LabelValues, type Registry } from 'prom-client'

export interface Description<Label extends string = string> {
  readonly name: string
  readonly help: string
  readonly labels?: readonly Label[]
}

/** One value with its labels, in the order in which they were declared. */
export type Sample = readonly [value: number, ...labels: string[]]

export function gauge(registry: Registry, description: Description, read: () => number): void {
  gauges(registry, description, () => [[read()]])
}

export function counter(registry: Registry, description: Description, read: () => number): void {
  counters(registry, description, () => [[read()]])
}

/** What is not given is not there: a peer that left takes its values along. */
export function gauges(
  registry: Registry,
  { name, help, labels = [] }: Description,
  read: () => Iterable<Sample>,
): void {
  const metric = new Gauge({
    name,
    help,
    labelNames: [...labels],
    registers: [registry],
    collect() {
      metric.reset()
      for (const [value, ...values] of read()) metric.set(labelled(labels, values), value)
    },
  })
}

export function counters(
  registry: Registry,
  { name, help, labels = [] }: Description,
  read: () => Iterable<Sample>,
): void {
  const metric = new Counter({
    name,
    help,
    labelNames: [...labels],
    registers: [registry],
    collect() {
      metric.reset()
      for (const [value, ...values] of read()) metric.inc(labelled(labels, values), value)
    },
  })
}

function labelled(names: readonly string[], values: readonly string[]): LabelValues<string> {
  return Object.fromEntries(names.map((name, i) => [name, values[i] ?? '']))
}

/** Histograms, in etcd's buckets. */
import { Histogram, type Registry } from 'prom-client'
import type { Description } from './collect.ts'

export function histogram(
  registry: Registry,
  { name, help, labels = [] }: Description,
  buckets: readonly number[],
): Histogram {
  const labelNames = [...labels]
  return new Histogram({ name, help, labelNames, buckets: [...buckets], registers: [registry] })
}

/** So many upper bounds, each twice the one before. */
export function doubling(first: number, count: number): readonly number[] {
  return Array.from({ length: count }, (_, i) => first * 2 ** i)
}

/** From 1 ms to 8 s, as etcd has them. */
export const SHORT_SECONDS: readonly number[] = doubling(0.001, 14)
/** From 0.1 s to 51 s, for what takes its time. */
export const LONG_SECONDS: readonly number[] = doubling(0.1, 10)

/** Spans of time as Go programs read them: `300ms`, `1.5h`, `1h30m`. */

const UNIT_MS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
}

const FORM = /^(?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|ms|s|m|h))+$/

/** In milliseconds; null for what is no span of time. `0` is one without a unit. */
export function parseDuration(text: string): number | null {
  if (text === '0') return 0
  if (!FORM.test(text)) return null
  let ms = 0
  for (const [, number, unit] of text.matchAll(/([\d.]+)(ns|us|µs|ms|s|m|h)/g))
    ms += Number(number) * (UNIT_MS[unit ?? ''] ?? Number.NaN)
  return Number.isFinite(ms) ? ms : null
}

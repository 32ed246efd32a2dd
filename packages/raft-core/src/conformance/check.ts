/**
 * What the suites check with, so that they need no assertion library and run under any test runner.
 * Everything here throws plain Errors that say what was promised and what was found.
 */

/** How a suite registers a test: vitest's `test`, that of `node:test`, or any other of this shape. */
export type TestFunction = (name: string, body: () => Promise<void>) => void

/** Throws unless `condition` holds. */
export function check(condition: boolean, promise: string): asserts condition {
  if (!condition) throw new Error(promise)
}

/** Throws unless both have the same values at the same places; bytes are compared as bytes. */
export function checkEqual(actual: unknown, expected: unknown, what: string): void {
  const difference = firstDifference(actual, expected, what)
  if (difference !== null) throw new Error(difference)
}

/** Resolves with what `promise` rejects with; throws if it resolves. */
export async function rejection(promise: Promise<unknown>, what: string): Promise<unknown> {
  try {
    await promise
  } catch (error) {
    return error
  }
  throw new Error(`${what} should have been rejected`)
}

/** Throws unless `promise` rejects with an error of this class or, for a string, of this `code`. */
export async function checkRejects(
  promise: Promise<unknown>,
  expected: string | (abstract new (...args: never) => Error),
  what: string,
): Promise<void> {
  const error = await rejection(promise, what)
  if (typeof expected === 'string')
    checkEqual((error as { code?: unknown } | null)?.code, expected, `${what}: code`)
  else
    check(
      error instanceof expected,
      `${what} should fail by ${expected.name}, not: ${String(error)}`,
    )
}

/** All bytes of a stream, in one piece. */
export async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  for await (const chunk of chunks) parts.push(chunk)
  return joined(parts)
}

/** The same bytes in one piece. */
export function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.byteLength, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.byteLength
  }
  return whole
}

/** Whole numbers below `limit`, the same ones for the same seed. */
export type Dice = (limit: number) => number

/** Seeded chance (mulberry32): good enough to vary a test, and the same on every machine. */
export function seededDice(seed: number): Dice {
  let state = seed >>> 0
  return (limit) => {
    state = (state + 0x6d_2b_79_f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit)
  }
}

/** `length` bytes that differ from seed to seed and do not repeat early. */
export function seededBytes(length: number, seed: number): Uint8Array {
  const dice = seededDice(seed)
  const bytes = new Uint8Array(length)
  for (let at = 0; at < length; at++) bytes[at] = dice(256)
  return bytes
}

function firstDifference(actual: unknown, expected: unknown, at: string): string | null {
  if (Object.is(actual, expected)) return null
  if (actual instanceof Uint8Array && expected instanceof Uint8Array)
    return differentBytes(actual, expected, at)
  if (!isObject(actual) || !isObject(expected))
    return `${at} is ${show(actual)}, and ${show(expected)} was expected`
  if (Array.isArray(actual) && Array.isArray(expected) && actual.length !== expected.length)
    return `${at} has ${actual.length} items, and ${expected.length} were expected`
  for (const key of new Set([...Object.keys(actual), ...Object.keys(expected)])) {
    const difference = firstDifference(actual[key], expected[key], `${at}.${key}`)
    if (difference !== null) return difference
  }
  return null
}

function differentBytes(actual: Uint8Array, expected: Uint8Array, at: string): string | null {
  if (actual.byteLength !== expected.byteLength)
    return `${at} has ${actual.byteLength} bytes, and ${expected.byteLength} were expected`
  const index = actual.findIndex((byte, i) => byte !== expected[i])
  return index === -1 ? null : `${at} differs at byte ${index} of ${actual.byteLength}`
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

function show(value: unknown): string {
  return isObject(value) ? (JSON.stringify(value) ?? 'an object') : String(value)
}

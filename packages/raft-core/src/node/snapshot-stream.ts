/**
 * What is streamed of a snapshot: its bytes, and at the end the CRC-32 of all of them, from the first
 * on, whichever stream they came by. So it is verified from one disk to the other, whatever lies
 * between them.
 */
import { crc32 } from '../codec/crc32.ts'
import type { HeldSnapshot } from '../contracts/transport.ts'
import type { Position } from '../types.ts'

const CHECKSUM_BYTES = 4

export const NOTHING_HELD: HeldSnapshot = Object.freeze({ bytes: 0, checksum: 0 })

/** How far a stream has come. */
export interface Counter {
  bytes: number
  checksum: number
}

/** What is held after `held` and these bytes. */
function count(counter: Counter, chunk: Uint8Array): Uint8Array {
  counter.checksum = crc32(chunk, counter.checksum)
  counter.bytes += chunk.length
  return chunk
}

/**
 * Reads the first bytes of a snapshot. Answers with the bytes after them, or with null if the
 * snapshot does not begin with what the receiver holds: it is another one, though of the same place.
 */
export async function skipHeld(
  chunks: AsyncIterable<Uint8Array>,
  held: HeldSnapshot,
): Promise<AsyncIterable<Uint8Array> | null> {
  const source = chunks[Symbol.asyncIterator]()
  const counter: Counter = { ...NOTHING_HELD }
  let rest = new Uint8Array(0)
  while (counter.bytes < held.bytes) {
    const next = await source.next()
    if (next.done === true) return null
    const wanted = held.bytes - counter.bytes
    count(counter, next.value.subarray(0, wanted))
    rest = new Uint8Array(next.value.subarray(wanted))
  }
  if (counter.checksum === held.checksum) return continued(rest, source)
  await source.return?.()
  return null
}

async function* continued(
  first: Uint8Array,
  source: AsyncIterator<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  try {
    if (first.length > 0) yield first
    for (let next = await source.next(); next.done !== true; next = await source.next())
      yield next.value
  } finally {
    await source.return?.()
  }
}

/** The sender's side: the bytes, counted as they leave, and their checksum behind them. */
export async function* sealed(
  chunks: AsyncIterable<Uint8Array>,
  counter: Counter,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) yield count(counter, chunk)
  const checksum = new Uint8Array(CHECKSUM_BYTES)
  new DataView(checksum.buffer).setUint32(0, counter.checksum, true)
  yield checksum
}

/**
 * The receiver's side: the bytes without the checksum, counted as they are handed on. Fails at the
 * end if the checksum is not that of all that was counted: then none of it is good for anything, and
 * the counter starts again.
 */
export async function* verified(
  chunks: AsyncIterable<Uint8Array>,
  counter: Counter,
): AsyncGenerator<Uint8Array> {
  // The last bytes that have come may be the checksum, or the beginning of it.
  let kept = new Uint8Array(0)
  for await (const chunk of chunks) {
    const all = joined(kept, chunk)
    const end = Math.max(0, all.length - CHECKSUM_BYTES)
    kept = all.slice(end)
    if (end > 0) yield count(counter, all.subarray(0, end))
  }
  const isWhole =
    kept.length === CHECKSUM_BYTES &&
    new DataView(kept.buffer).getUint32(0, true) === counter.checksum
  if (isWhole) return
  Object.assign(counter, NOTHING_HELD)
  throw new Error('the snapshot does not have the checksum that it was sent with')
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  if (first.length === 0) return second
  const both = new Uint8Array(first.length + second.length)
  both.set(first)
  both.set(second, first.length)
  return both
}

export interface WatchedStream {
  readonly chunks: AsyncIterable<Uint8Array>
  readonly hasFailed: () => boolean
  /** Lets go of the source, wherever whoever consumed it has left off. */
  readonly close: () => void
}

/**
 * Tells a failure of the source from one of whoever consumes it. A source that hangs fails when the
 * signal aborts.
 */
export function watchFailure(
  source: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): WatchedStream {
  let failed = false
  async function* watched(): AsyncGenerator<Uint8Array> {
    const iterator = source[Symbol.asyncIterator]()
    const stopped = rejectionOf(signal)
    try {
      for (;;) {
        const { value, done } = await Promise.race([iterator.next(), stopped.rejection])
        if (done === true) return
        yield value
      }
    } catch (error) {
      failed = true
      throw error
    } finally {
      stopped.forget()
      // Not awaited: a source that hangs would hang here too.
      iterator.return?.().catch(() => {})
    }
  }
  const chunks = watched()
  return {
    chunks,
    hasFailed: () => failed,
    close: () => {
      chunks.return(undefined).catch(() => {})
    },
  }
}

/** Rejects when the signal aborts. */
export function rejectionOf(signal: AbortSignal): {
  readonly rejection: Promise<never>
  readonly forget: () => void
} {
  let abort: () => void = () => {}
  const rejection = new Promise<never>((_, reject) => {
    abort = () => reject(signal.reason)
    if (signal.aborted) abort()
    else signal.addEventListener('abort', abort)
  })
  rejection.catch(() => {})
  return { rejection, forget: () => signal.removeEventListener('abort', abort) }
}

/** Do two snapshots stand for the same history? Their bytes may differ all the same. */
export function isSame(a: Position, b: Position): boolean {
  return a.index === b.index && a.term === b.term
}

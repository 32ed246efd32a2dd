/** Snapshots as the conformance suite sends them and takes them in. */
import type { HeldSnapshot, OpenSnapshot } from '../contracts/transport.ts'
import type { InstallSnapshot } from '../messages.ts'
import { bootstrapMembership } from '../types.ts'
import { seededBytes } from './check.ts'
import { type Member, pause } from './transport-cluster.ts'

/** What a receiver holds before anything has come. */
export const NOTHING: HeldSnapshot = { bytes: 0, checksum: 0 }

export function opening(): InstallSnapshot {
  const membership = bootstrapMembership([
    { id: 'a', address: 'somewhere:1' },
    { id: 'b', address: 'http://[::1]:2380' },
  ])
  const meta = { position: { term: 3, index: 2 ** 40 }, membership, membershipIndex: 2 ** 39 }
  return { type: 'install-snapshot', from: 'a', to: 'b', term: 4, meta }
}

export interface Collected {
  message: InstallSnapshot | null
  readonly chunks: Uint8Array[]
  ended: 'ended' | 'failed' | null
}

/** Has the member keep what the next snapshot brings. */
export function collect(member: Member): Collected {
  const collected: Collected = { message: null, chunks: [], ended: null }
  member.onSnapshot = async (message, open) => {
    collected.message = message
    try {
      const { chunks } = await open(NOTHING)
      for await (const chunk of chunks) collected.chunks.push(chunk)
      collected.ended = 'ended'
    } catch (reason) {
      collected.ended = 'failed'
      throw reason
    }
  }
  return collected
}

export async function drain(open: OpenSnapshot): Promise<void> {
  await readAll((await open(NOTHING)).chunks)
}

export async function readAll(chunks: AsyncIterable<Uint8Array>): Promise<void> {
  const reader = chunks[Symbol.asyncIterator]()
  for (let next = await reader.next(); next.done !== true;) next = await reader.next()
}

/** All of it, whatever the peer holds. */
export function whole(chunks: AsyncIterable<Uint8Array>): OpenSnapshot {
  return async () => ({ offset: 0, chunks })
}

export async function* each(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks
}

export interface Tracked extends AsyncIterable<Uint8Array> {
  readonly givenBytes: number
  readonly released: boolean
}

/** Counts what was taken of it, and notices when its reader lets go, even of what it never began. */
export function tracked(chunks: Iterable<Uint8Array>): Tracked {
  const iterator = chunks[Symbol.iterator]()
  const source = {
    givenBytes: 0,
    released: false,
    async next(): Promise<IteratorResult<Uint8Array>> {
      await pause(0)
      const next = iterator.next()
      if (next.done !== true) source.givenBytes += next.value.length
      return next
    },
    return(): Promise<IteratorResult<Uint8Array>> {
      source.released = true
      return Promise.resolve({ done: true, value: undefined })
    },
    [Symbol.asyncIterator]: () => source,
  }
  return source
}

export function endless(): Tracked {
  return tracked(
    (function* () {
      for (;;) yield new Uint8Array(16_384)
    })(),
  )
}

export async function* failing(reason: Error): AsyncGenerator<Uint8Array> {
  yield seededBytes(100_000, 1)
  throw reason
}

export async function* heldBack(opened: Promise<void>): AsyncGenerator<Uint8Array> {
  yield seededBytes(100_000, 1)
  await opened
  yield seededBytes(100_000, 2)
}

export function latch(): { readonly open: () => void; readonly opened: Promise<void> } {
  const gate = new AbortController()
  const opened = new Promise<void>((resolve) => {
    gate.signal.addEventListener('abort', () => resolve())
  })
  return { open: () => gate.abort(), opened }
}

export function forever(): { readonly signal: AbortSignal } {
  return { signal: new AbortController().signal }
}

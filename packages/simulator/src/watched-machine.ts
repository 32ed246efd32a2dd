import type { Command, LogIndex, StateMachine } from '@coracle/raft-core'
import { Fingerprint } from './fingerprint.ts'
import type { Random } from './random.ts'
import type { TestedMachine } from './workload.ts'

/** In front of every command: its number, so that each can be told from every other. */
const NUMBER_BYTES = 4

export function numbered(number: number, input: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(NUMBER_BYTES + input.length)
  new DataView(bytes.buffer).setUint32(0, number)
  bytes.set(input, NUMBER_BYTES)
  return bytes
}

export function numberOf({ data }: Command): number {
  return new DataView(data.buffer, data.byteOffset, data.length).getUint32(0)
}

export interface MachineHooks {
  readonly applied: (command: Command) => void
  /** After the command at `index`, the whole history, with all answers, has this fingerprint. */
  readonly reached: (index: LogIndex, fingerprint: string) => void
  readonly digested: (index: LogIndex, digest: string) => void
  readonly restored: (index: LogIndex, fingerprint: string) => void
  /** Resolves after the time it takes; null if it takes none. */
  readonly work: () => Promise<void> | null
}

interface Header {
  readonly index: LogIndex
  readonly fingerprint: string
}

/**
 * A state machine under test, with somebody who takes notes: of the order of the commands, of what
 * was answered, and of what a snapshot stands for.
 */
export class WatchedMachine implements StateMachine {
  readonly durableIndex = 0
  readonly inner: TestedMachine<unknown, unknown>
  readonly #hooks: MachineHooks
  readonly #random: Random
  #index: LogIndex = 0
  #fingerprint = ''

  constructor(inner: TestedMachine<unknown, unknown>, hooks: MachineHooks, random: Random) {
    if (inner.durableIndex !== 0)
      throw new TypeError('a simulation takes state machines that live in memory')
    this.inner = inner
    this.#hooks = hooks
    this.#random = random
  }

  apply(commands: readonly Command[]): readonly unknown[] | Promise<readonly unknown[]> {
    const work = this.#hooks.work()
    return work === null ? this.#apply(commands) : work.then(() => this.#apply(commands))
  }

  #apply(commands: readonly Command[]): readonly unknown[] | Promise<readonly unknown[]> {
    const bare = commands.map(({ index, term, data }) => ({
      index,
      term,
      data: data.subarray(NUMBER_BYTES),
    }))
    const results = this.inner.apply(bare)
    return results instanceof Promise
      ? results.then((late) => this.#note(commands, late))
      : this.#note(commands, results)
  }

  #note(commands: readonly Command[], results: readonly unknown[]): readonly unknown[] {
    for (const [at, command] of commands.entries()) {
      const fingerprint = new Fingerprint()
      fingerprint.add(`${this.#fingerprint} ${command.index} ${command.term}`)
      fingerprint.addBytes(command.data)
      fingerprint.addData(results[at])
      this.#index = command.index
      this.#fingerprint = fingerprint.toString()
      this.#hooks.applied(command)
      this.#hooks.reached(this.#index, this.#fingerprint)
    }
    if (this.#index % strideAt(this.#index) === 0) this.#digest()
    return results
  }

  #digest(): void {
    const digest = this.inner.digest?.()
    if (digest !== undefined && this.#index > 0) this.#hooks.digested(this.#index, digest)
  }

  snapshot(): AsyncIterable<Uint8Array> {
    this.#digest()
    const header: Header = { index: this.#index, fingerprint: this.#fingerprint }
    const text = new TextEncoder().encode(JSON.stringify(header))
    return cutAnywhere(numbered(text.length, text), this.inner.snapshot(), this.#random)
  }

  async restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const source = chunks[Symbol.asyncIterator]()
    const { header, rest } = await readHeader(source)
    await this.inner.restore(goOn(rest, source))
    await this.#hooks.work()
    this.#index = header.index
    this.#fingerprint = header.fingerprint
    this.#hooks.restored(header.index, header.fingerprint)
    this.#digest()
  }
}

/** A digest costs as much as there is in the state, so the longer the history, the fewer are taken. */
const DIGESTS_PER_DOUBLING = 256

/** Digests are taken at the multiples of this: the same for all nodes, so that they can be compared. */
function strideAt(index: LogIndex): number {
  return 2 ** Math.ceil(Math.log2(Math.max(1, index / DIGESTS_PER_DOUBLING)))
}

async function* cutAnywhere(
  header: Uint8Array,
  body: AsyncIterable<Uint8Array>,
  random: Random,
): AsyncGenerator<Uint8Array> {
  yield* pieces(header, random)
  for await (const chunk of body) yield* pieces(chunk, random)
}

/** What is long has larger pieces, or it would be on its way for longer than a cluster may take. */
function* pieces(bytes: Uint8Array, random: Random): Generator<Uint8Array> {
  const most = Math.max(200, Math.ceil(bytes.length / 20))
  for (let start = 0; start < bytes.length;) {
    const end = Math.min(bytes.length, start + random.whole(1, most))
    yield bytes.slice(start, end)
    start = end
  }
}

async function readHeader(
  source: AsyncIterator<Uint8Array>,
): Promise<{ readonly header: Header; readonly rest: Uint8Array }> {
  let bytes = new Uint8Array(0)
  for (;;) {
    const end = bytes.length < NUMBER_BYTES ? null : NUMBER_BYTES + lengthIn(bytes)
    if (end !== null && bytes.length >= end) {
      const text = new TextDecoder().decode(bytes.subarray(NUMBER_BYTES, end))
      return { header: JSON.parse(text) as Header, rest: bytes.subarray(end) }
    }
    const { value, done } = await source.next()
    if (done === true) throw new RangeError('a snapshot ends before it begins')
    const longer = new Uint8Array(bytes.length + value.length)
    longer.set(bytes)
    longer.set(value, bytes.length)
    bytes = longer
  }
}

function lengthIn(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0)
}

async function* goOn(
  first: Uint8Array,
  source: AsyncIterator<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  if (first.length > 0) yield first
  for (;;) {
    const { value, done } = await source.next()
    if (done === true) return
    yield value
  }
}

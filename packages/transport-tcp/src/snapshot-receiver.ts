/** Receiving a snapshot: at the pace of whoever reads the chunks. */
import type { InstallSnapshot, NodeId, OpenSnapshot, TransportHandlers } from '@coracle/raft-core'
import { decodeMessage } from '@coracle/raft-core/codec'
import type { Connection } from './connection.ts'
import { ProtocolError } from './frame.ts'
import { decodeSnapshotFrame, encodeAnswer, encodeHeld } from './snapshot-frames.ts'

/** How long a sender may take to hang up after it got its answer. */
const FAREWELL_MS = 5_000

export interface Receiving {
  readonly from: NodeId
  readonly to: NodeId
  readonly handlers: TransportHandlers
  readonly maxBufferBytes: number
}

/** Hands what arrives on this connection to `onSnapshot`, and answers. */
export function receiveSnapshot(connection: Connection, receiving: Receiving): void {
  const { from, to, handlers, maxBufferBytes } = receiving
  const chunks = new ChunkQueue(connection, maxBufferBytes)
  connection.onClosed((why) => chunks.fail(why))
  connection.onPayload((payload) => {
    const message = decodeMessage(payload, { from, to })
    if (message?.type !== 'install-snapshot')
      throw new ProtocolError('a snapshot opens with install-snapshot')
    connection.onPayload((frame) => chunks.take(frame))
    serve(connection, handlers, message, chunks)
  })
}

function serve(
  connection: Connection,
  handlers: TransportHandlers,
  message: InstallSnapshot,
  chunks: ChunkQueue,
): void {
  const answer = (refusal: string | null): void => {
    connection.write(encodeAnswer(refusal))
    chunks.discard()
    // Hanging up with bytes unread would lose the answer: the sender hangs up first.
    const timer = setTimeout(
      () => connection.destroy(new Error('the answer was not read')),
      FAREWELL_MS,
    )
    connection.onClosed(() => clearTimeout(timer))
  }
  let isOpen = false
  const open: OpenSnapshot = async (held) => {
    if (isOpen) throw new TypeError('a snapshot is opened once')
    isOpen = true
    connection.write(encodeHeld(held))
    return { offset: await chunks.started, chunks }
  }
  handlers.onSnapshot(message, open).then(
    () => answer(null),
    (reason: unknown) => answer(reason instanceof Error ? reason.message : String(reason)),
  )
}

/** The chunks that have arrived and were not read yet: bounded, because a full queue stops the socket. */
class ChunkQueue implements AsyncIterableIterator<Uint8Array> {
  readonly #connection: Connection
  readonly #maxBytes: number
  readonly #chunks: Uint8Array[] = []
  readonly #readers: (() => void)[] = []
  #queuedBytes = 0
  #receivedBytes = 0
  #state: 'open' | 'ended' | 'discarded' | Error = 'open'
  /** Where the sender begins. */
  readonly started: Promise<number>
  #start: ((offset: number) => void) | null = null
  #failStart: (why: Error) => void = () => {}

  constructor(connection: Connection, maxBytes: number) {
    this.#connection = connection
    this.#maxBytes = maxBytes
    this.started = new Promise((resolve, reject) => {
      this.#start = resolve
      this.#failStart = reject
    })
    // Whoever opens the snapshot hears of it; that nobody does is no failure.
    this.started.catch(() => {})
  }

  take(payload: Uint8Array): void {
    if (this.#state === 'discarded') return
    if (this.#state !== 'open') throw new ProtocolError('a snapshot goes on after its end')
    const frame = decodeSnapshotFrame(payload)
    if ((frame.kind === 'start') !== (this.#start !== null))
      throw new ProtocolError('a snapshot has one beginning, before anything else')
    if (frame.kind === 'start') {
      this.#start?.(frame.offset)
      this.#start = null
    } else if (frame.kind === 'end') {
      if (frame.totalBytes !== this.#receivedBytes)
        throw new ProtocolError(`${this.#receivedBytes} bytes of ${frame.totalBytes} arrived`)
      this.#state = 'ended'
    } else {
      this.#receivedBytes += frame.bytes.byteLength
      this.#queuedBytes += frame.bytes.byteLength
      this.#chunks.push(frame.bytes)
      if (this.#queuedBytes >= this.#maxBytes) this.#connection.pause()
    }
    this.#wake()
  }

  /** Reading fails from now on, unless all has arrived. */
  fail(why: Error): void {
    if (this.#state === 'open') this.#state = why
    this.#failStart(why)
    this.#wake()
  }

  /** Nobody will read any more. */
  discard(): void {
    if (this.#state === 'open') this.#state = 'discarded'
    this.#chunks.length = 0
    this.#connection.resume()
  }

  async next(): Promise<IteratorResult<Uint8Array>> {
    while (this.#chunks.length === 0 && this.#state === 'open')
      await new Promise<void>((resolve) => this.#readers.push(resolve))
    if (this.#state === 'discarded') throw new Error('the snapshot was given up')
    if (this.#state instanceof Error) throw this.#state
    const chunk = this.#chunks.shift()
    if (chunk === undefined) return { done: true, value: undefined }
    this.#queuedBytes -= chunk.byteLength
    if (this.#queuedBytes < this.#maxBytes) this.#connection.resume()
    return { done: false, value: chunk }
  }

  return(): Promise<IteratorResult<Uint8Array>> {
    this.discard()
    return Promise.resolve({ done: true, value: undefined })
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  #wake(): void {
    for (const resume of this.#readers.splice(0)) resume()
  }
}

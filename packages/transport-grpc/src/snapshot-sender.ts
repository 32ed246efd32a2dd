/** Sending a snapshot: an opening message, chunks, an end with the total, and then the answer. */
import { type InstallSnapshot, RaftError } from '@coracle/raft-core'
import { encodeMessage } from '@coracle/raft-core/codec'
import type { Client, ClientWritableStream } from '@grpc/grpc-js'
import { openClient } from './dial.ts'
import { FRAME_HEADER_BYTES, seal } from './frame.ts'
import { helloMetadata, objectionToAnswer } from './handshake.ts'
import type { Resolved } from './options.ts'
import { type Bytes, SNAPSHOT } from './service.ts'
import { encodeChunk, encodeEnd, MAX_CHUNK_BYTES } from './snapshot-frames.ts'

export interface Sending {
  readonly message: InstallSnapshot
  readonly address: string
  readonly source: AsyncIterator<Uint8Array>
  readonly signal: AbortSignal
}

/** Resolves when the peer has kept all of it. */
export async function sendSnapshot(options: Resolved, sending: Sending): Promise<void> {
  const { message, source, signal } = sending
  signal.throwIfAborted()
  const client = openClient(options, sending.address)
  const call = new Call(client, options, message)
  const onAbort = (): void => call.fail(signal.reason)
  signal.addEventListener('abort', onAbort)
  try {
    // The peer may answer before it has seen everything: that it needs none of it, or wants none.
    await Promise.race([call.answered, stream(call, message, source)])
    await call.answered
  } finally {
    signal.removeEventListener('abort', onAbort)
    call.close()
    client.close()
  }
}

async function stream(
  call: Call,
  message: InstallSnapshot,
  source: AsyncIterator<Uint8Array>,
): Promise<void> {
  const opening = seal(encodeMessage(message, { reserveBytes: FRAME_HEADER_BYTES }))
  await call.greeted
  await call.write(opening)
  let total = 0
  for (;;) {
    const next = await source.next()
    if (call.closed) return
    if (next.done === true) break
    total += next.value.byteLength
    for (let at = 0; at < next.value.byteLength; at += MAX_CHUNK_BYTES)
      await call.write(encodeChunk(next.value.subarray(at, at + MAX_CHUNK_BYTES)))
  }
  await call.write(encodeEnd(total))
  call.end()
}

/** The call, with promises for what grpc-js tells by events. */
class Call {
  /** Settles with the peer's answer, or rejects with the reason why there will be none. */
  readonly answered: Promise<void>
  /** Resolves once it is certain that the peer is the right one. */
  readonly greeted: Promise<void>
  closed = false
  readonly #call: ClientWritableStream<Bytes>
  #resolve: () => void = () => {}
  #reject: (reason: unknown) => void = () => {}

  constructor(client: Client, options: Resolved, { to }: InstallSnapshot) {
    this.answered = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    const { id: from, cluster, handshakeTimeoutMs } = options
    const { path, requestSerialize, responseDeserialize } = SNAPSHOT
    const metadata = helloMetadata({ cluster, from, to })
    this.#call = client.makeClientStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      metadata,
      {},
      (error) => {
        if (error === null) this.#resolve()
        else this.#fail(to, error.details)
      },
    )
    this.greeted = new Promise((resolve) => {
      const deadline = setTimeout(
        () => this.#fail(to, 'the handshake took too long'),
        handshakeTimeoutMs,
      )
      this.answered.catch(() => {}).finally(() => clearTimeout(deadline))
      this.#call.on('metadata', (answer) => {
        const objection = objectionToAnswer(answer, cluster, to)
        if (objection !== null) return this.#fail(to, objection)
        clearTimeout(deadline)
        resolve()
      })
    })
  }

  /** Resolves when there is room for more. Never settles if the call ends first: see {@link answered}. */
  write(frame: Uint8Array): Promise<void> {
    return new Promise((resolve) => {
      this.#call.write(frame, () => resolve())
    })
  }

  end(): void {
    this.#call.end()
  }

  fail(reason: unknown): void {
    this.#reject(reason)
    this.close()
  }

  close(): void {
    this.closed = true
    this.#call.cancel()
  }

  #fail(peer: string, why: string): void {
    this.fail(new RaftError('UNAVAILABLE', `the snapshot did not reach node ${peer}: ${why}`))
  }
}

/** Sending a snapshot: an opening message, what the peer does not hold yet, and then its answer. */
import {
  type HeldSnapshot,
  type InstallSnapshot,
  type OpenSnapshot,
  RaftError,
} from '@coracle/raft-core'
import { CodecError, encodeMessage } from '@coracle/raft-core/codec'
import { type Client, type ClientDuplexStream, status } from '@grpc/grpc-js'
import { openClient } from './dial.ts'
import { FRAME_HEADER_BYTES, seal } from './frame.ts'
import { helloMetadata, objectionToAnswer } from './handshake.ts'
import type { Resolved } from './options.ts'
import { type Bytes, SNAPSHOT } from './service.ts'
import {
  decodeHeld,
  encodeChunk,
  encodeEnd,
  encodeStart,
  MAX_CHUNK_BYTES,
} from './snapshot-frames.ts'

export interface Sending {
  readonly message: InstallSnapshot
  /** Where the peer may be, in the order in which they are tried. */
  readonly addresses: readonly string[]
  readonly open: OpenSnapshot
  readonly signal: AbortSignal
}

/** Resolves when the peer has kept all of it. */
export async function sendSnapshot(options: Resolved, sending: Sending): Promise<void> {
  let failure: unknown = null
  for (const address of sending.addresses) {
    sending.signal.throwIfAborted()
    let client: Client | null = null
    let call: Call | null = null
    try {
      client = openClient(options, address)
      call = new Call(client, options, sending.message)
      return await sendBy(call, sending)
    } catch (error) {
      // Whoever answered was the right one, and had its chance.
      if (call?.isGreeted === true || sending.signal.aborted) throw error
      failure = error
    } finally {
      client?.close()
    }
  }
  throw failure
}

async function sendBy(call: Call, { message, open, signal }: Sending): Promise<void> {
  const onAbort = (): void => call.fail(signal.reason)
  signal.addEventListener('abort', onAbort)
  try {
    // The peer may answer before it has seen everything: that it needs none of it, or wants none.
    await Promise.race([call.answered, stream(call, message, open)])
    await call.answered
  } finally {
    signal.removeEventListener('abort', onAbort)
    call.close()
  }
}

async function stream(call: Call, message: InstallSnapshot, open: OpenSnapshot): Promise<void> {
  const opening = seal(encodeMessage(message, { reserveBytes: FRAME_HEADER_BYTES }))
  await call.greeted
  await call.write(opening)
  const { offset, chunks } = await open(await call.held)
  const source = chunks[Symbol.asyncIterator]()
  // A source that hangs must not hold up the news that the stream broke, so nobody waits for this.
  call.onClosed(() => {
    source.return?.().catch(() => {})
  })
  await call.write(encodeStart(offset))
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
  /** Resolves once the peer has said what it holds. */
  readonly held: Promise<HeldSnapshot>
  closed = false
  isGreeted = false
  readonly #call: ClientDuplexStream<Bytes, Bytes>
  readonly #onClosed: (() => void)[] = []
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
    this.#call = client.makeBidiStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      metadata,
      {},
    )
    // The status says the same, and comes in any case.
    this.#call.on('error', () => {})
    this.#call.on('status', ({ code, details }) => {
      if (code === status.OK) this.#resolve()
      else this.#fail(to, details)
    })
    this.held = new Promise((resolve) => {
      this.#call.on('data', (frame: Bytes) => this.#told(to, frame, resolve))
    })
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
        this.isGreeted = true
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

  /** Called once, when the call is over; at once if it is already. */
  onClosed(react: () => void): void {
    if (this.closed) react()
    else this.#onClosed.push(react)
  }

  close(): void {
    this.closed = true
    this.#call.cancel()
    for (const react of this.#onClosed.splice(0)) react()
  }

  #told(peer: string, frame: Bytes, tell: (held: HeldSnapshot) => void): void {
    try {
      tell(decodeHeld(frame))
    } catch (error) {
      if (!(error instanceof CodecError)) throw error
      this.#fail(peer, error.message)
    }
  }

  #fail(peer: string, why: string): void {
    this.fail(new RaftError('UNAVAILABLE', `the snapshot did not reach node ${peer}: ${why}`))
  }
}

/** The way to one peer: a stream that is opened again and again, and a queue with a limit. */
import type { Message, NodeId } from '@coracle/raft-core'
import { encodeMessage } from '@coracle/raft-core/codec'
import { AddressRotation, Backoff } from '@coracle/raft-core/transport'
import type { Client, ClientDuplexStream } from '@grpc/grpc-js'
import { openClient } from './dial.ts'
import { FRAME_HEADER_BYTES, seal } from './frame.ts'
import { helloMetadata, objectionToAnswer } from './handshake.ts'
import type { Resolved } from './options.ts'
import { type Bytes, MESSAGES } from './service.ts'

/** How often a sender is told that its messages are lost, at most. */
const LOST_EVERY_MS = 100

/** One attempt: a channel and its stream, from the call to the status that ends it. */
interface Attempt {
  readonly address: string
  readonly client: Client
  readonly call: ClientDuplexStream<Bytes, Bytes>
  readonly deadline: NodeJS.Timeout
  established: boolean
  queuedBytes: number
}

export class Link {
  readonly peer: NodeId
  /** All that there are, as it was given. */
  readonly address: string
  readonly #addresses: AddressRotation
  readonly #backoff: Backoff
  readonly #options: Resolved
  readonly #onLost: (peer: NodeId) => void
  #attempt: Attempt | null = null
  #closed = false
  #retry: NodeJS.Timeout | null = null
  #why: string | null = null
  #refused: string | null = null
  #lostAt = -Infinity

  constructor(peer: NodeId, address: string, options: Resolved, onLost: (peer: NodeId) => void) {
    this.peer = peer
    this.address = address
    this.#addresses = new AddressRotation(address)
    this.#backoff = new Backoff(options)
    this.#options = options
    this.#onLost = onLost
  }

  /** Connects, now and for ever, until {@link close}. */
  open(): void {
    this.#retry = null
    try {
      this.#attempt = this.#call()
    } catch (error) {
      this.#failed(error instanceof Error ? error.message : String(error))
    }
  }

  /** The peer's addresses, beginning with the one that is best known to work. */
  addresses(): readonly string[] {
    return this.#addresses.inOrder()
  }

  /** The peer has just called us, so it is there: no reason to wait any longer. */
  hurry(): void {
    if (this.#retry === null) return
    clearTimeout(this.#retry)
    this.open()
  }

  send(message: Message): void {
    const { maxQueuedBytes } = this.#options
    const attempt = this.#attempt
    if (attempt === null || !attempt.established) return this.#lose()
    if (attempt.queuedBytes >= maxQueuedBytes) return this.#lose()
    const frame = this.#encode(message)
    if (frame === null) return
    const { byteLength } = frame
    if (attempt.queuedBytes > 0 && attempt.queuedBytes + byteLength > maxQueuedBytes)
      return this.#lose()
    attempt.queuedBytes += byteLength
    attempt.call.write(frame, () => {
      attempt.queuedBytes -= byteLength
    })
  }

  close(): void {
    this.#closed = true
    if (this.#retry !== null) clearTimeout(this.#retry)
    if (this.#attempt !== null) this.#give(this.#attempt)
  }

  #call(): Attempt {
    const { id: from, cluster, handshakeTimeoutMs } = this.#options
    const address = this.#addresses.current
    const client = openClient(this.#options, address)
    const { path, requestSerialize, responseDeserialize } = MESSAGES
    const metadata = helloMetadata({ cluster, from, to: this.peer })
    const call = client.makeBidiStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      metadata,
      {},
    )
    const deadline = setTimeout(
      () => this.#ended(attempt, 'the handshake took too long'),
      handshakeTimeoutMs,
    )
    const attempt: Attempt = {
      address,
      client,
      call,
      deadline,
      established: false,
      queuedBytes: 0,
    }
    call.on('metadata', (answer) => {
      const objection = objectionToAnswer(answer, cluster, this.peer)
      if (objection === null) this.#established(attempt)
      else this.#ended(attempt, objection)
    })
    call.on('data', () => this.#ended(attempt, 'it speaks out of turn'))
    // The status says the same, and comes in any case.
    call.on('error', () => {})
    call.on('status', ({ details }) => this.#ended(attempt, details || 'the peer ended the stream'))
    return attempt
  }

  #established(attempt: Attempt): void {
    if (attempt !== this.#attempt) return
    attempt.established = true
    clearTimeout(attempt.deadline)
    this.#backoff.reset()
    this.#why = null
    this.#addresses.worked()
    const { peer } = this
    this.#options.trace({ type: 'peer-connected', peer, address: attempt.address })
  }

  /** The first reason why an attempt ended counts; the others follow from giving it up. */
  #ended(attempt: Attempt, why: string): void {
    if (attempt !== this.#attempt) return
    this.#give(attempt)
    if (!attempt.established) return this.#failed(why)
    this.#lose()
    this.#retryLater(why, attempt.address)
  }

  #give({ client, call, deadline }: Attempt): void {
    this.#attempt = null
    clearTimeout(deadline)
    call.cancel()
    client.close()
  }

  #failed(reason: string): void {
    if (this.#closed) return
    const why = this.#addresses.failed(reason)
    if (why === null) this.open()
    else this.#retryLater(why, this.address)
  }

  /** Not at once, also where another address is left: a peer that hangs up is called slowly. */
  #retryLater(why: string, address: string): void {
    if (this.#closed) return
    if (why !== this.#why) {
      this.#why = why
      this.#options.trace({ type: 'peer-unreachable', peer: this.peer, address, why })
    }
    this.#retry = setTimeout(() => this.open(), this.#backoff.nextMs(Math.random()))
  }

  #encode(message: Message): Uint8Array | null {
    try {
      const frame = encodeMessage(message, { reserveBytes: FRAME_HEADER_BYTES })
      const { maxMessageBytes } = this.#options
      if (frame.byteLength <= maxMessageBytes) return seal(frame)
      this.#refuse(`${frame.byteLength} bytes, and ${maxMessageBytes} are allowed`)
    } catch (error) {
      this.#refuse(String(error))
    }
    return null
  }

  #refuse(why: string): void {
    if (why !== this.#refused)
      this.#options.trace({ type: 'message-refused', peer: this.peer, why })
    this.#refused = why
    this.#lose()
  }

  /** Tells of lost messages, now and then, and never from within `send`. */
  #lose(): void {
    const now = performance.now()
    if (now - this.#lostAt < LOST_EVERY_MS) return
    this.#lostAt = now
    setImmediate(() => {
      if (!this.#closed) this.#onLost(this.peer)
    })
  }
}

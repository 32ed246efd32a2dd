/** The way to one peer: a connection that is opened again and again, and a queue with a limit. */
import type { Message, NodeId } from '@coracle/raft-core'
import { encodeMessage } from '@coracle/raft-core/codec'
import { AddressRotation, Backoff } from '@coracle/raft-core/transport'
import type { Connection } from './connection.ts'
import { dial } from './dial.ts'
import { FRAME_HEADER_BYTES, seal } from './frame.ts'
import type { Resolved } from './options.ts'

/** How often a sender is told that its messages are lost, at most. */
const LOST_EVERY_MS = 100

export class Link {
  readonly peer: NodeId
  /** All that there are, as it was given. */
  readonly address: string
  readonly #addresses: AddressRotation
  readonly #backoff: Backoff
  readonly #options: Resolved
  readonly #onLost: (peer: NodeId) => void
  readonly #over = new AbortController()
  #connection: Connection | null = null
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
    const { peer } = this
    const address = this.#addresses.current
    dial(this.#options, { peer, address, purpose: 'messages' }, this.#over.signal).then(
      (connection) => this.#connected(connection, address),
      (error: unknown) => this.#failed(error),
    )
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
    const connection = this.#connection
    if (connection === null || connection.queuedBytes >= maxQueuedBytes) return this.#lose()
    const frame = this.#encode(message)
    if (frame === null) return
    const { queuedBytes } = connection
    if (queuedBytes > 0 && queuedBytes + frame.byteLength > maxQueuedBytes) return this.#lose()
    connection.write(frame)
  }

  close(why: Error): void {
    this.#over.abort(why)
    if (this.#retry !== null) clearTimeout(this.#retry)
    this.#connection?.destroy(why)
  }

  #encode(message: Message): Uint8Array | null {
    try {
      const frame = encodeMessage(message, { reserveBytes: FRAME_HEADER_BYTES })
      const length = frame.byteLength - FRAME_HEADER_BYTES
      const { maxMessageBytes } = this.#options
      if (length <= maxMessageBytes) return seal(frame)
      this.#refuse(`${length} bytes, and ${maxMessageBytes} are allowed`)
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

  #connected(connection: Connection, address: string): void {
    if (this.#over.signal.aborted) return connection.destroy(this.#over.signal.reason)
    this.#connection = connection
    this.#backoff.reset()
    this.#why = null
    this.#addresses.worked()
    this.#options.trace({ type: 'peer-connected', peer: this.peer, address })
    connection.onClosed((why) => {
      this.#connection = null
      this.#lose()
      this.#retryLater(why.message, address)
    })
  }

  #failed(error: unknown): void {
    if (this.#over.signal.aborted) return
    const why = this.#addresses.failed(error instanceof Error ? error.message : String(error))
    if (why === null) this.open()
    else this.#retryLater(why, this.address)
  }

  /** Not at once, also where another address is left: a peer that hangs up is called slowly. */
  #retryLater(why: string, address: string): void {
    if (this.#over.signal.aborted) return
    if (why !== this.#why) {
      this.#why = why
      this.#options.trace({ type: 'peer-unreachable', peer: this.peer, address, why })
    }
    this.#retry = setTimeout(() => this.open(), this.#backoff.nextMs(Math.random()))
  }

  /** Tells of lost messages, now and then, and never from within `send`. */
  #lose(): void {
    const now = performance.now()
    if (now - this.#lostAt < LOST_EVERY_MS) return
    this.#lostAt = now
    setImmediate(() => {
      if (!this.#over.signal.aborted) this.#onLost(this.peer)
    })
  }
}

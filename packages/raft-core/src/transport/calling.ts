import { type Environment, systemEnvironment } from '../environment.ts'
import type { NodeId } from '../types.ts'
import { AddressRotation } from './address-rotation.ts'
import { Backoff } from './backoff.ts'
import type { TransportEvent } from './event.ts'

/** How often a sender is told that its messages are lost, at most. */
const LOST_EVERY_MS = 100

export interface CallingParts {
  readonly peer: NodeId
  /** One address, or several with commas between them. */
  readonly address: string
  readonly options: {
    readonly minReconnectMs: number
    readonly maxReconnectMs: number
    readonly trace: (event: TransportEvent) => void
  }
  /** Makes one attempt. What comes of it is reported here; what it throws is a failure, too. */
  readonly call: (address: string) => void
  /** Messages to the peer were lost. */
  readonly onLost: (peer: NodeId) => void
  readonly environment?: Environment
}

/**
 * When and where one peer is called: at one address after the other, again and again, later each time
 * that all have failed. And what is told of it: once, however long it lasts.
 */
export class Calling {
  /** All addresses, as they were given. */
  readonly address: string
  readonly #parts: CallingParts
  readonly #environment: Environment
  readonly #addresses: AddressRotation
  readonly #backoff: Backoff
  #isClosed = false
  #stopWaiting: (() => void) | null = null
  #why: string | null = null
  #refused: string | null = null
  #lostAt = -Infinity

  constructor(parts: CallingParts) {
    this.address = parts.address
    this.#parts = parts
    this.#environment = parts.environment ?? systemEnvironment()
    this.#addresses = new AddressRotation(parts.address)
    this.#backoff = new Backoff(parts.options)
  }

  /** Calls, now and for ever, until {@link close}. */
  open(): void {
    try {
      this.#parts.call(this.#addresses.current)
    } catch (error) {
      this.failed(error)
    }
  }

  /** Calls no more. An attempt that is under way is the caller's to end. */
  close(): void {
    this.#isClosed = true
    this.#stopWaiting?.()
    this.#stopWaiting = null
  }

  /** The peer's addresses, beginning with the one that is best known to work. */
  addresses(): readonly string[] {
    return this.#addresses.inOrder()
  }

  /** The peer has just called us, so it is there: no reason to wait any longer. */
  hurry(): void {
    if (this.#stopWaiting === null) return
    this.#stopWaiting()
    this.#stopWaiting = null
    this.open()
  }

  /** The attempt has come through to the peer. */
  connected(): void {
    this.#backoff.reset()
    this.#why = null
    this.#addresses.worked()
    const { peer, options } = this.#parts
    options.trace({ type: 'peer-connected', peer, address: this.#addresses.current })
  }

  /** The attempt has failed. The next address is called at once, and after the last one later. */
  failed(reason: unknown): void {
    if (this.#isClosed) return
    const why = this.#addresses.failed(reason instanceof Error ? reason.message : String(reason))
    if (why === null) this.open()
    else this.#callLater(why, this.address)
  }

  /** What was connected has ended. Who hangs up is called slowly, also where another address is left. */
  ended(why: string): void {
    this.lost()
    if (!this.#isClosed) this.#callLater(why, this.#addresses.current)
  }

  /** A message that can never be sent is lost. */
  refused(why: string): void {
    const { peer, options } = this.#parts
    if (why !== this.#refused) options.trace({ type: 'message-refused', peer, why })
    this.#refused = why
    this.lost()
  }

  /** Tells of lost messages, now and then, and never from within the call that lost them. */
  lost(): void {
    const now = this.#environment.now()
    if (now - this.#lostAt < LOST_EVERY_MS) return
    this.#lostAt = now
    this.#environment.schedule(() => {
      if (!this.#isClosed) this.#parts.onLost(this.#parts.peer)
    })
  }

  #callLater(why: string, address: string): void {
    const { peer, options } = this.#parts
    if (why !== this.#why) {
      this.#why = why
      options.trace({ type: 'peer-unreachable', peer, address, why })
    }
    const waitMs = this.#backoff.nextMs(this.#environment.random())
    this.#stopWaiting = this.#environment.every(waitMs, () => this.hurry())
  }
}

/** Calls from the same process: no bytes on any wire, the same rules as for all others. */
import type { Call, DuplexCall, Receiver } from '../call.ts'
import { canceled, type EtcdError } from '../errors.ts'

export interface InProcessOptions {
  /** Ends the call. What it asked for may still happen. */
  readonly signal?: AbortSignal
  /** What gRPC's clients send as metadata, such as `token`. */
  readonly metadata?: Readonly<Record<string, string>>
}

export class InProcessCall implements Call {
  readonly commonName = undefined
  readonly #options: InProcessOptions
  readonly #listeners: (() => void)[] = []
  #isOver = false
  readonly #abort = (): void => this.finish()

  constructor(options: InProcessOptions) {
    this.#options = options
    options.signal?.addEventListener('abort', this.#abort, { once: true })
  }

  get cancelled(): boolean {
    return this.#isOver
  }

  metadata(name: string): string | undefined {
    return this.#options.metadata?.[name]
  }

  onceOver(listener: () => void): void {
    if (this.#isOver) queueMicrotask(listener)
    else this.#listeners.push(listener)
  }

  /** The call is over: it has been answered, or nobody waits any more. */
  finish(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#options.signal?.removeEventListener('abort', this.#abort)
    for (const listener of this.#listeners) listener()
  }
}

interface Waiting {
  readonly message: object
  readonly taken: (() => void) | undefined
}

/** Messages that may wait for the client before the server is told that there is no room. */
const ROOM = 16

/**
 * A two-way stream between the server (as {@link DuplexCall}) and its client, who sends, and takes
 * what comes one by one.
 */
export class InProcessStream extends InProcessCall implements DuplexCall<object, object> {
  readonly #waiting: Waiting[] = []
  #receiver: Receiver<object> | null = null
  #onRoom = (): void => {}
  #wake = (): void => {}
  /** How it ended: with an error, or well (null); undefined as long as it has not. */
  #ending: EtcdError | null | undefined

  constructor(options: InProcessOptions) {
    super(options)
    this.onceOver(() => {
      this.#ending ??= canceled
      this.#wake()
    })
  }

  receive(receiver: Receiver<object>): void {
    this.#receiver = receiver
  }

  /** The client of this stream sends a few requests only, and waits for the answer to each. */
  pause(): void {}

  resume(): void {}

  write(message: object, taken?: () => void): boolean {
    if (this.#ending !== undefined) return true
    this.#waiting.push({ message, taken })
    this.#wake()
    return this.#waiting.length < ROOM
  }

  onRoom(listener: () => void): void {
    this.#onRoom = listener
  }

  end(error?: EtcdError): void {
    if (this.#ending !== undefined) return
    this.#ending = error ?? null
    this.finish()
  }

  send(request: object): void {
    this.#receiver?.message(request)
  }

  /** The next message, or null when there are no more. Rejects with what ended the stream. */
  async next(): Promise<object | null> {
    while (this.#waiting.length === 0) {
      if (this.#ending === null) return null
      if (this.#ending !== undefined) throw this.#ending
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    const first = this.#waiting.shift()
    first?.taken?.()
    if (this.#waiting.length === ROOM - 1) this.#onRoom()
    return first?.message ?? null
  }
}

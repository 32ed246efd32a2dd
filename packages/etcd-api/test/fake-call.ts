import type { DuplexCall, Receiver } from '../src/call.ts'
import { type Encoded, isEncoded, joined } from '../src/encoded.ts'
import type { EtcdError } from '../src/errors.ts'

interface Waiting<Response> {
  readonly message: Response | Uint8Array
  readonly taken: (() => void) | undefined
}

/** A two-way stream whose client sends and takes messages when the test says so. */
export class FakeCall<Request, Response> implements DuplexCall<Request, Response> {
  readonly commonName = undefined
  cancelled = false
  isPaused = false
  /** How the server ended the call: with an error, or well (null); undefined as long as it has not. */
  ended: EtcdError | null | undefined
  /** Messages that may wait before the server is told that there is no room. */
  room: number = Number.POSITIVE_INFINITY
  readonly #headers: ReadonlyMap<string, string>
  readonly #waiting: Waiting<Response>[] = []
  readonly #onOver: (() => void)[] = []
  #receiver: Receiver<Request> | null = null
  #onRoom = (): void => {}

  constructor(headers: Record<string, string> = {}) {
    this.#headers = new Map(Object.entries(headers))
  }

  metadata(name: string): string | undefined {
    return this.#headers.get(name)
  }

  onceOver(listener: () => void): void {
    this.#onOver.push(listener)
  }

  receive(receiver: Receiver<Request>): void {
    this.#receiver = receiver
  }

  pause(): void {
    this.isPaused = true
  }

  resume(): void {
    this.isPaused = false
  }

  write(message: Response | Encoded, taken?: () => void): boolean {
    const whole = isEncoded(message as object) ? joined(message as Encoded) : (message as Response)
    this.#waiting.push({ message: whole, taken })
    return this.#waiting.length < this.room
  }

  onRoom(listener: () => void): void {
    this.#onRoom = listener
  }

  end(error?: EtcdError): void {
    if (this.ended !== undefined) return
    this.ended = error ?? null
    for (const listener of this.#onOver) listener()
  }

  /** The client sends these. */
  ask(...requests: Request[]): void {
    for (const request of requests) this.#receiver?.message(request)
  }

  /** The client has nothing more to send. */
  askNoMore(): void {
    this.#receiver?.end()
  }

  /** The client hangs up. */
  cancel(): void {
    this.cancelled = true
    for (const listener of this.#onOver) listener()
  }

  get waiting(): number {
    return this.#waiting.length
  }

  /** The client reads one message; undefined if there is none. */
  take(): Response | Uint8Array | undefined {
    const hadRoom = this.#waiting.length < this.room
    const next = this.#waiting.shift()
    next?.taken?.()
    if (!hadRoom && this.#waiting.length < this.room) this.#onRoom()
    return next?.message
  }

  takeAll(): (Response | Uint8Array)[] {
    const all: (Response | Uint8Array)[] = []
    for (let next = this.take(); next !== undefined; next = this.take()) all.push(next)
    return all
  }
}

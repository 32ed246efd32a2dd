/** What a client may ask for that is no call: so much of it is an attack (RFC 9113, section 10.5). */
import { Budget } from './budget.ts'
import { ErrorCode, Http2Error } from './frames.ts'
import type { GrpcLimits } from './options.ts'
import { PingPolicy } from './ping-policy.ts'

/** Frames that ask for work and carry no call: at once, and each second that nothing else happens. */
const CONTROL_BURST = 1_000
const CONTROLS_PER_SECOND = 100
/** Resets at once, in seconds' worth. */
const RESET_BURST_SECONDS = 5

/** Counts, and ends the connection of whoever goes too far. */
export class FloodGuard {
  readonly #controls = new Budget(CONTROL_BURST, CONTROLS_PER_SECOND)
  readonly #resets: Budget
  readonly #pings: PingPolicy

  constructor({ maxResetsPerSecond, keepaliveMinTimeMs }: GrpcLimits) {
    this.#resets = new Budget(maxResetsPerSecond * RESET_BURST_SECONDS, maxResetsPerSecond)
    this.#pings = new PingPolicy(keepaliveMinTimeMs)
  }

  /** A call is being served: whoever has work may make noise. */
  callBegins(): void {
    this.#controls.refill()
  }

  countControl(): void {
    if (!this.#controls.take()) throw calmDown('too many control frames')
  }

  countReset(): void {
    if (!this.#resets.take()) throw calmDown('too many streams reset')
  }

  /** `hasSent`: headers or data have left since the last one. */
  countPing(openStreams: number, hasSent: boolean): void {
    this.countControl()
    if (hasSent) this.#pings.isForgiven = true
    if (!this.#pings.allows(openStreams)) throw calmDown('too_many_pings')
  }
}

function calmDown(message: string): Http2Error {
  return new Http2Error(ErrorCode.ENHANCE_YOUR_CALM, message)
}

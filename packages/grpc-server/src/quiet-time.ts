/** How long a connection has been quiet, and what is to be done about it. */
import type { GrpcLimits } from './options.ts'

export class QuietTime {
  readonly #limits: GrpcLimits
  #hasRead = true
  #quietSince = 0
  #pingedAt: number | null = null
  #idleSince: number | null = null

  constructor(limits: GrpcLimits) {
    this.#limits = limits
  }

  /** Something has arrived. The clock is looked at later: this is called for every read. */
  read(): void {
    this.#hasRead = true
  }

  /** What is due at `now`: nothing, a ping, a farewell to an idle client, or the end of one that is gone. */
  due(now: number, isIdle: boolean): 'nothing' | 'ping' | 'go-away' | 'destroy' {
    if (this.#hasRead) {
      this.#hasRead = false
      this.#quietSince = now
      this.#pingedAt = null
    }
    const { keepaliveIntervalMs, keepaliveTimeoutMs, maxIdleMs } = this.#limits
    if (isIdle) this.#idleSince ??= now
    else this.#idleSince = null
    if (this.#pingedAt !== null && now - this.#pingedAt >= keepaliveTimeoutMs) return 'destroy'
    if (maxIdleMs > 0 && this.#idleSince !== null && now - this.#idleSince >= maxIdleMs)
      return 'go-away'
    if (this.#pingedAt !== null || now - this.#quietSince < keepaliveIntervalMs) return 'nothing'
    this.#pingedAt = now
    return 'ping'
  }
}

import { RaftError } from '../errors.ts'

interface Failure {
  readonly cause: unknown
}

/**
 * How one node ends: disposed, removed, or failed, and then at once (fail-stop: a node that cannot
 * trust its disk or itself does nothing more). What is under way by then, the storage and the
 * transport must outlive.
 */
export class Lifetime {
  /** Resolves when the node has stopped, with why, or with null if it was disposed. */
  readonly stopped: Promise<Error | null>
  #resolveStopped: (cause: Error | null) => void = () => {}
  readonly #onEnd: (refusal: RaftError) => void
  readonly #onFailure: (cause: unknown) => void
  readonly #abort = new AbortController()
  readonly #underWay = new Set<Promise<unknown>>()
  #isOver = false
  #failure: Failure | null = null

  constructor(on: {
    /** Called once, with what whoever waits is told. */
    readonly end: (refusal: RaftError) => void
    /** Called before that, if the node has failed. */
    readonly failure: (cause: unknown) => void
  }) {
    this.#onEnd = on.end
    this.#onFailure = on.failure
    this.stopped = new Promise((resolve) => {
      this.#resolveStopped = resolve
    })
  }

  get isOver(): boolean {
    return this.#isOver
  }

  /** Aborted when the node stops. */
  get signal(): AbortSignal {
    return this.#abort.signal
  }

  /** What a call is refused with once it is over. */
  refusal(): RaftError {
    return this.#failure === null
      ? new RaftError('STOPPED', 'the node was disposed')
      : new RaftError('STOPPED', 'the node has stopped', this.#failure)
  }

  /** The only place where work is left to itself: its failure is the node's. */
  spawn(work: Promise<unknown>): void {
    const watched = work
      .catch((error: unknown) => this.fail(error))
      .finally(() => this.#underWay.delete(watched))
    this.#underWay.add(watched)
  }

  /** Resolves when nothing is under way any more. */
  async settled(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.allSettled(this.#underWay)
  }

  fail(cause: unknown): void {
    if (this.#isOver) return
    this.#onFailure(cause)
    this.end({ cause })
  }

  /** Ends it, for what `failure` says or because it is disposed. Only the first reason counts. */
  end(failure: Failure | null): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#failure = failure
    const refusal = this.refusal()
    this.#abort.abort(refusal)
    this.#onEnd(refusal)
    this.#resolveStopped(failure === null ? null : errorOf(failure))
  }
}

function errorOf({ cause }: Failure): Error {
  return cause instanceof Error ? cause : new Error(String(cause))
}

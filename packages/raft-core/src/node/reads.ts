import { RaftError } from '../errors.ts'
import type { NodeOptions } from '../options.ts'
import type { Raft, ReadOutcome } from '../protocol/raft.ts'
import type { LogIndex, NodeId } from '../types.ts'
import type { Consistency } from './consistency.ts'

interface Read {
  readonly deadline: number
  settled: boolean
  readonly resolve: (index: LogIndex) => void
  readonly reject: (reason: unknown) => void
}

interface Question {
  readonly reads: readonly Read[]
  readonly tick: number
  readonly askedAtMs: number
}

/** Once `index` is applied, everything acknowledged before `askedAtMs` is. */
interface Known {
  readonly index: LogIndex
  readonly askedAtMs: number
  readonly reads: readonly Read[]
}

/** Ask again after this many ticks without an answer: the question or the answer was lost. */
const RETRY_TICKS = 5

/**
 * The reads of one node: which ask the leader for an index, and which wait until this node has applied
 * that far (thesis 6.4). All reads that come in one turn ask as one.
 *
 * Asking twice does no harm, so a read that loses its leader asks the next one by itself.
 */
export class Reads {
  readonly #options: Pick<NodeOptions, 'maxPendingReads'>
  /** Ask in the next turn. */
  #fresh: Read[] = []
  /** Lost their leader: ask again at the next tick, or when a leader is known. */
  #again: Read[] = []
  /** Asked, by the number of the question. Never used twice, so a late answer serves nobody else. */
  readonly #asked = new Map<number, Question>()
  /** Know their index, in ascending order, and wait for it to be applied. */
  #known: Known[] = []
  /** All in the lists above. Some may be settled: whoever gives up takes up room until it is found. */
  #count = 0
  #questionId: number
  /** The newest answer: everything acknowledged before it was asked for stands in the log up to there. */
  #confirmed = { index: 0, askedAtMs: Number.NEGATIVE_INFINITY }
  /** Everything acknowledged before then is applied here. */
  #currentAsOfMs = Number.NEGATIVE_INFINITY

  constructor(options: Pick<NodeOptions, 'maxPendingReads'>, firstId: number) {
    this.#options = options
    this.#questionId = firstId
  }

  get wantsTurn(): boolean {
    return this.#fresh.length > 0
  }

  /** Waits until `index` is applied here; if it is null, asks the leader what index that is. */
  read(
    index: LogIndex | null,
    { deadline, signal }: { readonly deadline: number; readonly signal: AbortSignal | undefined },
  ): Promise<LogIndex> {
    const { maxPendingReads } = this.#options
    if (this.#count >= maxPendingReads)
      return Promise.reject(new RaftError('UNAVAILABLE', `${maxPendingReads} reads are waiting`))
    return new Promise((resolve, reject) => {
      const finish = (): void => signal?.removeEventListener('abort', abort)
      const read: Read = {
        deadline,
        settled: false,
        resolve: (reached) => {
          finish()
          resolve(reached)
        },
        reject: (reason) => {
          finish()
          reject(reason)
        },
      }
      const abort = (): void => settle(read, signal?.reason)
      this.#count += 1
      if (index === null) this.#fresh.push(read)
      else this.#wait({ index, askedAtMs: Number.NEGATIVE_INFINITY, reads: [read] })
      signal?.addEventListener('abort', abort, { once: true })
    })
  }

  /** The index that is enough for such a read, or null if the leader has to be asked. */
  indexFor(consistency: Consistency, nowMs: number): LogIndex | null {
    if (consistency === 'linearizable') return null
    if ('atLeast' in consistency) return consistency.atLeast
    const sinceMs = nowMs - consistency.maxLagMs
    if (this.#currentAsOfMs >= sinceMs) return 0
    const { index, askedAtMs } = this.#confirmed
    return askedAtMs >= sinceMs ? index : null
  }

  /** Everything that came since the last turn asks now, as one question. */
  ask(raft: Raft, { tick, nowMs }: { readonly tick: number; readonly nowMs: number }): void {
    this.#questionId += 1
    this.#asked.set(this.#questionId, { reads: this.#fresh, tick, askedAtMs: nowMs })
    this.#fresh = []
    raft.readIndex(this.#questionId)
  }

  answered({ id, index }: ReadOutcome, appliedIndex: LogIndex): void {
    const question = this.#asked.get(id)
    if (question === undefined) return
    this.#asked.delete(id)
    if (index < 0) {
      this.#again.push(...question.reads)
      return
    }
    const { askedAtMs } = question
    if (askedAtMs > this.#confirmed.askedAtMs) this.#confirmed = { index, askedAtMs }
    const known = { index, askedAtMs, reads: question.reads }
    if (index <= appliedIndex) this.#serve(known, appliedIndex)
    else this.#wait(known)
  }

  #wait(known: Known): void {
    let at = this.#known.length
    while (at > 0 && (this.#known[at - 1] as Known).index > known.index) at -= 1
    this.#known.splice(at, 0, known)
  }

  applied(index: LogIndex): void {
    let done = 0
    while (done < this.#known.length && (this.#known[done] as Known).index <= index) {
      this.#serve(this.#known[done] as Known, index)
      done += 1
    }
    if (done > 0) this.#known.splice(0, done)
  }

  /** Another leads: whoever was asked before will not answer. */
  askAgain(): void {
    for (const question of this.#asked.values()) this.#again.push(...question.reads)
    this.#asked.clear()
    this.#retry()
  }

  /** Those that lost their leader ask again. */
  #retry(): void {
    if (this.#again.length === 0) return
    this.#fresh.push(...this.#keep(this.#again))
    this.#again = []
  }

  expire(tick: number, leader: NodeId | null): void {
    for (const [id, question] of this.#asked) {
      if (question.tick + RETRY_TICKS > tick) break
      this.#asked.delete(id)
      this.#again.push(...question.reads)
    }
    this.#retry()
    const unasked = (): RaftError =>
      new RaftError('UNAVAILABLE', 'no majority confirmed the read in time', { leader })
    settleLate(this.#fresh, tick, unasked)
    this.#fresh = this.#keep(this.#fresh)
    const behind = (): RaftError =>
      new RaftError('UNAVAILABLE', 'this node did not apply enough in time', { leader })
    for (const { reads } of this.#known) settleLate(reads, tick, behind)
    this.#known = this.#known
      .map((known) => ({ ...known, reads: this.#keep(known.reads) }))
      .filter(({ reads }) => reads.length > 0)
  }

  stop(reason: RaftError): void {
    const asked = [...this.#asked.values()].map((question) => question.reads)
    const known = this.#known.map((entry) => entry.reads)
    for (const reads of [this.#fresh, this.#again, ...asked, ...known])
      for (const read of reads) settle(read, reason)
    this.#fresh = []
    this.#again = []
    this.#asked.clear()
    this.#known = []
    this.#count = 0
  }

  /** Those that somebody still waits for; the others are gone for good. */
  #keep(reads: readonly Read[]): Read[] {
    const kept = reads.filter((read) => !read.settled)
    this.#count -= reads.length - kept.length
    return kept
  }

  #serve({ reads, askedAtMs }: Known, index: LogIndex): void {
    this.#currentAsOfMs = Math.max(this.#currentAsOfMs, askedAtMs)
    this.#count -= reads.length
    for (const read of reads) {
      if (read.settled) continue
      read.settled = true
      read.resolve(index)
    }
  }
}

function settleLate(reads: readonly Read[], tick: number, reason: () => RaftError): void {
  for (const read of reads) if (!read.settled && read.deadline <= tick) settle(read, reason())
}

function settle(read: Read, reason: unknown): void {
  if (read.settled) return
  read.settled = true
  read.reject(reason)
}

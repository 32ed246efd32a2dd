import { RaftError } from '../errors.ts'
import type { Raft, ReadOutcome } from '../protocol/raft.ts'
import type { LogIndex, NodeId } from '../types.ts'

interface Read {
  readonly deadline: number
  settled: boolean
  readonly resolve: (index: LogIndex) => void
  readonly reject: (reason: unknown) => void
}

/** Ask again after this many ticks without an answer: the question or the answer was lost. */
const RETRY_TICKS = 5

/**
 * Linearizable reads of one node: which ask the leader for an index, and which wait until this node
 * has applied that far (thesis 6.4). All reads that come in one turn ask as one.
 *
 * Asking twice does no harm, so a read that loses its leader asks the next one by itself.
 */
export class Reads {
  readonly #limit: number
  /** Ask in the next turn. */
  #fresh: Read[] = []
  /** Lost their leader: ask again at the next tick, or when a leader is known. */
  #again: Read[] = []
  /** Asked, by the number of the question. Never used twice, so a late answer serves nobody else. */
  readonly #asked = new Map<number, { readonly reads: readonly Read[]; readonly tick: number }>()
  /** Know their index, in ascending order, and wait for it to be applied. */
  #known: { readonly index: LogIndex; readonly reads: readonly Read[] }[] = []
  #questionId: number
  #count = 0

  constructor(limit: number, firstId: number) {
    this.#limit = limit
    this.#questionId = firstId
  }

  get wantsTurn(): boolean {
    return this.#fresh.length > 0
  }

  read(deadline: number, signal: AbortSignal | undefined): Promise<LogIndex> {
    if (this.#count >= this.#limit)
      return Promise.reject(new RaftError('UNAVAILABLE', `${this.#limit} reads are waiting`))
    return new Promise((resolve, reject) => {
      this.#count += 1
      const finish = (): void => {
        this.#count -= 1
        signal?.removeEventListener('abort', abort)
      }
      const read: Read = {
        deadline,
        settled: false,
        resolve: (index) => {
          finish()
          resolve(index)
        },
        reject: (reason) => {
          finish()
          reject(reason)
        },
      }
      const abort = (): void => settle(read, signal?.reason)
      this.#fresh.push(read)
      signal?.addEventListener('abort', abort, { once: true })
    })
  }

  /** Everything that came since the last turn asks now, as one question. */
  ask(raft: Raft, now: number): void {
    if (this.#fresh.length === 0) return
    this.#questionId += 1
    this.#asked.set(this.#questionId, { reads: this.#fresh, tick: now })
    this.#fresh = []
    raft.readIndex(this.#questionId)
  }

  answered({ id, index }: ReadOutcome, appliedIndex: LogIndex): void {
    const question = this.#asked.get(id)
    if (question === undefined) return
    this.#asked.delete(id)
    if (index < 0) this.#again.push(...question.reads)
    else if (index <= appliedIndex) resolveAll(question.reads, appliedIndex)
    else this.#wait(index, question.reads)
  }

  #wait(index: LogIndex, reads: readonly Read[]): void {
    let at = this.#known.length
    while (at > 0 && (this.#known[at - 1] as { index: LogIndex }).index > index) at -= 1
    this.#known.splice(at, 0, { index, reads })
  }

  applied(index: LogIndex): void {
    let done = 0
    while (done < this.#known.length && (this.#known[done] as { index: LogIndex }).index <= index) {
      resolveAll((this.#known[done] as { reads: readonly Read[] }).reads, index)
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
    this.#fresh.push(...this.#again.filter((read) => !read.settled))
    this.#again = []
  }

  expire(now: number, leader: NodeId | null): void {
    for (const [id, question] of this.#asked) {
      if (question.tick + RETRY_TICKS > now) break
      this.#asked.delete(id)
      this.#again.push(...question.reads)
    }
    this.#retry()
    for (const reads of [this.#fresh, ...this.#known.map((entry) => entry.reads)])
      for (const read of reads)
        if (read.deadline <= now)
          settle(
            read,
            new RaftError('UNAVAILABLE', 'no majority confirmed the read in time', { leader }),
          )
    this.#fresh = this.#fresh.filter((read) => !read.settled)
    this.#known = this.#known.filter(({ reads }) => reads.some((read) => !read.settled))
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
  }
}

function resolveAll(reads: readonly Read[], index: LogIndex): void {
  for (const read of reads) {
    if (read.settled) continue
    read.settled = true
    read.resolve(index)
  }
}

function settle(read: Read, reason: unknown): void {
  if (read.settled) return
  read.settled = true
  read.reject(reason)
}

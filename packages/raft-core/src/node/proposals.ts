import { RaftError } from '../errors.ts'
import type { NodeOptions } from '../options.ts'
import type { LogIndex, NodeId, Position, Term } from '../types.ts'
import type { Applied } from './node.ts'

/** A command that somebody waits for. It is settled exactly once. */
export interface Proposal<Result> {
  /** Empty once it has a place in the log, which holds it from then on. */
  command: Uint8Array
  /** The tick after which the wait is over. */
  readonly deadline: number
  /** The term it was appended in, once it has a place in the log. */
  term: Term
  /** True once the caller has an answer; whatever is learned later is of no use. */
  settled: boolean
  readonly resolve: (applied: Applied<Result>) => void
  readonly reject: (reason: unknown) => void
}

type Limits = Pick<
  NodeOptions,
  'maxCommandBytes' | 'maxPendingProposals' | 'maxPendingProposalBytes'
>

const NOTHING = new Uint8Array(0)

/**
 * The proposals of one node, by how far each has come. Where one stands decides what is known of it
 * when the wait ends early: what was never handed on did not happen; what was, may have.
 */
export class Proposals<Result> {
  readonly #options: Limits
  /** Not handed on to anybody yet: they wait for a leader, or for room. */
  #queue: Proposal<Result>[] = []
  /** Sent to the leader, which has not said where it put them. By number of the batch. */
  readonly #forwarded = new Map<number, readonly Proposal<Result>[]>()
  #forwardedBytes = 0
  #queuedBytes = 0
  /** In a log, by index. Whether this is what will be committed there, only that index can tell. */
  readonly #placed = new Map<LogIndex, Proposal<Result>>()
  /** The leader refused some: wait for a tick or another leader before asking again. */
  #isRefused = false
  #batchId: number
  #forwardedCount = 0

  constructor(options: Limits, firstId: number) {
    this.#options = options
    this.#batchId = firstId
  }

  /** Some wait to be handed on, and there is hope that somebody takes them. */
  get wantsLeader(): boolean {
    return this.#queue.length > 0 && !this.#isRefused
  }

  get #count(): number {
    return this.#queue.length + this.#forwardedCount + this.#placed.size
  }

  propose(
    command: Uint8Array,
    deadline: number,
    signal: AbortSignal | undefined,
  ): Promise<Applied<Result>> {
    const refusal = this.#refusal(command)
    if (refusal !== null) return Promise.reject(refusal)
    this.#queuedBytes += command.length
    return new Promise((resolve, reject) => {
      const proposal = { command, deadline, term: 0, settled: false, resolve, reject }
      this.#queue.push(signal === undefined ? proposal : withSignal(proposal, signal))
    })
  }

  /** Why it is too large, or there is no room for another, or null. A single one always fits. */
  #refusal({ length: size }: Uint8Array): RaftError | null {
    const { maxCommandBytes, maxPendingProposals, maxPendingProposalBytes } = this.#options
    if (size > maxCommandBytes)
      return new RaftError(
        'PROPOSAL_TOO_LARGE',
        `a command of ${size} bytes exceeds ${maxCommandBytes}`,
      )
    if (this.#count >= maxPendingProposals)
      return new RaftError('PROPOSAL_DROPPED', `${maxPendingProposals} proposals are waiting`)
    const bytes = this.#queuedBytes + this.#forwardedBytes
    if (bytes > 0 && bytes + size > maxPendingProposalBytes)
      return new RaftError('PROPOSAL_DROPPED', `${bytes} bytes of proposals are waiting`)
    return null
  }

  /** Takes all that wait to be handed on. Whatever is not, comes back by `putBack`. */
  takeQueue(): readonly Proposal<Result>[] {
    const queue = this.#queue.filter((proposal) => !proposal.settled)
    this.#queue = []
    this.#queuedBytes = 0
    return queue
  }

  putBack(proposals: readonly Proposal<Result>[]): void {
    if (proposals.length === 0) return
    this.#queue = [...proposals, ...this.#queue]
    this.#queuedBytes += bytesOf(proposals)
  }

  /** The leader takes smaller commands than this node does. */
  refusedAsTooLarge(proposal: Proposal<Result>): void {
    const size = proposal.command.length
    settle(
      proposal,
      new RaftError('PROPOSAL_TOO_LARGE', `a command of ${size} bytes is too large for the leader`),
    )
  }

  /** The leader did not take them. */
  refused(proposals: readonly Proposal<Result>[]): void {
    if (proposals.length === 0) return
    this.#isRefused = true
    this.putBack(proposals)
  }

  /** Time has passed, or another leads: it may go better now. */
  retry(): void {
    this.#isRefused = false
  }

  /** They stand in the log one after the other, the first of them at `first`. */
  place(proposals: readonly Proposal<Result>[], first: Position): void {
    let { index } = first
    for (const proposal of proposals) {
      proposal.term = first.term
      proposal.command = NOTHING
      this.#replace(index, proposal)
      index += 1
    }
  }

  /** Another proposal was thought to stand there: it was overwritten since, in that log at least. */
  #replace(index: LogIndex, proposal: Proposal<Result>): void {
    const earlier = this.#placed.get(index)
    if (earlier !== undefined) {
      this.#placed.delete(index)
      settleUnknown(earlier, `another entry took the place at index ${index}`)
    }
    this.#placed.set(index, proposal)
  }

  /** They are on their way to the leader as one batch. Answers with its number. */
  forward(proposals: readonly Proposal<Result>[]): number {
    this.#batchId += 1
    this.#forwarded.set(this.#batchId, proposals)
    this.#forwardedCount += proposals.length
    this.#forwardedBytes += bytesOf(proposals)
    return this.#batchId
  }

  /** The leader answered for a batch. Answers with the proposals, or null if nobody waits for them. */
  takeForwarded(batch: number): readonly Proposal<Result>[] | null {
    const proposals = this.#forwarded.get(batch)
    if (proposals === undefined) return null
    this.#forwarded.delete(batch)
    this.#forwardedCount -= proposals.length
    this.#forwardedBytes -= bytesOf(proposals)
    return proposals
  }

  /** The leader they were sent to leads no more, and has not said what became of them. */
  loseForwarded(leader: NodeId | null): void {
    for (const [batch, proposals] of this.#forwarded) {
      this.#forwarded.delete(batch)
      for (const proposal of proposals)
        settleUnknown(
          proposal,
          'the leader changed before it said what became of the proposal',
          leader,
        )
    }
    this.#forwardedCount = 0
    this.#forwardedBytes = 0
  }

  /** The entry at `index` is committed and applied, and `term` tells whose it is. */
  applied(index: LogIndex, term: Term, result: Result | undefined): void {
    const proposal = this.#placed.get(index)
    if (proposal === undefined) return
    this.#placed.delete(index)
    if (proposal.settled) return
    proposal.settled = true
    if (proposal.term === term) proposal.resolve({ index, term, result: result as Result })
    else
      proposal.reject(
        new RaftError(
          'PROPOSAL_DROPPED',
          `an entry of term ${term} was committed at index ${index} instead`,
        ),
      )
  }

  get hasPlaced(): boolean {
    return this.#placed.size > 0
  }

  /** A snapshot took the place of the entries up to `index`: what they were can no longer be told. */
  skipped(index: LogIndex): void {
    for (const [at, proposal] of this.#placed) {
      if (at > index) continue
      this.#placed.delete(at)
      settleUnknown(proposal, `a snapshot replaced the log up to index ${index}`)
    }
  }

  /** Time is up for those that are due. They stand in the order they came in. */
  expire(now: number, leader: NodeId | null): void {
    const isDue = (proposal: Proposal<Result>): boolean => proposal.deadline <= now
    if (this.#queue.some(isDue)) {
      for (const proposal of this.#queue)
        if (isDue(proposal))
          settle(
            proposal,
            new RaftError('PROPOSAL_DROPPED', 'no leader took the proposal in time', { leader }),
          )
      this.#queue = this.#queue.filter((proposal) => !proposal.settled)
      this.#queuedBytes = bytesOf(this.#queue)
    }
    for (const [batch, proposals] of this.#forwarded) {
      if (!proposals.every(isDue)) break
      this.takeForwarded(batch)
      for (const proposal of proposals)
        settleUnknown(proposal, 'the leader did not answer in time', leader)
    }
    for (const [index, proposal] of this.#placed) {
      if (!isDue(proposal)) break
      this.#placed.delete(index)
      settleUnknown(proposal, `index ${index} was not committed in time`, leader)
    }
  }

  stop(reason: RaftError): void {
    const all = [...this.#queue, ...[...this.#forwarded.values()].flat(), ...this.#placed.values()]
    this.#queue = []
    this.#forwarded.clear()
    this.#placed.clear()
    this.#forwardedCount = 0
    this.#forwardedBytes = 0
    this.#queuedBytes = 0
    for (const proposal of all) settle(proposal, reason)
  }
}

function bytesOf(proposals: readonly { readonly command: Uint8Array }[]): number {
  let bytes = 0
  for (const { command } of proposals) bytes += command.length
  return bytes
}

function settleUnknown(
  proposal: Pick<Proposal<unknown>, 'settled' | 'reject'>,
  why: string,
  leader: NodeId | null = null,
): void {
  settle(proposal, new RaftError('OUTCOME_UNKNOWN', why, { leader }))
}

function settle(proposal: Pick<Proposal<unknown>, 'settled' | 'reject'>, reason: unknown): void {
  if (proposal.settled) return
  proposal.settled = true
  proposal.reject(reason)
}

/** Aborting ends the wait, and takes the proposal back only if it was not handed on yet. */
function withSignal<Result>(proposal: Proposal<Result>, signal: AbortSignal): Proposal<Result> {
  const abort = (): void => settle(cancellable, signal.reason)
  const cancellable: Proposal<Result> = {
    ...proposal,
    resolve: (applied) => {
      signal.removeEventListener('abort', abort)
      proposal.resolve(applied)
    },
    reject: (reason) => {
      signal.removeEventListener('abort', abort)
      proposal.reject(reason)
    },
  }
  signal.addEventListener('abort', abort)
  return cancellable
}

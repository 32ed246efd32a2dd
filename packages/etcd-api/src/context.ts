/** What every service is made with. */
import { attributeCommand, type KvResult, ownCommand } from '@coracle/kv-state-machine'
import { type Arrival, arrivalOf } from './arrival.ts'
import type { Cancellable } from './call.ts'
import * as errors from './errors.ts'
import { type Gate, gate } from './gate.ts'
import { fromBigInt, type Int64 } from './int64.ts'
import { jwtTokens } from './jwt-tokens.ts'
import { followLeadership, type Leadership } from './leadership.ts'
import { type OpenStreams, openStreams } from './open-streams.ts'
import {
  type EtcdNode,
  type EtcdServicesOptions,
  type ResolvedOptions,
  resolveOptions,
} from './options.ts'
import { noTally, type PendingRequests, pendingRequests, type Tally } from './pending.ts'
import { simpleTokens } from './simple-tokens.ts'
import type { Tokens } from './tokens.ts'
import type { ResponseHeader } from './wire.ts'

export interface ServiceContext extends AsyncDisposable {
  readonly options: ResolvedOptions
  readonly leadership: Leadership
  /** Whether this member knows anything yet. */
  readonly arrival: Arrival
  /** Where every stream belongs that does not end by itself. */
  readonly streams: OpenStreams
  /** What stands for a user. */
  readonly tokens: Tokens
  /** Who may do what. */
  readonly gate: Gate
  /** The alarms that are on their way through the log. */
  readonly raising: Set<string>
  /** What became of proposals and of linearizable reads. */
  readonly proposals: Readonly<Tally>
  readonly reads: Readonly<Tally>
  /** A header as of `revision`. */
  header(revision: number): ResponseHeader
  /**
   * Has a command committed and applied here, in the name of whoever the gate found to call. Rejects
   * with an EtcdError.
   */
  propose(command: Uint8Array, call: Cancellable): Promise<KvResult>
  /** The same, on this member's own account. */
  proposeOwn(command: Uint8Array): Promise<KvResult>
  /** Resolves when the store may be read linearizably. Rejects with an EtcdError. */
  readBarrier(call: Cancellable): Promise<unknown>
  /** Waits for what takes the cluster, but only as long as a request may. Rejects with an EtcdError. */
  wait<Answer>(ask: () => Promise<Answer>, call: Cancellable): Promise<Answer>
}

export function serviceContext(options: EtcdServicesOptions): ServiceContext {
  return new Context(resolveOptions(options))
}

/** No client waits for it. */
const NOBODY: Cancellable = { cancelled: false }

class Context implements ServiceContext {
  readonly options: ResolvedOptions
  readonly leadership: Leadership
  readonly arrival: Arrival
  readonly streams: OpenStreams
  readonly tokens: Tokens
  readonly gate: Gate
  readonly raising = new Set<string>()
  readonly proposals: Tally = noTally()
  readonly reads: Tally = noTally()
  readonly #node: EtcdNode
  readonly #pending: PendingRequests
  readonly #clusterId: Int64
  readonly #memberId: Int64

  constructor(options: ResolvedOptions) {
    this.options = options
    this.#node = options.node
    this.leadership = followLeadership(options.node)
    this.arrival = arrivalOf(options.node, (call) => this.readBarrier(call))
    this.#pending = pendingRequests(this.leadership, options.limits, options.environment)
    const { environment, limits } = options
    this.streams = openStreams(this.leadership, environment, limits.electionTimeoutMs)
    this.#clusterId = fromBigInt(options.clusterId)
    this.#memberId = fromBigInt(options.memberId)
    this.tokens = this.#makeTokens()
    this.gate = gate(this)
  }

  header(revision: number): ResponseHeader {
    return {
      cluster_id: this.#clusterId,
      member_id: this.#memberId,
      revision,
      raft_term: this.leadership.term,
    }
  }

  propose(command: Uint8Array, call: Cancellable): Promise<KvResult> {
    const identity = this.gate.identityOf(call)
    if (identity === null) return this.#send(command, call)
    return this.#send(attributeCommand(command, identity), call).then((result) => {
      const isOld = result.type === 'failure' && result.code === 'AUTH_REVISION_OLD'
      return isOld && this.gate.renew(call) ? this.propose(command, call) : result
    })
  }

  proposeOwn(command: Uint8Array): Promise<KvResult> {
    return this.#send(this.gate.isOpen ? command : ownCommand(command), NOBODY)
  }

  #send(command: Uint8Array, call: Cancellable): Promise<KvResult> {
    if (command.length > this.options.limits.maxRequestBytes) throw errors.requestTooLarge
    return this.#pending.run({
      call,
      bytes: command.length,
      ask: () => this.#node.propose(command).then(({ result }) => result),
      explain: errors.proposalError,
      tally: this.proposals,
    })
  }

  readBarrier(call: Cancellable): Promise<unknown> {
    const ask = (): Promise<number> => this.#node.read()
    const explain = errors.readError
    return this.#pending.run({ call, bytes: 0, ask, explain, tally: this.reads })
  }

  #makeTokens(): Tokens {
    const { auth, stateMachine, environment, node } = this.options
    if (auth.tokens !== 'simple')
      return jwtTokens({ jwt: auth.tokens, stateMachine, environment: auth.environment })
    return simpleTokens({
      node,
      stateMachine,
      environment,
      randomBytes: (length) => auth.environment.randomBytes(length),
      ttlMs: auth.tokenTtlMs,
      propose: (command, call) => this.propose(command, call),
      readBarrier: (call) => this.readBarrier(call),
    })
  }

  wait<Answer>(ask: () => Promise<Answer>, call: Cancellable): Promise<Answer> {
    return this.#pending.run({ call, bytes: 0, ask, explain: errors.proposalError })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.tokens[Symbol.dispose]()
    this.#pending[Symbol.dispose]()
    this.streams[Symbol.dispose]()
    await this.leadership[Symbol.asyncDispose]()
  }
}

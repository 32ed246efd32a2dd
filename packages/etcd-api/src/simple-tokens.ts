/**
 * Tokens that mean nothing by themselves: every member remembers for whom each stands.
 *
 * A token is given out through the log, so that all members learn of it; it names the entry, so that
 * a member knows whether it should know it. How long it is good is measured by each member from when
 * it last saw it. What a member learnt before it was started it does not know any more, as in etcd:
 * the log, read again, does not say whether a token had ended.
 */
import {
  type AuthObserver,
  encodeCommand,
  type Identity,
  type KvResult,
  type KvStateMachine,
} from '@coracle/kv-state-machine'
import type { Environment } from '@coracle/raft-core'
import type { Call, Cancellable } from './call.ts'
import { kvError } from './errors.ts'
import type { EtcdNode } from './options.ts'
import type { Tokens } from './tokens.ts'

export interface SimpleTokensOptions {
  readonly node: EtcdNode
  readonly stateMachine: KvStateMachine
  readonly environment: Environment
  /** Bytes that nobody can guess. */
  readonly randomBytes: (length: number) => Uint8Array
  /** How long a token is good after its last use. */
  readonly ttlMs: number
  readonly propose: (command: Uint8Array, call: Cancellable) => Promise<KvResult>
  readonly readBarrier: (call: Cancellable) => Promise<unknown>
}

export function simpleTokens(options: SimpleTokensOptions): Tokens {
  return new SimpleTokens(options)
}

interface Holder {
  readonly user: string
  readonly deadline: number
}

const LETTERS = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'
const SECRET_LETTERS = 16
const FORM = /^[a-zA-Z]{16}\.(\d{1,16})$/

class SimpleTokens implements Tokens, AuthObserver {
  readonly #options: SimpleTokensOptions
  /**
   * In the order of last use, so that those that end first come first. There are no more than
   * passwords can be checked in the life of a token.
   */
  readonly #holders = new Map<string, Holder>()
  /** The end of the log when this member started. */
  readonly #startIndex: number
  readonly #undo: readonly (() => void)[]

  constructor(options: SimpleTokensOptions) {
    const { node, stateMachine, environment, ttlMs } = options
    this.#options = options
    this.#startIndex = node.status().lastIndex
    this.#undo = [
      stateMachine.followAuth(this),
      environment.every(Math.ceil(ttlMs / 10), () => this.#forgetEnded()),
    ]
  }

  identify(token: string, call: Call): Identity | null | Promise<Identity | null> {
    const known = this.#find(token)
    return known !== null || !this.#isToCome(token) ? known : this.#await(token, call)
  }

  async issue(user: string, revision: number, call: Cancellable): Promise<string | null> {
    const secret = lettersFrom(this.#options.randomBytes)
    const request = { type: 'authenticate', user, revision, secret } as const
    const result = await this.#options.propose(encodeCommand({ type: 'auth', request }), call)
    if (result.type === 'auth') return result.token
    if (result.type !== 'failure') throw new TypeError(`auth was answered with ${result.type}`)
    if (result.code === 'AUTH_REVISION_OLD') return null
    throw kvError(result.code)
  }

  authenticated(user: string, token: string, index: number): void {
    if (index > this.#startIndex) this.#keep(token, user)
  }

  credentialsChanged(user: string): void {
    for (const [token, holder] of this.#holders)
      if (holder.user === user) this.#holders.delete(token)
  }

  reset(): void {
    this.#holders.clear()
  }

  [Symbol.dispose](): void {
    for (const undo of this.#undo) undo()
  }

  #find(token: string): Identity | null {
    const { environment, stateMachine } = this.#options
    const holder = this.#holders.get(token)
    if (holder === undefined || holder.deadline <= environment.now()) return null
    this.#holders.delete(token)
    this.#keep(token, holder.user)
    return { user: holder.user, revision: stateMachine.auth.revision }
  }

  #keep(token: string, user: string): void {
    const deadline = this.#options.environment.now() + this.#options.ttlMs
    this.#holders.set(token, { user, deadline })
  }

  /** Another member gave it out, and this one has not applied so far. */
  #isToCome(token: string): boolean {
    const index = Number(FORM.exec(token)?.[1] ?? 0)
    return index > this.#options.node.status().appliedIndex
  }

  /** Behind the barrier, everything is applied that anybody can have been told of. */
  async #await(token: string, call: Call): Promise<Identity | null> {
    await this.#options.readBarrier(call)
    return this.#find(token)
  }

  #forgetEnded(): void {
    const now = this.#options.environment.now()
    for (const [token, { deadline }] of this.#holders) {
      if (deadline > now) return
      this.#holders.delete(token)
    }
  }
}

/** 91 bits. Bytes that would favour some letters are left out. */
function lettersFrom(randomBytes: (length: number) => Uint8Array): string {
  let letters = ''
  while (letters.length < SECRET_LETTERS) {
    for (const byte of randomBytes(SECRET_LETTERS))
      if (byte < 4 * LETTERS.length) letters += LETTERS.charAt(byte % LETTERS.length)
  }
  return letters.slice(0, SECRET_LETTERS)
}

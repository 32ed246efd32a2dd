/**
 * Who calls, and whether they may: what every call goes through once authentication is enabled, and
 * nobody before.
 *
 * A member may be behind: what it refuses may have been allowed long since. So a refusal is believed
 * only behind a read barrier, unless there is no leader to ask for one.
 */
import type { Identity } from '@coracle/kv-state-machine'
import type { Check, Rule } from './access.ts'
import type { Call, Cancellable } from './call.ts'
import type { ServiceContext } from './context.ts'
import * as errors from './errors.ts'
import { EtcdError, kvError } from './errors.ts'

/** Whether a request of a stream is refused: null for what needs no thought, and else sooner or later. */
export type Permit<Request> = (request: Request) => null | Promise<EtcdError | null>

export interface Gate {
  /** Nobody has to say who they are. */
  readonly isOpen: boolean
  /** Carries out what the rule allows. Rejects with an EtcdError if it does not. */
  pass<Answer>(
    rule: Rule,
    request: object,
    call: Call,
    carryOut: () => Answer | Promise<Answer>,
  ): Answer | Promise<Answer>
  /** For the requests of a stream. */
  permitOf(rule: Rule, call: Call): Permit<never>
  /** Who was found to call; null if nobody was asked, or said so. */
  identityOf(call: Cancellable): Identity | null
  /** Looks again who calls. Answers whether more is known now than when it was last looked. */
  renew(call: Cancellable): boolean
}

type GateContext = Pick<ServiceContext, 'options' | 'leadership' | 'tokens' | 'readBarrier'>

export function gate(context: GateContext): Gate {
  return new CallGate(context)
}

class CallGate implements Gate {
  readonly #context: GateContext
  /** Beside the calls and not in them: whatever carries a call has nothing to do with it. */
  readonly #found = new WeakMap<Cancellable, { readonly call: Call; readonly identity: Identity }>()

  constructor(context: GateContext) {
    this.#context = context
  }

  get isOpen(): boolean {
    return !this.#context.options.stateMachine.auth.enabled
  }

  identityOf(call: Cancellable): Identity | null {
    return this.isOpen ? null : (this.#found.get(call)?.identity ?? null)
  }

  renew(call: Cancellable): boolean {
    const found = this.#found.get(call)
    if (found === undefined) return false
    const identity = this.#look(found.call)
    return identity !== null && !(identity instanceof Promise)
      ? identity.revision > found.identity.revision
      : false
  }

  pass<Answer>(
    rule: Rule,
    request: object,
    call: Call,
    carryOut: () => Answer | Promise<Answer>,
  ): Answer | Promise<Answer> {
    switch (rule.when) {
      case 'never':
        return carryOut()
      case 'applied':
      case 'parts':
        return after(this.#identify(call), carryOut)
      case 'before':
        return this.#admit(rule.check, request, call).then(carryOut)
      case 'reading':
        return this.#read(rule.check, request, call, carryOut)
      case 'each-message':
        throw new TypeError('a method that is no stream is to be asked for each message')
    }
  }

  permitOf(rule: Rule, call: Call): Permit<never> {
    if (rule.when !== 'each-message')
      throw new TypeError('a stream is to be asked for each message')
    const { check } = rule
    return (request) => {
      if (this.isOpen) return null
      return this.#admit(check, request, call).then(
        () => null,
        (error: unknown) => errors.unexpected(error),
      )
    }
  }

  /** If users or roles changed meanwhile, what was read is forgotten, and everything asked again. */
  async #read<Answer>(
    check: Check,
    request: object,
    call: Call,
    carryOut: () => Answer | Promise<Answer>,
  ): Promise<Answer> {
    for (;;) {
      const revision = await this.#admit(check, request, call)
      const answer = await carryOut()
      if (revision === this.#revision) return answer
    }
  }

  /** Answers with the revision of users and roles at which it was allowed. */
  async #admit(check: Check, request: object, call: Call): Promise<number> {
    const { leadership } = this.#context
    const refusal = await this.#refusalOf(check, request, call)
    if (typeof refusal === 'number') return refusal
    if (leadership.leader === null) throw refusal
    await this.#context.readBarrier(call)
    const confirmed = await this.#refusalOf(check, request, call)
    if (typeof confirmed === 'number') return confirmed
    throw confirmed
  }

  async #refusalOf(check: Check, request: object, call: Call): Promise<EtcdError | number> {
    const { stateMachine, limits } = this.#context.options
    try {
      const access = stateMachine.accessOf(await this.#identify(call))
      const code = check(access, request as never, { stateMachine, limits })
      return code === null ? this.#revision : kvError(code)
    } catch (error) {
      if (error instanceof EtcdError) return error
      throw error
    }
  }

  get #revision(): number {
    return this.#context.options.stateMachine.auth.revision
  }

  /** Throws, or rejects, if the token that the client gave stands for nobody. */
  #identify(call: Call): Identity | null | Promise<Identity | null> {
    return this.isOpen ? null : this.#look(call)
  }

  #look(call: Call): Identity | null | Promise<Identity | null> {
    const token = tokenOf(call)
    if (token === undefined) return this.#keep(call, this.#ofCertificate(call))
    const identity = this.#context.tokens.identify(token, call)
    if (identity instanceof Promise) return identity.then((found) => this.#keepKnown(call, found))
    return this.#keepKnown(call, identity)
  }

  /** The gateway's own certificate, which it shows in everybody's name, is nobody's. */
  #ofCertificate(call: Call): Identity | null {
    const { commonName: user = '' } = call
    if (!this.#context.options.auth.clientCertificates || user === '') return null
    if (call.metadata('grpcgateway-accept') !== undefined) return null
    return { user, revision: this.#revision }
  }

  #keepKnown(call: Call, identity: Identity | null): Identity {
    if (identity === null) throw errors.invalidAuthToken
    this.#keep(call, identity)
    return identity
  }

  #keep(call: Call, identity: Identity | null): Identity | null {
    if (identity !== null) this.#found.set(call, { call, identity })
    return identity
  }
}

/** Since etcd 3.6.13, the second may say that it is one. */
function tokenOf(call: Call): string | undefined {
  return call.metadata('token') ?? call.metadata('authorization')?.replace(/^bearer /i, '')
}

function after<Answer>(
  found: unknown,
  carryOut: () => Answer | Promise<Answer>,
): Answer | Promise<Answer> {
  return found instanceof Promise ? found.then(carryOut) : carryOut()
}

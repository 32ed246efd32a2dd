/**
 * How a method is served, and what holds for every call of it. A service is a plain object of
 * handlers that take a decoded request and give (or promise) a response; what comes out of here is
 * called by whatever carries calls.
 */
import { type Rule, ruleOf } from './access.ts'
import type { Arrival } from './arrival.ts'
import type { Call, DuplexCall } from './call.ts'
import type { ServiceContext } from './context.ts'
import * as errors from './errors.ts'
import type { EtcdError } from './errors.ts'
import type { Permit } from './gate.ts'
import type { Leadership } from './leadership.ts'
import type { MethodSchema } from './schema.ts'

export type UnaryHandler<Request, Response> = (
  request: Request,
  call: Call,
) => Response | Promise<Response>

/** Gives the messages one by one; the next one is asked for when the client has room for it. */
export type StreamHandler<Request, Response> = (
  request: Request,
  call: Call,
) => AsyncIterable<Response>

/**
 * Takes the messages and gives others, in whatever order. It is told when the call is over. Whether
 * the client may ask for what it asks for, `permit` says.
 */
export type DuplexHandler<Request, Response> = (
  call: DuplexCall<Request, Response>,
  permit: Permit<Request>,
) => void

/** How a method is served. What has no entry is answered with UNIMPLEMENTED. */
export type Method =
  | {
      readonly kind: 'unary'
      readonly handle: UnaryHandler<never, object>
      readonly onLearner: LearnerRule
      readonly fromTheStart: boolean
    }
  | {
      readonly kind: 'server-stream'
      readonly handle: StreamHandler<never, object>
      readonly onLearner: LearnerRule
      readonly fromTheStart: boolean
    }
  | { readonly kind: 'duplex'; readonly handle: DuplexHandler<never, never> }

/** Whether a member that does not vote answers this request; etcd lets it answer very few. */
type LearnerRule = (request: never) => boolean

interface MethodOptions<Request> {
  /** Default: never. */
  readonly onLearner?: (request: Request) => boolean
  /** Whether a member answers that knows nothing yet. Default: no. */
  readonly fromTheStart?: boolean
}

export function unary<Request, Response extends object>(
  handle: UnaryHandler<Request, Response>,
  { onLearner = () => false, fromTheStart = false }: MethodOptions<Request> = {},
): Method {
  return { kind: 'unary', handle, onLearner, fromTheStart }
}

export function serverStream<Request, Response extends object>(
  handle: StreamHandler<Request, Response>,
  { onLearner = () => false, fromTheStart = false }: MethodOptions<Request> = {},
): Method {
  const untyped = handle as StreamHandler<never, object>
  return { kind: 'server-stream', handle: untyped, onLearner, fromTheStart }
}

/** Never on a learner. What the handler writes may be bytes: a message that it encoded already. */
export function duplex<Request, Response extends object>(
  handle: DuplexHandler<Request, Response>,
): Method {
  return { kind: 'duplex', handle: handle as unknown as DuplexHandler<never, never> }
}

/**
 * A method that can be called. Requests are decoded messages, or the EtcdError that says why their
 * bytes are none. Every failure is an {@link EtcdError}, which may be thrown at once as well as later:
 * what is known at once costs no promise.
 */
export type Rpc =
  | {
      readonly kind: 'unary'
      readonly schema: MethodSchema
      call(request: object, call: Call): object | Promise<object>
    }
  | {
      readonly kind: 'server-stream'
      readonly schema: MethodSchema
      call(request: object, call: Call): AsyncIterable<object>
    }
  | {
      readonly kind: 'duplex'
      readonly schema: MethodSchema
      call(call: DuplexCall<object, object>): void
    }

type Surroundings = Pick<ServiceContext, 'leadership' | 'arrival' | 'streams' | 'gate'>

/** The method as it can be called, whether anybody serves it or not. */
export function rpcOf(
  schema: MethodSchema,
  method: Method | undefined,
  context: Surroundings,
): Rpc {
  const rule = ruleOf(schema)
  switch (method?.kind) {
    case undefined:
      return unserved(schema)
    case 'unary':
      return { kind: 'unary', schema, call: unaryCall(method, rule, context) }
    case 'server-stream':
      return { kind: 'server-stream', schema, call: streamCall(method, rule, context) }
    case 'duplex':
      return { kind: 'duplex', schema, call: duplexCall(method, rule, context) }
  }
}

function unaryCall(
  { handle, onLearner, fromTheStart }: Extract<Method, { kind: 'unary' }>,
  rule: Rule,
  { leadership, arrival, gate }: Surroundings,
): Extract<Rpc, { kind: 'unary' }>['call'] {
  const carryOut = (request: object, call: Call): object | Promise<object> => {
    const refused = refusalOf(request, call, onLearner, leadership)
    if (refused !== null) throw refused
    try {
      const answer = gate.isOpen
        ? handle(request as never, call)
        : gate.pass(rule, request, call, () => handle(request as never, call))
      return answer instanceof Promise ? answer.catch(rethrow) : answer
    } catch (error) {
      throw errors.unexpected(error)
    }
  }
  return (request, call) =>
    fromTheStart || arrival.isOver
      ? carryOut(request, call)
      : arrival.wait(call).then(() => carryOut(request, call))
}

function rethrow(error: unknown): never {
  throw errors.unexpected(error)
}

function streamCall(
  { handle, onLearner, fromTheStart }: Extract<Method, { kind: 'server-stream' }>,
  rule: Rule,
  { leadership, arrival, gate }: Surroundings,
): Extract<Rpc, { kind: 'server-stream' }>['call'] {
  return async function* messages(request, call) {
    if (!fromTheStart && !arrival.isOver) await arrival.wait(call)
    const refused = refusalOf(request, call, onLearner, leadership)
    if (refused !== null) throw refused
    try {
      yield* gate.isOpen
        ? handle(request as never, call)
        : await gate.pass(rule, request, call, () => begun(handle(request as never, call)))
    } catch (error) {
      throw errors.unexpected(error)
    }
  }
}

/** The same messages, of which the first is there already: what was read for it has been read. */
async function begun(messages: AsyncIterable<object>): Promise<AsyncIterable<object>> {
  const iterator = messages[Symbol.asyncIterator]()
  const first = await iterator.next()
  return (async function* rest() {
    try {
      for (let next = first; !next.done; next = await iterator.next()) yield next.value
    } finally {
      await iterator.return?.()
    }
  })()
}

function duplexCall(
  { handle }: Extract<Method, { kind: 'duplex' }>,
  rule: Rule,
  { leadership, arrival, streams, gate }: Surroundings,
): Extract<Rpc, { kind: 'duplex' }>['call'] {
  return (call) => {
    const refused = refusalOf(null, call, () => false, leadership)
    if (refused !== null) return call.end(refused)
    const permit = gate.permitOf(rule, call)
    handle(call, arrival.isOver ? permit : afterArrival(arrival, permit, call))
    streams.add(call)
  }
}

/** The requests of a stream wait one by one, for the stream is open already. */
function afterArrival(arrival: Arrival, permit: Permit<never>, call: Call): Permit<never> {
  return (request) =>
    arrival.isOver
      ? permit(request)
      : arrival.wait(call).then(
          () => permit(request),
          (error: unknown) => errors.unexpected(error),
        )
}

/** What etcd's interceptors refuse before any service sees the request. */
function refusalOf(
  request: object | null,
  call: Call,
  onLearner: LearnerRule,
  leadership: Leadership,
): EtcdError | null {
  if (request instanceof errors.EtcdError) return request
  if (leadership.learner && !onLearner(request as never)) return errors.notSupportedForLearner
  if (leadership.leader === null && call.metadata('hasleader') === 'true') return errors.noLeader
  return null
}

function unserved(schema: MethodSchema): Rpc {
  const error = errors.unimplemented(schema.service, schema.method)
  const refuse = (): never => {
    throw error
  }
  if (schema.requestStream) return { kind: 'duplex', schema, call: (call) => call.end(error) }
  return { kind: schema.responseStream ? 'server-stream' : 'unary', schema, call: refuse }
}

/**
 * Between gRPC and the services: bytes in, bytes out, and what holds for every call. A service is
 * a plain object of handlers that take a decoded request and give (or promise) a response.
 */
import type {
  handleUnaryCall,
  Metadata,
  MethodDefinition,
  sendUnaryData,
  ServerDuplexStream,
  ServerUnaryCall,
  ServerWritableStream,
  UntypedHandleCall,
} from '@grpc/grpc-js'
import type { ServiceContext } from './context.ts'
import * as errors from './errors.ts'
import type { EtcdError } from './errors.ts'
import type { Leadership } from './leadership.ts'
import type { OpenStreams } from './open-streams.ts'
import { type Codec, codecOf, type MethodSchema } from './schema.ts'

export type UnaryHandler<Request, Response> = (
  request: Request,
  call: ServerUnaryCall<Request, Response>,
) => Response | Promise<Response>

/** Gives the messages one by one; the next one is asked for when the client has room for it. */
export type StreamHandler<Request, Response> = (
  request: Request,
  call: ServerWritableStream<Request, Response>,
) => AsyncIterable<Response>

/** Takes the messages and gives others, in whatever order. It is told when the call has ended. */
export type DuplexHandler<Request, Response> = (call: ServerDuplexStream<Request, Response>) => void

/** How a method is served. What has no entry is answered with UNIMPLEMENTED. */
export type Method =
  | {
      readonly kind: 'unary'
      readonly handle: UnaryHandler<never, object>
      readonly onLearner: LearnerRule
    }
  | {
      readonly kind: 'server-stream'
      readonly handle: StreamHandler<never, object>
      readonly onLearner: LearnerRule
    }
  | { readonly kind: 'duplex'; readonly handle: DuplexHandler<never, never> }

/** Whether a member that does not vote answers this request; etcd lets it answer very few. */
type LearnerRule = (request: never) => boolean

interface MethodOptions<Request> {
  /** Default: never. */
  readonly onLearner?: (request: Request) => boolean
}

export function unary<Request, Response extends object>(
  handle: UnaryHandler<Request, Response>,
  { onLearner = () => false }: MethodOptions<Request> = {},
): Method {
  return { kind: 'unary', handle, onLearner }
}

export function serverStream<Request, Response extends object>(
  handle: StreamHandler<Request, Response>,
  { onLearner = () => false }: MethodOptions<Request> = {},
): Method {
  return { kind: 'server-stream', handle: handle as StreamHandler<never, object>, onLearner }
}

/** Never on a learner. What the handler writes may be bytes: a message that it encoded already. */
export function duplex<Request, Response extends object>(
  handle: DuplexHandler<Request, Response>,
): Method {
  return { kind: 'duplex', handle: handle as unknown as DuplexHandler<never, never> }
}

/** What gRPC needs to know of a method: its path, its shape and its codecs. */
export function definitionOf(schema: MethodSchema): MethodDefinition<object, object> {
  const request = codecOf(schema.requestType)
  const response = codecOf(schema.responseType)
  const serialize =
    (codec: typeof request) =>
    (message: object): Buffer =>
      asBuffer(message instanceof Uint8Array ? message : codec.encode(message))
  return {
    path: `/${schema.service}/${schema.method}`,
    requestStream: schema.requestStream,
    responseStream: schema.responseStream,
    requestSerialize: serialize(request),
    requestDeserialize: (bytes) => decodeOrExplain(request, bytes),
    responseSerialize: serialize(response),
    responseDeserialize: (bytes) => response.decode(bytes),
  }
}

/**
 * Bytes that are no message arrive at the handler as the error to answer with: if this threw, gRPC
 * would answer with a text of its own.
 */
function decodeOrExplain(codec: Codec<object>, bytes: Uint8Array): object {
  try {
    return codec.decode(bytes)
  } catch (error) {
    return errors.malformed(error)
  }
}

/** gRPC wants a Buffer; the codec makes Buffers on Node, so this copies nothing. */
function asBuffer(bytes: Uint8Array): Buffer {
  if (Buffer.isBuffer(bytes)) return bytes
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

type Surroundings = Pick<ServiceContext, 'leadership' | 'streams'>

/** The gRPC handler for a method that is served, or for one that is not. */
export function handlerOf(
  schema: MethodSchema,
  method: Method | undefined,
  context: Surroundings,
): UntypedHandleCall {
  if (method === undefined) return refuseAll(schema)
  return callOf(method, context) as UntypedHandleCall
}

function callOf(method: Method, { leadership, streams }: Surroundings): unknown {
  switch (method.kind) {
    case 'unary':
      return unaryCall(method, leadership)
    case 'server-stream':
      return streamCall(method, leadership)
    case 'duplex':
      return duplexCall(method, leadership, streams)
  }
}

function unaryCall(
  { handle, onLearner }: Extract<Method, { kind: 'unary' }>,
  leadership: Leadership,
): handleUnaryCall<never, object> {
  return (call, callback) => {
    const refused = refusalOf(call.request, call.metadata, onLearner, leadership)
    if (refused !== null) return callback(refused)
    try {
      const answer = handle(call.request, call)
      if (answer instanceof Promise) return settle(answer, callback)
      callback(null, answer)
    } catch (error) {
      callback(errors.unexpected(error))
    }
  }
}

function settle(answer: Promise<object>, respond: sendUnaryData<object>): void {
  answer.then(
    (response) => respond(null, response),
    (error: unknown) => respond(errors.unexpected(error)),
  )
}

function streamCall(
  { handle, onLearner }: Extract<Method, { kind: 'server-stream' }>,
  leadership: Leadership,
): (call: ServerWritableStream<never, object>) => void {
  return (call) => {
    const refused = refusalOf(call.request, call.metadata, onLearner, leadership)
    if (refused !== null) return fail(call, refused)
    writeAll(call, () => handle(call.request, call)).catch((error: unknown) =>
      fail(call, errors.unexpected(error)),
    )
  }
}

async function writeAll(
  call: ServerWritableStream<never, object>,
  handle: () => AsyncIterable<object>,
): Promise<void> {
  for await (const message of handle()) {
    if (call.cancelled) return
    if (!call.write(message)) await roomIn(call)
  }
  call.end()
}

/** Resolves when the client has taken what was written, or has gone. */
function roomIn(call: ServerWritableStream<never, object>): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      call.off('drain', done)
      call.off('cancelled', done)
      resolve()
    }
    call.once('drain', done)
    call.once('cancelled', done)
  })
}

function duplexCall(
  { handle }: Extract<Method, { kind: 'duplex' }>,
  leadership: Leadership,
  streams: OpenStreams,
): (call: ServerDuplexStream<never, never>) => void {
  return (call) => {
    const refused = refusalOf(undefined as never, call.metadata, () => false, leadership)
    if (refused !== null) return fail(call, refused)
    call.on('data', (request: unknown) => {
      if (request instanceof errors.EtcdError) fail(call, request)
    })
    handle(call)
    streams.add(call)
  }
}

/** What etcd's interceptors refuse before any service sees the request. */
function refusalOf(
  request: never,
  metadata: Metadata,
  onLearner: LearnerRule,
  leadership: Leadership,
): EtcdError | null {
  if ((request as unknown) instanceof errors.EtcdError) return request
  if (leadership.learner && !onLearner(request)) return errors.notSupportedForLearner
  if (leadership.leader === null && metadata.get('hasleader')[0] === 'true') return errors.noLeader
  return null
}

function refuseAll(schema: MethodSchema): UntypedHandleCall {
  const error = errors.unimplemented(schema.service, schema.method)
  const refuse = schema.responseStream
    ? (call: AnyStream) => fail(call, error)
    : (_call: unknown, callback: sendUnaryData<object>) => callback(error)
  return refuse as UntypedHandleCall
}

type AnyStream = ServerWritableStream<never, object> | ServerDuplexStream<never, never>

/** grpc-js ends a stream with the status of an error that is emitted on it. */
function fail(call: AnyStream, error: EtcdError): void {
  call.emit('error', error)
}

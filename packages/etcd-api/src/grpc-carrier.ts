/** Carries calls over grpc-js: bytes in, bytes out. */
import type {
  handleUnaryCall,
  Metadata,
  MethodDefinition,
  ServerDuplexStream,
  ServerUnaryCall,
  ServerWritableStream,
  UntypedHandleCall,
} from '@grpc/grpc-js'
import type { Call, DuplexCall, Receiver } from './call.ts'
import { EtcdError, malformed, unexpected } from './errors.ts'
import type { Rpc } from './method.ts'
import type { Traffic } from './metrics/rpc-metrics.ts'
import { type Codec, codecOf, type MethodSchema } from './schema.ts'

/** What grpc-js needs to know of a method: its path, its shape and its codecs. */
export function definitionOf(
  schema: MethodSchema,
  traffic: Traffic,
): MethodDefinition<object, object> {
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
    requestDeserialize(bytes) {
      traffic.received += bytes.length
      return decodeOrExplain(request, bytes)
    },
    responseSerialize(message) {
      const bytes = serialize(response)(message)
      traffic.sent += bytes.length
      return bytes
    },
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
    return malformed(error)
  }
}

/** gRPC wants a Buffer; the codec makes Buffers on Node, so this copies nothing. */
function asBuffer(bytes: Uint8Array): Buffer {
  if (Buffer.isBuffer(bytes)) return bytes
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** The handler that calls this method. */
export function handlerOf(rpc: Rpc): UntypedHandleCall {
  switch (rpc.kind) {
    case 'unary':
      return unaryHandler(rpc) as UntypedHandleCall
    case 'server-stream':
      return streamHandler(rpc) as UntypedHandleCall
    case 'duplex':
      return ((call: ServerDuplexStream<object, object>) =>
        rpc.call(new GrpcDuplexCall(call))) as UntypedHandleCall
  }
}

function unaryHandler(rpc: Extract<Rpc, { kind: 'unary' }>): handleUnaryCall<object, object> {
  return (call, respond) => {
    try {
      const answer = rpc.call(call.request, new GrpcCall(call))
      if (!(answer instanceof Promise)) return respond(null, answer)
      answer.then((response) => respond(null, response), respond)
    } catch (error) {
      respond(unexpected(error))
    }
  }
}

function streamHandler(
  rpc: Extract<Rpc, { kind: 'server-stream' }>,
): (call: ServerWritableStream<object, object>) => void {
  return (call) => {
    writeAll(call, rpc).catch((error: unknown) => call.emit('error', error))
  }
}

async function writeAll(
  call: ServerWritableStream<object, object>,
  rpc: Extract<Rpc, { kind: 'server-stream' }>,
): Promise<void> {
  for await (const message of rpc.call(call.request, new GrpcCall(call))) {
    if (call.cancelled) return
    if (!call.write(message)) await roomIn(call)
  }
  call.end()
}

/** Resolves when the client has taken what was written, or has gone. */
function roomIn(call: ServerWritableStream<object, object>): Promise<void> {
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

type AnyServerCall =
  | ServerUnaryCall<object, object>
  | ServerWritableStream<object, object>
  | ServerDuplexStream<object, object>

class GrpcCall<Carried extends AnyServerCall> implements Call {
  readonly commonName = undefined
  protected readonly carried: Carried

  constructor(call: Carried) {
    this.carried = call
  }

  get cancelled(): boolean {
    return this.carried.cancelled
  }

  metadata(name: string): string | undefined {
    return firstOf(this.carried.metadata, name)
  }

  onceOver(listener: () => void): void {
    if (this.carried.cancelled) queueMicrotask(listener)
    else (this.carried as NodeJS.EventEmitter).once('cancelled', listener)
  }
}

function firstOf(metadata: Metadata, name: string): string | undefined {
  const value = metadata.get(name)[0]
  return typeof value === 'string' ? value : undefined
}

/** grpc-js says `cancelled` at the end of every stream, however it ended. */
class GrpcDuplexCall
  extends GrpcCall<ServerDuplexStream<object, object>>
  implements DuplexCall<object, object>
{
  #isOver = false

  receive(receiver: Receiver<object>): void {
    this.carried.on('data', (request: object) => {
      if (this.#isOver) return
      if (request instanceof EtcdError) this.end(request)
      else receiver.message(request)
    })
    this.carried.once('end', () => {
      if (!this.#isOver) receiver.end()
    })
  }

  pause(): void {
    this.carried.pause()
  }

  resume(): void {
    this.carried.resume()
  }

  write(response: object, taken?: () => void): boolean {
    if (this.#isOver || this.carried.cancelled) return true
    return this.carried.write(response, taken)
  }

  onRoom(listener: () => void): void {
    this.carried.on('drain', listener)
  }

  /** grpc-js ends a stream with the status of an error that is emitted on it. */
  end(error?: EtcdError): void {
    if (this.#isOver) return
    this.#isOver = true
    if (error === undefined) this.carried.end()
    else this.carried.emit('error', error)
  }
}

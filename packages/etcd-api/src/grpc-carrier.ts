/** Carries calls over gRPC: bytes in, bytes out. */
import type { DuplexCall as Carried, Handler, ServerStreamCall } from '@coracle/grpc-server'
import type { DuplexCall, Receiver } from './call.ts'
import { type Encoded, isEncoded, lengthOf } from './encoded.ts'
import { EtcdError, malformed, unexpected } from './errors.ts'
import type { Rpc } from './method.ts'
import type { Traffic } from './metrics/rpc-metrics.ts'
import { codecOf } from './schema.ts'

/** Between the messages of one method and their bytes, which are counted. */
interface Wire {
  /** Bytes that are no message are the error to answer with: it is refused where all calls are. */
  decode(bytes: Uint8Array): object
  encode(message: object): Uint8Array
  /** Takes a message, or one that is encoded already. */
  outgoing(message: object): Encoded
}

function wireOf({ schema }: Rpc, traffic: Traffic): Wire {
  const request = codecOf(schema.requestType)
  const response = codecOf(schema.responseType)
  const count = <Message extends Encoded>(encoded: Message): Message => {
    traffic.sent += lengthOf(encoded)
    return encoded
  }
  return {
    decode(bytes) {
      traffic.received += bytes.length
      try {
        return request.decode(bytes)
      } catch (error) {
        return malformed(error)
      }
    },
    encode: (message) => count(response.encode(message)),
    outgoing: (message) => count(isEncoded(message) ? message : response.encode(message)),
  }
}

/** The handler that calls this method. Bytes of messages are added to `traffic`. */
export function handlerOf(rpc: Rpc, traffic: Traffic): Handler {
  const wire = wireOf(rpc, traffic)
  switch (rpc.kind) {
    case 'unary':
      return unaryHandler(rpc, wire)
    case 'server-stream':
      return { kind: 'server-stream', handle: (bytes, call) => writeAll(rpc, wire, bytes, call) }
    case 'duplex':
      return { kind: 'duplex', handle: (call) => rpc.call(new GrpcDuplexCall(call, wire)) }
  }
}

function unaryHandler(rpc: Extract<Rpc, { kind: 'unary' }>, wire: Wire): Handler {
  const encode = (answer: object): Uint8Array => wire.encode(answer)
  return {
    kind: 'unary',
    handle(bytes, call) {
      const answer = rpc.call(wire.decode(bytes), call)
      return answer instanceof Promise ? answer.then(encode) : encode(answer)
    },
  }
}

async function writeAll(
  rpc: Extract<Rpc, { kind: 'server-stream' }>,
  wire: Wire,
  request: Uint8Array,
  call: ServerStreamCall,
): Promise<void> {
  let wake = (): void => {}
  call.onRoom(() => wake())
  call.onceOver(() => wake())
  for await (const message of rpc.call(wire.decode(request), call)) {
    if (call.cancelled) return
    if (call.write(wire.encode(message)) || call.cancelled) continue
    await new Promise<void>((resolve) => {
      wake = resolve
    })
  }
  call.end()
}

/** The call that gRPC carries, with messages instead of bytes. */
class GrpcDuplexCall implements DuplexCall<object, object> {
  readonly #carried: Carried
  readonly #wire: Wire

  constructor(carried: Carried, wire: Wire) {
    this.#carried = carried
    this.#wire = wire
  }

  get cancelled(): boolean {
    return this.#carried.cancelled
  }

  get commonName(): string | undefined {
    return this.#carried.commonName
  }

  metadata(name: string): string | undefined {
    return this.#carried.metadata(name)
  }

  onceOver(listener: () => void): void {
    this.#carried.onceOver(listener)
  }

  receive(receiver: Receiver<object>): void {
    this.#carried.receive({
      message: (bytes) => {
        const request = this.#wire.decode(bytes)
        if (request instanceof EtcdError) this.end(request)
        else receiver.message(request)
      },
      end: () => receiver.end(),
    })
  }

  pause(): void {
    this.#carried.pause()
  }

  resume(): void {
    this.#carried.resume()
  }

  write(response: object, taken?: () => void): boolean {
    return this.#carried.write(this.#wire.outgoing(response), taken)
  }

  onRoom(listener: () => void): void {
    this.#carried.onRoom(listener)
  }

  end(error?: EtcdError): void {
    this.#carried.end(error === undefined ? undefined : unexpected(error))
  }
}

/** Carries calls over gRPC: bytes in, bytes out. */
import type { DuplexCall as Carried, Handler, ServerStreamCall } from '@coracle/grpc-server'
import type { DuplexCall, Receiver } from './call.ts'
import { EtcdError, malformed, unexpected } from './errors.ts'
import type { Rpc } from './method.ts'
import { type Codec, codecOf } from './schema.ts'

/** The handler that calls this method. */
export function handlerOf(rpc: Rpc): Handler {
  const request = codecOf(rpc.schema.requestType)
  const response = codecOf(rpc.schema.responseType)
  switch (rpc.kind) {
    case 'unary':
      return unaryHandler(rpc, request, response)
    case 'server-stream':
      return {
        kind: 'server-stream',
        handle: (bytes, call) => writeAll(rpc, decodeOrExplain(request, bytes), call, response),
      }
    case 'duplex':
      return {
        kind: 'duplex',
        handle: (call) => rpc.call(new GrpcDuplexCall(call, request, response)),
      }
  }
}

function unaryHandler(
  rpc: Extract<Rpc, { kind: 'unary' }>,
  request: Codec<object>,
  response: Codec<object>,
): Handler {
  const encode = (answer: object): Uint8Array => response.encode(answer)
  return {
    kind: 'unary',
    handle(bytes, call) {
      const answer = rpc.call(decodeOrExplain(request, bytes), call)
      return answer instanceof Promise ? answer.then(encode) : encode(answer)
    },
  }
}

/** Bytes that are no message are the error to answer with: it is refused where all calls are. */
function decodeOrExplain(codec: Codec<object>, bytes: Uint8Array): object {
  try {
    return codec.decode(bytes)
  } catch (error) {
    return malformed(error)
  }
}

async function writeAll(
  rpc: Extract<Rpc, { kind: 'server-stream' }>,
  request: object,
  call: ServerStreamCall,
  response: Codec<object>,
): Promise<void> {
  let wake = (): void => {}
  call.onRoom(() => wake())
  call.onceOver(() => wake())
  for await (const message of rpc.call(request, call)) {
    if (call.cancelled) return
    if (call.write(response.encode(message)) || call.cancelled) continue
    await new Promise<void>((resolve) => {
      wake = resolve
    })
  }
  call.end()
}

/** The call that gRPC carries, with messages instead of bytes. */
class GrpcDuplexCall implements DuplexCall<object, object> {
  readonly #carried: Carried
  readonly #request: Codec<object>
  readonly #response: Codec<object>

  constructor(carried: Carried, request: Codec<object>, response: Codec<object>) {
    this.#carried = carried
    this.#request = request
    this.#response = response
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
        const request = decodeOrExplain(this.#request, bytes)
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
    const bytes = response instanceof Uint8Array ? response : this.#response.encode(response)
    return this.#carried.write(bytes, taken)
  }

  onRoom(listener: () => void): void {
    this.#carried.onRoom(listener)
  }

  end(error?: EtcdError): void {
    this.#carried.end(error === undefined ? undefined : unexpected(error))
  }
}

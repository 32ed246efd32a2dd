/** The calls of one method, counted as they begin and end. */
import { Code } from '@coracle/grpc-server'
import type { Call, DuplexCall, Receiver } from '../call.ts'
import { type EtcdError, unexpected } from '../errors.ts'
import type { Rpc } from '../method.ts'
import type { ClientRequests } from './client-requests.ts'
import type { Counts } from './rpc-counts.ts'

export function countUnary(
  rpc: Extract<Rpc, { kind: 'unary' }>,
  counts: Counts,
  clients: ClientRequests,
): Extract<Rpc, { kind: 'unary' }>['call'] {
  const answered = (response: object): object => {
    counts.sent += 1
    counts.end(Code.OK)
    return response
  }
  const refused = (error: unknown): never => {
    const known = unexpected(error)
    counts.end(known.code)
    throw known
  }
  return (request, call) => {
    clients.of(call).unary += 1
    counts.started += 1
    counts.received += 1
    let answer: object | Promise<object>
    try {
      answer = rpc.call(request, call)
    } catch (error) {
      return refused(error)
    }
    return answer instanceof Promise ? answer.then(answered, refused) : answered(answer)
  }
}

export function countStream(
  rpc: Extract<Rpc, { kind: 'server-stream' }>,
  counts: Counts,
  clients: ClientRequests,
): Extract<Rpc, { kind: 'server-stream' }>['call'] {
  return async function* messages(request, call) {
    clients.of(call).stream += 1
    counts.started += 1
    counts.received += 1
    let code: number = Code.CANCELLED
    try {
      for await (const message of rpc.call(request, call)) {
        counts.sent += 1
        yield message
      }
      if (!call.cancelled) code = Code.OK
    } catch (error) {
      const known = unexpected(error)
      code = known.code
      throw known
    } finally {
      counts.end(code)
    }
  }
}

export function countDuplex(
  rpc: Extract<Rpc, { kind: 'duplex' }>,
  counts: Counts,
  clients: ClientRequests,
): Extract<Rpc, { kind: 'duplex' }>['call'] {
  return (call) => {
    clients.of(call).stream += 1
    counts.started += 1
    rpc.call(new CountedCall(call, counts))
  }
}

/** How it ended is what the server said, or that the client left before it said anything. */
class CountedCall implements DuplexCall<object, object> {
  readonly #call: DuplexCall<object, object>
  readonly #counts: Counts
  #code: number | null = null

  constructor(call: DuplexCall<object, object>, counts: Counts) {
    this.#call = call
    this.#counts = counts
    call.onceOver(() => counts.end(this.#code ?? Code.CANCELLED))
  }

  get cancelled(): boolean {
    return this.#call.cancelled
  }

  get commonName(): Call['commonName'] {
    return this.#call.commonName
  }

  metadata(name: string): string | undefined {
    return this.#call.metadata(name)
  }

  onceOver(listener: () => void): void {
    this.#call.onceOver(listener)
  }

  receive(receiver: Receiver<object>): void {
    this.#call.receive({
      message: (request) => {
        this.#counts.received += 1
        receiver.message(request)
      },
      end: () => receiver.end(),
    })
  }

  pause(): void {
    this.#call.pause()
  }

  resume(): void {
    this.#call.resume()
  }

  write(response: object, taken?: () => void): boolean {
    this.#counts.sent += 1
    return this.#call.write(response, taken)
  }

  onRoom(listener: () => void): void {
    this.#call.onRoom(listener)
  }

  end(error?: EtcdError): void {
    this.#code ??= error?.code ?? Code.OK
    this.#call.end(error)
  }
}

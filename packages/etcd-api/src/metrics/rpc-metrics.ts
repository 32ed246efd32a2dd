/** Who calls what, and how it ends: the metrics of Go's gRPC servers and etcd's bytes. */
import { Code } from '@coracle/grpc-server'
import type { Registry } from 'prom-client'
import type { Call, DuplexCall, Receiver } from '../call.ts'
import { type EtcdError, unexpected } from '../errors.ts'
import type { Rpc } from '../method.ts'
import { counters, counter, type Sample } from './collect.ts'
import { labelsOf, RPC_LABELS } from './rpc-labels.ts'

/** Bytes of messages, as protobuf or as the text of JSON, without what carries them. */
export interface Traffic {
  received: number
  sent: number
}

export interface RpcMetrics {
  /** The same method, counted. */
  count(rpc: Rpc): Rpc
  /** Whoever carries calls adds to it. */
  readonly traffic: Traffic
}

/** By the names that Go gives the codes, in the order of the codes. */
const CODES: readonly string[] = [
  'OK',
  'Canceled',
  'Unknown',
  'InvalidArgument',
  'DeadlineExceeded',
  'NotFound',
  'AlreadyExists',
  'PermissionDenied',
  'ResourceExhausted',
  'FailedPrecondition',
  'Aborted',
  'OutOfRange',
  'Unimplemented',
  'Internal',
  'Unavailable',
  'DataLoss',
  'Unauthenticated',
]

/** What is known of one method. A put adds to four numbers, and that is all it pays. */
class Counts {
  started = 0
  received = 0
  sent = 0
  readonly handled: number[] = CODES.map(() => 0)
  readonly labels: readonly string[]

  constructor({ schema }: Rpc) {
    const labels = labelsOf(schema)
    this.labels = RPC_LABELS.map((name) => labels[name])
  }

  end(code: number): void {
    this.handled[code] = (this.handled[code] ?? 0) + 1
  }
}

export function rpcMetrics(registry: Registry): RpcMetrics {
  const all: Counts[] = []
  const traffic: Traffic = { received: 0, sent: 0 }
  register(registry, all, traffic)
  return {
    traffic,
    count(rpc) {
      const counts = new Counts(rpc)
      all.push(counts)
      switch (rpc.kind) {
        case 'unary':
          return { ...rpc, call: countUnary(rpc, counts) }
        case 'server-stream':
          return { ...rpc, call: countStream(rpc, counts) }
        case 'duplex':
          return { ...rpc, call: countDuplex(rpc, counts) }
      }
    },
  }
}

function register(registry: Registry, all: readonly Counts[], traffic: Traffic): void {
  const perMethod = (name: string, help: string, read: (counts: Counts) => number): void =>
    counters(registry, { name, help, labels: RPC_LABELS }, () =>
      all.map((counts): Sample => [read(counts), ...counts.labels]),
    )
  perMethod('grpc_server_started_total', 'Calls that began.', ({ started }) => started)
  perMethod('grpc_server_msg_received_total', 'Requests.', ({ received }) => received)
  perMethod('grpc_server_msg_sent_total', 'Responses.', ({ sent }) => sent)
  const handled = { name: 'grpc_server_handled_total', help: 'Calls that ended, by their code.' }
  counters(registry, { ...handled, labels: [...RPC_LABELS, 'grpc_code'] }, () =>
    all.flatMap((counts) =>
      CODES.map((code, i): Sample => [counts.handled[i] ?? 0, ...counts.labels, code]),
    ),
  )
  // etcd's gateway speaks gRPC to etcd, so that its clients count here, too.
  const bytes = (name: string, help: string, read: () => number): void =>
    counter(registry, { name: `etcd_network_client_grpc_${name}`, help }, read)
  bytes('received_bytes_total', 'Bytes of requests.', () => traffic.received)
  bytes('sent_bytes_total', 'Bytes of responses.', () => traffic.sent)
}

function countUnary(
  rpc: Extract<Rpc, { kind: 'unary' }>,
  counts: Counts,
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

function countStream(
  rpc: Extract<Rpc, { kind: 'server-stream' }>,
  counts: Counts,
): Extract<Rpc, { kind: 'server-stream' }>['call'] {
  return async function* messages(request, call) {
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

function countDuplex(
  rpc: Extract<Rpc, { kind: 'duplex' }>,
  counts: Counts,
): Extract<Rpc, { kind: 'duplex' }>['call'] {
  return (call) => {
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

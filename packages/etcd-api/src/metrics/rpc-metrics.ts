/** Who calls what, and how it ends: the metrics of Go's gRPC servers and etcd's bytes. */
import type { Registry } from 'prom-client'
import type { Rpc } from '../method.ts'
import { clientRequests } from './client-requests.ts'
import { counters, counter, type Sample } from './collect.ts'
import { countDuplex, countStream, countUnary } from './counted-calls.ts'
import { CODES, Counts } from './rpc-counts.ts'
import { RPC_LABELS } from './rpc-labels.ts'

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

export function rpcMetrics(registry: Registry): RpcMetrics {
  const all: Counts[] = []
  const traffic: Traffic = { received: 0, sent: 0 }
  register(registry, all, traffic)
  const clients = clientRequests(registry)
  return {
    traffic,
    count(rpc) {
      const counts = new Counts(rpc)
      all.push(counts)
      switch (rpc.kind) {
        case 'unary':
          return { ...rpc, call: countUnary(rpc, counts, clients) }
        case 'server-stream':
          return { ...rpc, call: countStream(rpc, counts, clients) }
        case 'duplex':
          return { ...rpc, call: countDuplex(rpc, counts, clients) }
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

/** What a method is called in the metrics of Go's gRPC servers. */
import type { MethodSchema } from '../schema.ts'

export const RPC_LABELS = ['grpc_type', 'grpc_service', 'grpc_method'] as const

export type RpcLabels = Readonly<Record<(typeof RPC_LABELS)[number], string>>

export function labelsOf({
  service,
  method,
  requestStream,
  responseStream,
}: MethodSchema): RpcLabels {
  const unaryOrServer = responseStream ? 'server_stream' : 'unary'
  const type = requestStream ? 'bidi_stream' : unaryOrServer
  return { grpc_type: type, grpc_service: service, grpc_method: method }
}

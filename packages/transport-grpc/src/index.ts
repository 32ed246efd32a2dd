/** Transport over gRPC: one long-lived stream to each peer. */
export {
  type Address,
  type Listening,
  parseAddress,
  type Place,
} from '@coracle/raft-core/transport'
export type { GrpcEvent, GrpcTransportOptions, TlsMaterial } from './options.ts'
export { type GrpcTransport, grpcTransport } from './transport.ts'

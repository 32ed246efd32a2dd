/** Transport over gRPC: one long-lived stream to each peer. */
export { type Address, parseAddress } from './address.ts'
export type { GrpcEvent, GrpcTransportOptions, TlsMaterial } from './options.ts'
export { type GrpcTransport, grpcTransport } from './transport.ts'

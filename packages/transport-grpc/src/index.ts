/** Transport over gRPC: one long-lived stream to each peer. */
export { type Address, parseAddress, type Place } from './address.ts'
export type { GrpcEvent, GrpcTransportOptions, Listening, TlsMaterial } from './options.ts'
export { type GrpcTransport, grpcTransport } from './transport.ts'

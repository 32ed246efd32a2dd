/** Transport over TCP, with or without TLS: framed, checksummed, reconnecting. */
export { type Address, parseAddress } from './address.ts'
export type { TcpEvent, TcpTransportOptions, TlsMaterial } from './options.ts'
export { type TcpTransport, tcpTransport } from './transport.ts'

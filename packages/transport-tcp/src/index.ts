/** Transport over TCP, with or without TLS: framed, checksummed, reconnecting. */
export { type Address, parseAddress, type Place } from './address.ts'
export type { Listening, TcpEvent, TcpTransportOptions, TlsMaterial } from './options.ts'
export { type TcpTransport, tcpTransport } from './transport.ts'

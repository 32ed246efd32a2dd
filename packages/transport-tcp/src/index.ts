/** Transport over TCP, with or without TLS: framed, checksummed, reconnecting. */
export {
  type Address,
  type Listening,
  parseAddress,
  type Place,
} from '@coracle/raft-core/transport'
export type { TcpEvent, TcpTransportOptions, TlsMaterial } from './options.ts'
export { type TcpTransport, tcpTransport } from './transport.ts'

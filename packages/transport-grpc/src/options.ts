import {
  type NetworkTransportOptions,
  type ResolvedNetworkOptions,
  resolveNetworkOptions,
  type TransportEvent,
} from '@coracle/raft-core/transport'
import type { Socket } from 'node:net'
import type { PeerCertificate, SecureContextOptions, TLSSocket } from 'node:tls'

/** A node's certificate and whom it trusts. Peers must show a certificate too, unless told otherwise. */
export interface TlsMaterial extends SecureContextOptions {
  /** Ask peers that connect for a certificate. Default true. */
  readonly requestCert?: boolean
  /** Refuse peers whose certificate `ca` did not sign, whoever calls. Default true. */
  readonly rejectUnauthorized?: boolean
  /** The name a peer's certificate must be for, where that is not the host of its address. */
  readonly servername?: string
  readonly checkServerIdentity?: (host: string, certificate: PeerCertificate) => Error | undefined
  /** Looks at who calls, after the handshake; rejects to refuse the connection. Default: all pass. */
  readonly checkCaller?: (socket: TLSSocket) => Promise<void>
  /** What is different where this node calls, such as its certificate. Default: nothing. */
  readonly whenCalling?: SecureContextOptions
}

/** What is worth a line in a log. A failure that lasts is told once, not at every attempt. */
export type GrpcEvent = TransportEvent

export interface GrpcTransportOptions extends NetworkTransportOptions<TlsMaterial> {
  /**
   * Gets the connections that begin like HTTP/1 and not like gRPC, with nothing read from them, so that
   * one port can answer both. They end with the transport. Default: they are refused.
   */
  readonly onHttp?: (socket: Socket) => void
  /** Ping at least this often; a peer that does not answer for three times as long is gone. Default 1000. */
  readonly keepaliveMs?: number
}

export interface Resolved extends ResolvedNetworkOptions<TlsMaterial> {
  readonly onHttp: ((socket: Socket) => void) | null
}

/** Fills in the defaults. Throws a RangeError that names the option that is wrong. */
export function resolveOptions(options: GrpcTransportOptions): Resolved {
  const { onHttp = null } = options
  return { ...resolveNetworkOptions(options), onHttp }
}

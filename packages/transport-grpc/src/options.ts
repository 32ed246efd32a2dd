import type { NodeId } from '@coracle/raft-core'
import type { Socket } from 'node:net'
import type { PeerCertificate, SecureContextOptions, TLSSocket } from 'node:tls'
import type { Place } from './address.ts'

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
export type GrpcEvent =
  | { readonly type: 'peer-connected'; readonly peer: NodeId; readonly address: string }
  | {
      readonly type: 'peer-unreachable'
      readonly peer: NodeId
      readonly address: string
      readonly why: string
    }
  /** Somebody called who is no peer, or broke the rules. */
  | { readonly type: 'connection-refused'; readonly remote: string; readonly why: string }
  /** A message that can never be sent: too large, or against the rules of its type. */
  | { readonly type: 'message-refused'; readonly peer: NodeId; readonly why: string }

/** Where to listen. With port 0 the system chooses: see `address()`. */
export type Listening = Place & {
  /** Whether TLS is spoken here, in a cluster that is `mixed`. Default: as it says there. */
  readonly secure?: boolean
}

export interface GrpcTransportOptions {
  readonly id: NodeId
  /** Names the cluster: nodes of other clusters are refused. At most 255 bytes of UTF-8. */
  readonly cluster: string
  /** One place or several. A socket must not exist yet, and is gone when the transport is. */
  readonly listen: Listening | readonly Listening[]
  /** Speak TLS in both directions. Default: plain HTTP/2. */
  readonly tls?: TlsMaterial
  /**
   * For clusters that change over to TLS, or back: peers are called with TLS or without, as their
   * addresses say, and this node is called as it says here. Default: `tls` holds for all.
   */
  readonly mixed?: { readonly listen: 'plain' | 'tls' }
  /** Called synchronously with every event; must not throw. */
  readonly trace?: (event: GrpcEvent) => void
  /**
   * Gets the connections that begin like HTTP/1 and not like gRPC, with nothing read from them, so that
   * one port can answer both. They end with the transport. Under TLS there are none. Default: they are
   * refused.
   */
  readonly onHttp?: (socket: Socket) => void
  /** The largest message, in bytes; more is neither sent nor taken. Default 64 MiB. */
  readonly maxMessageBytes?: number
  /** Bytes that wait to be sent to one peer; what does not fit is dropped. One message always fits. Default 64 MiB. */
  readonly maxQueuedBytes?: number
  /** The longest a call may take until both sides know each other. Default 5000. */
  readonly handshakeTimeoutMs?: number
  /** Ping at least this often; a peer that does not answer for three times as long is gone. Default 1000. */
  readonly keepaliveMs?: number
  /** The wait before the first new attempt to connect; it doubles up to `maxReconnectMs`. Default 50. */
  readonly minReconnectMs?: number
  /** Default 1000. */
  readonly maxReconnectMs?: number
}

export type Resolved = Required<
  Omit<GrpcTransportOptions, 'listen' | 'tls' | 'mixed' | 'onHttp'>
> & {
  readonly listen: readonly (Place & { readonly secure: boolean })[]
  /** Changes when certificates are renewed. */
  tls: TlsMaterial | null
  readonly mixed: { readonly listen: 'plain' | 'tls' } | null
  readonly onHttp: ((socket: Socket) => void) | null
}

const NUMBERS = {
  maxMessageBytes: 64 << 20,
  maxQueuedBytes: 64 << 20,
  handshakeTimeoutMs: 5_000,
  keepaliveMs: 1_000,
  minReconnectMs: 50,
  maxReconnectMs: 1_000,
}

const MOST = 0x7f_ff_ff_ff

/** Fills in the defaults. Throws a RangeError that names the option that is wrong. */
export function resolveOptions(options: GrpcTransportOptions): Resolved {
  const numbers = { ...NUMBERS }
  for (const name of Object.keys(NUMBERS) as (keyof typeof NUMBERS)[]) {
    const value = options[name] ?? NUMBERS[name]
    if (!Number.isSafeInteger(value) || value < 1 || value > MOST)
      throw new RangeError(`${name} must be a whole number from 1 to ${MOST}, not ${value}`)
    numbers[name] = value
  }
  if (numbers.maxReconnectMs < numbers.minReconnectMs)
    throw new RangeError('maxReconnectMs must not be less than minReconnectMs')
  for (const name of ['id', 'cluster'] as const) {
    const bytes = new TextEncoder().encode(options[name]).byteLength
    if (bytes < 1 || bytes > 255)
      throw new RangeError(`${name} must have 1 to 255 bytes, not ${bytes}`)
  }
  const { id, cluster, listen, tls = null, mixed = null, onHttp = null } = options
  const { trace = (): void => {} } = options
  const places = [listen].flat().map((place) => ({ ...place, secure: isSecure(place, options) }))
  if (places.length === 0) throw new RangeError('listen must name at least one place')
  return { id, cluster, listen: places, tls, mixed, onHttp, trace, ...numbers }
}

function isSecure({ secure }: Listening, { tls, mixed }: GrpcTransportOptions): boolean {
  if (secure === true && tls === undefined)
    throw new RangeError('listen asks for TLS, and there is no certificate: set tls')
  if (tls === undefined) return false
  return mixed === undefined || (secure ?? mixed.listen === 'tls')
}

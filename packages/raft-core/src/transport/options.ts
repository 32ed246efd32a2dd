/** The options that all transports over a network have, and their defaults. */
import type { NodeId } from '../types.ts'
import type { TransportEvent } from './event.ts'
import { type Listening, type ListeningPlace, placesToListen } from './places.ts'

/** `Tls` is what a transport needs to speak TLS: a certificate, and whom to trust. */
export interface NetworkTransportOptions<Tls extends object> {
  readonly id: NodeId
  /** Names the cluster: nodes of other clusters are refused. At most 255 bytes of UTF-8. */
  readonly cluster: string
  /** One place or several. A socket must not exist yet, and is gone when the transport is. */
  readonly listen: Listening | readonly Listening[]
  /** Speak TLS in both directions. Default: none is spoken. */
  readonly tls?: Tls
  /**
   * For clusters that change over to TLS, or back: peers are called with TLS or without, as their
   * addresses say, and this node is called as it says here. Default: `tls` holds for all.
   */
  readonly mixed?: { readonly listen: 'plain' | 'tls' }
  /** Called synchronously with every event; must not throw. */
  readonly trace?: (event: TransportEvent) => void
  /** The largest message, in bytes; more is neither sent nor taken. Default 64 MiB. */
  readonly maxMessageBytes?: number
  /** Bytes that wait to be sent to one peer; what does not fit is dropped. One message always fits. Default 64 MiB. */
  readonly maxQueuedBytes?: number
  /** The longest a call may take until both sides know each other. Default 5000. */
  readonly handshakeTimeoutMs?: number
  /** A peer is asked at least this often for a sign of life; after some without one it is gone. Default 1000. */
  readonly keepaliveMs?: number
  /** The wait before the first new attempt to connect; it doubles up to `maxReconnectMs`. Default 50. */
  readonly minReconnectMs?: number
  /** Default 1000. */
  readonly maxReconnectMs?: number
}

export interface ResolvedNetworkOptions<Tls extends object> extends Required<
  Omit<NetworkTransportOptions<Tls>, 'listen' | 'tls' | 'mixed'>
> {
  readonly listen: readonly ListeningPlace[]
  /** Changes when certificates are renewed. */
  tls: Tls | null
  readonly mixed: { readonly listen: 'plain' | 'tls' } | null
}

const NUMBERS = {
  maxMessageBytes: 64 << 20,
  maxQueuedBytes: 64 << 20,
  handshakeTimeoutMs: 5_000,
  keepaliveMs: 1_000,
  minReconnectMs: 50,
  maxReconnectMs: 1_000,
}

/** As long as a timer can wait, and as a length in 32 bits can be. */
const MOST = 0x7f_ff_ff_ff

/** Fills in the defaults. Throws a RangeError that names the option that is wrong. */
export function resolveNetworkOptions<Tls extends object>(
  options: NetworkTransportOptions<Tls>,
): ResolvedNetworkOptions<Tls> {
  checkNames(options)
  const { id, cluster, tls = null, mixed = null, trace = (): void => {} } = options
  const listen = placesToListen(options.listen, { tls, mixed })
  const numbers = resolveNumbers(options, NUMBERS)
  if (numbers.maxReconnectMs < numbers.minReconnectMs)
    throw new RangeError('maxReconnectMs must not be less than minReconnectMs')
  return { id, cluster, listen, tls, mixed, trace, ...numbers }
}

/** Fills in the defaults of options that are numbers. Throws a RangeError that names the wrong one. */
export function resolveNumbers<Name extends string>(
  options: { readonly [name in NoInfer<Name>]?: number },
  defaults: Readonly<Record<Name, number>>,
): Record<Name, number> {
  const numbers: Record<Name, number> = { ...defaults }
  for (const name of Object.keys(defaults) as Name[]) {
    const value = options[name] ?? defaults[name]
    if (!Number.isSafeInteger(value) || value < 1 || value > MOST)
      throw new RangeError(`${name} must be a whole number from 1 to ${MOST}, not ${value}`)
    numbers[name] = value
  }
  return numbers
}

/** A name is not empty, and not too long for the handshake. */
function checkNames(names: { readonly id: NodeId; readonly cluster: string }): void {
  for (const name of ['id', 'cluster'] as const) {
    const bytes = new TextEncoder().encode(names[name]).byteLength
    if (bytes < 1 || bytes > 255)
      throw new RangeError(`${name} must have 1 to 255 bytes, not ${bytes}`)
  }
}

/** Where a node listens and where it calls, and whether TLS is spoken there. */
import { parseAddress, type Place } from './address.ts'

/** Where to listen. With port 0 the system chooses: see `address()`. */
export type Listening = Place & {
  /** Whether TLS is spoken here, in a cluster that is `mixed`. Default: as it says there. */
  readonly secure?: boolean
}

/** Where to listen, and whether TLS is spoken there. */
export type ListeningPlace = Place & { readonly secure: boolean }

/** What a node can speak. */
export interface Security {
  /** Its certificate, whatever the transport makes of it. Null: it speaks no TLS. */
  readonly tls: object | null
  /** Null: `tls` holds for all. */
  readonly mixed: { readonly listen: 'plain' | 'tls' } | null
}

/** Throws a RangeError if there is none, or one that asks for a certificate that is not there. */
export function placesToListen(
  listen: Listening | readonly Listening[],
  security: Security,
): readonly ListeningPlace[] {
  const places = [listen].flat().map((place) => ({ ...place, secure: isSecure(place, security) }))
  if (places.length === 0) throw new RangeError('listen must name at least one place')
  return places
}

function isSecure({ secure }: Listening, { tls, mixed }: Security): boolean {
  if (secure === true && tls === null)
    throw new RangeError('listen asks for TLS, and there is no certificate: set tls')
  if (tls === null) return false
  return mixed === null || (secure ?? mixed.listen === 'tls')
}

/** Where a peer is called, and whether with TLS. Throws an Error that says why it cannot be. */
export function placeToCall(
  address: string,
  { tls, mixed }: Security,
): Place & { readonly secure: boolean } {
  const place = parseAddress(address)
  if (place === null) throw new Error(`${address} is not an address: host:port is wanted`)
  const { secure } = place
  if (secure === true && tls === null)
    throw new Error(`${address} asks for TLS, and this node has no certificate`)
  if (secure === false && tls !== null && mixed === null)
    throw new Error(`${address} is plain, and this node speaks TLS`)
  return { ...place, secure: tls !== null && (mixed === null || secure === true) }
}

import { isIPv6 } from 'node:net'

/** Where somebody listens: at a port, or at a socket in the file system. */
export type Place =
  /** A name or an IP address; an IPv6 address stands here without its brackets. */
  { readonly host: string; readonly port: number } | { readonly path: string }

export type Address = Place & {
  /** What the scheme says of TLS, or null where there is none. */
  readonly secure: boolean | null
}

const FORM = /^(?:(https?):\/\/)?(?:\[([^\]]+)\]|([^\s:/?#[\]@]+)):(\d{1,5})\/?$/
const SOCKET_FORM = /^(unixs?):\/\/([^\s,]+)$/

/**
 * Reads `host:port`, or a URL as etcd writes it: `http://host:port`, `https://[::1]:2380`,
 * `unix:///run/peer.sock`. Null for anything else.
 */
export function parseAddress(text: string): Address | null {
  const [, socketScheme, path] = SOCKET_FORM.exec(text) ?? []
  if (path !== undefined) return { path, secure: socketScheme === 'unixs' }
  const [, scheme, ipv6, name, digits] = FORM.exec(text) ?? []
  const port = Number(digits)
  const host = ipv6 ?? name
  if (host === undefined || !(port >= 1 && port <= 65_535)) return null
  if (ipv6 !== undefined && !isIPv6(ipv6)) return null
  return { host, port, secure: scheme === undefined ? null : scheme === 'https' }
}

/** The addresses of a peer that has several, in the order in which they are tried. */
export function addressesIn(text: string): readonly string[] {
  return text.split(',')
}

export function formatAddress(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

export function formatPlace(place: Place): string {
  return 'path' in place ? `unix://${place.path}` : formatAddress(place.host, place.port)
}

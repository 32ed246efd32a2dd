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

/** An address and the zone that it may name, as in `fe80::1%eth0` (RFC 4007). */
const IPV6_FORM = /^([\da-f:.]+)(?:%[\da-z.:-]+)?$/i

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

export function formatAddress(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

export function formatPlace(place: Place): string {
  return 'path' in place ? `unix://${place.path}` : formatAddress(place.host, place.port)
}

/** Answers as `isIPv6` of Node does. URLs know the form as well, but no zones. */
function isIPv6(text: string): boolean {
  const [, address] = IPV6_FORM.exec(text) ?? []
  return address !== undefined && URL.canParse(`http://[${address}]`)
}

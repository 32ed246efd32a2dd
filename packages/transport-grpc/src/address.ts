import { isIPv6 } from 'node:net'

export interface Address {
  /** A name or an IP address; an IPv6 address stands here without its brackets. */
  readonly host: string
  readonly port: number
  /** What the scheme says of TLS, or null where there is none. */
  readonly secure: boolean | null
}

const FORM = /^(?:(https?):\/\/)?(?:\[([^\]]+)\]|([^\s:/?#[\]@]+)):(\d{1,5})\/?$/

/** Reads `host:port`, or a URL as etcd writes it: `http://host:port`, `https://[::1]:2380`. Null for anything else. */
export function parseAddress(text: string): Address | null {
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

/** URLs in flags: where to listen, and where others connect. */
import type { Settings } from '../flags.ts'
import { UsageError } from '../usage.ts'

export interface Endpoint {
  /** An IP address, without brackets. */
  readonly host: string
  readonly port: number
  readonly isSecure: boolean
}

/** Clients elsewhere cannot guess how this member is reached if it listens where it was told to. */
export function advertisedClientUrls(settings: Settings): readonly string[] {
  if (settings['advertise-client-urls'] !== '') return urls(settings, 'advertise-client-urls')
  const listening = urls(settings, 'listen-client-urls')
  if (listening.every((url) => !isWildcard(new URL(url).hostname))) return listening
  throw new UsageError(
    '--advertise-client-urls is required when --listen-client-urls names every address of the host',
  )
}

export function endpointsIfAny(
  settings: Settings,
  flag: 'listen-client-http-urls' | 'listen-metrics-urls',
): readonly Endpoint[] {
  return settings[flag] === '' ? [] : urls(settings, flag).map(listenEndpoint)
}

export type UrlFlag =
  | 'listen-client-urls'
  | 'listen-client-http-urls'
  | 'advertise-client-urls'
  | 'listen-metrics-urls'
  | 'listen-peer-urls'
  | 'initial-advertise-peer-urls'

export function urls<Flag extends UrlFlag>(
  settings: Readonly<Record<Flag, string>>,
  flag: Flag,
): readonly string[] {
  return settings[flag].split(',').map((url) => checkUrl(url, flag))
}

const URL_FORM = /^(https?|unixs?):\/\/(\[[^\]]+\]|[^\s:/?#[\]@]+):(\d{1,5})\/?$/

/** Gives the URL as etcd writes it: without a path. */
export function checkUrl(given: string, flag: UrlFlag | 'initial-cluster'): string {
  const url = given.trim()
  const [, scheme = '', host, port] = URL_FORM.exec(url) ?? []
  if (host === undefined || Number(port) > 65_535 || Number(port) < 1)
    throw new UsageError(`--${flag} needs URLs of the form http://host:port, not '${url}'`)
  if (scheme !== 'http' && scheme !== 'https')
    throw new UsageError(`--${flag}: ${scheme} is not supported, only http and https: '${url}'`)
  return `${scheme}://${host}:${port}`
}

/** Where to listen: on an IP address. A name may stand for many, all but localhost. */
export function listenEndpoint(url: string): Endpoint {
  const { hostname, port, protocol } = new URL(url)
  const host = hostname === 'localhost' ? '127.0.0.1' : hostname.replaceAll(/[[\]]/g, '')
  if (!/^[\d.]+$/.test(host) && !host.includes(':'))
    throw new UsageError(`expected IP in URL for binding (${url})`)
  // An URL leaves the port of its scheme out.
  const isSecure = protocol === 'https:'
  return { host, port: port === '' ? (isSecure ? 443 : 80) : Number(port), isSecure }
}

function isWildcard(hostname: string): boolean {
  return hostname === '0.0.0.0' || hostname === '[::]'
}

/** `host:port`, with the brackets that IPv6 needs. */
export function formatEndpoint({ host, port }: Omit<Endpoint, 'isSecure'>): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

export function urlOf(endpoint: Endpoint): string {
  return `${endpoint.isSecure ? 'https' : 'http'}://${formatEndpoint(endpoint)}`
}

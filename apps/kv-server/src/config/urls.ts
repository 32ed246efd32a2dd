/** URLs in flags: where to listen, and where others connect. */
import { isIP } from 'node:net'
import type { Place } from '@coracle/raft-core/transport'
import type { Settings } from '../flags.ts'
import { UsageError } from '../usage.ts'

/** Where to listen: at an IP address, or at a socket in the file system. */
export type Endpoint = Place & { readonly isSecure: boolean }

/** Clients elsewhere cannot guess how this member is reached if it listens where it was told to. */
export function advertisedClientUrls(settings: Settings): readonly string[] {
  if (settings['advertise-client-urls'] !== '') return urls(settings, 'advertise-client-urls')
  const listening = urls(settings, 'listen-client-urls')
  if (listening.every((url) => !isWildcard(hostOf(url)))) return listening
  throw new UsageError(
    '--advertise-client-urls is required when --listen-client-urls names every address of the host',
  )
}

export type ListenFlag =
  | 'listen-client-urls'
  | 'listen-client-http-urls'
  | 'listen-metrics-urls'
  | 'listen-peer-urls'

export type UrlFlag = ListenFlag | 'advertise-client-urls' | 'initial-advertise-peer-urls'

const OPTIONAL: ReadonlySet<ListenFlag> = new Set([
  'listen-client-http-urls',
  'listen-metrics-urls',
])

/** Where to listen, by each of the flags; nowhere for one that is empty. A place has one use. */
export function listenEndpoints(
  settings: Settings,
): Readonly<Record<ListenFlag, readonly Endpoint[]>> {
  const users = new Map<string, string>()
  const endpointsOf = (flag: ListenFlag): readonly Endpoint[] => {
    if (settings[flag] === '' && OPTIONAL.has(flag)) return []
    const given = new Set(urls(settings, flag))
    return [...given].map((url) => {
      const endpoint = listenEndpoint(url)
      const place = formatEndpoint(endpoint)
      const other = users.get(place)
      if (other !== undefined)
        throw new UsageError(`${other} and --${flag}=${url} are the same place: change one of them`)
      users.set(place, `--${flag}=${url}`)
      return endpoint
    })
  }
  return {
    'listen-client-urls': endpointsOf('listen-client-urls'),
    'listen-client-http-urls': endpointsOf('listen-client-http-urls'),
    'listen-metrics-urls': endpointsOf('listen-metrics-urls'),
    'listen-peer-urls': endpointsOf('listen-peer-urls'),
  }
}

export function urls<Flag extends UrlFlag>(
  settings: Readonly<Record<Flag, string>>,
  flag: Flag,
): readonly string[] {
  return settings[flag].split(',').map((url) => checkUrl(url, flag))
}

const URL_FORM = /^(https?):\/\/(\[[^\]]+\]|[^\s:/?#[\]@]+):(\d{1,5})\/?$/
/** As in etcd, what looks like a host and a port there is a path, too. */
const SOCKET_FORM = /^(unixs?):\/\/(\S+)$/
/** What the address of a socket holds on every system (`sun_path`), without the byte that ends it. */
const MAX_PATH_BYTES = 103

/** Gives the URL as etcd writes it: without a path, unless it is the path of a socket. */
export function checkUrl(given: string, flag: UrlFlag | 'initial-cluster'): string {
  const url = given.trim()
  const [, , path] = SOCKET_FORM.exec(url) ?? []
  if (path !== undefined) {
    if (new TextEncoder().encode(path).byteLength <= MAX_PATH_BYTES) return url
    throw new UsageError(
      `--${flag}: sockets have paths of at most ${MAX_PATH_BYTES} bytes: '${url}'`,
    )
  }
  const [, scheme, host, port] = URL_FORM.exec(url) ?? []
  if (host === undefined || Number(port) > 65_535 || Number(port) < 1)
    throw new UsageError(
      `--${flag} needs URLs of the form http://host:port or unix://path, not '${url}'`,
    )
  return `${scheme}://${host}:${port}`
}

/** On an IP address: a name may stand for many, all but localhost. */
function listenEndpoint(url: string): Endpoint {
  const [, socketScheme, path] = SOCKET_FORM.exec(url) ?? []
  if (path !== undefined) return { path, isSecure: socketScheme === 'unixs' }
  const [, scheme, name = '', port] = URL_FORM.exec(url) ?? []
  const host = name === 'localhost' ? '127.0.0.1' : name.replaceAll(/[[\]]/g, '')
  if (isIP(host) === 0) throw new UsageError(`expected IP in URL for binding (${url})`)
  return { host, port: Number(port), isSecure: scheme === 'https' }
}

/** Of a URL that was checked; without brackets. What is at a socket is on this host. */
export function hostOf(url: string): string {
  const [, , host] = URL_FORM.exec(url) ?? []
  return host?.replaceAll(/[[\]]/g, '') ?? 'localhost'
}

function isWildcard(host: string): boolean {
  return host === '0.0.0.0' || host === '::'
}

/** `host:port`, with the brackets that IPv6 needs, or `unix://path`. */
export function formatEndpoint(place: Place): string {
  if ('path' in place) return `unix://${place.path}`
  const { host, port } = place
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

export function urlOf(endpoint: Endpoint): string {
  if ('path' in endpoint) return `${endpoint.isSecure ? 'unixs' : 'unix'}://${endpoint.path}`
  return `${endpoint.isSecure ? 'https' : 'http'}://${formatEndpoint(endpoint)}`
}

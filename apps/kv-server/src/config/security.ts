/** TLS as flags and URLs want it together. */
import type { Settings } from '../flags.ts'
import { clientTlsOf, idleTls, peerTlsOf, type TlsConfig } from '../tls/tls-config.ts'
import { UsageError } from '../usage.ts'
import { advertisedClientUrls, type Endpoint, hostOf, urls } from './urls.ts'

export interface Security {
  /** Null: no URL of clients is one of HTTPS. */
  readonly clientTls: TlsConfig | null
  readonly peerTls: TlsConfig | null
}

export interface Listening {
  /** All kinds of them. */
  readonly clients: readonly Endpoint[]
  readonly peers: readonly Endpoint[]
  readonly dataDir: string
  readonly srvDomain: string | null
}

/** Throws a {@link UsageError} if a URL is one of HTTPS, and there is no certificate for it. */
export function securityOf(settings: Settings, listening: Listening): Security {
  const { clients, peers, dataDir, srvDomain } = listening
  const wanted = wantedBy(listening)
  const clientTls = clientTlsOf(settings, {
    dataDir,
    srvDomain,
    isWanted: wanted.clients,
    hosts: hostsOf(clients, advertisedClientUrls(settings)),
  })
  const peerTls = peerTlsOf(settings, {
    dataDir,
    srvDomain,
    isWanted: wanted.members,
    hosts: hostsOf(peers, urls(settings, 'initial-advertise-peer-urls')),
  })
  if (clientTls === null && wanted.clients)
    throw new UsageError(
      'TLS key/cert (--cert-file, --key-file) must be provided for client urls with HTTPS scheme',
    )
  if (peerTls === null && wanted.members)
    throw new UsageError(
      'TLS key/cert (--peer-cert-file, --peer-key-file) must be provided for peer urls with HTTPS scheme',
    )
  return { clientTls, peerTls }
}

/** What was set and changes nothing, a line for each. */
export function idleSecurity(settings: Settings, listening: Listening): readonly string[] {
  return idleTls(settings, wantedBy(listening))
}

function wantedBy({ clients, peers }: Listening): Parameters<typeof idleTls>[1] {
  const isOne = ({ isSecure }: Endpoint): boolean => isSecure
  return { clients: clients.some(isOne), members: peers.some(isOne) }
}

function hostsOf(endpoints: readonly Endpoint[], advertised: readonly string[]): readonly string[] {
  return [
    ...endpoints.map((endpoint) => ('path' in endpoint ? 'localhost' : endpoint.host)),
    ...advertised.map(hostOf),
  ]
}

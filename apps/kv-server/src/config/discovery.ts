/** Flags that say where to find who founds the cluster. */
import type { SrvDomain } from '../discovery/srv.ts'
import type { Settings } from '../flags.ts'
import { UsageError } from '../usage.ts'

const DOMAIN_FORM = /^[^\s./@:]+(?:\.[^\s./@:]+)*$/

/** Another cluster, at which founders meet. */
export interface DiscoveryService {
  /** Tells those who meet there apart. It stands for the token of the cluster that they found. */
  readonly token: string
  /** At least one. */
  readonly endpoints: readonly DiscoveryEndpoint[]
  readonly dialTimeoutMs: number
  readonly requestTimeoutMs: number
  readonly keepaliveMs: number
  readonly keepaliveTimeoutMs: number
  readonly certificate: { readonly certFile: string; readonly keyFile: string } | null
  /** Whose certificates count. Null: those that Node trusts by itself. */
  readonly trustedCaFile: string | null
  readonly verifiesCertificates: boolean
  /** Null: nobody in particular. */
  readonly user: { readonly name: string; readonly password: string } | null
}

export interface DiscoveryEndpoint {
  /** As gRPC writes it: `host:port` or `unix:path`. */
  readonly address: string
  readonly isSecure: boolean
}

/** Throws a {@link UsageError} if the members are named in more than one way. */
export function checkOneSource(settings: Settings): void {
  const sources = [
    settings['initial-cluster'] !== '',
    settings['discovery-srv'] !== '',
    settings['discovery-endpoints'].length > 0,
  ]
  if (sources.filter(Boolean).length > 1)
    throw new UsageError(
      'multiple discovery or bootstrap flags are set. Choose one of "initial-cluster", "discovery-endpoints" or "discovery-srv"',
    )
}

/** Null if no domain is asked. Throws a {@link UsageError} if it makes no sense. */
export function srvDomainOf(settings: Settings): SrvDomain | null {
  const { 'discovery-srv': given, 'discovery-srv-name': serviceName } = settings
  if (given === '') return null
  const domain = given.replace(/\.$/, '')
  if (!DOMAIN_FORM.test(domain))
    throw new UsageError(`--discovery-srv must be a domain such as example.com, not '${given}'`)
  if (serviceName !== '' && !DOMAIN_FORM.test(`x${serviceName}`))
    throw new UsageError(`--discovery-srv-name must be a part of a name, not '${serviceName}'`)
  return { domain, serviceName }
}

/** Null if no cluster is asked. Throws a {@link UsageError} if the flags make no sense together. */
export function discoveryServiceOf(settings: Settings): DiscoveryService | null {
  const { 'discovery-token': token, 'discovery-endpoints': urls } = settings
  if ((token === '') !== (urls.length === 0))
    throw new UsageError('both --discovery-token and --discovery-endpoints must be set')
  if (token === '') return null
  const certificate = certificateOf(settings)
  const trustedCaFile = settings['discovery-cacert'] || null
  const isSecure =
    certificate !== null || trustedCaFile !== null || !settings['discovery-insecure-transport']
  const { 'discovery-user': name, 'discovery-password': password } = settings
  return {
    token,
    endpoints: urls.map((url) => endpointOf(url, isSecure)),
    dialTimeoutMs: Math.ceil(settings['discovery-dial-timeout']),
    requestTimeoutMs: Math.max(1, Math.ceil(settings['discovery-request-timeout'])),
    keepaliveMs: Math.ceil(settings['discovery-keepalive-time']),
    keepaliveTimeoutMs: Math.max(1, Math.ceil(settings['discovery-keepalive-timeout'])),
    certificate,
    trustedCaFile,
    verifiesCertificates: !settings['discovery-insecure-skip-tls-verify'],
    // As in etcd, it takes both.
    user: name === '' || password === '' ? null : { name, password },
  }
}

const ENDPOINT_FORM = /^(?:(https?):\/\/)?((?:\[[^\]\s]+\]|[^\s:/?#[\]@]+):\d{1,5})\/?$/
const SOCKET_FORM = /^(unixs?):(?:\/\/)?(\S+)$/

/** As in etcd, the scheme decides on TLS, and the other flags do where there is none. */
function endpointOf(url: string, isSecure: boolean): DiscoveryEndpoint {
  const [, socketScheme, path] = SOCKET_FORM.exec(url) ?? []
  if (path !== undefined) return { address: `unix:${path}`, isSecure: socketScheme === 'unixs' }
  const [, scheme, address] = ENDPOINT_FORM.exec(url) ?? []
  if (address === undefined)
    throw new UsageError(
      `--discovery-endpoints needs URLs of the form http://host:port or unix://path, not '${url}'`,
    )
  return { address, isSecure: scheme === undefined ? isSecure : scheme === 'https' }
}

function certificateOf(settings: Settings): DiscoveryService['certificate'] {
  const { 'discovery-cert': certFile, 'discovery-key': keyFile } = settings
  if (certFile === '' && keyFile === '') return null
  if (certFile !== '' && keyFile !== '') return { certFile, keyFile }
  throw new UsageError(
    `KeyFile and CertFile must both be present[key: ${keyFile}, cert: ${certFile}]: --discovery-cert and --discovery-key belong together`,
  )
}

const OF_SERVICE = [
  'discovery-cert',
  'discovery-key',
  'discovery-cacert',
  'discovery-user',
  'discovery-password',
] as const

/** What was set and changes nothing, a line for each. */
export function idleDiscovery(
  settings: Settings,
  { isInitialized }: { readonly isInitialized: boolean },
): readonly string[] {
  const remarks: string[] = []
  if (settings['discovery-srv'] === '' && settings['discovery-srv-name'] !== '')
    remarks.push('--discovery-srv-name has no meaning without --discovery-srv')
  const isAsked = settings['discovery-endpoints'].length > 0
  if (!isAsked)
    for (const name of OF_SERVICE)
      if (settings[name] !== '')
        remarks.push(`--${name} has no meaning without --discovery-endpoints`)
  if (isAsked && (settings['discovery-user'] === '') !== (settings['discovery-password'] === ''))
    remarks.push('--discovery-user and --discovery-password have no meaning without each other')
  if (isAsked && isInitialized)
    remarks.push(
      'discovery token is ignored since cluster already initialized: --discovery-endpoints are not asked',
    )
  return remarks
}

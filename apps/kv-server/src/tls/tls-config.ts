/** From flags to what TLS needs on one side of a member: towards clients, or towards other members. */
import { join } from 'node:path'
import type { SecureVersion } from 'node:tls'
import type { SecuritySettings, TlsVersion } from '../flags/security.ts'
import { UsageError } from '../usage.ts'
import { openSslName } from './ciphers.ts'

export interface TlsConfig {
  /** For messages: `clients` or `members`. */
  readonly side: 'clients' | 'members'
  readonly certFile: string
  readonly keyFile: string
  /** Shown where this member calls. Null: the same as where it is called. */
  readonly calling: { readonly certFile: string; readonly keyFile: string } | null
  /** Whose certificates count. Null: those that Node trusts by itself. */
  readonly trustedCaFile: string | null
  readonly crlFile: string | null
  /** What certificates of whom this member calls must be for. Null: the host in their URL. */
  readonly serverName: string | null
  /** Whoever connects must show a certificate. */
  readonly requiresCertificate: boolean
  /** Empty: any. */
  readonly allowedCommonNames: readonly string[]
  readonly allowedHostnames: readonly string[]
  /** Whoever shows a certificate for hosts must call from one of them. */
  readonly checksCallerAddress: boolean
  /** The certificate is made here, and so are those of others: they prove nothing. */
  readonly selfSigned: { readonly hosts: readonly string[]; readonly years: number } | null
  readonly minVersion: SecureVersion
  readonly maxVersion: SecureVersion
  /** In OpenSSL's words. Null: what Node offers. */
  readonly ciphers: string | null
}

export interface Surroundings {
  readonly dataDir: string
  /** Whether any URL of this side is one of HTTPS. */
  readonly isWanted: boolean
  /** Where members are found by DNS. Null: they are not. */
  readonly srvDomain: string | null
  /** What a certificate made here is for. */
  readonly hosts: readonly string[]
}

/** Null where no certificate is given or made, or none is wanted. Throws a {@link UsageError}. */
export function clientTlsOf(settings: SecuritySettings, around: Surroundings): TlsConfig | null {
  const common = commonOf(settings)
  const pair = pairOf(settings, 'cert-file', 'key-file')
  const isAuto = settings['auto-tls'] && pair === null
  const files = pair ?? (isAuto ? selfSignedFiles(around.dataDir, 'client') : null)
  if (files === null || !around.isWanted) return null
  const trustedCaFile = settings['trusted-ca-file'] || null
  return {
    ...common,
    ...files,
    side: 'clients',
    calling: null,
    serverName: null,
    trustedCaFile,
    crlFile: settings['client-crl-file'] || null,
    // As in etcd, whoever names an authority means it.
    requiresCertificate: settings['client-cert-auth'] || trustedCaFile !== null,
    allowedCommonNames: [],
    allowedHostnames: settings['client-cert-allowed-hostname'],
    checksCallerAddress: false,
    selfSigned: isAuto ? selfSignedOf(settings, around) : null,
  }
}

/**
 * The same for other members. A certificate that is given is for calling them, too: those at URLs of
 * HTTPS, also while this member listens without TLS.
 */
export function peerTlsOf(settings: SecuritySettings, around: Surroundings): TlsConfig | null {
  const common = commonOf(settings)
  const pair = pairOf(settings, 'peer-cert-file', 'peer-key-file')
  const isAuto = settings['peer-auto-tls'] && pair === null
  const allowedCommonNames = settings['peer-cert-allowed-cn']
  const allowedHostnames = settings['peer-cert-allowed-hostname']
  if (allowedCommonNames.length > 0 && allowedHostnames.length > 0)
    throw new UsageError(
      '--peer-cert-allowed-cn and --peer-cert-allowed-hostname are mutually exclusive',
    )
  const files = pair ?? (isAuto && around.isWanted ? selfSignedFiles(around.dataDir, 'peer') : null)
  if (files === null) return null
  const trustedCaFile = settings['peer-trusted-ca-file'] || null
  const requiresCertificate = settings['peer-client-cert-auth'] || trustedCaFile !== null
  if (isAuto && requiresCertificate)
    throw new UsageError(
      '--peer-auto-tls makes certificates that nobody signs: it cannot go with --peer-client-cert-auth or --peer-trusted-ca-file',
    )
  return {
    ...common,
    ...files,
    side: 'members',
    calling: pairOf(settings, 'peer-client-cert-file', 'peer-client-key-file'),
    // As in etcd: the names in SRV records are whatever DNS says, and public authorities sign for all.
    serverName: isAuto || trustedCaFile !== null ? null : around.srvDomain,
    trustedCaFile,
    crlFile: settings['peer-crl-file'] || null,
    requiresCertificate,
    allowedCommonNames,
    allowedHostnames,
    checksCallerAddress: !settings['peer-skip-client-san-verification'],
    selfSigned: isAuto ? selfSignedOf(settings, around) : null,
  }
}

/** What is said of TLS that changes nothing, because no URL is one of HTTPS. */
export function idleTls(
  settings: SecuritySettings,
  isWanted: { readonly clients: boolean; readonly members: boolean },
): readonly string[] {
  const given = (names: readonly (keyof SecuritySettings)[]): readonly string[] =>
    names.filter((name) => isGiven(settings[name])).map((name) => `--${name}`)
  const clients = isWanted.clients ? [] : given(CLIENT_TLS)
  const members = isWanted.members ? [] : given(PEER_TLS)
  const idle = 'no URL to listen on is one of https'
  return [
    ...(clients.length > 0 ? [`TLS for clients: ${idle}, so ${clients.join(', ')}: ignored`] : []),
    ...(members.length > 0
      ? [`TLS for members: ${idle}, so ${members.join(', ')}: for calling only`]
      : []),
  ]
}

const CLIENT_TLS = [
  'cert-file',
  'auto-tls',
  'client-cert-auth',
  'trusted-ca-file',
  'client-crl-file',
  'client-cert-allowed-hostname',
] as const

const PEER_TLS = [
  'peer-cert-file',
  'peer-auto-tls',
  'peer-client-cert-auth',
  'peer-trusted-ca-file',
  'peer-crl-file',
  'peer-cert-allowed-cn',
  'peer-cert-allowed-hostname',
] as const

function isGiven(value: SecuritySettings[keyof SecuritySettings]): boolean {
  return Array.isArray(value) ? value.length > 0 : value !== '' && value !== false
}

type FileFlag = {
  [Name in keyof SecuritySettings]: SecuritySettings[Name] extends string ? Name : never
}[keyof SecuritySettings]

function pairOf(
  settings: SecuritySettings,
  cert: FileFlag,
  key: FileFlag,
): { readonly certFile: string; readonly keyFile: string } | null {
  const [certFile, keyFile] = [settings[cert], settings[key]]
  if (certFile === '' && keyFile === '') return null
  if (certFile !== '' && keyFile !== '') return { certFile, keyFile }
  throw new UsageError(
    `KeyFile and CertFile must both be present[key: ${keyFile}, cert: ${certFile}]: --${cert} and --${key} belong together`,
  )
}

function commonOf(
  settings: SecuritySettings,
): Pick<TlsConfig, 'minVersion' | 'maxVersion' | 'ciphers'> {
  const least = settings['tls-min-version'] || 'TLS1.2'
  const most = settings['tls-max-version'] || 'TLS1.3'
  if (least > most)
    throw new UsageError(`min version (${least}) is greater than max version (${most})`)
  const suites = settings['cipher-suites']
  if (suites.length > 0 && least === 'TLS1.3')
    throw new UsageError('cipher suites cannot be configured when only TLS1.3 is enabled')
  return {
    minVersion: nodeVersion(least),
    maxVersion: nodeVersion(most),
    ciphers: ciphersOf(suites),
  }
}

function ciphersOf(suites: readonly string[]): string | null {
  if (suites.length === 0) return null
  return suites
    .map((suite) => {
      const name = openSslName(suite)
      if (name === null) throw new UsageError(`unexpected TLS cipher suite "${suite}"`)
      return name
    })
    .join(':')
}

function nodeVersion(version: TlsVersion): SecureVersion {
  return version === 'TLS1.2' ? 'TLSv1.2' : 'TLSv1.3'
}

function selfSignedFiles(
  dataDir: string,
  side: 'client' | 'peer',
): { readonly certFile: string; readonly keyFile: string } {
  const directory = join(dataDir, 'fixtures', side)
  return { certFile: join(directory, 'cert.pem'), keyFile: join(directory, 'key.pem') }
}

function selfSignedOf(
  settings: SecuritySettings,
  { hosts }: Surroundings,
): NonNullable<TlsConfig['selfSigned']> {
  return { hosts: [...new Set(hosts)], years: settings['self-signed-cert-validity'] }
}

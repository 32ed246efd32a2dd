/** Flags of TLS: by what members are known, and by what clients and other members are. */
import { type FlagsFor, list, onOff, oneOf, text, whole } from './kinds.ts'

/** Files are PEM; empty where none was given. */
export interface SecuritySettings {
  readonly 'cert-file': string
  readonly 'key-file': string
  readonly 'client-cert-auth': boolean
  readonly 'trusted-ca-file': string
  readonly 'client-crl-file': string
  readonly 'client-cert-allowed-hostname': readonly string[]
  readonly 'auto-tls': boolean
  readonly 'peer-cert-file': string
  readonly 'peer-key-file': string
  readonly 'peer-client-cert-file': string
  readonly 'peer-client-key-file': string
  readonly 'peer-client-cert-auth': boolean
  readonly 'peer-trusted-ca-file': string
  readonly 'peer-crl-file': string
  readonly 'peer-cert-allowed-cn': readonly string[]
  readonly 'peer-cert-allowed-hostname': readonly string[]
  readonly 'peer-auto-tls': boolean
  readonly 'peer-skip-client-san-verification': boolean
  readonly 'self-signed-cert-validity': number
  readonly 'cipher-suites': readonly string[]
  /** Empty: TLS 1.2. */
  readonly 'tls-min-version': TlsVersion | ''
  /** Empty: the newest there is. */
  readonly 'tls-max-version': TlsVersion | ''
}

export type TlsVersion = 'TLS1.2' | 'TLS1.3'

const VERSIONS = ['', 'TLS1.2', 'TLS1.3'] as const

export const SECURITY_FLAGS: FlagsFor<SecuritySettings> = {
  'cert-file': text('path', '', 'certificate to show to clients'),
  'key-file': text('path', '', 'its key'),
  'client-cert-auth': onOff(false, 'clients must show a certificate; it may say who they are'),
  'trusted-ca-file': text('path', '', 'who signs certificates of clients, which they must show'),
  'client-crl-file': text('path', '', 'certificates of clients that were revoked'),
  'client-cert-allowed-hostname': list('names', 'names one of which they must be for'),
  'auto-tls': onOff(false, 'show clients a certificate that this member makes itself'),
  'peer-cert-file': text('path', '', 'certificate to show to other members'),
  'peer-key-file': text('path', '', 'its key'),
  'peer-client-cert-file': text('path', '', 'another one to show where this member calls'),
  'peer-client-key-file': text('path', '', 'its key'),
  'peer-client-cert-auth': onOff(false, 'members that call must show a certificate'),
  'peer-trusted-ca-file': text('path', '', 'who signs certificates of members'),
  'peer-crl-file': text('path', '', 'certificates of members that were revoked'),
  'peer-cert-allowed-cn': list('names', 'common names one of which they must have'),
  'peer-cert-allowed-hostname': list('names', 'names one of which they must be for'),
  'peer-auto-tls': onOff(false, 'show members a certificate that this one makes itself'),
  'peer-skip-client-san-verification': onOff(false, 'members may call from other addresses'),
  'self-signed-cert-validity': whole(
    'years',
    1,
    [1, 100],
    'how long certificates made here are good',
  ),
  'cipher-suites': list('suites', 'which to use up to TLS 1.2'),
  'tls-min-version': oneOf(VERSIONS, '', 'TLS1.2 (the default) or TLS1.3', 'version'),
  'tls-max-version': oneOf(VERSIONS, '', 'TLS1.2 or TLS1.3 (the default)', 'version'),
}

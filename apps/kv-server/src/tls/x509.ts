/** X.509 certificates as far as a member makes them itself (RFC 5280), signed with ECDSA on P-256. */
import { generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto'
import { isIP, isIPv4 } from 'node:net'
import { ascii, bits, der, ECDSA_WITH_SHA256, oid, sequence, signed, TAG, time } from './der.ts'

export interface CertificateRequest {
  readonly organization?: string
  readonly commonName?: string
  /** Names and IP addresses that it is for. */
  readonly hosts?: readonly string[]
  readonly notBefore: Date
  readonly notAfter: Date
  /** Who signs it. Default: its own key. */
  readonly issuer?: Issued
  /** Whether it may sign others. Default: no. */
  readonly isAuthority?: boolean
}

export interface Issued {
  readonly certificatePem: string
  readonly keyPem: string
  readonly key: KeyObject
  /** The subject, encoded. */
  readonly subject: Uint8Array
}

const OID = {
  organization: [0x55, 4, 10],
  commonName: [0x55, 4, 3],
  keyUsage: [0x55, 0x1d, 15],
  altName: [0x55, 0x1d, 17],
  basicConstraints: [0x55, 0x1d, 19],
  extendedKeyUsage: [0x55, 0x1d, 37],
  serverAuth: [0x2b, 6, 1, 5, 5, 7, 3, 1],
  clientAuth: [0x2b, 6, 1, 5, 5, 7, 3, 2],
} as const

const TRUE = Uint8Array.of(1, 1, 0xff)

/** Makes a key, and a certificate of it. */
export function issueCertificate(request: CertificateRequest): Issued {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const subject = nameOf(request)
  const { issuer = { key: privateKey, subject } } = request
  const body = sequence(
    der(0xa0, der(TAG.integer, Uint8Array.of(2))),
    der(TAG.integer, serialNumber()),
    ECDSA_WITH_SHA256,
    issuer.subject,
    sequence(time(request.notBefore), time(request.notAfter)),
    subject,
    publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, extensionsOf(request)),
  )
  return {
    certificatePem: signed('CERTIFICATE', body, issuer.key),
    keyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    key: privateKey,
    subject,
  }
}

function nameOf({ organization, commonName }: CertificateRequest): Uint8Array {
  const part = (id: readonly number[], value: string | undefined): readonly Uint8Array[] =>
    value === undefined ? [] : [der(TAG.set, sequence(oid(id), der(TAG.text, ascii(value))))]
  return sequence(...part(OID.organization, organization), ...part(OID.commonName, commonName))
}

function extensionsOf({ hosts = [], isAuthority = false }: CertificateRequest): Uint8Array {
  const constraints = sequence(...(isAuthority ? [TRUE] : []))
  // To sign certificates and lists of revoked ones; or to sign handshakes and encrypt keys.
  const usage = isAuthority ? bits(1, Uint8Array.of(0x06)) : bits(5, Uint8Array.of(0xa0))
  const purposes = sequence(oid(OID.serverAuth), oid(OID.clientAuth))
  return sequence(
    sequence(oid(OID.basicConstraints), TRUE, der(TAG.octets, constraints)),
    sequence(oid(OID.keyUsage), TRUE, der(TAG.octets, usage)),
    ...(isAuthority ? [] : [sequence(oid(OID.extendedKeyUsage), der(TAG.octets, purposes))]),
    ...(hosts.length === 0
      ? []
      : [sequence(oid(OID.altName), der(TAG.octets, sequence(...hosts.map(hostName))))]),
  )
}

function hostName(host: string): Uint8Array {
  if (isIP(host) === 0) return der(0x82, ascii(host))
  return der(0x87, isIPv4(host) ? Uint8Array.from(host.split('.'), Number) : bytesOfIPv6(host))
}

function bytesOfIPv6(host: string): Uint8Array {
  // The parser of URLs knows every way to write one, and ends with groups of hexadecimal digits.
  const [head = '', tail] = new URL(`http://[${host}]`).hostname.slice(1, -1).split('::')
  const groupsOf = (part: string): number[] =>
    part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16))
  const [first, last] = [groupsOf(head), groupsOf(tail ?? '')]
  const zeros = Array.from({ length: 8 - first.length - last.length }, () => 0)
  return Uint8Array.from(
    [...first, ...zeros, ...last].flatMap((group) => [group >> 8, group & 0xff]),
  )
}

/** Positive, and without leading zeros. */
function serialNumber(): Uint8Array {
  const serial = new Uint8Array(randomBytes(16))
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40
  return serial
}

/** Who gets in, beyond having a certificate that was signed by the right authority. */
import type { X509Certificate } from 'node:crypto'
import { lookup, reverse } from 'node:dns/promises'
import { isIP } from 'node:net'
import type { TlsConfig } from './tls-config.ts'

/** How names are looked up. */
export interface Resolver {
  /** The addresses of a name. */
  readonly addressesOf: (name: string) => Promise<readonly string[]>
  /** The names of an address. */
  readonly namesOf: (address: string) => Promise<readonly string[]>
}

export const systemResolver: Resolver = {
  addressesOf: async (name) => (await lookup(name, { all: true })).map(({ address }) => address),
  namesOf: (address) => reverse(address),
}

/** Why a certificate is not one of those that the flags allow, or null. */
export function objectionTo(
  certificate: X509Certificate,
  {
    allowedCommonNames,
    allowedHostnames,
  }: Pick<TlsConfig, 'allowedCommonNames' | 'allowedHostnames'>,
): string | null {
  if (allowedCommonNames.length > 0) {
    const name = commonNameOf(certificate)
    if (!allowedCommonNames.includes(name))
      return `the certificate's common name ${JSON.stringify(name)} is not allowed`
  }
  if (allowedHostnames.length > 0 && !allowedHostnames.some((host) => isFor(certificate, host)))
    return `the certificate is for none of ${allowedHostnames.join(', ')}`
  return null
}

/**
 * Why somebody at `address` must not show this certificate, or null: one that is for hosts must come
 * from there. Names are looked up; those with a wildcard, from the address.
 */
export async function objectionToPlace(
  certificate: X509Certificate,
  address: string,
  resolver: Resolver,
): Promise<string | null> {
  const { names, hasAddresses } = altNamesOf(certificate)
  const from = address.replace(/^::ffff:(?=\d+\.)/, '')
  if (names.length === 0 && !hasAddresses) return null
  if (hasAddresses && certificate.checkIP(from) !== undefined) return null
  const isThere = await Promise.all(names.map((name) => isNameOf(name, from, resolver)))
  if (isThere.includes(true)) return null
  return `the certificate is not for ${from} but for ${certificate.subjectAltName}`
}

async function isNameOf(name: string, address: string, resolver: Resolver): Promise<boolean> {
  try {
    if (!name.startsWith('*.')) return (await resolver.addressesOf(name)).includes(address)
    const names = await resolver.namesOf(address)
    return names.some((each) => each.slice(each.indexOf('.')) === name.slice(1))
  } catch {
    return false
  }
}

function isFor(certificate: X509Certificate, host: string): boolean {
  if (isIP(host) !== 0) return certificate.checkIP(host) !== undefined
  return certificate.checkHost(host, { subject: 'never' }) !== undefined
}

function altNamesOf({ subjectAltName = '' }: X509Certificate): {
  readonly names: readonly string[]
  readonly hasAddresses: boolean
} {
  const parts = (subjectAltName ?? '').split(', ')
  return {
    names: parts.filter((part) => part.startsWith('DNS:')).map((part) => part.slice(4)),
    hasAddresses: parts.some((part) => part.startsWith('IP Address:')),
  }
}

function commonNameOf({ subject }: X509Certificate): string {
  const line = subject.split('\n').find((each) => each.startsWith('CN='))
  return line?.slice(3) ?? ''
}

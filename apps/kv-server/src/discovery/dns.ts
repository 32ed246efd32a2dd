/** What is asked of the Domain Name System, and whether two URLs lead to the same place by it. */
import { lookup, Resolver } from 'node:dns/promises'

/** One of those that offer a service (RFC 2782). */
export interface Service {
  /** A name, without the dot at its end. */
  readonly host: string
  readonly port: number
}

export interface Dns {
  /** Nobody if there is no such name. Rejects if it cannot be told. */
  readonly servicesOf: (name: string) => Promise<readonly Service[]>
  /** The addresses of a name, or of an address. Rejects if there are none. */
  readonly addressesOf: (host: string) => Promise<readonly string[]>
}

/** There is an answer, and it says that there are no such records. */
const NO_RECORDS: ReadonlySet<unknown> = new Set(['ENOTFOUND', 'ENODATA'])

/** Services are asked of `resolver`; addresses of the system, which also knows `/etc/hosts`. */
export function systemDns(resolver: Pick<Resolver, 'resolveSrv'> = new Resolver()): Dns {
  return {
    async servicesOf(name) {
      try {
        const records = await resolver.resolveSrv(name)
        return records.map(({ name: target, port }) => ({ host: target.replace(/\.$/, ''), port }))
      } catch (error) {
        if (error instanceof Error && 'code' in error && NO_RECORDS.has(error.code)) return []
        throw error
      }
    },
    addressesOf: async (host) => (await lookup(host, { all: true })).map(({ address }) => address),
  }
}

/** Of URLs in etcd's form. Names that cannot be looked up are the same only by letter. */
export async function areSamePlace(one: string, other: string, dns: Dns): Promise<boolean> {
  if (one === other) return true
  const [a, b] = [partsOf(one), partsOf(other)]
  if (a === null || b === null || a.scheme !== b.scheme || a.port !== b.port) return false
  if (a.host.toLowerCase() === b.host.toLowerCase()) return true
  const [of, theirs] = await Promise.all([a, b].map(({ host }) => addressesIfAny(host, dns)))
  return of?.some((address) => theirs?.includes(address)) === true
}

async function addressesIfAny(host: string, dns: Dns): Promise<readonly string[]> {
  try {
    return await dns.addressesOf(host)
  } catch {
    return []
  }
}

interface Parts {
  readonly scheme: string
  readonly host: string
  readonly port: string
}

/** Null for the URL of a socket. */
function partsOf(url: string): Parts | null {
  const [, scheme, ipv6, name, port] =
    /^(https?):\/\/(?:\[([^\]]+)\]|([^:]+)):(\d+)$/.exec(url) ?? ([] as string[])
  const host = ipv6 ?? name
  if (scheme === undefined || host === undefined || port === undefined) return null
  return { scheme, host, port }
}

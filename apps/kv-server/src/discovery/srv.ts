/** Who founds a cluster, by the SRV records of a domain (`--discovery-srv`). */
import { areSamePlace, type Dns, type Service } from './dns.ts'

export interface SrvDomain {
  readonly domain: string
  /** Tells clusters of one domain apart. Empty: there is one. */
  readonly serviceName: string
}

/** Why members were not found. The message is a sentence. */
export class DiscoveryError extends Error {
  override readonly name = 'DiscoveryError'
}

export interface Founder {
  readonly name: string
  readonly peerUrls: readonly string[]
}

/**
 * Every record is one founder; this member is the one that its advertised URLs lead to, and takes all
 * records that they do. etcd numbers the others, in the order in which the answer happens to have them,
 * and leaves out those whose names it cannot look up: two members would then found different clusters.
 * Here each is called after its place, and none is left out.
 */
export async function foundersBySrv(
  asked: SrvDomain,
  itself: Founder,
  dns: Dns,
): Promise<readonly Founder[]> {
  const [wanted = ''] = itself.peerUrls.map(schemeOf)
  const urls = withoutTwins(
    [
      ...(await urlsOf('https', serviceAt('etcd-server-ssl', asked), dns)),
      ...(await urlsOf('http', serviceAt('etcd-server', asked), dns)),
    ],
    wanted,
  )
  const names = `${serviceAt('etcd-server-ssl', asked)} or ${serviceAt('etcd-server', asked)}`
  if (urls.length === 0)
    throw new DiscoveryError(
      `no DNS SRV records of ${names}: add them, or name the members with --initial-cluster`,
    )
  const isOwn = await Promise.all(urls.map((url) => isOneOf(url, itself.peerUrls, dns)))
  const own = urls.filter((_, at) => isOwn[at])
  if (own.length === 0)
    throw new DiscoveryError(
      `cannot find local etcd member "${itself.name}" in SRV records: of ${urls.join(', ')}, none is at --initial-advertise-peer-urls=${itself.peerUrls.join(',')}`,
    )
  const others = urls.filter((url) => !own.includes(url))
  return [
    { name: itself.name, peerUrls: own },
    ...others.map((url) => ({ name: placeOf(url), peerUrls: [url] })),
  ]
}

function serviceAt(service: string, { domain, serviceName }: SrvDomain): string {
  const suffix = serviceName === '' ? '' : `-${serviceName}`
  return `_${service}${suffix}._tcp.${domain}`
}

async function urlsOf(scheme: string, name: string, dns: Dns): Promise<readonly string[]> {
  try {
    const services = await dns.servicesOf(name)
    // The root for a host says that the service is not offered (RFC 2782).
    return services.filter(({ host }) => host !== '').map((service) => urlAt(scheme, service))
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new DiscoveryError(`error querying DNS SRV records for ${name}: ${why}`, { cause })
  }
}

function urlAt(scheme: string, { host, port }: Service): string {
  return `${scheme}://${host.includes(':') ? `[${host}]` : host}:${port}`
}

/** A place in both kinds of records is one member, reached as this one is. */
function withoutTwins(urls: readonly string[], wanted: string): readonly string[] {
  const chosen = new Map<string, string>()
  for (const url of urls)
    if (!chosen.has(placeOf(url)) || schemeOf(url) === wanted) chosen.set(placeOf(url), url)
  return [...chosen.values()].toSorted()
}

async function isOneOf(url: string, others: readonly string[], dns: Dns): Promise<boolean> {
  const answers = await Promise.all(others.map((other) => areSamePlace(url, other, dns)))
  return answers.includes(true)
}

function schemeOf(url: string): string {
  return url.slice(0, url.indexOf(':'))
}

function placeOf(url: string): string {
  return url.slice(url.indexOf('//') + 2)
}

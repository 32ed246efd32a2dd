/** What it takes the network to tell of how the cluster begins: who founds it, and who this member is. */
import type { ServerConfig } from '../config.ts'
import { type Beginning, beginningOf, type InitialMember } from '../config/beginning.ts'
import type { DiscoveryService } from '../config/discovery.ts'
import type { Log } from '../log.ts'
import { UsageError } from '../usage.ts'
import { areSamePlace, type Dns } from './dns.ts'
import { foundersByRegistry } from './registry.ts'
import { DiscoveryError, foundersBySrv } from './srv.ts'

export interface SettleOptions {
  readonly dns: Dns
  readonly log: Log
  readonly signal: AbortSignal
}

/**
 * For a member that has not run before. Rejects with a {@link DiscoveryError}, and with the signal's
 * reason while it waits for others.
 */
export async function settleBeginning(
  config: ServerConfig,
  { dns, log, signal }: SettleOptions,
): Promise<ServerConfig> {
  const { srvDomain, discovery } = config
  if (discovery !== null) {
    const founders = await foundersByRegistry(discovery, config.member, { log, signal })
    return { ...config, ...beginningByRegistry(discovery, config.member, founders) }
  }
  if (srvDomain !== null) {
    const founders = await foundersBySrv(srvDomain, config.member, dns)
    const items = founders.flatMap(({ name, peerUrls }) => peerUrls.map((url) => `${name}=${url}`))
    log.info({ domain: srvDomain.domain, members: items }, 'found members by DNS')
    const [itself] = founders
    const beginning = beginningOf({
      name: config.name,
      'initial-cluster': items.join(','),
      'initial-cluster-token': config.clusterToken,
      'initial-advertise-peer-urls': itself?.peerUrls.join(',') ?? '',
    })
    return { ...config, ...beginning }
  }
  await checkAdvertised(config, dns)
  return config
}

/** What others said of themselves may make no sense, alone or together: then nobody founds anything. */
function beginningByRegistry(
  { token }: DiscoveryService,
  { name, peerUrls }: InitialMember,
  founders: readonly string[],
): Beginning {
  const text = founders.join(',')
  const failed = (why: string, cause?: unknown): DiscoveryError =>
    new DiscoveryError(
      `failed to join discovery cluster (discovery: ${why}): members are ${text}`,
      {
        cause,
      },
    )
  const names = new Set(founders.map((founder) => founder.slice(0, founder.indexOf('='))))
  // etcd takes members of one name for one member, and founds a cluster that is too small.
  if (names.size < founders.length) throw failed('duplicate member name')
  try {
    return beginningOf({
      name,
      'initial-cluster': text,
      'initial-cluster-token': token,
      'initial-advertise-peer-urls': peerUrls.join(','),
    })
  } catch (error) {
    if (error instanceof UsageError) throw failed('invalid peer URL', error)
    throw error
  }
}

/** A name in one flag may stand for the address in the other. */
async function checkAdvertised(
  { member, advertisePeerUrls }: Pick<ServerConfig, 'member' | 'advertisePeerUrls'>,
  dns: Dns,
): Promise<void> {
  const isAmong = async (url: string, others: readonly string[]): Promise<boolean> => {
    const answers = await Promise.all(others.map((other) => areSamePlace(url, other, dns)))
    return answers.includes(true)
  }
  for (const [url, others] of [
    ...member.peerUrls.map((each) => [each, advertisePeerUrls] as const),
    ...advertisePeerUrls.map((each) => [each, member.peerUrls] as const),
  ])
    if (!(await isAmong(url, others)))
      throw new DiscoveryError(
        `--initial-cluster has ${member.peerUrls.map((each) => `${member.name}=${each}`).join(',')}, and --initial-advertise-peer-urls=${advertisePeerUrls.join(',')}: ${url} leads to none of the other, as far as names can be looked up`,
      )
}

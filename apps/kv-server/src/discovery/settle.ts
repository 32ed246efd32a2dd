/** What it takes the network to tell of how the cluster begins: who founds it, and who this member is. */
import type { ServerConfig } from '../config.ts'
import { beginningOf } from '../config/beginning.ts'
import type { Log } from '../log.ts'
import { areSamePlace, type Dns } from './dns.ts'
import { DiscoveryError, foundersBySrv } from './srv.ts'

/** For a member that has not run before. Rejects with a {@link DiscoveryError}. */
export async function settleBeginning(
  config: ServerConfig,
  { dns, log }: { readonly dns: Dns; readonly log: Log },
): Promise<ServerConfig> {
  const { srvDomain } = config
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

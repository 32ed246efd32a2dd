/** Who this member is before it has run: a founder, or one that a running cluster waits for. */
import { memberIdOf } from '@coracle/etcd-api'
import type { ServerConfig } from '../config.ts'
import type { InitialMember } from '../config/beginning.ts'
import { DirectoryError } from '../identity.ts'
import { addressOfUrls } from './addresses.ts'
import { type AskOptions, askCluster } from './peer-client.ts'
import type { ClusterView, RemoteMember } from './protocol.ts'

/** As in etcd: founders may all be about to start, so nobody waits long for an answer. */
const FOUNDER_TIMEOUT_MS = 1_000
const JOINER_TIMEOUT_MS = 10_000

/** Why this member cannot be what its flags say. The message is a sentence. */
export class JoinError extends DirectoryError {}

/**
 * Asks the other members that the flags name. A founder must not have run before: without its data
 * it has forgotten its votes. One that joins gets the id that was given to it when it was added.
 * Throws a {@link JoinError} with etcd's own reason.
 */
export async function takePlace(
  config: ServerConfig,
  tls: AskOptions['tls'],
): Promise<ServerConfig> {
  const urls = config.initialMembers
    .filter(({ name }) => name !== config.name)
    .flatMap(({ peerUrls }) => peerUrls)
    .toSorted()
  return config.isNewCluster ? await found(config, urls, tls) : await join(config, urls, tls)
}

async function found(
  config: ServerConfig,
  urls: readonly string[],
  tls: AskOptions['tls'],
): Promise<ServerConfig> {
  const view = await askCluster(urls, { timeoutMs: FOUNDER_TIMEOUT_MS, tls })
  const itself = view?.members.find(({ id }) => id === config.member.nodeId)
  if (itself !== undefined && itself.clientUrls.length > 0)
    throw new JoinError(`member ${config.member.nodeId} has already been bootstrapped`)
  if (view?.removed.includes(config.member.nodeId) === true)
    throw new JoinError(`member ${config.member.nodeId} has already been removed from the cluster`)
  return config
}

async function join(
  config: ServerConfig,
  urls: readonly string[],
  tls: AskOptions['tls'],
): Promise<ServerConfig> {
  const view = await askCluster(urls, { timeoutMs: JOINER_TIMEOUT_MS, tls })
  if (view === null)
    throw new JoinError(
      'cannot fetch cluster info from peer urls: could not retrieve cluster information from the given URLs',
    )
  const itself = placeOf(config, view)
  return {
    ...config,
    member: { ...config.member, id: memberIdOf(itself.id), nodeId: itself.id },
    clusterId: BigInt(`0x${view.clusterId}`),
    contacts: view.members.map(({ id, peerUrls }) => ({ id, address: addressOfUrls(peerUrls) })),
  }
}

/** Every member of the cluster must be among those that the flags name, by its URLs, and nobody else. */
function placeOf({ name, member, initialMembers }: ServerConfig, view: ClusterView): RemoteMember {
  const invalid = `error validating peerURLs: `
  if (view.members.length !== initialMembers.length)
    throw new JoinError(`${invalid}member count is unequal`)
  for (const remote of view.members)
    if (!initialMembers.some((each) => haveSameUrls(each, remote)))
      throw new JoinError(
        `${invalid}unmatched member while checking PeerURLs (${remote.id}, ${remote.peerUrls.join(',')})`,
      )
  const itself = view.members.find((remote) => haveSameUrls(member, remote))
  if (itself === undefined)
    throw new JoinError(`couldn't find local name "${name}" in the initial cluster configuration`)
  if (itself.clientUrls.length > 0)
    throw new JoinError(`member ${itself.id} has already been bootstrapped`)
  return itself
}

function haveSameUrls(a: InitialMember, b: RemoteMember): boolean {
  return a.peerUrls.toSorted().join(',') === b.peerUrls.toSorted().join(',')
}

/** How a cluster begins: who its members are, and which of them this one is. */
import { isIP } from 'node:net'
import { clusterId, type EtcdId, memberId, nodeIdOf } from '@coracle/etcd-api'
import type { NodeId } from '@coracle/raft-core'
import type { Settings } from '../flags.ts'
import { UsageError } from '../usage.ts'
import { checkUrl, hostOf, urls } from './urls.ts'

/** A member that the cluster starts with. */
export interface InitialMember {
  readonly name: string
  readonly id: EtcdId
  readonly nodeId: NodeId
  readonly peerUrls: readonly string[]
}

export interface Beginning {
  /** This member. It is one of `initialMembers`. */
  readonly member: InitialMember
  readonly initialMembers: readonly InitialMember[]
  readonly clusterId: EtcdId
}

export function beginningOf(settings: BeginningSettings): Beginning {
  const initialMembers = membersOf(settings)
  return {
    member: ownMember(settings, initialMembers),
    initialMembers,
    clusterId: clusterId(initialMembers.map(({ id }) => id)),
  }
}

/** Addresses that have changed since contradict each other at times, and nobody minds. */
export function beginningIfAny(settings: Settings): Beginning {
  try {
    return beginningOf(settings)
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    const peerUrls = urls(settings, 'initial-advertise-peer-urls')
    const member = { name: settings.name, id: 0n, nodeId: '', peerUrls }
    return { member, initialMembers: [], clusterId: 0n }
  }
}

/** The flags that say how a cluster begins. */
export type BeginningSettings = Pick<
  Settings,
  'name' | 'initial-cluster' | 'initial-cluster-token' | 'initial-advertise-peer-urls'
>

function membersOf(settings: BeginningSettings): readonly InitialMember[] {
  const { name, 'initial-cluster': text, 'initial-cluster-token': token } = settings
  const own = settings['initial-advertise-peer-urls'].split(',').map((url) => `${name}=${url}`)
  const urlsOf = new Map<string, string[]>()
  for (const item of text === '' ? own : text.split(',')) {
    const at = item.indexOf('=')
    if (at < 1) throw new UsageError(`--initial-cluster must be name=url,..., not '${item.trim()}'`)
    const member = item.slice(0, at).trim()
    const url = checkUrl(item.slice(at + 1), 'initial-cluster')
    urlsOf.set(member, [...(urlsOf.get(member) ?? []), url])
  }
  const everyUrl = [...urlsOf.values()].flat()
  const twice = everyUrl.find((url, at) => everyUrl.indexOf(url) !== at)
  if (twice !== undefined) throw new UsageError(`--initial-cluster has duplicate URLs: ${twice}`)
  return [...urlsOf].map(([member, peerUrls]) => {
    const id = memberId(peerUrls, token)
    return { name: member, id, nodeId: nodeIdOf(id), peerUrls: [...peerUrls].sort() }
  })
}

function ownMember(settings: BeginningSettings, members: readonly InitialMember[]): InitialMember {
  const own = members.find(({ name }) => name === settings.name)
  if (own === undefined)
    throw new UsageError(
      `couldn't find local name "${settings.name}" in the initial cluster configuration: --initial-cluster has ${members.map(({ name }) => name).join(', ')}`,
    )
  const advertised = urls(settings, 'initial-advertise-peer-urls')
  const missing = own.peerUrls.filter((url) => !advertised.includes(url))
  const surplus = advertised.filter((url) => !own.peerUrls.includes(url))
  if (mayBeSame(missing, surplus)) return own
  if (missing.length > 0)
    throw new UsageError(
      `--initial-cluster has ${own.name}=${missing[0]} but missing from --initial-advertise-peer-urls=${advertised.join(',')}`,
    )
  if (surplus.length > 0)
    throw new UsageError(
      `--initial-advertise-peer-urls has ${surplus[0]} but missing from --initial-cluster=${own.name}=${own.peerUrls.join(',')}`,
    )
  return own
}

/** Names may stand for the addresses: that takes looking them up, before the member starts. */
function mayBeSame(missing: readonly string[], surplus: readonly string[]): boolean {
  const isName = (url: string): boolean => isIP(hostOf(url)) === 0 && hostOf(url) !== 'localhost'
  return missing.length === surplus.length && [...missing, ...surplus].some(isName)
}

/**
 * What members ask each other over HTTP at the port for peers, where etcd's members do the same: who
 * is in the cluster, what only the leader can carry out, and whether they hold the same.
 */
import type { ForwardedAnswer } from '@coracle/etcd-api'

/** Names the cluster in every answer, and in every request that changes something. */
export const CLUSTER_HEADER = 'x-coracle-cluster-id'

export const MEMBERS_PATH = '/members'
export const VERSION_PATH = '/version'
/** Followed by the path of the method, as in gRPC. */
export const FORWARD_PATH = '/forward'
export const HASH_PATH = '/hashkv'

/** The answer at {@link MEMBERS_PATH}: the cluster as one member knows it. */
export interface ClusterView {
  readonly format: 1
  /** In hexadecimal, as all ids here. */
  readonly clusterId: string
  readonly members: readonly RemoteMember[]
  /** Who was removed and must not come back. */
  readonly removed: readonly string[]
}

export interface RemoteMember {
  readonly id: string
  readonly name: string
  readonly peerUrls: readonly string[]
  readonly clientUrls: readonly string[]
  readonly isLearner: boolean
}

/** The answer at {@link HASH_PATH}: what `hashKv` says, or why it says nothing. */
export type RemoteHash =
  | { readonly hash: number; readonly compactRevision: number; readonly revision: number }
  | { readonly refused: string }

/** Checks what came over the network. Null if it is no view of a cluster. */
export function parseClusterView(text: string): ClusterView | null {
  const value: Partial<ClusterView> | null = parse(text)
  if (value === null || value.format !== 1 || !isId(value.clusterId)) return null
  const { members, removed } = value
  if (!Array.isArray(members) || !members.every(isMember)) return null
  return Array.isArray(removed) && removed.every(isId) ? (value as ClusterView) : null
}

export function parseHash(text: string): RemoteHash | null {
  const value = parse(text) as Record<string, unknown> | null
  if (value === null) return null
  if (typeof value['refused'] === 'string') return { refused: value['refused'] }
  const { hash, compactRevision, revision } = value
  const isWhole = [hash, compactRevision, revision].every(Number.isSafeInteger)
  return isWhole ? (value as unknown as RemoteHash) : null
}

export function parseRefusal(text: string): Extract<ForwardedAnswer, { code: number }> | null {
  const value: { code?: unknown; message?: unknown } | null = parse(text)
  if (value === null || !Number.isSafeInteger(value.code) || typeof value.message !== 'string')
    return null
  return { code: value.code as number, message: value.message }
}

function parse(text: string): object | null {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' ? value : null
  } catch {
    return null
  }
}

function isMember(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  const { id, name, peerUrls, clientUrls, isLearner } = value as Partial<RemoteMember>
  if (!isId(id) || typeof name !== 'string' || typeof isLearner !== 'boolean') return false
  return areStrings(peerUrls) && areStrings(clientUrls)
}

function isId(value: unknown): boolean {
  return typeof value === 'string' && /^[1-9a-f][0-9a-f]{0,15}$/.test(value)
}

function areStrings(value: unknown): boolean {
  return Array.isArray(value) && value.every((each) => typeof each === 'string')
}

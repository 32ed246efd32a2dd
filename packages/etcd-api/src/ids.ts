/** Who is who: the 64-bit identities of members and clusters, computed as etcd computes them. */
import { createHash } from 'node:crypto'
import type { NodeId } from '@coracle/raft-core'

/** A member or cluster id: an unsigned 64-bit number, never 0. */
export type EtcdId = bigint

const MAX = (1n << 64n) - 1n

/**
 * The id of a member that a cluster starts with: the same on every machine that is given the same
 * peer URLs and the same initial cluster token.
 */
export function memberId(peerUrls: readonly string[], clusterToken: string): EtcdId {
  return firstEightBytes([...peerUrls].sort().join('') + clusterToken)
}

/** The id of the cluster that these members start. */
export function clusterId(members: readonly EtcdId[]): EtcdId {
  const bytes = new DataView(new ArrayBuffer(8 * members.length))
  const ascending = [...members].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0))
  for (const [place, id] of ascending.entries()) bytes.setBigUint64(8 * place, id)
  return firstEightBytes(new Uint8Array(bytes.buffer))
}

/** How Raft names the member: lower-case hexadecimal without padding, as etcd prints ids. */
export function nodeIdOf(id: EtcdId): NodeId {
  if (id <= 0n || id > MAX) throw new RangeError(`a member id is in (0, 2^64), not ${id}`)
  return id.toString(16)
}

/** The member id that a node id stands for. Throws a RangeError if it stands for none. */
export function memberIdOf(node: NodeId): EtcdId {
  if (!/^[1-9a-f][0-9a-f]{0,15}$/.test(node))
    throw new RangeError(`not a member id in hexadecimal: ${node}`)
  return BigInt(`0x${node}`)
}

function firstEightBytes(data: string | Uint8Array): EtcdId {
  return createHash('sha1').update(data).digest().readBigUInt64BE(0)
}

/** Who calls whom, in the metadata of a call; and who answers, in its initial metadata. */
import type { NodeId } from '@coracle/raft-core'
import { Metadata } from '@grpc/grpc-js'

const VERSION = '1'

const KEYS = {
  version: 'coracle-version',
  cluster: 'coracle-cluster-bin',
  from: 'coracle-from-bin',
  to: 'coracle-to-bin',
  id: 'coracle-id-bin',
} as const

export interface Hello {
  readonly cluster: string
  readonly from: NodeId
  readonly to: NodeId
}

export function helloMetadata(hello: Hello): Metadata {
  const metadata = new Metadata()
  metadata.set(KEYS.version, VERSION)
  metadata.set(KEYS.cluster, Buffer.from(hello.cluster))
  metadata.set(KEYS.from, Buffer.from(hello.from))
  metadata.set(KEYS.to, Buffer.from(hello.to))
  return metadata
}

export function welcomeMetadata(cluster: string, id: NodeId): Metadata {
  const metadata = new Metadata()
  metadata.set(KEYS.version, VERSION)
  metadata.set(KEYS.cluster, Buffer.from(cluster))
  metadata.set(KEYS.id, Buffer.from(id))
  return metadata
}

/** The caller, or why the call is not for this node. */
export function readHello(metadata: Metadata, cluster: string, id: NodeId): NodeId | Error {
  const version = text(metadata, KEYS.version)
  const from = text(metadata, KEYS.from)
  const to = text(metadata, KEYS.to)
  const theirs = text(metadata, KEYS.cluster)
  if (version === null || from === null || to === null || theirs === null)
    return new Error('it does not say who it is')
  if (version !== VERSION)
    return new Error(`it speaks version ${version}, and this node ${VERSION}`)
  if (theirs !== cluster)
    return new Error(`it is of cluster ${theirs}, and this node of ${cluster}`)
  if (to !== id) return new Error(`it looks for node ${to}, and this is ${id}`)
  if (from === id) return new Error(`it calls itself ${id}, which is this node`)
  return from
}

/** Why the answer is not what the caller was looking for, or null if it is. */
export function objectionToAnswer(
  metadata: Metadata,
  cluster: string,
  peer: NodeId,
): string | null {
  const version = text(metadata, KEYS.version)
  const id = text(metadata, KEYS.id)
  const theirs = text(metadata, KEYS.cluster)
  if (version === null || id === null || theirs === null) return 'it does not say who it is'
  if (version !== VERSION) return `it speaks version ${version}`
  if (theirs !== cluster) return `it is of cluster ${theirs}, not ${cluster}`
  if (id !== peer) return `it is node ${id}, not ${peer}`
  return null
}

/** One value of 1 to 255 bytes, or null. */
function text(metadata: Metadata, key: string): string | null {
  const [value, ...others] = metadata.get(key)
  if (value === undefined || others.length > 0) return null
  if (value.length < 1 || value.length > 255) return null
  return value.toString()
}

/** Who calls whom, in the metadata of a call; and who answers, in its initial metadata. */
import type { NodeId } from '@coracle/raft-core'
import { Metadata } from '@grpc/grpc-js'

/**
 * What may be spoken, as a caller says it: the lowest and the highest version that it knows. The
 * answer is the highest that both know. New types and fields of messages need no new version, for a
 * reader passes over what it does not know.
 */
const MIN_VERSION = 1
const MAX_VERSION = 1
const VERSIONS = `${MIN_VERSION}-${MAX_VERSION}`

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
  metadata.set(KEYS.version, VERSIONS)
  metadata.set(KEYS.cluster, Buffer.from(hello.cluster))
  metadata.set(KEYS.from, Buffer.from(hello.from))
  metadata.set(KEYS.to, Buffer.from(hello.to))
  return metadata
}

export function welcomeMetadata(
  cluster: string,
  id: NodeId,
  version: number = MAX_VERSION,
): Metadata {
  const metadata = new Metadata()
  metadata.set(KEYS.version, `${version}`)
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
  const range = rangeIn(version)
  if (range === null || range[0] > MAX_VERSION || range[1] < MIN_VERSION)
    return new Error(`it speaks version ${version}, and this node ${VERSIONS}`)
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
  const spoken = Number(version)
  if (!(spoken >= MIN_VERSION && spoken <= MAX_VERSION)) return `it speaks version ${version}`
  if (theirs !== cluster) return `it is of cluster ${theirs}, not ${cluster}`
  if (id !== peer) return `it is node ${id}, not ${peer}`
  return null
}

/** The highest version that a caller and this node know, if there is no objection to it. */
export function agreedVersion(hello: Metadata): number {
  const range = rangeIn(text(hello, KEYS.version) ?? '')
  return range === null ? MIN_VERSION : Math.min(range[1], MAX_VERSION)
}

/** The lowest and the highest version in `1-2`, or in `1` for both; null for anything else. */
function rangeIn(words: string): readonly [least: number, most: number] | null {
  const [, least, most = least] = /^(\d{1,6})(?:-(\d{1,6}))?$/.exec(words) ?? []
  return least === undefined ? null : [Number(least), Number(most)]
}

/** One value of 1 to 255 bytes, or null. */
function text(metadata: Metadata, key: string): string | null {
  const [value, ...others] = metadata.get(key)
  if (value === undefined || others.length > 0) return null
  if (value.length < 1 || value.length > 255) return null
  return value.toString()
}

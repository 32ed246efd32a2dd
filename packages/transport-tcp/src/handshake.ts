/** The first frame in each direction: who calls whom, in which cluster, to what purpose. */
import type { NodeId } from '@coracle/raft-core'
import { Reader, Writer } from '@coracle/raft-core/codec'
import { FRAME_HEADER_BYTES, ProtocolError, seal } from './frame.ts'

/**
 * What may be spoken after the handshake: the highest version that both ends know. New types and
 * fields of messages need no new version, for a reader passes over what it does not know.
 */
export const MIN_VERSION = 1
export const MAX_VERSION = 1

/** No handshake is longer. */
export const MAX_HANDSHAKE_BYTES = 2_048

const PURPOSES = ['messages', 'snapshot'] as const

/** What a connection is for; it never changes. */
export type Purpose = (typeof PURPOSES)[number]

/** The caller's side. */
export interface Hello {
  readonly cluster: string
  readonly from: NodeId
  /** Whom the caller expects to find. */
  readonly to: NodeId
  readonly purpose: Purpose
  readonly minVersion: number
  readonly maxVersion: number
}

/** The answer. `refused` is null if the call is taken, and `version` is then what both speak. */
export interface Welcome {
  readonly cluster: string
  readonly id: NodeId
  readonly version: number
  readonly refused: string | null
}

export function encodeHello(hello: Hello): Uint8Array {
  const writer = framed()
  writer.u8(hello.minVersion)
  writer.u8(hello.maxVersion)
  writer.u8(PURPOSES.indexOf(hello.purpose))
  writer.shortString(hello.cluster)
  writer.shortString(hello.from)
  writer.shortString(hello.to)
  return seal(writer.finish())
}

/** Throws a CodecError or a ProtocolError. What a later version may add behind is passed over. */
export function decodeHello(payload: Uint8Array): Hello {
  const reader = new Reader(payload)
  const minVersion = reader.u8()
  const maxVersion = reader.u8()
  const purpose = PURPOSES[reader.u8()]
  if (purpose === undefined) throw new ProtocolError('it calls for an unknown purpose')
  const cluster = reader.shortString()
  const from = reader.shortString()
  return { cluster, from, to: reader.shortString(), purpose, minVersion, maxVersion }
}

export function encodeWelcome(welcome: Welcome): Uint8Array {
  const writer = framed()
  writer.u8(welcome.version)
  writer.boolean(welcome.refused === null)
  writer.shortString(welcome.cluster)
  writer.shortString(welcome.id)
  writer.string(welcome.refused ?? '')
  return seal(writer.finish())
}

export function decodeWelcome(payload: Uint8Array): Welcome {
  const reader = new Reader(payload)
  const version = reader.u8()
  const taken = reader.boolean()
  const cluster = reader.shortString()
  const id = reader.shortString()
  const why = reader.string()
  return { cluster, id, version, refused: taken ? null : why }
}

/** The highest version that a caller and this node know, if there is no objection to it. */
export function agreedVersion(hello: Hello): number {
  return Math.min(hello.maxVersion, MAX_VERSION)
}

/** Why a call is not for this node, or null if it is. */
export function objectionTo(hello: Hello, cluster: string, id: NodeId): string | null {
  if (hello.minVersion > MAX_VERSION || hello.maxVersion < MIN_VERSION)
    return `it speaks versions ${hello.minVersion} to ${hello.maxVersion}, and this node ${MIN_VERSION} to ${MAX_VERSION}`
  if (hello.cluster !== cluster)
    return `it is of cluster ${hello.cluster}, and this node of ${cluster}`
  if (hello.to !== id) return `it looks for node ${hello.to}, and this is ${id}`
  if (hello.from === id) return `it calls itself ${id}, which is this node`
  return null
}

/** Why the answer is not what the caller was looking for, or null if it is. */
export function objectionToAnswer(welcome: Welcome, cluster: string, peer: NodeId): string | null {
  if (welcome.refused !== null) return `refused: ${welcome.refused}`
  if (welcome.cluster !== cluster) return `it is of cluster ${welcome.cluster}, not ${cluster}`
  if (welcome.id !== peer) return `it is node ${welcome.id}, not ${peer}`
  if (welcome.version < MIN_VERSION || welcome.version > MAX_VERSION)
    return `it speaks version ${welcome.version}`
  return null
}

function framed(): Writer {
  const writer = new Writer(256)
  writer.raw(new Uint8Array(FRAME_HEADER_BYTES))
  return writer
}

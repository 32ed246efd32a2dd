/**
 * What transports carry: version, type, term, then the fields of that type in the order of their
 * interface. The ids are left out: a connection names both of its ends once, when it opens.
 *
 * Nodes of different versions work together, so that a cluster can be upgraded one node at a time.
 * A later version adds types, and fields at the end of a type; a reader drops the types and passes
 * over the fields that it does not know. What cannot be had that way raises the version of the
 * protocol, on which the two ends of a connection agree when it opens.
 */
import type {
  AppendEntries,
  AppendEntriesReply,
  Message,
  MessageType,
  Propose,
} from '../messages.ts'
import type { Entry, NodeId, Term } from '../types.ts'
import { CodecError, Reader, Writer } from './bytes.ts'
import { entryRunBytes, readEntryRun, RUN_ENTRY_BYTES, writeEntryRun } from './entry-run.ts'
import {
  readMembership,
  readPosition,
  readSnapshotMeta,
  writeMembership,
  writePosition,
  writeSnapshotMeta,
} from './records.ts'

/** The version that is written. Any from 1 on is read. */
export const MESSAGE_VERSION = 3

/** The place of a type in this list is its byte on the wire: new ones go to the end. */
const MESSAGE_TYPES = [
  'pre-vote',
  'pre-vote-reply',
  'request-vote',
  'request-vote-reply',
  'append-entries',
  'append-entries-reply',
  'heartbeat',
  'heartbeat-reply',
  'install-snapshot',
  'timeout-now',
  'read-index',
  'read-index-reply',
  'propose',
  'propose-reply',
  'removed',
  'commit',
] as const satisfies readonly MessageType[]

const TYPE_BYTES = new Map<MessageType, number>(MESSAGE_TYPES.map((type, byte) => [type, byte]))

/** Enough for every message without entries, commands or a membership. */
const FIXED_BYTES = 64
const COMMAND_OVERHEAD_BYTES = 4
const NO_ENTRIES: readonly Entry[] = Object.freeze([])

/** Both ends of the connection that a message came by. */
export interface Ends {
  readonly from: NodeId
  readonly to: NodeId
}

/**
 * The message as bytes, without its `from` and `to`. `reserveBytes` are left free in front, so that
 * a transport can put its own header there without copying. Throws a RangeError for a message that
 * breaks the rules of its type.
 */
export function encodeMessage(
  message: Message,
  options: { readonly reserveBytes?: number } = {},
): Uint8Array {
  const reserveBytes = options.reserveBytes ?? 0
  const writer = new Writer(reserveBytes + capacityFor(message))
  if (reserveBytes > 0) writer.raw(new Uint8Array(reserveBytes))
  writer.u8(MESSAGE_VERSION)
  writer.u8(TYPE_BYTES.get(message.type) ?? MESSAGE_TYPES.length)
  writer.u64(message.term)
  writeFields(writer, message)
  return message.type === 'append-entries' ? withEntries(writer, message) : writer.finish()
}

/**
 * The message that `bytes` hold; null if it is of a type that only later versions know. Entries and
 * commands are views into `bytes`: whoever owns these decides when to copy. Throws a
 * {@link CodecError}, and nothing else, for anything that {@link encodeMessage} of no version can
 * have written.
 */
export function decodeMessage(bytes: Uint8Array, ends: Ends): Message | null {
  const reader = new Reader(bytes)
  const version = reader.u8()
  if (version === 0) throw new CodecError('a message has version 0')
  const isLater = version > MESSAGE_VERSION
  const type = MESSAGE_TYPES[reader.u8()]
  if (type === undefined) {
    if (isLater) return null
    throw new CodecError('a message has an unknown type')
  }
  const message = readFields(reader, type, { ...ends, version, isLater }, reader.u64())
  if (!isLater) reader.end()
  return message
}

function capacityFor(message: Message): number {
  let capacity = FIXED_BYTES
  if (message.type === 'propose')
    for (const command of message.commands) capacity += COMMAND_OVERHEAD_BYTES + command.byteLength
  return capacity
}

function writeFields(writer: Writer, message: Message): void {
  switch (message.type) {
    case 'pre-vote':
      writePosition(writer, message.lastLog)
      return writer.string(message.address)
    case 'request-vote':
      writePosition(writer, message.lastLog)
      writer.boolean(message.transfer)
      return writer.string(message.address)
    case 'pre-vote-reply':
    case 'request-vote-reply':
      return writer.boolean(message.granted)
    case 'append-entries':
      return writeAppendEntries(writer, message)
    case 'append-entries-reply':
      return writeAppendEntriesReply(writer, message)
    case 'commit':
      return writer.u64(message.commitIndex)
    case 'heartbeat':
      writer.u64(message.commitIndex)
      writer.u64(message.round)
      return writer.string(message.address)
    case 'heartbeat-reply':
      writer.u64(message.round)
      return writer.u64(message.promiseMs)
    case 'install-snapshot':
      return writeSnapshotMeta(writer, message.meta)
    case 'timeout-now':
      return
    case 'read-index':
      return writer.u64(message.id)
    case 'read-index-reply':
      writer.u64(message.id)
      // No index is below -1, so one more is never negative.
      return writer.u64(message.index + 1)
    case 'propose':
      return writePropose(writer, message)
    case 'propose-reply':
      writer.u64(message.id)
      writer.u64(message.accepted)
      return writePosition(writer, message.first)
    case 'removed':
      writer.u64(message.index)
      return writeMembership(writer, message.membership)
  }
}

/** Where a message comes from, and whether a later version than this may have added to it. */
interface Source extends Ends {
  readonly version: number
  readonly isLater: boolean
}

function readFields(reader: Reader, type: MessageType, source: Source, term: Term): Message {
  const { from, to, version } = source
  switch (type) {
    case 'pre-vote': {
      const lastLog = readPosition(reader)
      return { type, from, to, term, lastLog, address: reader.string() }
    }
    case 'request-vote': {
      const lastLog = readPosition(reader)
      const transfer = reader.boolean()
      return { type, from, to, term, lastLog, transfer, address: reader.string() }
    }
    case 'pre-vote-reply':
    case 'request-vote-reply':
      return { type, from, to, term, granted: reader.boolean() }
    case 'append-entries':
      return readAppendEntries(reader, source, term)
    case 'append-entries-reply': {
      const accepted = reader.boolean()
      const index = reader.u64()
      const hint = readPosition(reader)
      return { type, from, to, term, accepted, index, hint, round: reader.u64() }
    }
    case 'commit':
      return { type, from, to, term, commitIndex: reader.u64() }
    case 'heartbeat': {
      const commitIndex = reader.u64()
      const round = reader.u64()
      return { type, from, to, term, commitIndex, round, address: reader.string() }
    }
    case 'heartbeat-reply': {
      const round = reader.u64()
      // Version 1 knows of no promises.
      return { type, from, to, term, round, promiseMs: version < 2 ? 0 : reader.u64() }
    }
    case 'install-snapshot':
      return { type, from, to, term, meta: readSnapshotMeta(reader) }
    case 'timeout-now':
      return { type, from, to, term }
    case 'read-index':
      return { type, from, to, term, id: reader.u64() }
    case 'read-index-reply': {
      const id = reader.u64()
      return { type, from, to, term, id, index: reader.u64() - 1 }
    }
    case 'propose': {
      const id = reader.u64()
      return { type, from, to, term, id, commands: readCommands(reader) }
    }
    case 'propose-reply': {
      const id = reader.u64()
      const accepted = reader.u64()
      return { type, from, to, term, id, accepted, first: readPosition(reader) }
    }
    case 'removed': {
      const index = reader.u64()
      return { type, from, to, term, index, membership: readMembership(reader) }
    }
  }
  return type satisfies never
}

function writeAppendEntries(writer: Writer, message: AppendEntries): void {
  writePosition(writer, message.prevLog)
  writer.u64(message.commitIndex)
  writer.u64(message.round)
  writer.u32(message.entries.length)
}

function withEntries(writer: Writer, { prevLog, entries, term }: AppendEntries): Uint8Array {
  const head = writer.finish()
  if (entries.length === 0) return head
  if ((entries.at(-1)?.term ?? 0) > term)
    throw new RangeError('no entry is of a later term than its sender')
  const whole = new Uint8Array(head.byteLength + entryRunBytes(entries))
  whole.set(head)
  writeEntryRun(whole, head.byteLength, entries, prevLog)
  return whole
}

function readAppendEntries(
  reader: Reader,
  { from, to, isLater }: Source,
  term: Term,
): AppendEntries {
  const prevLog = readPosition(reader)
  const commitIndex = reader.u64()
  const round = reader.u64()
  const count = reader.count(RUN_ENTRY_BYTES)
  const entries =
    count === 0
      ? NO_ENTRIES
      : readEntryRun(reader.raw(reader.remaining), count, prevLog, { mayGoOn: isLater })
  if ((entries.at(-1)?.term ?? 0) > term)
    throw new CodecError('an entry is of a later term than its sender')
  return { type: 'append-entries', from, to, term, prevLog, entries, commitIndex, round }
}

function writeAppendEntriesReply(writer: Writer, message: AppendEntriesReply): void {
  writer.boolean(message.accepted)
  writer.u64(message.index)
  writePosition(writer, message.hint)
  writer.u64(message.round)
}

function writePropose(writer: Writer, message: Propose): void {
  writer.u64(message.id)
  writer.u32(message.commands.length)
  for (const command of message.commands) writer.bytes(command)
}

function readCommands(reader: Reader): readonly Uint8Array[] {
  const commands: Uint8Array[] = []
  for (let left = reader.count(COMMAND_OVERHEAD_BYTES); left > 0; left--)
    commands.push(reader.bytes())
  return commands
}

import { CodecError, Reader, Writer } from '@coracle/raft-core/codec'
import { readAuthRequest, writeAuthRequest } from './auth-codec.ts'
import type { Identity } from './auth-types.ts'
import { BytePool } from './byte-pool.ts'
import type {
  Alarm,
  AlarmType,
  Compare,
  CompareOperator,
  CompareTarget,
  DeleteRangeRequest,
  KvCommand,
  LeaseCheckpointRequest,
  LeaseGrantRequest,
  LeaseRenewRequest,
  LeaseRevokeRequest,
  MemberAttributes,
  Operation,
  PutRequest,
  RangeRequest,
  SortOrder,
  SortTarget,
  TxnRequest,
} from './types.ts'

/** The first byte of every command: the version of all that follows it. */
const FORMAT = 1
/** The first byte of a command that says who asks for it; the command follows, with its own. */
const ATTRIBUTED = 2
/** The first byte of a command that a member asks for on its own account; the command follows. */
const OWN = 3

/**
 * How deeply transactions may nest, the outermost counted. etcd's limit of 128 operations, of which
 * every level takes at least one, allows 129 levels.
 */
export const MAX_TXN_DEPTH = 256

const COMMANDS = [
  'put',
  'delete-range',
  'txn',
  'compact',
  'publish-member',
  'lease-grant',
  'lease-revoke',
  'lease-renew',
  'lease-checkpoint',
  'forget-members',
  'alarm',
  'downgrade',
  'new-cluster',
  'auth',
] as const
const PUT = COMMANDS.indexOf('put')
const OPERATIONS = ['range', 'put', 'delete-range', 'txn'] as const
const SORT_TARGETS: readonly SortTarget[] = ['key', 'version', 'create', 'mod', 'value']
const SORT_ORDERS: readonly SortOrder[] = ['none', 'ascend', 'descend']
const OPERATORS: readonly CompareOperator[] = ['equal', 'greater', 'less', 'not-equal']
const ALARM_TYPES: readonly AlarmType[] = ['no-space', 'corrupt']
const TARGETS = ['version', 'create', 'mod', 'value', 'lease'] as const

const PREV_KV = 1
const IGNORE_VALUE = 2
const IGNORE_LEASE = 4
const HAS_LEASE = 8

const KEYS_ONLY = 1
const COUNT_ONLY = 2

/**
 * A command as it goes through the log. Throws a RangeError if it cannot be written: a number is
 * not a safe integer, or transactions are nested deeper than {@link MAX_TXN_DEPTH}.
 */
export function encodeCommand(command: KvCommand): Uint8Array {
  if (command.type === 'put') return encodePut(command.request)
  const writer = new Writer(128)
  writer.u8(FORMAT)
  writer.u8(COMMANDS.indexOf(command.type))
  switch (command.type) {
    case 'delete-range':
      writeDeleteRange(writer, command.request)
      break
    case 'txn':
      writeTxn(writer, command.request, 1)
      break
    case 'compact':
      writeInteger(writer, command.request.revision)
      break
    case 'publish-member':
      writeMember(writer, command.request)
      break
    case 'lease-grant':
      writeLeaseGrant(writer, command.request)
      break
    case 'lease-revoke':
      writeLeaseRevoke(writer, command.request)
      break
    case 'lease-renew':
      writeLeaseRenew(writer, command.request)
      break
    case 'lease-checkpoint':
      writeLeaseCheckpoint(writer, command.request)
      break
    case 'auth':
      writeAuthRequest(writer, command.request)
      break
    case 'forget-members':
      writeStrings(writer, command.request.ids)
      break
    case 'alarm':
      writer.boolean(command.request.action === 'raise')
      writeAlarm(writer, command.request.alarm)
      break
    case 'downgrade':
      writer.string(command.request.target)
      break
    case 'new-cluster':
      writer.u64(command.request.bumpRevision)
      break
  }
  return writer.finish()
}

/** A command that says who asks for it, from an encoded one that does not. */
export function attributeCommand(command: Uint8Array, { user, revision }: Identity): Uint8Array {
  const writer = new Writer(command.byteLength + user.length + 16)
  writer.u8(ATTRIBUTED)
  writer.string(user)
  writer.u64(revision)
  writer.raw(command)
  return writer.finish()
}

/** A command that a member asks for on its own account, which it may always do. */
export function ownCommand(command: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(1 + command.byteLength)
  bytes[0] = OWN
  bytes.set(command, 1)
  return bytes
}

/**
 * Throws a CodecError unless the bytes are one whole command, whoever asks for it. The keys and
 * values are views.
 */
export function decodeCommand(bytes: Uint8Array): KvCommand {
  const reader = new Reader(bytes)
  let format = reader.u8()
  if (format === ATTRIBUTED) {
    readIdentity(reader)
    format = reader.u8()
  } else if (format === OWN) format = reader.u8()
  if (format !== FORMAT) throw new CodecError('a command of an unknown version')
  const command = readCommand(reader)
  reader.end()
  return command
}

/** Who asks for a command, or null if it does not say. Throws a CodecError if it says it badly. */
export function identityOf(bytes: Uint8Array): Identity | 'member' | null {
  if (bytes[0] === OWN) return 'member'
  if (bytes[0] !== ATTRIBUTED) return null
  const reader = new Reader(bytes)
  reader.u8()
  return readIdentity(reader)
}

function readIdentity(reader: Reader): Identity {
  return { user: reader.string(), revision: reader.u64() }
}

function readCommand(reader: Reader): KvCommand {
  const type = pick(COMMANDS, reader.u8())
  switch (type) {
    case 'put':
      return { type, request: readPut(reader) }
    case 'delete-range':
      return { type, request: readDeleteRange(reader) }
    case 'txn':
      return { type, request: readTxn(reader, 1) }
    case 'compact':
      return { type, request: { revision: readInteger(reader) } }
    case 'publish-member':
      return { type, request: readMember(reader) }
    case 'lease-grant':
      return { type, request: readLeaseGrant(reader) }
    case 'lease-revoke':
      return { type, request: readLeaseRevoke(reader) }
    case 'lease-renew':
      return { type, request: readLeaseRenew(reader) }
    case 'lease-checkpoint':
      return { type, request: readLeaseCheckpoint(reader) }
    case 'auth':
      return { type, request: readAuthRequest(reader) }
    case 'forget-members':
      return { type, request: { ids: readStrings(reader) } }
    case 'alarm': {
      const action = reader.boolean() ? 'raise' : 'clear'
      return { type, request: { action, alarm: readAlarm(reader) } }
    }
    case 'downgrade':
      return { type, request: { target: reader.string() } }
    case 'new-cluster':
      return { type, request: { bumpRevision: reader.u64() } }
  }
}

const pool = new BytePool()

/** What {@link writePut} writes, in one go: this is the path that every plain put takes. */
function encodePut(request: PutRequest): Uint8Array {
  const { key, value, lease } = request
  const leaseBytes = lease === 0n ? 0 : 8
  const bytes = pool.take(3 + leaseBytes + 4 + key.byteLength + 4 + value.byteLength)
  bytes[0] = FORMAT
  bytes[1] = PUT
  bytes[2] = putFlags(request)
  if (lease !== 0n) {
    const writer = new Writer(8)
    writeLease(writer, lease)
    bytes.set(writer.finish(), 3)
  }
  const keyAt = setBytes(bytes, 3 + leaseBytes, key)
  setBytes(bytes, keyAt, value)
  return bytes
}

/** A length and as many bytes, as `Writer.bytes` writes them; answers where they end. */
function setBytes(target: Uint8Array, at: number, bytes: Uint8Array): number {
  const length = bytes.byteLength
  target[at] = length
  target[at + 1] = length >>> 8
  target[at + 2] = length >>> 16
  target[at + 3] = length >>> 24
  target.set(bytes, at + 4)
  return at + 4 + length
}

function putFlags(request: PutRequest): number {
  return (
    (request.prevKv ? PREV_KV : 0) |
    (request.ignoreValue ? IGNORE_VALUE : 0) |
    (request.ignoreLease ? IGNORE_LEASE : 0) |
    (request.lease === 0n ? 0 : HAS_LEASE)
  )
}

function writePut(writer: Writer, request: PutRequest): void {
  writer.u8(putFlags(request))
  if (request.lease !== 0n) writeLease(writer, request.lease)
  writer.bytes(request.key)
  writer.bytes(request.value)
}

function readPut(reader: Reader): PutRequest {
  const flags = readFlags(reader, PREV_KV | IGNORE_VALUE | IGNORE_LEASE | HAS_LEASE)
  const lease = flags & HAS_LEASE ? readLease(reader) : 0n
  return {
    key: reader.bytes(),
    value: reader.bytes(),
    lease,
    prevKv: (flags & PREV_KV) !== 0,
    ignoreValue: (flags & IGNORE_VALUE) !== 0,
    ignoreLease: (flags & IGNORE_LEASE) !== 0,
  }
}

function writeDeleteRange(writer: Writer, request: DeleteRangeRequest): void {
  writer.boolean(request.prevKv)
  writer.bytes(request.key)
  writer.bytes(request.rangeEnd)
}

function readDeleteRange(reader: Reader): DeleteRangeRequest {
  const prevKv = reader.boolean()
  return { key: reader.bytes(), rangeEnd: reader.bytes(), prevKv }
}

function writeRange(writer: Writer, request: RangeRequest): void {
  writer.u8((request.keysOnly ? KEYS_ONLY : 0) | (request.countOnly ? COUNT_ONLY : 0))
  writer.u8(SORT_ORDERS.indexOf(request.sortOrder))
  writer.u8(SORT_TARGETS.indexOf(request.sortTarget))
  writer.bytes(request.key)
  writer.bytes(request.rangeEnd)
  writeInteger(writer, request.limit)
  writeInteger(writer, request.revision)
  writeInteger(writer, request.minModRevision)
  writeInteger(writer, request.maxModRevision)
  writeInteger(writer, request.minCreateRevision)
  writeInteger(writer, request.maxCreateRevision)
}

function readRange(reader: Reader): RangeRequest {
  const flags = readFlags(reader, KEYS_ONLY | COUNT_ONLY)
  const sortOrder = pick(SORT_ORDERS, reader.u8())
  const sortTarget = pick(SORT_TARGETS, reader.u8())
  return {
    key: reader.bytes(),
    rangeEnd: reader.bytes(),
    limit: readInteger(reader),
    revision: readInteger(reader),
    sortOrder,
    sortTarget,
    keysOnly: (flags & KEYS_ONLY) !== 0,
    countOnly: (flags & COUNT_ONLY) !== 0,
    minModRevision: readInteger(reader),
    maxModRevision: readInteger(reader),
    minCreateRevision: readInteger(reader),
    maxCreateRevision: readInteger(reader),
  }
}

function writeTxn(writer: Writer, request: TxnRequest, depth: number): void {
  if (depth > MAX_TXN_DEPTH) {
    throw new RangeError(`transactions are nested more than ${MAX_TXN_DEPTH} deep`)
  }
  writer.u32(request.compare.length)
  for (const compare of request.compare) writeCompare(writer, compare)
  for (const branch of [request.success, request.failure]) {
    writer.u32(branch.length)
    for (const operation of branch) writeOperation(writer, operation, depth)
  }
}

function readTxn(reader: Reader, depth: number): TxnRequest {
  if (depth > MAX_TXN_DEPTH) throw new CodecError('transactions are nested too deep')
  const compare = list(reader, () => readCompare(reader))
  const success = list(reader, () => readOperation(reader, depth))
  const failure = list(reader, () => readOperation(reader, depth))
  return { compare, success, failure }
}

function writeOperation(writer: Writer, operation: Operation, depth: number): void {
  writer.u8(OPERATIONS.indexOf(operation.type))
  switch (operation.type) {
    case 'range':
      return writeRange(writer, operation.request)
    case 'put':
      return writePut(writer, operation.request)
    case 'delete-range':
      return writeDeleteRange(writer, operation.request)
    case 'txn':
      return writeTxn(writer, operation.request, depth + 1)
  }
}

function readOperation(reader: Reader, depth: number): Operation {
  const type = pick(OPERATIONS, reader.u8())
  switch (type) {
    case 'range':
      return { type, request: readRange(reader) }
    case 'put':
      return { type, request: readPut(reader) }
    case 'delete-range':
      return { type, request: readDeleteRange(reader) }
    case 'txn':
      return { type, request: readTxn(reader, depth + 1) }
  }
}

function writeCompare(writer: Writer, compare: Compare): void {
  const { operator, target } = compare
  writer.u8(OPERATORS.indexOf(operator))
  writer.u8(TARGETS.indexOf(target.type))
  writer.bytes(compare.key)
  writer.bytes(compare.rangeEnd)
  switch (target.type) {
    case 'value':
      return writer.bytes(target.value)
    case 'lease':
      return writeLease(writer, target.value)
    case 'version':
    case 'create':
    case 'mod':
      return writeInteger(writer, target.value)
  }
}

function readCompare(reader: Reader): Compare {
  const operator = pick(OPERATORS, reader.u8())
  const type = pick(TARGETS, reader.u8())
  const key = reader.bytes()
  const rangeEnd = reader.bytes()
  return { key, rangeEnd, operator, target: readTarget(reader, type) }
}

function readTarget(reader: Reader, type: CompareTarget['type']): CompareTarget {
  switch (type) {
    case 'value':
      return { type, value: reader.bytes() }
    case 'lease':
      return { type, value: readLease(reader) }
    case 'version':
    case 'create':
    case 'mod':
      return { type, value: readInteger(reader) }
  }
}

export function writeMember(writer: Writer, member: MemberAttributes): void {
  writer.string(member.id)
  writer.string(member.name)
  writeStrings(writer, member.clientUrls)
}

export function readMember(reader: Reader): MemberAttributes {
  const id = reader.string()
  const name = reader.string()
  return { id, name, clientUrls: readStrings(reader) }
}

export function writeStrings(writer: Writer, strings: readonly string[]): void {
  writer.u32(strings.length)
  for (const each of strings) writer.string(each)
}

export function readStrings(reader: Reader): readonly string[] {
  return Array.from({ length: reader.count(4) }, () => reader.string())
}

export function writeAlarm(writer: Writer, { memberId, type }: Alarm): void {
  writer.string(memberId)
  writer.u8(ALARM_TYPES.indexOf(type))
}

export function readAlarm(reader: Reader): Alarm {
  return { memberId: reader.string(), type: pick(ALARM_TYPES, reader.u8()) }
}

function writeLeaseGrant(writer: Writer, { id, ttl }: LeaseGrantRequest): void {
  writeLease(writer, id)
  writer.u64(ttl)
}

function readLeaseGrant(reader: Reader): LeaseGrantRequest {
  const id = readLease(reader)
  const ttl = reader.u64()
  if (id === 0n || ttl === 0) throw new CodecError('a lease needs an id and a time')
  return { id, ttl }
}

function writeLeaseRevoke(writer: Writer, { id, renewal }: LeaseRevokeRequest): void {
  writeLease(writer, id)
  writer.u64(renewal)
}

function readLeaseRevoke(reader: Reader): LeaseRevokeRequest {
  return { id: readLease(reader), renewal: reader.u64() }
}

function writeLeaseRenew(writer: Writer, { ids }: LeaseRenewRequest): void {
  writer.u32(ids.length)
  for (const id of ids) writeLease(writer, id)
}

function readLeaseRenew(reader: Reader): LeaseRenewRequest {
  return { ids: Array.from({ length: reader.count(8) }, () => readLease(reader)) }
}

function writeLeaseCheckpoint(writer: Writer, { checkpoints }: LeaseCheckpointRequest): void {
  writer.u32(checkpoints.length)
  for (const { id, renewal, remainingTtl } of checkpoints) {
    writeLease(writer, id)
    writer.u64(renewal)
    writer.u64(remainingTtl)
  }
}

function readLeaseCheckpoint(reader: Reader): LeaseCheckpointRequest {
  const checkpoints = Array.from({ length: reader.count(24) }, () => ({
    id: readLease(reader),
    renewal: reader.u64(),
    remainingTtl: reader.u64(),
  }))
  return { checkpoints }
}

/** Safe integers of either sign: clients may send negative limits and revisions. */
export function writeInteger(writer: Writer, value: number): void {
  writer.boolean(value < 0)
  writer.u64(Math.abs(value))
}

export function readInteger(reader: Reader): number {
  const isNegative = reader.boolean()
  const magnitude = reader.u64()
  if (isNegative && magnitude === 0) throw new CodecError('0 has no sign')
  return isNegative ? -magnitude : magnitude
}

/** All 64 bits, as two halves. */
export function writeLease(writer: Writer, lease: bigint): void {
  const bits = BigInt.asUintN(64, lease)
  writer.u32(Number(bits >> 32n))
  writer.u32(Number(bits & 0xff_ff_ff_ffn))
}

export function readLease(reader: Reader): bigint {
  const high = BigInt(reader.u32())
  return BigInt.asIntN(64, (high << 32n) | BigInt(reader.u32()))
}

/** Every item takes at least two bytes, so no count can ask for more than there is. */
function list<T>(reader: Reader, readItem: () => T): T[] {
  return Array.from({ length: reader.count(2) }, readItem)
}

function readFlags(reader: Reader, known: number): number {
  const flags = reader.u8()
  if ((flags & ~known) !== 0) throw new CodecError(`unknown flags ${flags}`)
  return flags
}

function pick<T>(values: readonly T[], index: number): T {
  const value = values[index]
  if (value === undefined) throw new CodecError(`unknown kind ${index}`)
  return value
}

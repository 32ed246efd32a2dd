/**
 * From JSON to a message, by reflection on the schema (the JSON mapping of proto3).
 *
 * Names may be the schema's (`range_end`) or lowerCamel (`rangeEnd`); 64-bit numbers may be strings;
 * bytes are base64, ordinary or URL-safe, padded or not; enums are names or numbers; null is as good
 * as absent; what is not in the schema is passed over. The message is what the binary codec gives.
 */
import protobuf, { type Enum, type Field, type Type } from 'protobufjs'
import { fromBigInt, type Int64 } from '../int64.ts'
import { messageType } from '../schema.ts'
import { digitsOf, JsonError } from './json-text.ts'

/** Throws a {@link JsonError} for what is no such message. */
export type JsonDecoder<Message> = (json: unknown) => Message

/** As deep as the binary codec goes. */
const MOST_DEPTH = 100

/** The decoder of the message with this full name. */
export function jsonDecoder<Message extends object>(name: string): JsonDecoder<Message> {
  const plan = planOf(messageType(name))
  return (json) => decodeMessage(plan, json, 0) as Message
}

/** `depth` is that of the message around the value. Never given null. */
type DecodeValue = (json: unknown, depth: number) => unknown

interface FieldPlan {
  readonly name: string
  readonly isRepeated: boolean
  /** The oneof that it is a member of. */
  readonly oneof: string | null
  readonly decode: DecodeValue
}

interface Plan {
  readonly type: Type
  /** By both of its names. */
  readonly fields: ReadonlyMap<string, FieldPlan>
}

const plans = new WeakMap<Type, Plan>()

/** Made when first used, for messages hold each other. */
function planOf(type: Type): Plan {
  const known = plans.get(type)
  if (known !== undefined) return known
  const fields = new Map<string, FieldPlan>()
  for (const field of type.fieldsArray) {
    const plan = {
      name: field.name,
      isRepeated: field.repeated,
      oneof: field.partOf?.name ?? null,
      decode: decoderOf(field),
    }
    fields.set(field.name, plan)
    fields.set(lowerCamel(field.name), plan)
  }
  const plan = { type, fields }
  plans.set(type, plan)
  return plan
}

function lowerCamel(name: string): string {
  return name.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())
}

function decodeMessage({ type, fields }: Plan, json: unknown, depth: number): object {
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    throw new JsonError(`${type.name} must be an object, not ${describe(json)}`)
  if (depth >= MOST_DEPTH) throw new JsonError(`messages are nested more than ${MOST_DEPTH} deep`)
  const message = type.create() as unknown as Record<string, unknown>
  const oneofs = new Set<string>()
  for (const [key, value] of Object.entries(json)) {
    const field = fields.get(key)
    if (field === undefined || value === null) continue
    if (field.oneof !== null && oneofs.size === oneofs.add(field.oneof).size)
      throw new JsonError(`${type.name}.${field.oneof} is set twice`)
    message[field.name] = decodeField(field, value as unknown, depth)
  }
  return message
}

function decodeField({ name, isRepeated, decode }: FieldPlan, json: unknown, depth: number) {
  try {
    if (!isRepeated) return decode(json, depth)
    if (!Array.isArray(json)) throw new JsonError(`must be a list, not ${describe(json)}`)
    return json.map((each: unknown) => decode(each, depth))
  } catch (error) {
    // Deep inside, the innermost name says enough.
    if (!(error instanceof JsonError) || error.message.includes(':')) throw error
    throw new JsonError(`${name}: ${error.message}`)
  }
}

function decoderOf({ resolvedType, type }: Field): DecodeValue {
  if (resolvedType instanceof protobuf.Type)
    return (json, depth) => decodeMessage(planOf(resolvedType), json, depth + 1)
  if (resolvedType instanceof protobuf.Enum) return enumDecoder(resolvedType)
  const decoder = SCALARS[type]
  if (decoder === undefined) throw new TypeError(`no JSON for fields of type ${type}`)
  return decoder
}

const SCALARS: Readonly<Record<string, DecodeValue>> = {
  bool: decodeBool,
  string: decodeString,
  bytes: decodeBytes,
  int64: (json) => decodeInteger(json, -(2n ** 63n), 2n ** 63n),
  uint64: (json) => decodeInteger(json, 0n, 2n ** 64n),
  int32: (json) => Number(integer(json, -(2n ** 31n), 2n ** 31n)),
  uint32: (json) => Number(integer(json, 0n, 2n ** 32n)),
}

function decodeBool(json: unknown): boolean {
  if (typeof json !== 'boolean') throw new JsonError(`must be a bool, not ${describe(json)}`)
  return json
}

/** Half a surrogate pair is no text, and could not be encoded again. */
function decodeString(json: unknown): string {
  if (typeof json !== 'string') throw new JsonError(`must be a string, not ${describe(json)}`)
  return /\p{Surrogate}/u.test(json) ? Buffer.from(json).toString() : json
}

function decodeInteger(json: unknown, least: bigint, end: bigint): Int64 {
  return fromBigInt(integer(json, least, end))
}

function integer(json: unknown, least: bigint, end: bigint): bigint {
  const digits = digitsOf(json)
  // More digits than any number has that fits need not be converted to be refused.
  if (digits === null || digits.length > 20 || !/^-?(?:0|[1-9]\d*)$/.test(digits))
    throw new JsonError(`must be an integer, not ${describe(json)}`)
  const value = BigInt(digits)
  if (value < least || value >= end) throw new JsonError(`is out of range: ${digits}`)
  return value
}

const BASE64 = /^[A-Za-z0-9+/_-]*={0,2}$/

/** Lines may be broken, as Go has it and as `base64` prints them. */
function decodeBytes(json: unknown): Uint8Array {
  if (typeof json !== 'string') throw new JsonError(`must be base64, not ${describe(json)}`)
  const text = /[\r\n]/.test(json) ? json.replaceAll(/[\r\n]/g, '') : json
  const isPadded = text.endsWith('=')
  if (!BASE64.test(text) || text.length % 4 === 1 || (isPadded && text.length % 4 !== 0))
    throw new JsonError('is not base64')
  const bytes = Buffer.from(text, 'base64')
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)
}

/** Numbers that the schema does not know stay as they are, as in the binary form. */
function enumDecoder({ name, values }: Enum): DecodeValue {
  return (json) => {
    if (typeof json !== 'string') return Number(integer(json, -(2n ** 31n), 2n ** 31n))
    const value = Object.hasOwn(values, json) ? values[json] : undefined
    if (value === undefined) throw new JsonError(`${name} has no value of that name`)
    return value
  }
}

function describe(json: unknown): string {
  if (json === null) return 'null'
  return Array.isArray(json) ? 'a list' : typeof json
}

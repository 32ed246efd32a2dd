/**
 * From a message to JSON, by reflection on the schema: the schema's names, zero values left out
 * unless they are the chosen member of a oneof, 64-bit numbers as strings, bytes as base64, enums by
 * name. No space between the tokens.
 */
import protobuf, { type Enum, type Field, type Type } from 'protobufjs'
import { type Int64, toBigInt, toUnsigned } from '../int64.ts'
import { messageType } from '../schema.ts'

/** Takes what the binary codec takes and what it gives. */
export type JsonEncoder<Message> = (message: Message) => string

/** The encoder of the message with this full name. */
export function jsonEncoder<Message extends object>(name: string): JsonEncoder<Message> {
  const type = messageType(name)
  return (message) => encodeMessage(type, message)
}

/** The JSON of one value, or null for a zero. */
type EncodeValue = (value: never) => string | null

interface FieldPlan {
  readonly name: string
  /** `"name":` */
  readonly label: string
  readonly isRepeated: boolean
  readonly isOneofMember: boolean
  readonly encode: EncodeValue
  /** How a zero is written where it may not be left out. */
  readonly zero: string
}

const plans = new WeakMap<Type, readonly FieldPlan[]>()

/** Made when first used, for messages hold each other. */
function planOf(type: Type): readonly FieldPlan[] {
  const known = plans.get(type)
  if (known !== undefined) return known
  const plan = type.fieldsArray.map((field) => ({
    name: field.name,
    label: `${JSON.stringify(field.name)}:`,
    isRepeated: field.repeated,
    isOneofMember: field.partOf !== null,
    ...encodingOf(field),
  }))
  plans.set(type, plan)
  return plan
}

function encodeMessage(type: Type, message: object): string {
  const values = message as Readonly<Record<string, unknown>>
  let json = ''
  for (const field of planOf(type)) {
    // A member that is not chosen still shows its zero, through the prototype.
    if (field.isOneofMember && !Object.hasOwn(values, field.name)) continue
    const value = values[field.name]
    if (value === undefined || value === null) continue
    const text = encodeField(field, value)
    if (text !== null) json += `${json === '' ? '' : ','}${field.label}${text}`
  }
  return `{${json}}`
}

function encodeField(field: FieldPlan, value: unknown): string | null {
  if (!field.isRepeated) {
    const text = field.encode(value as never)
    return text === null && field.isOneofMember ? field.zero : text
  }
  const list = value as readonly unknown[]
  if (list.length === 0) return null
  return `[${list.map((each) => field.encode(each as never) ?? field.zero).join(',')}]`
}

interface Encoding {
  readonly encode: EncodeValue
  readonly zero: string
}

function encodingOf({ resolvedType, type }: Field): Encoding {
  if (resolvedType instanceof protobuf.Type)
    return { encode: (value: object) => encodeMessage(resolvedType, value), zero: '{}' }
  if (resolvedType instanceof protobuf.Enum) return enumEncoding(resolvedType)
  const encoding = SCALARS[type]
  if (encoding === undefined) throw new TypeError(`no JSON for fields of type ${type}`)
  return encoding
}

const NUMBER: Encoding = {
  encode: (value: number) => (value === 0 ? null : String(value)),
  zero: '0',
}

const SCALARS: Readonly<Record<string, Encoding>> = {
  bool: { encode: (value: boolean) => (value ? 'true' : null), zero: 'false' },
  string: {
    encode: (value: string) => (value === '' ? null : JSON.stringify(value)),
    zero: '""',
  },
  bytes: { encode: encodeBytes, zero: '""' },
  int64: { encode: (value: Int64) => encodeInteger(toBigInt(value)), zero: '"0"' },
  uint64: { encode: (value: Int64) => encodeInteger(toUnsigned(value)), zero: '"0"' },
  int32: NUMBER,
  uint32: NUMBER,
}

function encodeInteger(value: bigint): string | null {
  return value === 0n ? null : `"${value}"`
}

function encodeBytes(value: Uint8Array): string | null {
  if (value.length === 0) return null
  return `"${Buffer.from(value.buffer, value.byteOffset, value.length).toString('base64')}"`
}

/** A number that the schema does not know has no name, and stays a number. */
function enumEncoding({ valuesById }: Enum): Encoding {
  const encode = (value: number): string =>
    valuesById[value] === undefined ? String(value) : `"${valuesById[value]}"`
  return { encode: (value: number) => (value === 0 ? null : encode(value)), zero: encode(0) }
}
